"""Adapter of TotalSegmentator, on a replica of its layout with each trap planted."""

import pytest
from tests.factories.public_sets.totalsegmentator import NOTES, ROWS, write_image, write_totalsegmentator

from refrad.config.public_sets import PUBLIC_SETS
from refrad.nifti.volume_entry import VolumeEntry
from refrad.public_sets.base import SetOptions
from refrad.public_sets.totalsegmentator import MARKS, read

OPTIONS = SetOptions()


@pytest.fixture
def root(tmp_path):
    write_totalsegmentator(tmp_path / "set")
    return tmp_path / "set"


def test_images_with_a_note_become_volumes_of_a_patient_each(root):
    tables = read(root, OPTIONS)
    shared = {"modality": "CT"}
    assert tables.volumes == [
        VolumeEntry(
            "s0011/ct.nii.gz",
            *("s0011", "s0011", "CT"),
            split="train",
            sex="M",
            age="063Y",
            manufacturer="SIEMENS",
            **shared,
        ),
        VolumeEntry("s0260/ct.nii.gz", "s0260", "s0260", "CT", split="validation", sex="F", **shared),
        VolumeEntry(
            "s0400/ct.nii.gz", "s0400", "s0400", "CT", split="test", sex="F", age="071Y", manufacturer="GE", **shared
        ),
    ]
    assert tables.folder == root and tables.crossing == 0
    assert "3 images have no patient key: each counts as a patient" in tables.findings


def test_notes_become_reports_of_their_images_once(root):
    reports = read(root, OPTIONS).reports
    assert reports.rows() == [
        ("s0011", "s0011", "en", "Hypodense lesion of the liver, 12 mm."),
        ("s0260", "s0260", "en", "Cyst of the left kidney."),
        ("s0260-2", "s0260", "en", "Spleen normal.\nPancreas normal."),
        ("s0400", "s0400", "en", "Liver normal."),
    ]


def test_what_is_left_out_is_counted_by_its_reason(root):
    counts = read(root, OPTIONS).counts
    # s0501 has no file and s0502 an empty one; s0503 is not in meta.csv; s0500 has a note without a text.
    assert counts["volumes"] == {
        "delivered": 7,
        "used": 3,
        "no image": 2,
        "without a split": 1,
        "without a report": 1,
    }
    assert counts["reports"] == {
        "delivered": 10,
        "used": 4,
        "of another set": 1,
        "no text": 1,
        "no image": 2,
        "image is not used": 1,
        "repeated": 1,
    }


def test_folders_of_classes_are_masks_where_they_hold_files(root):
    tables = read(root, OPTIONS)
    assert tables.masks == {
        "s0011/ct.nii.gz": "s0011/segmentations",
        "s0260/ct.nii.gz": "s0260/segmentations",
    }
    assert tables.mask_folder == root
    assert "1 images that are used have no masks" in tables.findings
    assert "1 rows of meta.csv have no folder of an image" in tables.findings


@pytest.mark.parametrize("from_user", ["folder", "file"])
def test_notes_may_lie_elsewhere(root, tmp_path, from_user):
    inside = root / "RadGPT" / "generate_reports" / NOTES
    elsewhere = tmp_path / "elsewhere" / NOTES
    elsewhere.parent.mkdir()
    inside.rename(elsewhere)
    with pytest.raises(FileNotFoundError, match=rf"^{NOTES} is not there: .* --tables$"):
        read(root, OPTIONS)
    tables = elsewhere if from_user == "file" else tmp_path / "elsewhere"
    assert read(root, OPTIONS._replace(tables=tables)).reports.height == 4


@pytest.mark.parametrize("column", ["notes", "Report", "radiologist_note", "Freitext zum Bild"])
def test_column_of_notes_is_known_by_name_or_by_its_length(tmp_path, column):
    write_totalsegmentator(tmp_path / "set", rows=ROWS.replace("Notes", column, 1))
    assert read(tmp_path / "set", OPTIONS).reports.height == 4


def test_table_without_keys_or_texts_is_refused_in_a_line(tmp_path):
    write_totalsegmentator(tmp_path / "a", rows="BDMAP ID,notes\nBDMAP_1,Secret liver\n")
    with pytest.raises(ValueError, match=r'line 1: has no column "TotalSegmentator_id"') as refusal:
        read(tmp_path / "a", OPTIONS)
    assert "Secret" not in str(refusal.value)
    write_totalsegmentator(tmp_path / "b", rows="TotalSegmentator_id,size\ns0011,12\n")
    with pytest.raises(ValueError, match="line 1: has no column of notes"):
        read(tmp_path / "b", OPTIONS)


def test_notes_of_ct_are_never_reports_of_mr_with_the_same_numbers(tmp_path):
    write_totalsegmentator(tmp_path / "set", image="mri.nii.gz")
    tables = read(tmp_path / "set", OPTIONS)
    assert tables.volumes == [] and tables.reports.height == 0 and tables.masks == {}
    assert tables.counts["volumes"] == {
        "delivered": 7,
        "used": 0,
        "no image": 2,
        "without a split": 1,
        "without a report": 4,
    }
    assert tables.counts["reports"] == {"delivered": 10, "used": 0, "of another set": 10}
    assert any("is of CT" in finding for finding in tables.findings)
    own = tmp_path / "own.csv"
    own.write_text("image_id;report\ns0011;Liver normal.\n")
    tables = read(tmp_path / "set", OPTIONS._replace(tables=own))
    assert [(entry.path, entry.modality) for entry in tables.volumes] == [("s0011/mri.nii.gz", "MR")]
    assert tables.reports["text"].to_list() == ["Liver normal."]


def test_ct_and_mr_in_one_folder_are_refused(root):
    write_image(root / "s0011" / "mri.nii.gz")
    with pytest.raises(ValueError, match="holds CT and MR"):
        read(root, OPTIONS)


def test_without_table_of_splits_no_volume_has_one(root):
    (root / "meta.csv").unlink()
    tables = read(root, OPTIONS)
    assert [(entry.patient, entry.split) for entry in tables.volumes] == [
        ("s0011", ""),
        ("s0260", ""),
        ("s0400", ""),
        ("s0503", ""),
    ]
    assert any("splits are drawn by the shares of the config" in finding for finding in tables.findings)


def test_folder_without_images_is_refused(tmp_path):
    (tmp_path / "meta.csv").write_text("image_id\n")
    with pytest.raises(FileNotFoundError, match="unpack the downloaded archive"):
        read(tmp_path, OPTIONS)


def test_registry_has_the_set_and_its_folder_is_known(root):
    record = PUBLIC_SETS["totalsegmentator"]
    assert record.target == read.__module__
    assert record.images.license == "CC-BY-4.0" and "BY-NC-ND" in record.reports.license
    assert any(list(root.glob(mark)) for mark in MARKS)
