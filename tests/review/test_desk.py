"""The desk: pairs by selection, their neighbours, the queue, what left the dataset, and a dataset that changes under it."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.factories import image_row
from tests.factories.images import png_bytes

from refrad.core.tables import frame_of
from refrad.dataset.shard_io import write_shard
from refrad.review.desk import PairKey, ReviewDesk, UnknownPairError
from refrad.review.feedback import leave_out
from refrad.review.item_index import ItemIndex
from refrad.review.item_tables import tables_of_file
from refrad.review.items import caption_digest
from refrad.review.judgement import ReviewVerdict
from refrad.review.left_out import LeftOutTable
from refrad.review.pair_selection import PairSelection
from refrad.review.suspicion import MARK_COLUMNS
from refrad.review.verdict_reader import VerdictReader
from refrad.workflow.fingerprint import Fingerprint

STAMP = Fingerprint("x", 1, {}, {})
WINDOWS = [(2250.0, -100.0), (350.0, 40.0), (80.0, 40.0)]
ROWS = 8
MARKS = [
    ("i0002", "caption", "c2", 0, "far"),
    ("i0005", "caption", "c5", 1, "small"),
    ("i0005", "caption", "c5", 1, "far"),
]


def made_rows():
    rng = np.random.default_rng(0)
    return [image_row(number, "train", rng) | {"modality": "MR" if number % 2 else "CT"} for number in range(ROWS)]


@pytest.fixture
def path(tmp_path, schema):
    path = tmp_path / "data" / "clinic" / "3" / "train.parquet"
    write_shard(path, made_rows(), schema, STAMP)
    return path


@pytest.fixture
def desk(path, tmp_path, schema):
    def desk(left_out=()):
        marks = pl.DataFrame(MARKS, schema=MARK_COLUMNS, orient="row")
        index = ItemIndex(tables_of_file(path).items, marks)
        reader = VerdictReader(tmp_path / "verdicts.sqlite")
        return ReviewDesk(index, reader, schema, WINDOWS, frame_of(left_out, LeftOutTable))

    return desk


def key_of(number):
    return PairKey("clinic", 3, f"i{number:04d}", f"c{number}")


def verdict_on(number, verdict="accept", **changes):
    row = made_rows()[number]
    base = ReviewVerdict(
        reviewer="AB", delivery="clinic", shard=3, patient=row["patient"], image_id=row["image_id"], item="caption",
        item_id=f"c{number}", verdict=verdict, digest=caption_digest(row["image_id"], row["captions"][0]),
    )  # fmt: skip
    return replace(base, **changes)


def numbers(pairs):
    return [int(pair.key.caption[1:]) for pair in pairs]


def test_pairs_come_by_selection_and_page(desk):
    total, pairs = desk().find(PairSelection(modality="MR"), 1, 2)
    assert total == 4 and numbers(pairs) == [3, 5]
    assert pairs[1].key == key_of(5) and pairs[1].suspicions == ["far", "small"]
    assert numbers(desk().find(PairSelection(sort="suspicion"), 0, 3)[1]) == [5, 2, 0]


def test_pair_is_found_by_its_key(desk):
    pair = desk().pair(key_of(4))
    assert pair.row["image_id"] == "i0004" and pair.caption["caption"] == "c4"


@pytest.mark.parametrize(
    "changes", [{"delivery": "other"}, {"shard": 0}, {"image_id": "i0005"}, {"caption": "c5"}, {"caption": ""}]
)
def test_key_that_names_no_pair_is_refused(desk, changes):
    with pytest.raises(UnknownPairError, match="not in the dataset"):
        desk().pair(key_of(4)._replace(**changes))


def test_sign_names_the_phrase_that_has_it(desk):
    signs = desk().signs(desk().pair(key_of(5)))
    assert [sign.rsplit(". ")[-1] for sign in signs] == ["Phrase 2.", "Phrase 2."]
    assert desk().signs(desk().pair(key_of(0))) == []


def test_neighbours_follow_the_selection(desk):
    near = desk().neighbours(PairSelection(modality="MR"), key_of(3), 2)
    assert (near.before, near.after, near.number, near.total) == (key_of(1), key_of(5), 2, 4)
    first = desk().neighbours(PairSelection(modality="MR"), key_of(1), 1)
    assert first.before is None and first.after == key_of(3)


def test_pair_that_its_verdict_took_out_keeps_its_neighbours(desk):
    opened = desk()
    opened.add(verdict_on(3))
    near = opened.neighbours(PairSelection(verdict="none"), key_of(3), 4)
    assert (near.before, near.after, near.number, near.total) == (key_of(2), key_of(4), 0, ROWS - 1)


def test_choices_count_the_pairs_of_the_other_filters(desk):
    opened = desk()
    options = {choice.name: {option.value: option.count for option in choice.options} for choice in opened.choices(
        PairSelection(modality="MR"))}  # fmt: skip
    assert options["modality"] == {"CT": 4, "MR": 4} and options["split"] == {"train": 4}
    assert options["suspicion"] == {"any": None, "far": 1, "small": 1}
    judged = PairSelection(verdict="any")
    assert not any(choice.options for choice in opened.choices(judged) if choice.name == "modality")
    opened.add(verdict_on(0))
    (modalities,) = (choice.options for choice in opened.choices(judged) if choice.name == "modality")
    assert [(option.value, option.count) for option in modalities] == [("CT", 1)]


def test_queue_gives_each_pair_once(desk):
    opened, seen = desk(), []
    while (key := opened.next_random("AB")) is not None:
        seen.append(int(key.caption[1:]))
        opened.add(verdict_on(seen[-1], queue="random"))
    assert sorted(seen) == list(range(ROWS)) and opened.progress("AB") == (ROWS, ROWS, ROWS)
    assert opened.progress("CD") == (0, ROWS, ROWS)


def test_summary_follows_each_verdict(desk):
    opened = desk()
    assert opened.summary().reviewed == {"caption": 0, "question": 0} and opened.summary() is opened.summary()
    opened.add(verdict_on(0, "reject", queue="random"))
    summary = opened.summary()
    assert summary.waiting["caption"] == 1 and summary.total["caption"] == ROWS
    assert (summary.precision["caption"].right, summary.precision["caption"].judged) == (0, 1)


def test_what_left_is_listed_with_its_verdicts(desk):
    rejected = verdict_on(0, "reject", reason="wrong organ")
    opened = desk(leave_out(made_rows()[0], [rejected]).left_out)
    opened.add(rejected)
    total, (item,) = opened.left_out("", 0, 10)
    assert total == 1 and item.row["item_id"] == "c0" and [v.reason for v in item.verdicts] == ["wrong organ"]
    assert item.followers == len(made_rows()[0]["questions"]) and item.classes
    assert opened.left_out("nothing has this", 0, 10) == (0, []) and opened.left_out("", 1, 10) == (1, [])


def test_changed_dataset_is_told_and_leaves_the_others(desk, path, schema):
    opened = desk()
    write_shard(path, made_rows()[1:], schema, STAMP)
    total, pairs = opened.find(PairSelection(), 0, 10)
    assert total == ROWS and numbers(pairs) == list(range(1, ROWS))
    with pytest.raises(UnknownPairError, match="changed since this server started"):
        opened.pair(key_of(0))
    path.unlink()
    with pytest.raises(UnknownPairError, match="changed since this server started"):
        opened.pair(key_of(1))


def test_picture_is_the_channel_of_the_window(desk, path, schema):
    rows = made_rows()
    rows[0]["image"] = {"bytes": png_bytes(np.full((64, 64, 3), (10, 20, 30), np.uint8)), "path": None}
    write_shard(path, rows, schema, STAMP)
    opened = desk()
    pair = opened.pair(key_of(0))
    assert {window: int(opened.picture(pair, window)[0, 0]) for window in ("soft tissue", "brain", "wide")} == {
        "soft tissue": 20,
        "brain": 30,
        "wide": 10,
    }
