"""The items of a dataset as reviewers browse them: filtered, sorted and by page, without pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import polars as pl

from refrad.dataset.shard_rows import ImageIdentity
from refrad.review.judgement import ITEMS, ReviewVerdict

__all__ = ["ItemIndex", "ItemPage", "ItemQuery", "ItemRow", "verdict_states"]

KEY = ("image_id", "item", "item_id")
STATE_KEY = ("item_id", "digest")  # what names an item as it is: the digest covers its image


@dataclass(frozen=True, kw_only=True)
class ItemQuery:
    """What to list; None and empty mean everything.

    Attributes:
        item: "caption" or "question".
        class_id, modality, plane, split, tie, via, language, delivery, patient, image_id: of the item.
        verdict: "none", "any", or one that counts: "accept", "reject", "wrong_span", "wrong_box", "wrong_side".
        suspicion: "any", or a name of `suspicion.SUSPICIONS`.
        text: words to find in caption, or in question, choices and answer, in capital or small letters.
        sort: "dataset" (by delivery, shard and file) or "suspicion" (most signs first).
    """

    item: Literal["caption", "question"] = "caption"
    class_id: int | None = None
    modality: str | None = None
    plane: str | None = None
    split: str | None = None
    tie: str | None = None
    via: str | None = None
    language: str | None = None
    delivery: str | None = None
    patient: str | None = None
    image_id: str | None = None
    verdict: str | None = None
    suspicion: str | None = None
    text: str = ""
    sort: Literal["dataset", "suspicion"] = "dataset"


class ItemRow(ImageIdentity):
    """An item of a page: the columns of `item_tables.ITEM_COLUMNS`, and its signs."""

    delivery: str
    shard: int
    file: str
    modality: str | None
    plane: str | None
    item: str
    item_id: str
    digest: str
    sentence: str | None
    language: str
    text: str
    answer: str | None
    tie: str | None
    topic: str | None
    classes: list[int]
    vias: list[str]
    suspicions: list[str]


@dataclass(frozen=True)
class ItemPage:
    """Items of a page, and how many the query has in all."""

    total: int
    rows: list[ItemRow]


class ItemIndex:
    """All items of a dataset in memory (about 0.5 kB each), with their signs. Reading from several threads is safe.

    Attributes:
        items: a row an item: `ITEM_COLUMNS`, and `suspicions` (names, a list).
        marks: `suspicion.MARK_COLUMNS`: also the phrases that have a sign.
    """

    def __init__(self, items: pl.DataFrame, marks: pl.DataFrame) -> None:
        names = marks.select(*KEY, "suspicion").unique().group_by(KEY).agg(suspicions=pl.col("suspicion").sort())
        joined = items.join(names, on=KEY, how="left", maintain_order="left")
        self.items = joined.with_columns(
            pl.col("suspicions").fill_null(pl.lit([], dtype=pl.List(pl.String)))
        ).with_row_index("place")
        self.marks = marks
        self._lists = {item: self.items.filter(pl.col("item") == item) for item in ITEMS}

    def page(self, query: ItemQuery, states: pl.DataFrame, start: int = 0, count: int = 50) -> ItemPage:
        """The items of a query from the `start`-th on, `count` at most; `states` are those of `verdict_states`."""
        places = self.places(query, states)
        return ItemPage(len(places), self.rows(places.slice(start, count).to_list()))

    def places(self, query: ItemQuery, states: pl.DataFrame) -> pl.Series:
        """Places in `items` of all items of a query, in its order; the item before and after one are its neighbours here."""
        matching = self._matching(query, states)
        if query.sort == "suspicion":
            signs = matching.select("place", signs=pl.col("suspicions").list.len())
            matching = signs.sort(["signs", "place"], descending=[True, False])
        return matching["place"]

    def rows(self, places: Sequence[int]) -> list[ItemRow]:
        """The items at these places of `items`, in this order."""
        return cast(list[ItemRow], self.items[list(places)].drop("place", "search", "finder").to_dicts())

    def place_of(self, image_id: str, item_id: str) -> int | None:
        """Place in `items` of an item that is in the dataset."""
        same = (pl.col("image_id") == image_id) & (pl.col("item_id") == item_id)
        return next(iter(self.items.filter(same)["place"]), None)

    def suspicious_phrases(self, image_id: str, item_id: str) -> dict[int, list[str]]:
        """Place of a phrase in its caption to the names of its signs."""
        marks = self.marks.filter((pl.col("image_id") == image_id) & (pl.col("item_id") == item_id)).drop_nulls(
            "entity"
        )
        phrases: dict[int, list[str]] = {}
        for entity, name in marks.select("entity", "suspicion").sort("entity", "suspicion").iter_rows():
            phrases.setdefault(entity, []).append(name)
        return phrases

    def _matching(self, query: ItemQuery, states: pl.DataFrame) -> pl.DataFrame:
        """`place` and `suspicions` of the items of a query."""
        frame = self._lists[query.item]
        conditions = []
        for column in ("modality", "plane", "split", "tie", "language", "delivery", "patient", "image_id"):
            if (value := getattr(query, column)) is not None:
                conditions.append(pl.col(column) == value)
        if query.class_id is not None:
            conditions.append(pl.col("classes").list.contains(query.class_id))
        if query.via is not None:
            conditions.append(pl.col("vias").list.contains(query.via))
        if query.suspicion == "any":
            conditions.append(pl.col("suspicions").list.len() > 0)
        elif query.suspicion is not None:
            conditions.append(pl.col("suspicions").list.contains(query.suspicion))
        needed = ["place", "suspicions", "search", *STATE_KEY]
        frame = frame.lazy().filter(*conditions).select(needed).collect() if conditions else frame.select(needed)
        for word in query.text.lower().split():  # each looks into what the one before has left
            frame = frame.filter(pl.col("search").str.contains(word, literal=True))
        if query.verdict is not None:
            of_kind = states
            if query.verdict not in ("none", "any"):
                of_kind = states.filter(pl.col("verdicts").list.contains(query.verdict))
            how: Literal["anti", "semi"] = "anti" if query.verdict == "none" else "semi"
            frame = frame.join(of_kind, on=STATE_KEY, how=how, maintain_order="left")
        return frame.select("place", "suspicions")


def verdict_states(verdicts: Iterable[ReviewVerdict]) -> pl.DataFrame:
    """A row for each judged item, `STATE_KEY`, with its distinct `verdicts`.

    Args:
        verdicts: those that count, as `VerdictStore.latest` gives them.
    """
    rows = [(verdict.item_id, verdict.digest, verdict.verdict) for verdict in verdicts]
    frame = pl.DataFrame(rows, schema=dict.fromkeys([*STATE_KEY, "verdict"], pl.String), orient="row")
    return frame.group_by(STATE_KEY, maintain_order=True).agg(verdicts=pl.col("verdict").unique().sort())
