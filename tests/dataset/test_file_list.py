"""The list of the dataset's files: what belongs to it, what lies beside it, and what is not as the list says."""

import logging
import shutil

import pyarrow.parquet as pq
import pytest
from tests.factories import describe_dataset, write_shards

from refrad.core.tables import TableError
from refrad.core.types import SPLITS
from refrad.dataset.file_list import list_dataset
from refrad.dataset.shard_io import read_rows


@pytest.fixture(scope="module")
def rows(images):
    """One patient for each split."""
    return [row | {"patient": row["split"], "study": row["split"]} for row in read_rows([images])]


@pytest.fixture
def dataset(tmp_path, rows):
    """Two deliveries, the second with two shards."""
    root = tmp_path / "shards"
    describe_dataset(root, write_shards(root, {"a/0": rows[::3], "b/0": rows[1::3], "b/1": rows[2::3]}))
    return root


def names(files, root):
    return [path.relative_to(root / "data").as_posix() for path in files]


def files_of(*shards):
    return [f"{shard}/{split}.parquet" for split in SPLITS for shard in shards]


def test_list_names_the_files_of_the_card(dataset):
    assert names(list_dataset(dataset), dataset) == files_of("a/0", "b/0", "b/1")


def test_folder_or_file_in_a_dataset_is_a_part_of_it(dataset, monkeypatch):
    assert names(list_dataset(dataset / "data"), dataset) == files_of("a/0", "b/0", "b/1")
    assert names(list_dataset(dataset / "data" / "b"), dataset) == files_of("b/0", "b/1")
    assert names(list_dataset(dataset / "data" / "b" / "1"), dataset) == files_of("b/1")
    file = dataset / "data" / "a" / "0" / "test.parquet"
    assert list_dataset(file) == [file]
    monkeypatch.chdir(dataset.parent)
    assert len(list_dataset(dataset.relative_to(dataset.parent))) == 9
    monkeypatch.chdir(dataset / "data")
    assert len(list_dataset(dataset.relative_to(dataset))) == 9


def test_copied_dataset_has_its_list(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "a [1] copy")
    assert names(list_dataset(tmp_path / "a [1] copy"), tmp_path / "a [1] copy") == files_of("a/0", "b/0", "b/1")


@pytest.mark.parametrize("missing", ["README.md", "croissant.json"])
def test_folder_without_a_card_is_refused_with_the_remedy(dataset, missing):
    (dataset / missing).unlink()
    with pytest.raises(FileNotFoundError, match="`snakemake card` writes them"):
        list_dataset(dataset)


def test_folder_of_no_file_of_the_list_is_refused(dataset):
    (dataset / "data" / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="no file of the dataset is here"):
        list_dataset(dataset / "data" / "c")


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "is missing"), (b"", "has another size"), (b"PAR1", "has another size")]
)
def test_file_that_is_not_as_listed_is_an_error(dataset, content, fault):
    path = dataset / "data" / "b" / "1" / "train.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TableError, match=rf"b/1/train.parquet {fault}.*snakemake --force .*README\.md"):
        list_dataset(dataset)
    assert list_dataset(dataset / "data" / "a")  # the others are as they were


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"distribution": [{"sha256": "x"}]}', '{"distribution": [1]}'])
def test_damaged_list_is_an_error(dataset, text):
    (dataset / "croissant.json").write_text(text)
    with pytest.raises(TableError, match=r"croissant\.json is damaged"):
        list_dataset(dataset)


def test_files_beside_the_list_are_left_out_and_named(dataset, caplog):
    shutil.copytree(dataset / "data" / "a", dataset / "data" / "gone")
    shutil.copytree(dataset / "data" / "b" / "1", dataset / "data" / "b" / "2")
    (dataset / "old" / "0").mkdir(parents=True)
    shutil.copy(dataset / "data" / "a" / "0" / "train.parquet", dataset / "old" / "0" / "images.parquet")
    (dataset / "data" / "a" / "0" / ".99-host-0123abcd.train.parquet").write_bytes(b"half")
    with caplog.at_level(logging.WARNING):
        assert names(list_dataset(dataset), dataset) == files_of("a/0", "b/0", "b/1")
    (message,) = [record.getMessage() for record in caplog.records]
    assert "3 of b, 3 of gone, 1 of old; `snakemake --force " in message


def test_command_of_the_remedy_is_one_that_snakemake_knows(dataset, monkeypatch, caplog):
    shutil.copy(dataset / "data" / "a" / "0" / "train.parquet", dataset / "data" / "notes.parquet")
    monkeypatch.chdir(dataset.parent)
    with caplog.at_level(logging.WARNING):
        list_dataset(dataset)
    assert "1 of no delivery; `snakemake --force shards/README.md` moves them out" in caplog.text
    (dataset / "data" / "a" / "0" / "train.parquet").unlink()
    with pytest.raises(TableError, match=r"run snakemake --force shards/README.md, "):
        list_dataset(dataset)


def test_card_moves_files_of_former_deliveries_out(dataset, rows, tmp_path):
    former = dataset / "old" / "0"
    former.mkdir(parents=True)
    for name in ("images.parquet", "metrics.json"):
        (former / name).write_bytes(b"of an earlier release")
    (dataset / "data" / "a" / "0" / ".99-host-0123abcd.train.parquet").write_bytes(b"half")
    for shard in ("a/0", "b/0", "b/1"):
        (dataset / "metrics" / shard).mkdir(parents=True)
        (dataset / "metrics" / shard / "metrics.json").write_text("{}")
    (dataset / "notes.parquet").write_bytes(b"of the user")
    metrics = describe_dataset(dataset, write_shards(dataset, {"b/0": rows[1::3]}))
    assert metrics["tables"]["files of former deliveries and shards"] == {"a": 4, "b": 4, "old": 2}
    assert sorted(path.name for path in (dataset / "data").iterdir()) == ["b"]
    assert names(list_dataset(dataset), dataset) == files_of("b/0")
    assert pq.read_table(dataset / "data").num_rows == len(rows[1::3])
    moved = tmp_path / "shards of former deliveries"
    assert {path.relative_to(moved).as_posix() for path in moved.rglob("*.*")} == {
        "old/0/images.parquet",
        "old/0/metrics.json",
        *(f"metrics/{shard}/metrics.json" for shard in ("a/0", "b/1")),
        *(f"data/{name}" for name in files_of("a/0", "b/1")),
    }
    assert [path.parent.name for path in (dataset / "metrics").rglob("metrics.json")] == ["0"]
    assert (dataset / "notes.parquet").exists() and not list(dataset.rglob(".*.parquet")) and not former.exists()
    again = describe_dataset(dataset, write_shards(dataset, {"b/0": rows[1::3]}))
    assert "files of former deliveries and shards" not in again["tables"]


def test_files_of_a_delivery_that_leaves_twice_are_the_last_ones(dataset, rows, tmp_path):
    for shards in ({"b/0": rows}, {"a/0": rows[:5], "b/0": rows}, {"b/0": rows}):
        describe_dataset(dataset, write_shards(dataset, shards))
    assert pq.read_table(tmp_path / "shards of former deliveries" / "data" / "a").num_rows == 5
