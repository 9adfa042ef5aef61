"""Stage shards: rows of a split with pictures, masks, boxes and provenance."""

import io
from dataclasses import replace
from typing import TypedDict

import nibabel as nib
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco

from refrad.core.contracts import MaskTable, VolumeTable
from refrad.core.tables import read_table, write_table
from refrad.dataset import shard_io as shards
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.dataset.image_codec import decode_image, decode_pixels
from refrad.dataset.shard_io import (
    fingerprint_digest,
    read_class_names,
    read_rows,
    read_source_fingerprints,
    write_shard,
)
from refrad.dataset.shard_rows import ImageRow
from refrad.dicom.hanging import TURNS
from refrad.review.items import caption_digest
from refrad.review.judgement import ReviewVerdict
from refrad.review.left_out import LeftOutTable
from refrad.review.verdicts import open_verdicts
from refrad.workflow.fingerprint import Fingerprint

TEXT = "Liver and both kidneys are normal."
CYST = "2 cm cyst of the liver."
OPTIONS = {"image_size": 64, "formats": ["png", "raw", "full"]}


class SplitAndPixels(TypedDict):
    split: str
    pixels: bytes


@pytest.fixture
def shard(study):
    study.structures()
    spans = study.mention("c", TEXT, "Liver", 5) + study.mention("c", TEXT, "kidneys", 2, 3)
    captions = [study.caption("c", TEXT), study.caption("d", CYST, "reference")]
    reference = {"caption": "d", "instance": None, "series_number": 3, "image_first": 3, "image_last": 3}
    study.grounded(captions, spans + study.mention("d", CYST, "liver", 5), [reference])
    study.run("vqa")
    study.metrics = study.run("shards", OPTIONS)
    return study


def test_images_with_a_triplet_have_one_row_each(shard):
    rows = pl.read_parquet(shard.path("train"))
    assert len(rows) == shard.metrics["made"]["rows"] == rows["image_id"].n_unique() > 0
    entities = rows["captions"].to_list()[0][0]["entities"]
    assert [(one["text"], one["class_id"]) for one in entities] == [("Liver", 5), ("kidneys", 2), ("kidneys", 3)]


def test_masks_and_boxes_of_a_row_agree(shard):
    for row in pl.read_parquet(shard.path("train")).iter_rows(named=True):
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


def test_picture_has_the_organ_inside_its_box(shard):
    row = pl.read_parquet(shard.path("train")).row(0, named=True)
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


def name_public_set(shard, name):
    """Rewrite the table of masks as that of a delivery which is a public set."""
    table = read_table(shard.path("masks"), MaskTable)
    write_table(shard.path("masks"), table, MaskTable, Fingerprint("masks", 1, {}, {}), name)


def test_rows_name_their_public_set(shard):
    assert pl.read_parquet(shard.path("train"))["public_set"].unique().to_list() == [None]
    name_public_set(shard, "ct-rate")
    shard.run("shards", OPTIONS)
    assert pl.read_parquet(shard.path("train"))["public_set"].unique().to_list() == ["ct-rate"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_reports_made_from_masks_only_train(shard, split):
    shard.write(VolumeTable, "volumes", [shard.volume() | {"split": split}])
    name_public_set(shard, "abdomenatlas")
    with pytest.raises(
        ValueError, match="1 volumes of abdomenatlas are in validation or test, and its reports were made from"
    ):
        shard.run("shards", OPTIONS)
    name_public_set(shard, "ct-rate")
    assert shard.run("shards", OPTIONS)["tables"]["split"].keys() == {split}


def test_shard_bytes_depend_on_the_input_only(shard):
    before = shard.path("train").read_bytes()
    shard.run("shards", OPTIONS)
    assert shard.path("train").read_bytes() == before


def test_shard_opens_in_datasets_polars_and_pyarrow(shard, tmp_path):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("parquet", data_files=str(shard.path("train")), cache_dir=str(tmp_path / "cache"))[
        "train"
    ]
    assert loaded[0]["image"].size == (64, 64)
    assert loaded.features["structures"].feature["class_id"].int2str(5) == "liver"
    assert len(loaded) == pq.read_metadata(shard.path("train")).num_rows == len(pl.read_parquet(shard.path("train")))


def test_pictures_are_stored_in_the_configured_formats(shard):
    row = pl.read_parquet(shard.path("train")).row(0, named=True)
    assert np.array_equal(decode_pixels(row["pixels"]), decode_image({"image": row["image"]}))
    assert Image.open(io.BytesIO(row["image_full"]["bytes"])).size == (row["width"], row["height"])
    shard.run("shards", OPTIONS | {"formats": ["raw"]})
    columns = pq.read_schema(shard.path("train")).names
    assert "pixels" in columns and not {"image", "image_full"} & set(columns)
    (picture, *_) = [example_of_row(row) for row in read_image_table([shard.path("train")]).iter_rows(named=True)]
    assert picture.load_image().size == (64, 64)  # training reads either


def test_rows_and_file_metadata_have_their_provenance(shard):
    told = read_source_fingerprints(shard.path("train"))
    assert set(told) == {"volumes", "masks", "structures", "captions", "mentions", "grounded", "vqa", "shards"}
    assert told["grounded"].options == {"mode": "expand", "images_per_caption": 2}
    for row in pl.read_parquet(shard.path("train")).iter_rows(named=True):
        assert row["provenance"]["fingerprints"] == {stage: fingerprint_digest(one) for stage, one in told.items()}
        assert row["provenance"]["mentions"] == "lexicon"
        assert row["provenance"]["vqa"] == ("templates" if row["questions"] else "")
    assert shard.metrics["made"]["questions"] == 2


def test_rows_can_be_read_one_group_at_a_time(images, schema, tmp_path, monkeypatch):
    row_bytes = len(next(read_rows([images]))["image"]["bytes"])
    monkeypatch.setattr(shards, "GROUP_BYTES", 99.5 * row_bytes)
    many = [row | {"image_id": f"{n}-{row['image_id']}"} for n in range(9) for row in read_rows([images])]
    write_shard(tmp_path / "many.parquet", many, schema, Fingerprint("shards", 1, {}, {}))
    file = pq.ParquetFile(tmp_path / "many.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [100, 100, 100, 6]
    assert list(read_rows([tmp_path / "many.parquet"])) == list(read_rows([tmp_path / "many.parquet"], ImageRow))
    assert next(read_rows([tmp_path / "many.parquet"], SplitAndPixels)) == {"split": "train"}


def test_class_names_come_from_the_file_itself(shard):
    assert read_class_names(shard.path("train"))[5] == "liver" and len(read_class_names(shard.path("train"))) == 121


def review(study, *verdicts):
    """A file with verdicts (item, id and digest from the shard, and changes) and the shard's rows after they count."""
    path = study.folder / "verdicts.sqlite"
    with open_verdicts(path) as store:
        for verdict in verdicts:
            store.add(verdict)
    return study.run("shards", OPTIONS, verdicts=path)


def verdict_on(row, caption, **changes):
    verdict = ReviewVerdict(
        reviewer="AB", delivery="d", shard=0, patient=row["patient"], image_id=row["image_id"], item="caption",
        item_id=caption["caption"], verdict="reject", digest=caption_digest(row["image_id"], caption),
    )  # fmt: skip
    return replace(verdict, **changes)


def test_rejected_captions_and_images_without_any_leave_and_are_counted(shard):
    before = list(read_rows([shard.path("train")]))
    row = before[0]
    metrics = review(shard, *(verdict_on(row, caption) for caption in row["captions"]))
    after = list(read_rows([shard.path("train")]))
    assert [kept["image_id"] for kept in after] == [kept["image_id"] for kept in before[1:]]
    assert after == before[1:]
    assert metrics["flow"] == {"taken": len(before), "used": len(before) - 1, "aside": {"rejected": 1}}
    left = read_table(shard.path("left_out"), LeftOutTable)
    assert left["image_id"].unique().to_list() == [row["image_id"]]
    assert set(left["item_id"]) >= {caption["caption"] for caption in row["captions"]}
    counts = metrics["tables"]["left out after review"]
    assert counts["captions that leave or lose a phrase"] == len(row["captions"])
    assert counts.get("questions", 0) == len(row["questions"])


def test_wrong_box_leaves_all_captions_and_the_structures_of_the_image(shard):
    row = next(iter(read_rows([shard.path("train")])))
    caption = next(caption for caption in row["captions"] if caption["text"] == TEXT)
    metrics = review(shard, verdict_on(row, caption, verdict="wrong_box", entity=0))
    (after,) = [image for image in read_rows([shard.path("train")]) if image["image_id"] == row["image_id"]]
    classes = {entity["class_id"] for caption in after["captions"] for entity in caption["entities"]}
    assert 5 not in classes and 5 not in {structure["class_id"] for structure in after["structures"]}
    assert metrics["tables"]["left out after review"]["structures"] == 1


def test_verdict_on_an_item_as_it_was_before_counts_as_outdated(shard):
    before = shard.path("train").read_bytes()
    row = next(iter(read_rows([shard.path("train")])))
    metrics = review(shard, verdict_on(row, row["captions"][0], digest="another"))
    assert shard.path("train").read_bytes() == before
    assert metrics["tables"]["left out after review"] == {"verdicts without effect, as the item has changed": 1}


def test_verdict_that_is_taken_back_has_no_effect(shard):
    before = shard.path("train").read_bytes()
    row = next(iter(read_rows([shard.path("train")])))
    caption = row["captions"][0]
    review(shard, verdict_on(row, caption), verdict_on(row, caption, verdict="accept"))
    assert shard.path("train").read_bytes() == before


def test_later_verdicts_than_the_last_to_use_wait_for_the_next_run(shard):
    before = shard.path("train").read_bytes()
    row = next(iter(read_rows([shard.path("train")])))
    with open_verdicts(shard.folder / "verdicts.sqlite") as store:
        last = store.add(verdict_on(row, row["captions"][0], verdict="accept"))
        store.add(verdict_on(row, row["captions"][0]))
    shard.run("shards", OPTIONS, verdicts=shard.folder / "verdicts.sqlite", until=last)
    assert shard.path("train").read_bytes() == before


PRONE = np.diag([2.0, 2.0, 5.0, 1.0])
DECUBITUS = np.array([[0, 2.0, 0, 0], [2.0, 0, 0, 0], [0, 0, 5.0, 0], [0, 0, 0, 1]])
CORONAL = np.array([[2.0, 0, 0, 0], [0, 0, 5.0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("affine", "turn", "edges"),
    [
        (np.diag([-2.0, -2.0, 5.0, 1.0]), "none", "RLAP"),
        (PRONE, "rotate_180", "RLAP"),
        (DECUBITUS, "transpose_180", "RLAP"),
        (CORONAL, "rotate_180", "RLHF"),
    ],
    ids=["supine", "prone", "decubitus", "coronal"],
)
def test_radiological_images_are_turned_with_boxes_and_masks(study, affine, turn, edges):
    """The same slices in both orientations: turned back, picture, boxes and masks are those that are stored."""
    study.move(affine)
    study.structures()
    study.grounded([study.caption("c", TEXT)], study.mention("c", TEXT, "Liver", 5))
    study.run("vqa")
    rows = {}
    for orientation in ("stored", "radiological"):
        study.run("shards", OPTIONS | {"orientation": orientation})
        rows[orientation] = pl.read_parquet(study.path("train")).to_dicts()
    assert len(rows["stored"]) == len(rows["radiological"]) > 0
    for stored, hung in zip(rows["stored"], rows["radiological"], strict=True):
        assert (stored["orientation"], stored["turn"], hung["orientation"], hung["turn"]) == (
            *("stored", "none"),
            *("radiological", turn),
        )
        assert "".join(hung["edges"][edge] for edge in ("left", "right", "top", "bottom")) == edges
        assert (stored["width"], stored["height"]) == (32, 24)
        back = TURNS[turn].inverse
        size = hung["width"], hung["height"]
        assert back.size(*size) == (32, 24)
        full = [np.asarray(Image.open(io.BytesIO(row["image_full"]["bytes"]))) for row in (stored, hung)]
        assert np.array_equal(back.image(full[1]), full[0])
        entities = [row["captions"][0]["entities"][0] for row in (stored, hung)]
        assert back.box(box_of(entities[1]), *size) == box_of(entities[0])
        for theirs, ours in zip(stored["structures"], hung["structures"], strict=True):
            assert ours["class_id"] == theirs["class_id"] and ours["area"] == theirs["area"]
            assert back.box(box_of(ours), *size) == box_of(theirs)
            assert np.array_equal(back.image(mask_of(hung, ours)), mask_of(stored, theirs))


FEET_FIRST_PRONE = np.diag([2.0, -2.0, -5.0, 1.0])
SAGITTAL = np.array([[0, 0, -5.0, 0], [-2.0, 0, 0, 0], [0, -2.0, 0, 0], [0, 0, 0, 1]])
TILTED = np.array([[2.0, 0, 0, 0], [0, 2.0, 1.7, 0], [0, 0, 5.0, 0], [0, 0, 0, 1]])
OBLIQUE = np.array([[1.9, 0, 1.5, 0], [0.3, 1.9, -1.0, 0], [-0.55, 0.4, 4.6, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    "affine", [FEET_FIRST_PRONE, SAGITTAL, TILTED, OBLIQUE], ids=["feet_first_prone", "sagittal", "tilted", "oblique"]
)
def test_hung_masks_are_slices_of_the_array_that_nibabel_turns(study, affine):
    """Independent of the turns: the labels in RAS+, seen from their far ends."""
    study.move(affine)
    study.structures()
    study.grounded([study.caption("c", TEXT)], study.mention("c", TEXT, "Liver", 5))
    study.run("vqa")
    study.run("shards", OPTIONS | {"orientation": "radiological"})
    canonical = np.asarray(nib.as_closest_canonical(nib.Nifti1Image(study.labels, affine)).dataobj)
    axis, sign = nib.io_orientation(affine)[2]
    edges = {0: "APHF", 1: "RLHF", 2: "RLAP"}[int(axis)]
    rows = pl.read_parquet(study.path("train")).to_dicts()
    assert rows
    for row in rows:
        index = row["index"] if sign > 0 else canonical.shape[int(axis)] - 1 - row["index"]
        classes = np.take(canonical, index, int(axis)).T[::-1, ::-1]
        assert "".join(row["edges"][edge][0] for edge in ("left", "right", "top", "bottom")) == edges
        assert row["captions"][0]["text"] == TEXT
        for structure in row["structures"]:
            mask, whole = mask_of(row, structure), classes == structure["class_id"]
            assert (
                mask.shape == whole.shape and not (mask & ~whole).any() and (whole & ~mask).sum() <= 1
            )  # the stray voxel
            ys, xs = np.nonzero(mask)
            assert box_of(structure) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


def box_of(row):
    return row["x_min"], row["y_min"], row["x_max"], row["y_max"]


def mask_of(row, structure):
    return coco.decode({"size": [row["height"], row["width"]], "counts": structure["rle"].encode()})


@pytest.fixture
def with_ungrounded(study):
    """A study whose report names images 3 and 6 in sentences without a box: image 3 shows the liver of another sentence, 6 nothing."""
    study.structures()
    sentences = {"c": "Liver cyst.", "d": "Good quality.", "e": "Normal variant."}
    captions = [study.caption(name, text, "reference") for name, text in sentences.items()]
    reference = {"instance": None, "series_number": 3, "plane": None}
    references = [
        reference | {"caption": name, "image_first": number, "image_last": number}
        for name, number in (("c", 3), ("d", 3), ("e", 6))
    ]
    study.grounded(captions, study.mention("c", "Liver cyst.", "Liver", 5), references)
    study.run("vqa")
    return study


def test_all_pairs_of_the_report_are_in_the_dataset_and_marked(with_ungrounded):
    metrics = with_ungrounded.run("shards", OPTIONS | {"pairs": "all"})
    rows = {row["image_id"]: row for row in pl.read_parquet(with_ungrounded.path("train")).iter_rows(named=True)}
    marks = {
        name: [(c["text"], c["grounded"], len(c["entities"])) for c in row["captions"]] for name, row in rows.items()
    }
    assert marks == {
        "i2": [("Liver cyst.", True, 1), ("Good quality.", False, 0)],
        "i5": [("Normal variant.", False, 0)],
    }
    assert rows["i5"]["structures"] == [] and rows["i5"]["provenance"]["mentions"] is None
    assert metrics["tables"]["captions"] == {"grounded": 1, "ungrounded": 2}


def test_grounded_pairs_alone_leave_the_others_out(with_ungrounded):
    metrics = with_ungrounded.run("shards", OPTIONS | {"pairs": "grounded"})
    (row,) = pl.read_parquet(with_ungrounded.path("train")).to_dicts()
    assert [caption["text"] for caption in row["captions"]] == ["Liver cyst."]
    assert metrics["tables"]["captions"] == {"grounded": 1}
