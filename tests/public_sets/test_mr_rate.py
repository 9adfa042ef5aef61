"""Adapter of MR-RATE, on a replica of its layout with each trap planted."""

import shutil

import nibabel as nib
import pytest
from tests.factories.public_sets.mr_rate import write_mr_rate

from refrad.config.public_sets import PUBLIC_SETS
from refrad.formats.nifti import open_volume_file, read_header
from refrad.language.sections import split_sections
from refrad.nifti.volume_entry import VolumeEntry
from refrad.public_sets.base import SetOptions
from refrad.public_sets.mr_rate import MARKS, read

OPTIONS = SetOptions()
FIRST = {
    "modality": "MR",
    "split": "train",
    "study_date": "20150302",
    "sex": "F",
    "age": "047Y",
    "manufacturer": "SIEMENS",
}
IN_ZIP = "mri/batch00/study_0001.zip/study_0001/img/study_0001"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("mr_rate")
    write_mr_rate(root)
    return root


def test_native_images_become_volumes_where_they_lie(root):
    assert read(root, OPTIONS).volumes == [
        VolumeEntry(f"{IN_ZIP}_flair-raw-sag.nii.gz", "p1", "study_0001", "flair-raw-sag", series_number=5, **FIRST),
        VolumeEntry(f"{IN_ZIP}_t1w-raw-axi-2.nii.gz", "p1", "study_0001", "t1w-raw-axi-2", series_number=9, **FIRST),
        VolumeEntry(f"{IN_ZIP}_t1w-raw-axi.nii.gz", "p1", "study_0001", "t1w-raw-axi", series_number=3, **FIRST),
        VolumeEntry(
            "mri/batch00/study_0004.zip/study_0004/img/study_0004_t2w-raw-sag.nii.gz",
            *("p4", "study_0004", "t2w-raw-sag", "MR", "validation"),
        ),
        VolumeEntry(
            "mri/batch01/study_0002.zip/study_0002/img/study_0002_mra-raw-obl.nii.gz",
            *("p1", "study_0002", "mra-raw-obl", "MR", "train"),
        ),
    ]


def test_volumes_open_inside_of_their_archives(root):
    tables = read(root, OPTIONS)
    for entry in tables.volumes:
        with open_volume_file(tables.folder, entry.path) as file:
            assert isinstance(read_header(file), nib.Nifti1Header)


def test_what_is_left_out_is_counted_by_its_reason(root):
    counts = read(root, OPTIONS).counts
    # Images: 4 of study_0001, 1 each of studies 2, 5, 6, 7, 8, 9 and 10, and study_0004 twice; two masks for each of these 13.
    assert counts["files"] == {
        "delivered": 41,
        "used": 13,
        "damaged archives": 1,
        "masks of brain or face": 26,
        "of another space": 1,
    }
    assert counts["volumes"] == {
        "delivered": 13,
        "used": 5,
        "name of no series": 1,
        "twice": 1,
        "without a patient": 1,
        "patient in several official splits": 2,
        "without a split": 1,
        "without a report": 2,
    }
    assert counts["reports"] == {
        "delivered": 11,
        "used": 3,
        "no text": 1,
        "repeated": 1,
        "no images of its study": 2,
        "no volume of its study is used": 4,
    }


def test_reports_have_sections_and_placeholders_of_refrad(root):
    reports = read(root, OPTIONS).reports
    assert reports["study_uid"].to_list() == ["study_0001", "study_0004", "study_0002"]
    first, spine, whole = reports["text"]
    assert first == (
        "Clinical information:\nHeadache since [DATE]\n"
        "Findings:\n[NAME] was examined at [PLACE]. Ventricles are normal.\n"
        "Impression:\n— No lesion.\n— Compared with [DATE] by Dr. [NAME], [T2] signal unchanged."
    )
    assert [section for section, _ in split_sections(first)] == ["indication", "findings", "impression"]
    assert spine == "Technique:\nMRI of the spine\nFindings:\nDisc protrusion L4/5."
    assert whole == "Cerebellum normal for [NAME]."
    assert set(reports["language"]) == {"en"}


def test_report_behind_a_row_without_text_is_the_report_of_its_study(tmp_path):
    write_mr_rate(tmp_path)
    table = tmp_path / "reports" / "batch01_reports.csv"
    header, rest = table.read_text(encoding="utf-8").split("\n", 1)
    table.write_text(f"{header}\nstudy_0002,,,,,\n{rest}", encoding="utf-8")
    tables = read(tmp_path, OPTIONS)
    assert set(tables.reports["study_uid"]) == {entry.study for entry in tables.volumes}
    (text,) = tables.reports.filter(study_uid="study_0002")["text"]
    assert text == "Cerebellum normal for [NAME]."


def test_share_for_validation_depends_on_the_table_not_on_the_downloaded_batches(tmp_path):
    write_mr_rate(tmp_path)
    for path in (tmp_path / "mri" / "batch00").glob("study_0004*"):  # the only validation patient of the table
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    splits = {entry.patient: entry.split for entry in read(tmp_path, OPTIONS._replace(validation=0.999)).volumes}
    assert splits == {"p1": "train"}


def test_batches_and_studies_on_another_disk_are_followed_through_links(tmp_path):
    write_mr_rate(tmp_path / "set")
    usual = read(tmp_path / "set", OPTIONS)
    for number, folder in enumerate(("batch01", "batch00/study_0004")):
        (tmp_path / "set" / "mri" / folder).rename(tmp_path / str(number))
        (tmp_path / "set" / "mri" / folder).symlink_to(tmp_path / str(number))
    (tmp_path / "empty").mkdir()
    (tmp_path / "set" / "mri" / "batch02").symlink_to(tmp_path / "empty")
    linked = read(tmp_path / "set", OPTIONS)
    assert (linked.volumes, linked.counts) == (usual.volumes, usual.counts)
    for entry in linked.volumes:
        with open_volume_file(linked.folder, entry.path) as file:
            assert isinstance(read_header(file), nib.Nifti1Header)


def test_crossing_patients_are_counted_and_resplit_if_asked(root):
    assert read(root, OPTIONS).crossing == 1
    tables = read(root, OPTIONS._replace(resplit=True))
    splits = {entry.study: entry.split for entry in tables.volumes}
    assert tables.crossing == 1
    assert splits["study_0005"] == splits["study_0006"] in {"train", "test"}


@pytest.mark.parametrize(
    ("choice", "series"),
    [
        ("center", ["t1w-raw-axi"]),
        ("T1W", ["t1w-raw-axi-2", "t1w-raw-axi"]),
        ("sag", ["flair-raw-sag", "t2w-raw-sag"]),
    ],
)
def test_series_are_chosen_by_center_or_id(root, choice, series):
    tables = read(root, OPTIONS._replace(reconstruction=choice))
    assert [entry.series for entry in tables.volumes] == series
    assert tables.counts["volumes"]["another series"] == 5 - len(series)


def test_choice_that_fits_no_series_is_refused(root):
    with pytest.raises(ValueError, match="--reconstruction B30f: no series is"):
        read(root, OPTIONS._replace(reconstruction="B30f"))


def test_findings_name_the_limits_of_the_set(root):
    findings = read(root, OPTIONS._replace(masks=root)).findings
    assert "1 rows of the metadata have no file" in findings
    assert "2 reports hold placeholders of names, dates or places, which become those of RefRad" in findings
    assert not [text for text in findings if " is not there" in text]
    for words in ("defaced", "machine translations", "masks are not taken"):
        assert any(words in sentence for sentence in findings)


def test_set_is_read_without_metadata_and_splits(root, tmp_path):
    shutil.copytree(root, tmp_path / "set")
    shutil.rmtree(tmp_path / "set" / "metadata")
    tables = read(tmp_path / "set", OPTIONS)
    assert {(entry.study, entry.patient, entry.split) for entry in tables.volumes} == {
        ("study_0001", "p1", "train"),
        ("study_0002", "p1", "train"),
        ("study_0004", "p4", "validation"),
    }
    assert [text.split(" ")[0] for text in tables.findings if " is not there" in text] == [
        "metadata/batch00_metadata.csv"
    ]
    shutil.copytree(root / "metadata", tmp_path / "set" / "metadata")
    (tmp_path / "set" / "splits.csv").unlink()
    tables = read(tmp_path / "set", OPTIONS)
    assert {(entry.study, entry.patient, entry.split) for entry in tables.volumes} == {
        ("study_0001", "p1", ""),
        ("study_0008", "p8", ""),
    }
    assert [text.split(" ")[0] for text in tables.findings if " is not there" in text] == ["splits.csv"]


def test_study_that_tables_give_to_two_patients_is_left_out(root, tmp_path):
    shutil.copytree(root, tmp_path / "set")
    path = tmp_path / "set" / "splits.csv"
    path.write_text(path.read_text() + "batch00,p99,study_0004,val\n")
    tables = read(tmp_path / "set", OPTIONS)
    assert "study_0004" not in {entry.study for entry in tables.volumes}
    assert tables.counts["volumes"]["of several patients"] == 1


def test_split_of_a_patient_counts_for_studies_that_the_table_omits(root, tmp_path):
    """The table may have a row for each patient only."""
    shutil.copytree(root, tmp_path / "set")
    path = tmp_path / "set" / "splits.csv"
    path.write_text(path.read_text().replace("batch00,p9,study_0009,test", "batch00,p8,,test"))
    entries = read(tmp_path / "set", OPTIONS).volumes
    assert ("study_0008", "test") in {(entry.study, entry.split) for entry in entries}


@pytest.mark.parametrize("folder", ["mri", "reports"])
def test_missing_folder_is_named(root, tmp_path, folder):
    shutil.copytree(root, tmp_path / "set")
    shutil.rmtree(tmp_path / "set" / folder)
    with pytest.raises(FileNotFoundError, match=rf"has no (?:folder )?{folder}"):
        read(tmp_path / "set", OPTIONS)


def test_registry_has_the_set(root):
    assert PUBLIC_SETS["mr-rate"].target == read.__module__
    assert any(list(root.glob(mark)) for mark in MARKS)
