"""The rows of a training in its work folder: what is in them, and that a changed training finds them again."""

import numpy as np
import pytest
from tests.factories.dataset import SHARDS
from tests.factories.images import image_row
from tests.factories.options import SCHEMA

from refrad.anatomy.schema import load_schema
from refrad.dataset.examples import read_image_table
from refrad.dataset.shard_io import write_shard
from refrad.training.set_aside import claim_folder
from refrad.training.stored_rows import own_parts, store_rows, training_rows


def ids(rows):
    return [rows[number]["image_id"] for number in range(len(rows))]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """Three rows of a benchmark for training, the last of them without a question, and one for testing."""
    path = tmp_path_factory.mktemp("public") / "slake.parquet"
    rng = np.random.default_rng(0)
    rows = [image_row(number, split, rng) for number, split in enumerate(["train"] * 3 + ["test"])]
    rows[2]["questions"] = []
    about = {"captions": [], "structures": []}
    write_shard(
        path, [row | about | {"image_id": f"slake:{row['image_id']}"} for row in rows], load_schema(SCHEMA), SHARDS
    )
    return path


def test_rows_are_those_of_training_and_validation_patients(images, benchmark, tmp_path):
    store = store_rows(tmp_path, [images], ["i0003", "slake:i0001"], [benchmark])
    frame = read_image_table([images])
    parts = own_parts(store)
    train = [name for name in frame.filter(frame["split"] == "train")["image_id"] if name != "i0003"]
    assert ids(parts["train"]) == train
    assert ids(parts["validation"]) == frame.filter(frame["split"] == "validation")["image_id"].to_list()
    assert ids(training_rows(store, [benchmark])) == [*train, "slake:i0000"]


def test_benchmark_of_which_nothing_is_left_is_named(images, benchmark, tmp_path):
    with pytest.raises(ValueError, match=r"slake\.parquet: train\.public: no training question"):
        store_rows(tmp_path, [images], ["slake:i0000", "slake:i0001"], [benchmark])


def test_training_without_images_is_refused(images, tmp_path):
    train = read_image_table([images], {"train"})["image_id"].to_list()
    with pytest.raises(ValueError, match="no image of a training patient has a caption"):
        store_rows(tmp_path, [images], train)


def test_training_with_other_options_finds_the_rows(images, tmp_path):
    work = tmp_path / "x.work"
    claim_folder(work, "learning rate 1")
    store_rows(work, [images])
    written = (work / "rows" / "rows.bin").stat().st_ino
    claim_folder(work, "learning rate 2")  # there was no state
    assert not (tmp_path / "x.aside-1.work").exists() and (work / "rows").exists()
    (work / "step-000000001.pt").write_bytes(b"state")
    claim_folder(work, "learning rate 3")
    assert [path.name for path in (tmp_path / "x.aside-1.work").iterdir() if path.suffix == ".pt"]
    store_rows(work, [images])
    claim_folder(work, "learning rate 2")  # its state is taken back
    store_rows(work, [images])
    assert (work / "step-000000001.pt").exists()
    assert (work / "rows" / "rows.bin").stat().st_ino == written
    assert len(list(tmp_path.rglob("rows.bin"))) == 1
