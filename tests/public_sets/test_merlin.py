"""Adapter of Merlin and Merlin Plus, on a replica of their layout with each trap planted."""

import pytest
from tests.factories.public_sets.merlin import REPORTS, write_merlin, write_merlin_masks
from tests.factories.public_sets.totalsegmentator import write_image
from tests.factories.workbooks import write_workbook

from refrad.config.public_sets import PUBLIC_SETS
from refrad.language.sections import split_sections
from refrad.nifti.volume_entry import VolumeEntry
from refrad.public_sets.base import SetOptions
from refrad.public_sets.merlin import MARKS, read

SHARED = {"modality": "CT", "body_part": "ABDOMENPELVIS", "study_date": "20120101"}
WITHOUT_PATIENTS = SetOptions()


@pytest.fixture
def root(tmp_path):
    write_merlin(tmp_path / "set", tmp_path / "plus")
    return tmp_path / "set"


@pytest.fixture
def options(tmp_path):
    return SetOptions(tables=tmp_path / "plus")


def test_studies_of_known_patients_become_volumes(root, options):
    tables = read(root, options)
    assert tables.volumes == [
        VolumeEntry(
            "merlin_data/AC4213641.nii.gz",
            *("Merlin_2", "AC4213641", "AC4213641"),
            split="test",
            sex="M",
            age="049Y",
            contrast="no",
            manufacturer="GE MEDICAL SYSTEMS",
            **SHARED,
        ),
        VolumeEntry("merlin_data/AC4213647.nii", "Merlin_8", "AC4213647", "AC4213647", split="train", **SHARED),
    ]
    assert tables.crossing == 1


def test_what_is_left_out_is_counted_by_its_reason(root, options):
    counts = read(root, options).counts
    assert counts["volumes"] == {
        "delivered": 11,
        "used": 2,
        "name of no study": 1,
        "twice": 1,
        "without a report": 2,
        "without a patient": 1,
        "of several patients": 1,
        "without a split": 1,
        "patient in several official splits": 2,
    }
    assert counts["reports"] == {
        "delivered": 10,
        "used": 2,
        "no text": 1,
        "repeated": 1,
        "no image of its study": 1,
        "image is not used": 5,
    }


def test_findings_and_impression_are_told_apart(root, options):
    reports = read(root, options._replace(resplit=True)).reports
    texts = dict(reports.select("study_uid", "text").iter_rows())
    # The key of the workbook is in other letters than the file's; the file's is that of the volume.
    assert texts == {
        "AC421363e": "Findings:\nLiver: 8 mm cyst in segment 4 (3/204). Spleen normal.\nImpression:\n1. Hepatic cyst.",
        "AC421363f": "Findings:\nLiver: normal.\nImpression:\nNormal.",
        "AC4213641": "Findings:\nLiver normal.\nGallbladder without an impression: none.\nImpression:\nNo stones.",
        "AC4213647": "Findings:\nKidneys normal.",
    }
    assert split_sections(texts["AC421363e"]) == [
        ("findings", "Liver: 8 mm cyst in segment 4 (3/204). Spleen normal."),
        ("impression", "1. Hepatic cyst."),
    ]
    assert reports["report_id"].to_list() == reports["study_uid"].to_list()


def test_crossing_patients_get_one_split_if_asked(root, options):
    tables = read(root, options._replace(resplit=True))
    splits = {entry.study: entry.split for entry in tables.volumes}
    assert tables.crossing == 1
    assert splits["AC421363e"] == splits["AC421363f"] in {"train", "validation"}


@pytest.mark.parametrize("resplit", [False, True])
def test_patient_crosses_splits_also_while_one_of_its_studies_is_not_downloaded(root, options, resplit):
    options = options._replace(resplit=resplit)
    whole = {entry.path: entry.split for entry in read(root, options).volumes}
    (root / "merlin_data" / "AC421363f.nii.gz").unlink()  # the validation study of a patient with a training study
    tables = read(root, options)
    part = {entry.path: entry.split for entry in tables.volumes}
    assert tables.crossing == 1
    assert part == {path: split for path, split in whole.items() if "AC421363f" not in path}


def test_study_in_two_official_splits_is_in_none_of_them(root, options):
    again = ["AC4213647", "Kidneys normal.", "test", ""]
    write_workbook(root / "reports_final.xlsx", {"Sheet1": [*REPORTS, again]})
    tables = read(root, options)
    assert tables.crossing == 2
    assert [entry.study for entry in tables.volumes] == ["AC4213641"]


def test_report_behind_a_row_without_text_is_the_report_of_its_study(root, options):
    rows = [REPORTS[0], ["AC4213647", "", "train", ""], *REPORTS[1:]]
    write_workbook(root / "reports_final.xlsx", {"Sheet1": rows})
    tables = read(root, options)
    assert tables.reports["study_uid"].to_list() == [entry.study for entry in tables.volumes]
    assert (tables.counts["reports"]["no text"], tables.counts["reports"]["repeated"]) == (2, 1)


def test_without_longitudinal_table_each_study_is_a_patient_and_this_is_said(root):
    tables = read(root, WITHOUT_PATIENTS)
    assert tables.crossing == 0
    assert {entry.patient for entry in tables.volumes} == {entry.study for entry in tables.volumes}
    assert {entry.study for entry in tables.volumes} == {
        *("AC421363e", "AC421363f", "AC4213641", "AC4213643", "AC4213644", "AC4213647")
    }
    (warning,) = [text for text in tables.findings if "merlin_longitudinal_metadata.csv" in text]
    assert "each of 6 studies counts as a patient" in warning and "training and test" in warning


@pytest.mark.parametrize("place", ["set", "set/MerlinPlus", "masks/MerlinPlus"])
def test_longitudinal_table_is_found_where_merlin_plus_lies(tmp_path, place):
    write_merlin(tmp_path / "set", tmp_path / place)
    (tmp_path / "masks").mkdir(exist_ok=True)
    tables = read(tmp_path / "set", SetOptions(masks=tmp_path / "masks"))
    assert {entry.patient for entry in tables.volumes} == {"Merlin_2", "Merlin_8"}


def test_references_by_series_stay_unresolved_and_are_counted(root, options):
    tables = read(root, options._replace(resplit=True))
    assert all(entry.series_number is None and entry.numbering == "" for entry in tables.volumes)
    assert any(text.startswith('1 reports name images as "(3/204)"') for text in tables.findings)
    assert not any("(3/204)" in text for text in read(root, options).findings)


def test_folders_of_classes_of_merlin_plus_are_masks_of_their_study(root, options, tmp_path):
    write_merlin_masks(tmp_path / "masks", "classes")
    tables = read(root, options._replace(masks=tmp_path / "masks"))
    assert tables.masks == {"merlin_data/AC4213641.nii.gz": "part1/AC4213641/segmentations"}
    assert tables.mask_folder == tmp_path / "masks"
    assert "1 volumes that are used have no mask" in tables.findings
    write_image(tmp_path / "masks" / "AC4213647" / "liver.nii.gz", value=1)
    tables = read(root, options._replace(masks=tmp_path / "masks"))
    assert tables.masks["merlin_data/AC4213647.nii"] == "AC4213647" and len(tables.masks) == 2
    assert not [text for text in tables.findings if "mask" in text]


def test_folder_with_hidden_files_only_is_no_mask(root, options, tmp_path):
    (tmp_path / "masks" / "AC4213641").mkdir(parents=True)
    (tmp_path / "masks" / "AC4213641" / "._liver.nii.gz").touch()
    assert read(root, options._replace(masks=tmp_path / "masks")).masks == {}


def test_file_of_all_labels_is_never_read_in_numbers_of_totalsegmentator(root, options, tmp_path):
    write_merlin_masks(tmp_path / "masks", "file")
    tables = read(root, options._replace(masks=tmp_path / "masks"))
    assert tables.masks == {} and tables.mask_folder is None
    assert any(text.startswith("1 masks are a file of all labels") for text in tables.findings)


def test_packed_masks_are_named(root, options, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "AC4213641.tar.gz").touch()
    tables = read(root, options._replace(masks=tmp_path / "masks"))
    assert tables.masks == {} and tables.mask_folder is None
    assert any("unpack its archives" in text for text in tables.findings)


@pytest.mark.parametrize(
    "header", [["Study_ID", "FINDINGS", "split"], ["accession number", "Report Text", "partition"]]
)
def test_columns_are_known_in_other_spellings(root, options, header):
    write_workbook(root / "reports_final.xlsx", {"empty": [], "data": [header, *REPORTS[1:]]})
    assert [entry.split for entry in read(root, options).volumes] == ["test", "train"]


def test_reports_are_also_read_as_csv_and_without_splits(root, options):
    (root / "reports_final.xlsx").unlink()
    (root / "reports_final.csv").write_text("study id,Findings\nAC4213641,Liver normal.\n")
    tables = read(root, options)
    assert [(entry.study, entry.split) for entry in tables.volumes] == [("AC4213641", "")]
    assert any("drawn by the shares of the config" in text for text in tables.findings)


def test_missing_parts_are_named(root, options):
    (root / "reports_final.xlsx").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no reports_final\.xlsx"):
        read(root, options)
    (root / "merlin_data").rename(root / "other")
    with pytest.raises(FileNotFoundError, match="has no volumes in merlin_data"):
        read(root, options)


def test_registry_has_the_set_and_its_folder_is_known(root):
    assert PUBLIC_SETS["merlin"].target == read.__module__
    assert any(list(root.glob(mark)) for mark in MARKS)
