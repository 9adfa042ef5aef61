import io

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco

TEXT = "Liver and both kidneys are normal."
OPTIONS = {"image_size": 64, "windows": [[2250, -100], [350, 40], [80, 40]]}


@pytest.fixture
def shard(study):
    study.structures()
    study.grounded(
        [study.caption("c", TEXT)], study.mention("c", TEXT, "Liver", 5) + study.mention("c", TEXT, "kidneys", 2, 3)
    )
    study.run("vqa", {"writer": "templates", "findings": 5, "metadata": 3})
    study.metrics = study.run("shards", OPTIONS)
    return study


def test_one_row_for_each_image_with_a_kept_triplet(shard):
    rows = pl.read_parquet(shard.path("images"))
    assert len(rows) == shard.metrics["made"]["rows"] == rows["image_id"].n_unique() > 0
    entities = rows["captions"].to_list()[0][0]["entities"]
    assert [(one["text"], one["class_id"]) for one in entities] == [("Liver", 5), ("kidneys", 2), ("kidneys", 3)]


def test_masks_and_boxes_of_a_row_agree(shard):
    for row in pl.read_parquet(shard.path("images")).iter_rows(named=True):
        for one in row["structures"]:
            mask = coco.decode({"size": [row["height"], row["width"]], "counts": one["rle"].encode()}).astype(bool)
            ys, xs = np.nonzero(mask)
            assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (
                one["x_min"],
                one["y_min"],
                one["x_max"],
                one["y_max"],
            )
            assert mask.sum() == one["area"]


def test_the_picture_shows_the_organ_inside_its_box(shard):
    row = pl.read_parquet(shard.path("images")).row(0, named=True)
    picture = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
    assert picture.shape == (64, 64, 3)
    liver = next(one for one in row["structures"] if one["class_id"] == 5)
    sx, sy = 64 / row["width"], 64 / row["height"]
    inside = picture[
        int(liver["y_min"] * sy) + 3 : int(liver["y_max"] * sy) - 3,
        int(liver["x_min"] * sx) + 3 : int(liver["x_max"] * sx) - 3,
        1,
    ]
    assert inside.min() > picture[:3, :, 1].max()


def test_the_same_input_gives_the_same_bytes(shard):
    before = shard.path("images").read_bytes()
    shard.run("shards", OPTIONS)
    assert shard.path("images").read_bytes() == before


def test_it_opens_in_datasets_polars_and_pyarrow(shard, tmp_path):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("parquet", data_files=str(shard.path("images")), cache_dir=str(tmp_path / "cache"))[
        "train"
    ]
    assert loaded[0]["image"].size == (64, 64)
    assert loaded.features["structures"].feature["class_id"].int2str(5) == "liver"
    assert len(loaded) == pq.read_metadata(shard.path("images")).num_rows == len(pl.read_parquet(shard.path("images")))
