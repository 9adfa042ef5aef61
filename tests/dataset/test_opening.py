"""The calls that README, docs/dataset.md and the card name, on a whole results folder, and again after a rerun."""

import re
import shutil
from collections import Counter

import datasets
import pytest
from tests.factories import describe_dataset, write_shards

from refrad.cli import main
from refrad.core.types import SPLITS
from refrad.dataset.shard_io import read_rows

PAGES = ("README.md", "docs/dataset.md")
READERS = r"\b(datasets|duckdb|mlcroissant|pandas|polars|pyarrow)\b"


def calls_of(text):
    """The code blocks of a page that open the dataset."""
    blocks = re.findall(r"(?:^    .*\n?)+", text, re.MULTILINE)
    code = ["\n".join(line[4:] for line in block.splitlines()) for block in blocks]
    return [block for block in code if re.match(rf"(import|from) {READERS}", block)]


def pages(root, results):
    """Page to its calls, with the folder that the card leaves open filled in."""
    texts = {name: (root / name).read_text(encoding="utf-8") for name in PAGES}
    card = (results / "shards" / "README.md").read_text(encoding="utf-8")
    return {name: calls_of(text) for name, text in (texts | {"card": card}).items()}


def splits_of(opened):
    """Split to its number of rows, of whatever a call returns."""
    match type(opened).__name__:
        case "DatasetDict":
            assert all(set(rows["split"]) == {split} for split, rows in opened.items())
            return {split: len(rows) for split, rows in opened.items()}
        case "DuckDBPyRelation":
            return dict(opened.fetchall())
        case "Records":
            return Counter(record["images/split"].decode() for record in opened)
        case "Table":
            return Counter(opened["split"].to_pylist())
        case _:  # a frame
            return Counter(opened["split"].to_list())


def opened_by(call):
    """What a call opens: the value of its last line."""
    namespace = {"FOLDER": "results/shards"}
    exec(call, namespace)
    return namespace[call.splitlines()[-1].split(" = ")[0]]


@pytest.fixture(scope="module")
def rows(images):
    """One patient for each split."""
    return [row | {"patient": row["split"], "study": row["split"]} for row in read_rows([images])]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The folder of the results, below the working directory, and an empty cache of `datasets`."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def write(results, **shards):
    """A run: shards, and the card."""
    root = results / "shards"
    named = {name.replace("_", "/"): rows for name, rows in shards.items()}
    return describe_dataset(root, write_shards(root, named))


def test_documented_calls_open_each_run(root, results, rows):
    runs = [
        {"a_0": rows[::2], "a_1": rows[1::2]},
        {"a_0": rows[::2], "a_1": rows[1:20]},
        {"b_0": rows[5:], "c_0": rows[:5]},
        {"c_0": rows[:30]},
    ]
    for shards in runs:
        write(results, **shards)
        truth = Counter(row["split"] for of_shard in shards.values() for row in of_shard)
        seen = Counter()
        for page, calls in pages(root, results).items():
            for call in calls:
                assert splits_of(opened_by(call)) == truth, (page, call)
                seen[page] += 1
        assert seen == {"README.md": 1, "docs/dataset.md": 7, "card": 2}


def caption(row, text):
    """The row with another text of its caption, of the same length."""
    first = row["captions"][0]
    assert len(text) == len(first["text"])
    return row | {"captions": [first | {"text": text}]}


@pytest.mark.parametrize("cache", ["fresh", "warm"])
def test_changed_row_is_loaded_from_either_cache(results, rows, cache, tmp_path, monkeypatch):
    words = rows[0]["captions"][0]["text"]
    for text in (words, words.upper(), words):
        write(results, a_0=[caption(rows[0], text), *rows[1:]])
        if cache == "fresh":
            monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / f"cache {text}")
        loaded = datasets.load_dataset("results/shards")
        assert loaded["train"][0]["captions"][0]["text"] == text and len(loaded["train"]) == 24


@pytest.mark.usefixtures("results")
def test_archives_in_folders_of_one_name_are_told_apart(tmp_path, rows):
    archives = {"one": rows, "two": [row | {"image_id": f"x{row['image_id']}"} for row in rows]}
    for name, of_archive in archives.items():
        write(tmp_path / name / "results", a_0=of_archive)
    for name, of_archive in archives.items():
        loaded = datasets.load_dataset(str(tmp_path / name / "results" / "shards"))
        ids = [image_id for split in SPLITS for image_id in loaded[split]["image_id"]]
        assert ids == [row["image_id"] for split in SPLITS for row in of_archive if row["split"] == split]


@pytest.mark.parametrize("splits", [("train",), ("test",), ("train", "test"), ("validation",), SPLITS])
def test_splits_without_rows_are_missing(results, rows, splits):
    write(
        results, a_0=[row for row in rows if row["split"] in splits], b_0=[], c_0=rows[:1] if "train" in splits else []
    )
    for streaming in (False, True):
        loaded = datasets.load_dataset("results/shards", streaming=streaming)
        assert tuple(loaded) == splits
        assert all({row["split"] for row in part} == {split} for split, part in loaded.items())


def test_deliveries_beside_the_list_are_not_loaded(results, rows):
    write(results, a_0=rows)
    write_shards(results / "elsewhere", {"gone/0": rows})
    (results / "elsewhere" / "data" / "gone").rename(results / "shards" / "data" / "gone")
    loaded = datasets.load_dataset("results/shards")
    assert sum(map(len, loaded.values())) == len(rows)


def test_shards_without_their_card_are_loaded_as_they_are(results, rows):
    """An interrupted run has no card; what was loaded before must not come back."""
    write(results, a_0=rows)
    datasets.load_dataset("results/shards")
    write_shards(results / "shards", {"a/0": rows[3:]})
    loaded = datasets.load_dataset("results/shards")
    assert len(loaded["train"]) == 21


def test_exported_dataset_is_loaded_anew(results, rows, tmp_path):
    out = str(tmp_path / "hf")
    for of_run in (rows, rows[:25], rows[5:], [row | {"image_id": f"x{row['image_id']}"} for row in rows[5:]]):
        write(results, a_0=of_run)
        shutil.rmtree(out, ignore_errors=True)
        assert main(["export", "hf", "--out", out]) == 0
        loaded = datasets.load_dataset(out)
        ids = {split: [row["image_id"] for row in of_run if row["split"] == split] for split in SPLITS}
        assert {split: list(part["image_id"]) for split, part in loaded.items()} == {k: v for k, v in ids.items() if v}
