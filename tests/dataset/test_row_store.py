"""A store of rows: the same rows in the same order as a table in memory, read one at a time by any process."""

import json
import multiprocessing
import subprocess
import sys
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories.dataset import SHARDS
from tests.factories.images import image_row
from tests.factories.options import SCHEMA

from refrad.anatomy.schema import load_schema
from refrad.core.checksums import TableError
from refrad.dataset.example_rows import FACTS, NamedClasses, TableRows, examples_in, facts_of
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.dataset.image_codec import encode_pixels
from refrad.dataset.row_store import RowSource, open_store, write_store
from refrad.dataset.shard_io import GROUP_ROWS, write_shard

SPLITS = ("train", "validation", "test")
PARTS = {"train": "train", "validation": "validation"}
ODD = 'Leber \u2028 normal,\r\n\x00\t"quoted" \\ ü \U0001fac1'  # what must be escaped in JSON, and what need not be


def made_row(number, split, rng, pixels=True):
    """A row with its own picture, texts of odd characters, and null lists here and there."""
    row = image_row(number, split, rng)
    if pixels:
        del row["image"]
        row["pixels"] = encode_pixels(rng.integers(256, size=(3, 8, 8), dtype=np.uint8))
    row["captions"][0]["indication"] = ODD if number % 2 else None
    row["questions"] = None if number % 5 == 3 else row["questions"] * (number % 3)
    row["structures"] = None if number % 7 == 6 else row["structures"]
    return row


def write_file(path, numbers, pixels=True, split=None, **changes):
    rng = np.random.default_rng(numbers[0])
    rows = [made_row(number, split or SPLITS[number % 3], rng, pixels) | changes for number in numbers]
    write_shard(path, rows, load_schema(SCHEMA), SHARDS, formats=["raw" if pixels else "png"])
    return path


def write_benchmark(path, name, count):
    """A file as `refrad public` writes it: questions, no captions and no structures, PNG pictures."""
    rng = np.random.default_rng(count)
    rows = [made_row(number, "test" if number == 1 else "train", rng, pixels=False) for number in range(count)]
    about = {"captions": [], "structures": []}
    rows = [row | about | {"image_id": f"{name}:{number}", "modality": None} for number, row in enumerate(rows)]
    write_shard(path, rows, load_schema(SCHEMA), SHARDS, formats=["png"])
    return path


def stored(folder, paths, left_out=(), public=()):
    """The store of shards and of benchmarks."""
    sources = [RowSource(path, PARTS) for path in paths]
    sources += [RowSource(path, {"train": f"public {n}"}, True) for n, path in enumerate(public)]
    return write_store(folder, sources, ["train", *(f"public {n}" for n in range(len(public))), "validation"], left_out)


def without_path(row):
    """A row without its empty columns, and without the name of its picture, of which nothing is made."""
    row = {name: value for name, value in row.items() if value is not None}
    return row | ({"image": {"bytes": row["image"]["bytes"]}} if "image" in row else {})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three shards of 1, 60 and 30 rows, numbered in no order, and two benchmarks."""
    folder = tmp_path_factory.mktemp("shards")
    numbers = np.random.default_rng(0).permutation(91).tolist()
    shards = [
        write_file(folder / f"{n}.parquet", part) for n, part in enumerate((numbers[:1], numbers[1:61], numbers[61:]))
    ]
    return shards, [write_benchmark(folder / "b.parquet", "slake", 6), write_benchmark(folder / "a.parquet", "vqa", 9)]


@pytest.fixture(scope="module")
def store(files, tmp_path_factory):
    shards, public = files
    return stored(tmp_path_factory.mktemp("work") / "rows", shards, ["i0030", "i0001"], public)


def in_memory(files):
    """The tables of the parts train and validation, and of train with the benchmarks: all rows in memory."""
    shards, public = files
    frame = read_image_table(shards)
    train = frame.filter((frame["split"] == "train") & ~frame["image_id"].is_in(["i0030"]))
    of_benchmarks = [read_image_table([path], {"train"}) for path in public]
    joined = pl.concat(
        [train, *(rows.filter(rows["questions"].list.len() > 0) for rows in of_benchmarks)], how="diagonal_relaxed"
    )
    return {"train": train, "validation": frame.filter(frame["split"] == "validation"), "joined": joined}


def rows_of_store(store):
    return {
        "train": store.rows("train"),
        "validation": store.rows("validation"),
        "joined": store.rows("train", "public 0", "public 1"),
    }


@pytest.mark.parametrize("part", ["train", "validation", "joined"])
def test_stored_rows_equal_those_in_memory(files, store, part):
    frame, rows = in_memory(files)[part], rows_of_store(store)[part]
    assert len(rows) == len(frame) > 20
    assert [without_path(rows[n]) for n in range(len(rows))] == [without_path(row) for row in frame.to_dicts()]
    assert rows[0].keys() >= {"image_id", "captions", "questions"}


@pytest.mark.parametrize("part", ["train", "validation", "joined"])
def test_facts_equal_those_of_the_table(files, store, part):
    frame, rows = in_memory(files)[part], rows_of_store(store)[part]
    table = TableRows(frame)
    for name in FACTS.names:
        if name != "benchmark":
            assert np.array_equal(rows.facts[name], table.facts[name]), name
    names = [[*rows.benchmarks, ""][code] for code in rows.facts["benchmark"]]
    assert names == [name.split(":")[0] if ":" in name else "" for name in frame["image_id"]]
    assert rows.classes == table.classes


def test_facts_count_what_the_row_holds(files):
    frame = in_memory(files)["joined"]
    examples = [example_of_row(row) for row in frame.iter_rows(named=True)]
    facts = facts_of(frame, [])
    assert facts["captions"].tolist() == [len(example.captions) for example in examples]
    assert facts["structures"].tolist() == [len(example.boxes) for example in examples]
    assert facts["questions"].tolist() == [len(example.questions) for example in examples]
    mentions = [
        sum(len(mention.targets) for caption in example.captions for mention in caption.mentions)
        for example in examples
    ]
    assert facts["mentions"].tolist() == mentions
    # "Liver and spleen are normal." has 28 characters; two tags count 30 each.
    assert set(facts["caption_length"].tolist()) == {28.0, 0.0} and set(facts["detect_length"].tolist()) == {88.0, 0.0}


def test_named_classes_are_those_of_the_mentions(store):
    counts, meanings = Counter(), set()
    for example in examples_in(store.rows("train")):
        for caption in example.captions:
            for mention in caption.mentions:
                counts.update(class_id for class_id, _ in mention.targets)
                meanings |= {(caption.language, mention.text, class_id) for class_id, _ in mention.targets}
    assert store.rows("train").classes == NamedClasses(counts, meanings)
    assert meanings == {("en", "Liver", 5), ("en", "spleen", 1)}


def test_numbers_of_the_dataset_include_rows_left_out(files, store):
    splits = read_image_table(files[0])["split"].value_counts()
    assert store.images == 91 and store.training == dict(splits.iter_rows())["train"] == len(store.rows("train")) + 1


def test_random_access_equals_sequential_access(store):
    rows = store.rows("train")
    sequential = [rows[number] for number in range(len(rows))]
    for number in np.random.default_rng(0).permutation(len(rows)).tolist():
        assert rows[number] == sequential[number]
    with pytest.raises(IndexError):
        rows[len(rows)]


def test_forked_processes_read_the_same_rows(store):
    rows = store.rows("train")
    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()

    def read_every_third(first):
        queue.put((first, [rows[number] for number in range(first, len(rows), 3)]))

    processes = [fork.Process(target=read_every_third, args=(first,)) for first in range(3)]
    for process in processes:
        process.start()
    read = dict(queue.get() for _ in processes)
    for process in processes:
        process.join()
    assert [read[number % 3][number // 3] for number in range(len(rows))] == [rows[n] for n in range(len(rows))]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_texts_of_any_characters_come_back(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("texts")
    row = made_row(0, "train", np.random.default_rng(0))
    row["captions"] = [row["captions"][0] | {"text": text, "entities": []} for text in texts]
    write_shard(folder / "x.parquet", [row], load_schema(SCHEMA), SHARDS, formats=["raw"])
    rows = stored(folder / "rows", [folder / "x.parquet"]).rows("train")
    assert [caption["text"] for caption in rows[0]["captions"]] == texts


def test_row_groups_of_several_sizes_are_one_table(tmp_path):
    numbers = list(range(0, 3 * (GROUP_ROWS + 50), 3))  # all of split train, in two row groups
    row = made_row(0, "train", np.random.default_rng(0))
    rows = [row | {"image_id": f"i{number:05d}"} for number in reversed(numbers)]
    write_shard(tmp_path / "x.parquet", rows, load_schema(SCHEMA), SHARDS, formats=["raw"])
    read = stored(tmp_path / "rows", [tmp_path / "x.parquet", write_file(tmp_path / "y.parquet", [1])]).rows("train")
    assert [read[number]["image_id"] for number in range(len(read))] == [f"i{number:05d}" for number in numbers]


def test_same_sources_are_written_once(files, tmp_path):
    first = stored(tmp_path / "rows", files[0])
    written = (tmp_path / "rows" / "rows.bin").stat().st_ino
    assert len(stored(tmp_path / "rows", files[0]).rows("train")) == len(first.rows("train"))
    assert (tmp_path / "rows" / "rows.bin").stat().st_ino == written
    fewer = stored(tmp_path / "rows", files[0], left_out=["i0030"])
    assert len(fewer.rows("train")) == len(first.rows("train")) - 1
    assert len(stored(tmp_path / "rows", files[0][:2]).rows("train")) < len(fewer.rows("train"))


def tear_rows(folder):
    content = (folder / "rows.bin").read_bytes()
    (folder / "rows.bin").write_bytes(content[: len(content) // 2])


def tear_index(folder):
    content = bytearray((folder / "index.npy").read_bytes())
    content[-3] ^= 1
    (folder / "index.npy").write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        tear_rows,
        tear_index,
        lambda folder: (folder / "store.json").write_text('{"key": '),
        lambda folder: (folder / "store.json").unlink(),
        lambda folder: (folder / "rows.bin").unlink(),
        lambda folder: (folder / "store.json").write_text(json.dumps({"key": "another"})),
    ],
)
def test_torn_store_is_written_again(files, tmp_path, damage):
    folder = tmp_path / "rows"
    rows = stored(folder, files[0]).rows("train")
    sound = [rows[number] for number in range(len(rows))]
    damage(folder)
    again = stored(folder, files[0]).rows("train")
    assert [again[number] for number in range(len(again))] == sound
    assert sorted(path.name for path in folder.iterdir()) == ["index.npy", "rows.bin", "store.json"]


def test_damaged_row_is_refused_and_the_others_are_read(files, tmp_path):
    rows = stored(tmp_path / "rows", files[0]).rows("train")
    entry = rows.facts[4]
    with (tmp_path / "rows" / "rows.bin").open("r+b") as file:
        file.seek(int(entry["offset"]) + 3)
        file.write(b"#")
    with pytest.raises(TableError, match=r"rows\.bin is damaged: delete .*rows and start again"):
        rows[4]
    assert rows[3]["split"] == "train"


def test_failed_writing_leaves_no_files(files, tmp_path):
    content = bytearray(files[0][1].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.parquet").write_bytes(content)
    with pytest.raises(TableError, match=r"damaged\.parquet"):
        stored(tmp_path / "rows", [files[0][0], tmp_path / "damaged.parquet"])
    assert not (tmp_path / "rows").exists()
    with pytest.raises(TableError, match="must share this folder"):
        open_store(tmp_path / "rows")


def test_file_without_a_column_is_refused_by_its_name(tmp_path, files):
    pl.read_parquet(files[0][1]).drop("questions", "captions").write_parquet(tmp_path / "old.parquet")
    with pytest.raises(TableError, match=r"old\.parquet lacks the columns captions, questions"):
        stored(tmp_path / "rows", [tmp_path / "old.parquet"])


# Writes the store or finds it, reads every row in random order, and prints the bytes of the process that belong to no file.
PROGRAM = """
import random, sys
from pathlib import Path
from refrad.dataset.row_store import RowSource, write_store

def anonymous():
    return 1024 * int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0])

before = anonymous()
sources = [RowSource(Path(name), {"train": "train"}) for name in sys.argv[2:]]
rows = write_store(Path(sys.argv[1]), sources, ["train"], []).rows("train")
for number in random.sample(range(len(rows)), len(rows)):
    assert len(rows[number]["pixels"]) == 55_000
print(len(rows), anonymous() - before)
"""


def anonymous_growth(work, shards):
    """Number of rows, and bytes by which a process grows that reads all of them."""
    command = [sys.executable, "-c", PROGRAM, str(work), *map(str, shards)]
    return tuple(map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    row = made_row(0, "train", np.random.default_rng(0)) | {"pixels": np.random.default_rng(1).bytes(55_000)}
    shards = []
    for name, numbers in (("few", range(200)), ("more", range(200, 1400))):
        shards.append(tmp_path / f"{name}.parquet")
        rows = [row | {"image_id": f"i{number:05d}"} for number in numbers]
        write_shard(shards[-1], rows, load_schema(SCHEMA), SHARDS, formats=["raw"])
    written = [anonymous_growth(tmp_path / str(count), shards[:count]) for count in (1, 2)]
    found = [anonymous_growth(tmp_path / str(count), shards[:count]) for count in (1, 2)]
    assert [count for count, _ in found] == [count for count, _ in written] == [200, 1400]
    # The 1,200 further rows have 66 MB. The first limit is for the allocator, the second for row groups of 8 MB that it keeps.
    assert found[1][1] - found[0][1] < 6_000_000
    assert written[1][1] - written[0][1] < 40_000_000
