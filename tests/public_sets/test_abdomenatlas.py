"""Adapter of AbdomenAtlas 3.0 Mini, on a replica of its layout with each trap planted."""

import shutil

import pytest
from tests.factories.public_sets.abdomenatlas import write_abdomenatlas

from refrad.config.public_sets import PUBLIC_SETS
from refrad.nifti.volume_entry import VolumeEntry
from refrad.public_sets.abdomenatlas import MARKS, read
from refrad.public_sets.base import SetOptions

OPTIONS = SetOptions()
SHARED = {"modality": "CT", "split": "train"}


@pytest.fixture
def root(tmp_path):
    write_abdomenatlas(tmp_path / "set")
    return tmp_path / "set"


def test_all_patients_train_whatever_the_official_lists_say(root):
    first, second, third = (f"BDMAP_0000000{number}" for number in (1, 2, 3))
    tables = read(root, OPTIONS._replace(resplit=True, validation=0.9))
    assert tables.volumes == [
        VolumeEntry(f"extra/{first}/ct.nii.gz", first, first, first, sex="M", age="063Y", **SHARED),
        VolumeEntry(f"image_only/{second}/ct.nii.gz", second, second, second, sex="F", **SHARED),
        VolumeEntry(f"image_only/{third}/ct.nii.gz", third, third, third, **SHARED),
    ]
    assert PUBLIC_SETS["abdomenatlas"].reports_of_masks
    assert any(
        text.startswith("3 reports are made from masks: all of their patients train") for text in tables.findings
    )
    # 3 is in IID_test and 1 in OOD_test.
    assert any(text.startswith("2 images of the official test lists train too") for text in tables.findings)


def test_narrative_reports_are_used_and_no_others(root):
    assert read(root, OPTIONS).reports.rows() == [
        ("BDMAP_00000001", "BDMAP_00000001", "en", "Liver: one lesion, 1.2 cm.\nKidneys: normal."),
        ("BDMAP_00000002", "BDMAP_00000002", "en", "Liver: normal."),
        ("BDMAP_00000003", "BDMAP_00000003", "en", "Pancreas: normal."),
    ]


def test_what_is_left_out_is_counted_by_its_reason(root):
    counts = read(root, OPTIONS).counts
    assert counts["volumes"] == {"delivered": 7, "used": 3, "no image": 1, "twice": 1, "without a report": 2}
    assert counts["reports"] == {
        "delivered": 7,
        "used": 3,
        "no text": 1,
        "repeated": 1,
        "no image": 1,
        "image is not used": 1,
    }


def test_report_behind_a_row_without_text_is_the_report_of_its_image(root):
    table = root / "AbdomenAtlas3.0MiniWithMeta.csv"
    header, rest = table.read_text(encoding="utf-8").split("\n", 1)
    table.write_text(f"{header}\nBDMAP_00000002,,F,,0,Structured 2,,,\n{rest}", encoding="utf-8")
    tables = read(root, OPTIONS)
    assert set(tables.reports["study_uid"]) == {entry.study for entry in tables.volumes}
    assert (tables.counts["reports"]["no text"], tables.counts["reports"]["repeated"]) == (2, 1)


def test_masks_of_lesions_are_no_masks_of_organs(root, tmp_path):
    tables = read(root, OPTIONS)
    assert tables.masks == {} and tables.mask_folder is None
    assert any(text.startswith("2 volumes have masks of lesions only") for text in tables.findings)
    write_abdomenatlas(tmp_path / "organs", organs=True)
    tables = read(tmp_path / "organs", OPTIONS)
    assert tables.masks == {"extra/BDMAP_00000001/ct.nii.gz": "mask_only/BDMAP_00000001/segmentations"}
    assert any(text.startswith("1 volumes have masks of lesions only") for text in tables.findings)


def test_masks_may_lie_elsewhere(root, tmp_path):
    write_abdomenatlas(tmp_path / "organs", organs=True)
    (tmp_path / "organs" / "mask_only").rename(tmp_path / "masks")
    tables = read(root, OPTIONS._replace(masks=tmp_path / "masks"))
    assert tables.masks == {"extra/BDMAP_00000001/ct.nii.gz": "BDMAP_00000001/segmentations"}
    assert tables.mask_folder == tmp_path / "masks"


def test_packed_images_and_missing_parts_are_named(root):
    for name in ("image_only", "extra"):
        shutil.rmtree(root / name)
    with pytest.raises(FileNotFoundError, match="download image_only and unpack it"):
        read(root, OPTIONS)
    (root / "image_only").mkdir()
    (root / "image_only" / "BDMAP_00000001_00000500.tar.gz").touch()
    with pytest.raises(FileNotFoundError, match=r"unpack the \.tar\.gz files of image_only"):
        read(root, OPTIONS)
    (root / "AbdomenAtlas3.0MiniWithMeta.csv").unlink()
    (root / "BDMAP_00000001").mkdir()
    with pytest.raises(FileNotFoundError, match=r"AbdomenAtlas3\.0MiniWithMeta\.csv is not there"):
        read(root, OPTIONS)


def test_registry_has_the_set_and_its_folder_is_known(root):
    assert PUBLIC_SETS["abdomenatlas"].target == read.__module__
    assert any(list(root.glob(mark)) for mark in MARKS)
