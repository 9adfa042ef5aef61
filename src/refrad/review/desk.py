"""The dataset and the verdicts as the review pages use them: pairs of image and caption, by page, and one after the other."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import rows_of
from refrad.dataset.image_codec import decode_image
from refrad.dataset.image_lookup import ImageLookup
from refrad.dataset.shard_rows import CaptionStruct, ImageRow
from refrad.review.item_index import ItemIndex, ItemQuery, ItemRow
from refrad.review.judgement import ReviewVerdict
from refrad.review.left_out import FOLLOWS, LeftOutRow
from refrad.review.pair_selection import ORDERS, VERDICT_WORDS, FilterChoice, FilterOption, PairSelection
from refrad.review.random_queue import RandomQueue
from refrad.review.review_statistics import ReviewSummary, summarize_review
from refrad.review.slice_pictures import nearest_channel
from refrad.review.suspicion import SUSPICIONS
from refrad.review.verdict_reader import ReadVerdicts, VerdictReader

__all__ = ["CHANGED", "LeftOutItem", "ListedPair", "Neighbours", "PairKey", "ReviewDesk", "UnknownPairError"]

UNSEEN_IN_LIST = ("structures", "questions", "provenance")  # columns that the list does not read
CHANGED = "The dataset has changed since this server started: stop and start it"
KEPT_CHOICES = 50  # counts of filters in memory


class UnknownPairError(LookupError):
    """The dataset has no such pair, or has changed since the server started; the message is for the reviewer."""


class PairKey(NamedTuple):
    """A pair of image and caption in the dataset."""

    delivery: str
    shard: int
    image_id: str
    caption: str


class ListedPair(NamedTuple):
    """A pair, with the row of its image (without the pictures), its signs, and the verdicts on the image that count."""

    key: PairKey
    row: ImageRow
    caption: CaptionStruct
    suspicions: Sequence[str]
    verdicts: Sequence[ReviewVerdict]
    path: Path


class LeftOutItem(NamedTuple):
    """An item that left at the last run, names of its classes, the verdicts on it that count, and how many of its image left with it."""

    row: LeftOutRow
    classes: Sequence[str]
    verdicts: Sequence[ReviewVerdict]
    followers: int


class Neighbours(NamedTuple):
    """The pairs before and after one in a selection, its number from 1 (0: not in it), and how many the selection has."""

    before: PairKey | None
    after: PairKey | None
    number: int
    total: int


class ReviewDesk:
    """The dataset as reviewers meet it.

    Args:
        index: of the items of the dataset.
        verdicts: of all reviewers.
        schema: the class schema.
        windows: width and level of the three channels of the stored pictures, HU.
        left_out: `LeftOutTable`: what the last run left out because of verdicts.
    """

    def __init__(
        self,
        index: ItemIndex,
        verdicts: VerdictReader,
        schema: Schema,
        windows: Sequence[Sequence[float]],
        left_out: pl.DataFrame,
    ) -> None:
        pairs = index.items.filter(pl.col("item") == "caption")
        self._index = ItemIndex(pairs.drop("place", "suspicions"), index.marks)  # a third of all, so pages are faster
        self._items, self._left_out = index.items, left_out
        self._totals = dict(self._items["item"].value_counts().iter_rows())
        self._reader, self._schema = verdicts, schema
        self._windows = [(width, level) for width, level in windows]
        self._queue = RandomQueue(self._index)
        self._lookup = ImageLookup()
        self._choices: dict[tuple[PairSelection, ReadVerdicts | None], list[FilterChoice]] = {}
        self._summary: tuple[ReadVerdicts, ReviewSummary] | None = None

    def find(self, selection: PairSelection, start: int, count: int) -> tuple[int, list[ListedPair]]:
        """How many pairs a selection has, and `count` of them from the `start`-th on, without those that have left since."""
        page = self._index.page(selection.query(), self._reader.read().states, start, count)
        pairs = []
        for row in page.rows:
            with contextlib.suppress(UnknownPairError):
                pairs.append(self._listed(row, UNSEEN_IN_LIST))
        return page.total, pairs

    def pair(self, key: PairKey) -> ListedPair:
        """A pair.

        Raises:
            UnknownPairError: if the dataset has no such pair.
        """
        position = self._place(key)
        if position is None:
            raise UnknownPairError("The pair is not in the dataset")
        return self._listed(self._index.rows([position])[0])

    def neighbours(self, selection: PairSelection, key: PairKey, number: int) -> Neighbours:
        """The neighbours of a pair in a selection.

        Args:
            selection: which pairs there are.
            key: the pair.
            number: its number in the selection when its address was made. A verdict may take it out of the selection since:
                then the next pair has this number now.
        """
        places = self._index.places(selection.query(), self._reader.read().states)
        position = self._place(key)
        same = (places == position).arg_max() if position is not None and len(places) else None
        at = same if same is not None and places[same] == position else None
        before, after = (at - 1, at + 1) if at is not None else (number - 2, number - 1)
        return Neighbours(
            self._key_at(places, before), self._key_at(places, after), 0 if at is None else at + 1, len(places)
        )

    def verdicts(self, image_id: str) -> Sequence[ReviewVerdict]:
        """The verdicts on the items of an image that count."""
        return self._reader.read().by_image.get(image_id, [])

    def add(self, verdict: ReviewVerdict) -> None:
        """Add a verdict; it is on the disk when this returns; raises as `VerdictReader.add`."""
        self._reader.add(verdict)

    def next_random(self, reviewer: str) -> PairKey | None:
        """The next pair of the random queue for a reviewer; None if there is none left."""
        places = self._queue.next_places(self._reader.read().counting.sample, reviewer)
        return self._key_of(places[0]) if places else None

    def progress(self, reviewer: str) -> tuple[int, int, int]:
        """Pairs of the random queue that a reviewer has judged, that anybody has, and how many there are."""
        sample = [verdict for verdict in self._reader.read().counting.sample if verdict.item == "caption"]
        own = {verdict.key for verdict in sample if verdict.reviewer == reviewer}
        return len(own), len({verdict.key for verdict in sample}), len(self._queue)

    def picture(self, pair: ListedPair, window: str) -> NDArray[np.uint8]:
        """The stored picture of an image in grey, uint8 [row, column], in the channel most like a window."""
        channels = decode_image(self._lookup.pictures(pair.path, pair.key.image_id))
        return np.asarray(channels[nearest_channel(window, self._windows) if pair.row["modality"] == "CT" else 0])

    def summary(self) -> ReviewSummary:
        """The state of the review: how much is judged, the precision, and the agreement of reviewers."""
        read, summarized = self._reader.read(), self._summary
        if summarized is None or summarized[0] is not read:
            names = {number: entry.english for number, entry in self._schema.by_id.items()}
            summarized = read, summarize_review(read.counting, self._items, self._totals, self._left_out, names)
            self._summary = summarized
        return summarized[1]

    def left_out(self, text: str, start: int, count: int) -> tuple[int, list[LeftOutItem]]:
        """How many items with these words left at the last run because of a verdict on them, and `count` from the `start`-th on."""
        items = self._left_out.filter(pl.col("verdict") != FOLLOWS)
        for word in text.lower().split():
            items = items.filter(pl.col("text").str.to_lowercase().str.contains(word, literal=True))
        rows = rows_of(items.slice(start, count), LeftOutRow)
        return len(items), [self._left_out_item(row) for row in rows]

    def _left_out_item(self, row: LeftOutRow) -> LeftOutItem:
        key = row["image_id"], row["item"], row["item_id"], row["digest"]
        names = [self._label("class_id", str(number)) for number in row["classes"]]
        verdicts = [verdict for verdict in self.verdicts(row["image_id"]) if verdict.key == key]
        of_image = (pl.col("image_id") == row["image_id"]) & (pl.col("verdict") == FOLLOWS)
        return LeftOutItem(row, names, verdicts, len(self._left_out.filter(of_image)))

    def choices(self, selection: PairSelection) -> list[FilterChoice]:
        """The filters, each with the values that pairs of the other filters' selection have, the most frequent first.

        They are counted once for the pages of a list, unless a verdict is added and selects.
        """
        read = self._reader.read()
        version = read if selection.verdict else None
        if (selection, version) not in self._choices:
            if len(self._choices) >= KEPT_CHOICES:
                self._choices.clear()
            self._choices[selection, version] = self._counted_choices(selection, read.states)
        return self._choices[selection, version]

    def _counted_choices(self, selection: PairSelection, states: pl.DataFrame) -> list[FilterChoice]:

        places: dict[ItemQuery, pl.Series] = {}  # filters that are not set count the same pairs

        def counted(name: str, column: str) -> list[FilterOption]:
            query = replace(selection, **{name: ""}).query()
            if query not in places:
                places[query] = self._index.places(query, states)
            values = self._index.items[column].gather(places[query])
            values = values.explode(empty_as_null=False) if values.dtype == pl.List else values
            counts = values.drop_nulls().value_counts().sort(["count", column], descending=[True, False])
            return [
                FilterOption(str(value), self._label(name, str(value)), count) for value, count in counts.iter_rows()
            ]

        signs = counted("suspicion", "suspicions")
        return [
            FilterChoice("class_id", "Class", sorted(counted("class_id", "classes"), key=lambda option: option.label)),
            *(
                FilterChoice(name, name.capitalize(), counted(name, column))
                for name, column in (
                    ("modality", "modality"),
                    ("plane", "plane"),
                    ("split", "split"),
                    ("language", "language"),
                    ("tie", "tie"),
                    ("via", "vias"),
                    ("delivery", "delivery"),
                )
            ),
            FilterChoice("verdict", "Verdict", [FilterOption(*words) for words in VERDICT_WORDS.items()]),
            FilterChoice("suspicion", "Suspicion", [*([FilterOption("any", "any sign")] if signs else []), *signs]),
            FilterChoice("sort", "Order", [FilterOption("suspicion", ORDERS["suspicion"])]),
        ]

    def _label(self, name: str, value: str) -> str:
        if name == "class_id" and int(value) in self._schema.by_id:
            return self._schema.by_id[int(value)].english
        return value

    def _listed(self, item: ItemRow, leave_out: Sequence[str] = ()) -> ListedPair:
        """The pair of an item of the index."""
        path, image_id = Path(item["file"]), item["image_id"]
        try:
            row = self._lookup.row(path, image_id, leave_out)
            caption = {caption["caption"]: caption for caption in row["captions"]}[item["item_id"]]
        except (KeyError, FileNotFoundError):
            raise UnknownPairError(CHANGED) from None
        key = PairKey(item["delivery"], item["shard"], image_id, item["item_id"])
        return ListedPair(key, row, caption, item["suspicions"], self.verdicts(image_id), path)

    def signs(self, pair: ListedPair) -> list[str]:
        """The signs of a pair as sentences; where it has several phrases, with the numbers of those that have the sign, from 1."""
        numbers: dict[str, list[int]] = {}
        for phrase, names in self._index.suspicious_phrases(pair.key.image_id, pair.key.caption).items():
            for name in names:
                numbers.setdefault(name, []).append(phrase + 1)
        several = len(pair.caption["entities"]) > 1
        return [
            SUSPICIONS[name].sentence
            + (f" Phrase {', '.join(map(str, numbers[name]))}." if several and name in numbers else "")
            for name in pair.suspicions
        ]

    def _place(self, key: PairKey) -> int | None:
        """Place of a pair in the index."""
        same = (pl.col("image_id") == key.image_id) & (pl.col("item_id") == key.caption)
        same &= (pl.col("delivery") == key.delivery) & (pl.col("shard") == key.shard) & (pl.col("item") == "caption")
        return next(iter(self._index.items.lazy().filter(same).select("place").collect()["place"]), None)

    def _key_at(self, places: pl.Series, position: int) -> PairKey | None:
        return self._key_of(places[position]) if 0 <= position < len(places) else None

    def _key_of(self, place: int) -> PairKey:
        return PairKey(*self._index.items.select("delivery", "shard", "image_id", "item_id").row(place))
