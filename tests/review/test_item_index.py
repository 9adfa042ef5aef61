"""The index of all items: filters, words, order, pages, and its files."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.factories import image_row

from refrad.core.contracts import CaptionTable, FlagTable, MentionTable
from refrad.core.tables import frame_of, write_table
from refrad.dataset.shard_io import write_shard
from refrad.review.item_index import ItemQuery, verdict_states
from refrad.review.judgement import ReviewVerdict
from refrad.review.opening import compare_with_lexicon, open_index
from refrad.workflow.fingerprint import Fingerprint

STAMP = Fingerprint("x", 1, {}, {})
NOBODY = verdict_states([])


def made_rows():
    """Images of two patients: CT of training, MR of testing with German captions."""
    rng = np.random.default_rng(0)
    rows = [image_row(number, "train" if number < 6 else "test", rng) for number in range(10)]
    for number, row in enumerate(rows):
        row["patient"] = "0a" if number < 6 else "0b"
        if number >= 6:
            row["modality"] = "MR"
            row["captions"][0] |= {"language": "de", "text": "Leber (2,5 cm) ist groß.", "tie": "explicit"}
            row["captions"][0]["entities"][0]["via"] = "part"
    return rows


@pytest.fixture
def site(tmp_path, schema):
    """A folder of results with a dataset of one delivery in two shards."""
    rows = made_rows()
    for shard, part in enumerate((rows[:6], rows[6:])):
        for split in ("train", "validation", "test"):
            path = tmp_path / "results" / "shards" / "data" / "clinic" / str(shard) / f"{split}.parquet"
            write_shard(path, [row for row in part if row["split"] == split], schema, STAMP)
    return tmp_path


@pytest.fixture
def opened(site, root):
    def opened():
        anatomy = root / "workflow" / "anatomy"
        files = sorted((site / "results" / "shards").rglob("*.parquet"))
        return open_index(
            files, site / "results", site / "private" / "index", anatomy / "classes.yaml", anatomy / "lexicon.yaml"
        )

    return opened


def ids(index, states=NOBODY, **query):
    return [row["item_id"] for row in index.page(ItemQuery(**query), states, 0, 100).rows]


def verdict_on(row, **changes):
    verdict = ReviewVerdict(
        reviewer="AB", delivery=row["delivery"], shard=row["shard"], patient=row["patient"], image_id=row["image_id"],
        item=row["item"], item_id=row["item_id"], verdict="accept", digest=row["digest"],
    )  # fmt: skip
    return replace(verdict, **changes)


@pytest.mark.parametrize(
    ("query", "captions"),
    [
        ({}, range(10)),
        ({"modality": "MR"}, range(6, 10)),
        ({"split": "train"}, range(6)),
        ({"tie": "explicit"}, range(6, 10)),
        ({"via": "part"}, range(6, 10)),
        ({"via": "whole"}, []),
        ({"language": "de", "class_id": 5}, range(6, 10)),
        ({"class_id": 7}, []),
        ({"patient": "0a"}, range(6)),
        ({"image_id": "i0003"}, [3]),
        ({"delivery": "clinic", "plane": "axial"}, range(10)),
        ({"delivery": "other"}, []),
        ({"text": "LIVER normal"}, range(6)),
        ({"text": "normal liver"}, range(6)),
        ({"text": "GROSS"}, []),
        ({"text": "groß"}, range(6, 10)),
        ({"text": "GROẞ"}, range(6, 10)),
        ({"text": "(2,5"}, range(6, 10)),
        ({"text": ".*"}, []),
    ],
)
def test_query_lists_what_it_names(opened, query, captions):
    assert ids(opened(), **query) == [f"c{number}" for number in captions]


def test_questions_are_found_by_question_and_answer(opened):
    index = opened()
    assert len(ids(index, item="question", text="modality ct")) == 10
    row = index.page(ItemQuery(item="question"), NOBODY).rows[0]
    assert (row["text"], row["answer"], row["topic"]) == ("Which imaging modality is this?", "CT", "metadata")
    assert row["classes"] == [] and row["suspicions"] == []


def test_pages_are_parts_of_the_list(opened):
    index = opened()
    pages = [index.page(ItemQuery(), NOBODY, start, 4) for start in (0, 4, 8, 12)]
    assert [len(page.rows) for page in pages] == [4, 4, 2, 0] and {page.total for page in pages} == {10}
    assert [row["item_id"] for page in pages for row in page.rows] == [f"c{number}" for number in range(10)]


def test_verdicts_that_count_filter_the_list(opened):
    index = opened()
    rows = index.page(ItemQuery(), NOBODY).rows
    verdicts = [
        verdict_on(rows[0]),
        verdict_on(rows[1], verdict="wrong_box", entity=0),
        verdict_on(rows[2], digest="old"),
    ]
    states = verdict_states([*verdicts, verdict_on(rows[1], reviewer="CD")])
    assert ids(index, states, verdict="accept") == ["c0", "c1"] and ids(index, states, verdict="wrong_box") == ["c1"]
    assert ids(index, states, verdict="any") == ["c0", "c1"] and ids(index, states, verdict="none") == [
        f"c{n}" for n in range(2, 10)
    ]


def test_suspicious_items_come_first_and_name_their_phrases(opened, site):
    flags = [{"volume": "v", "flag": "volume", "class_id": 5, "value": 1.0, "low": 2.0, "high": 3.0, "action": "flag"}]
    write_table(site / "results/structures/clinic/1/flags.parquet", frame_of(flags, FlagTable), FlagTable, STAMP)
    rows = made_rows()
    index = opened()
    assert ids(index, suspicion="implausible") == [f"c{number}" for number in range(10)]
    assert ids(index, suspicion="any", sort="suspicion")[0].startswith("c") and ids(index, suspicion="far") == []
    assert index.suspicious_phrases(rows[0]["image_id"], "c0") == {0: ["implausible"]}


def test_tables_of_unchanged_files_are_read_again(opened, site, schema):
    first = opened()
    cache = site / "private" / "index"
    before = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert {path.stat().st_mode & 0o777 for path in cache.iterdir()} == {0o600}
    opened()
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    path = site / "results/shards/data/clinic/1/test.parquet"
    write_shard(path, made_rows()[7:], schema, STAMP)
    second = opened()
    assert len(first.items) == 20 and len(second.items) == 18
    after = {path.name for path in cache.iterdir()}
    assert len(after - set(before)) == 2 and len(after) == len(before)


def test_damaged_table_of_the_cache_is_made_again(opened, site):
    expected = opened().items
    for path in (site / "private" / "index").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert opened().items.equals(expected)


def test_model_and_lexicon_are_compared_by_their_classes(schema, root):
    shared = {"sentence": "s", "report": "r", "study": "s", "patient": "p", "section": "findings", "position": 0}
    shared |= {
        "language": "en",
        "indication": None,
        "question": None,
        "tie": "structure",
        "rewriter": "x",
        "translator": "x",
    }
    texts = {"c1": "The liver is normal.", "c2": "The liver is normal.", "c3": "The spleen is normal."}
    captions = frame_of([shared | {"caption": name, "text": text} for name, text in texts.items()], CaptionTable)
    rows = [{"caption": "c1", "class_id": 5}, {"caption": "c2", "class_id": 1}]
    more = {"start": 4, "end": 9, "text": "liver", "assertion": "present", "backend": "model"}
    mentions = frame_of([row | more for row in rows], MentionTable)
    unnamed = compare_with_lexicon(mentions, captions, schema, root / "workflow" / "anatomy" / "lexicon.yaml")
    assert sorted(unnamed.iter_rows()) == [("c2", 1), ("c2", 5)]


def test_index_of_no_file_is_empty(site, root):
    anatomy = root / "workflow" / "anatomy"
    index = open_index(
        [], site / "results", site / "private" / "index", anatomy / "classes.yaml", anatomy / "lexicon.yaml"
    )
    page = index.page(ItemQuery(), NOBODY)
    assert (page.total, page.rows) == (0, []) and index.items.schema["suspicions"] == pl.List(pl.String)
