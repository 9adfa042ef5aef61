"""CT-RATE as it is downloaded: which volumes and reports are used, and why the others are not."""

import csv
import shutil
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories.public_sets.ct_rate import SCANS, CtRateVolume, hounsfield, make_ct_rate, ras_affine

from refrad.language.sections import split_sections
from refrad.public_sets import ct_rate
from refrad.public_sets.base import SetOptions

BY_NAME = {volume.name: volume for volume in SCANS}
NEITHER_TRAIN_NOR_TEST = SetOptions(validation=0)


@pytest.fixture
def root(tmp_path):
    return make_ct_rate(tmp_path / "CT-RATE")


def names(tables):
    return [entry.series for entry in tables.volumes]


def edit_table(path, change):
    """Rewrite a CSV with its rows, as dicts, after a change of the list."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    rows = change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def test_volumes_have_keys_split_and_metadata(root):
    tables = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    assert tables.folder == root / "dataset"
    assert [(entry.patient, entry.study, entry.series, entry.split) for entry in tables.volumes] == [
        ("train_1", "train_1_a", "train_1_a_1", "train"),
        ("train_1", "train_1_b", "train_1_b_1", "train"),
        ("train_14384", "train_14384_a", "train_14384_a_1", "train"),
        ("train_2", "train_2_a", "train_2_a_1", "train"),
        ("valid_1", "valid_1_a", "valid_1_a_1", "test"),
    ]
    first = tables.volumes[0]
    assert first.path == "train_fixed/train_1/train_1_a/train_1_a_1.nii.gz"
    assert (first.modality, first.body_part, first.contrast) == ("CT", "CHEST", "no")
    assert (first.sex, first.age, first.study_date, first.manufacturer) == (
        "M",
        "063Y",
        "20210513",
        "Siemens Healthineers",
    )


def test_each_delivered_volume_is_used_or_has_a_reason(root):
    # 16 volumes, one without its file. Crossing: train_5 has a scan in each part.
    counts = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST).counts["volumes"]
    assert counts == {
        "delivered": 15,
        "used": 5,
        "another reconstruction": 3,  # train_1_a_2, train_2_a_2, valid_1_a_2
        "known to be unusable": 1,  # train_14384_a_2
        "no chest": 1,  # train_3_a_1
        "patient in several official splits": 2,  # train_5_a_1, train_5_b_1
        "without a distance of slices": 1,  # train_4_a_1
        "without a report": 2,  # train_7_a_1; valid_2_a_1, whose report says nothing
    }


def test_each_row_of_the_reports_is_used_or_has_a_reason(root):
    # 16 rows, less that of train_7_a_1
    counts = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST).counts["reports"]
    assert counts == {
        "delivered": 15,
        "used": 5,
        "neither findings nor impression": 1,  # valid_2_a
        "no file of its scan": 1,  # train_6_a
        "no volume of its scan is used": 4,  # train_3_a, train_4_a, train_5_a, train_5_b
        "repeats the report of its scan": 4,  # train_1_a_2, train_2_a_2, train_14384_a_2, valid_1_a_2
    }


def test_findings_name_missing_files_and_reports_that_differ(root):
    assert ct_rate.read(root, NEITHER_TRAIN_NOR_TEST).findings == [
        "1 volumes of the metadata have no file",
        "1 scans have rows of reports that differ: the first is used",
    ]


def test_reports_are_one_for_each_scan_with_the_sections_that_are_given(root):
    reports = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST).reports
    assert reports.columns == ["report_id", "study_uid", "language", "text"]
    assert reports["report_id"].to_list() == ["train_1_a", "train_1_b", "train_2_a", "train_14384_a", "valid_1_a"]
    assert set(reports["language"]) == {"en"} and reports["study_uid"].to_list() == reports["report_id"].to_list()
    text = dict(reports.select("report_id", "text").iter_rows())
    assert [(section, body) for section, body in split_sections(text["train_1_a"])] == [
        ("indication", "Cough."),
        ("technique", "Non-contrast chest CT."),
        ("findings", "Trachea is open. A nodule is seen, in the left lung."),
        ("impression", 'Nodule, "4 mm".'),
    ]
    assert [section for section, _ in split_sections(text["train_1_b"])] == ["technique", "findings"]
    assert "The heart is enlarged.\nThe lungs are clear." in text["train_1_b"]
    assert not [name for name, body in text.items() if "not given" in body.lower()]


def test_the_first_row_of_a_scan_whose_rows_differ_is_used(root):
    reports = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST).reports
    (text,) = reports.filter(report_id="train_2_a")["text"]
    assert "4 mm" in text and "Another impression" not in text


def test_reconstructions_are_chosen_by_kernel_not_by_number(root):
    tables = ct_rate.read(root, SetOptions(reconstruction="br40", validation=0))
    # of train_2_a the second reconstruction has the kernel; of all others the first
    assert names(tables) == ["train_1_a_1", "train_1_b_1", "train_14384_a_1", "train_2_a_2", "valid_1_a_1"]
    sharp = ct_rate.read(root, SetOptions(reconstruction="Bl57", validation=0))
    assert names(sharp) == ["train_1_a_2", "train_2_a_1", "valid_1_a_2"]
    assert sharp.counts["volumes"]["another kernel"] == 5
    assert sharp.reports["study_uid"].to_list() == ["train_1_a", "train_2_a", "valid_1_a"]


def test_first_reconstruction_is_the_lowest_number_not_the_first_name(tmp_path):
    # "train_1_a_10" comes before "train_1_a_2" by its letters
    two, ten = (BY_NAME["train_1_a_1"]._replace(name=f"train_1_a_{number}") for number in (2, 10))
    root = make_ct_rate(tmp_path, volumes=(ten, two, BY_NAME["valid_1_a_1"]))
    assert names(ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)) == ["train_1_a_2", "valid_1_a_1"]


def test_all_reconstructions_share_study_and_report(root):
    tables = ct_rate.read(root, SetOptions(reconstruction="all", validation=0))
    assert [name for name in names(tables) if name.startswith("train_1_a")] == ["train_1_a_1", "train_1_a_2"]
    assert "another reconstruction" not in tables.counts["volumes"]
    assert len(tables.reports) == 5


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("train_14384_a_2", "known to be unusable"),
        ("valid_251_a_2", "known to be unusable"),
        ("train_1267_a_4", "without a distance of slices"),
        ("train_11755_a_3", "without a distance of slices"),
        ("train_11755_a_4", "without a distance of slices"),
    ],
)
def test_volumes_known_to_be_broken_are_left_out_whatever_the_metadata_say(tmp_path, name, reason):
    broken = BY_NAME["train_1_a_1"]._replace(name=name, folder=name[:5])
    neighbour = broken._replace(name=f"{broken.scan}_5")
    tables = ct_rate.read(make_ct_rate(tmp_path, volumes=(broken, neighbour)), NEITHER_TRAIN_NOR_TEST)
    assert names(tables) == [neighbour.name] and tables.counts["volumes"][reason] == 1


@st.composite
def made_up_volumes(draw):
    """Volumes of few patients, scans and reconstructions, each in any folder, with or without what it needs."""
    keys = st.tuples(st.sampled_from(["train", "valid"]), st.integers(1, 3), st.sampled_from("ab"), st.integers(1, 3))
    volumes = [
        CtRateVolume(
            "_".join(map(str, key)),
            kernel=draw(st.sampled_from(["Br40d", "Bl57d"])),
            folder=draw(st.sampled_from([key[0], key[0], "train", "valid"])),
            z_spacing=draw(st.sampled_from(["1.5", "1.5", "1.5", "", "0", "nan"])),
            has_file=draw(st.integers(0, 4)) > 0,
            has_report=draw(st.integers(0, 4)) > 0,
        )
        for key in draw(st.lists(keys, min_size=1, max_size=12, unique=True))
    ]
    return (*volumes, CtRateVolume("train_9_a_1", "Br40d"), CtRateVolume("valid_9_a_1", "Bl57d", folder="valid"))


@settings(max_examples=40)
@given(made_up_volumes(), st.sampled_from(["first", "all", "br40"]), st.booleans())
def test_any_set_becomes_a_consistent_delivery(volumes, reconstruction, resplit):
    with tempfile.TemporaryDirectory() as folder:
        root = make_ct_rate(Path(folder), volumes=volumes)
        tables = ct_rate.read(root, SetOptions(reconstruction, resplit, validation=0.5))
        assert all((tables.folder / entry.path).is_file() for entry in tables.volumes)
    by_name = {volume.name: volume for volume in volumes}
    for entry in tables.volumes:
        volume = by_name[entry.series]
        assert (entry.study, entry.patient) == (volume.scan, volume.patient) and volume.z_spacing == "1.5"
        assert reconstruction != "br40" or volume.kernel == "Br40d"
    studies = [entry.study for entry in tables.volumes]
    assert reconstruction == "all" or len(set(studies)) == len(studies)
    assert sorted(tables.reports["study_uid"]) == sorted(set(studies))
    patients = {(entry.patient, entry.split) for entry in tables.volumes}
    assert len(patients) == len({patient for patient, _ in patients})
    assert {split for _, split in patients} <= {"train", "validation", "test"}
    files, rows = sum(volume.has_file for volume in volumes), sum(volume.has_report for volume in volumes)
    for kind, total, used in (("volumes", files, len(studies)), ("reports", rows, len(tables.reports))):
        counts = dict(tables.counts[kind])
        assert (counts.pop("delivered"), counts["used"]) == (total, used) and sum(counts.values()) == total
    if resplit:
        assert "patient in several official splits" not in tables.counts["volumes"]


@pytest.mark.parametrize(
    ("distance", "is_used"), [("0.5", True), ("5", True), ("0", False), ("-1", False), ("x", False)]
)
def test_volumes_need_a_distance_between_slices(tmp_path, distance, is_used):
    volume = BY_NAME["train_1_a_1"]._replace(z_spacing=distance)
    tables = ct_rate.read(make_ct_rate(tmp_path, volumes=(volume, BY_NAME["valid_1_a_1"])), NEITHER_TRAIN_NOR_TEST)
    assert ("train_1_a_1" in names(tables)) == is_used


def test_kernel_of_no_volume_is_refused_with_those_there_are(root):
    with pytest.raises(ValueError, match=r"no volume has such a kernel.*Br40d"):
        ct_rate.read(root, SetOptions(reconstruction="B30f"))


def test_patients_that_cross_splits_get_one_if_asked(root):
    tables = ct_rate.read(root, SetOptions(resplit=True, validation=0))
    splits = {entry.study: entry.split for entry in tables.volumes if entry.patient == "train_5"}
    assert splits.keys() == {"train_5_a", "train_5_b"} and len(set(splits.values())) == 1
    assert set(splits.values()) < {"train", "test"}
    assert tables.crossing == ct_rate.read(root, SetOptions()).crossing == 1


def test_a_share_of_the_training_patients_validates(root):
    assert {entry.split for entry in ct_rate.read(root, SetOptions(validation=0.999)).volumes} == {"validation", "test"}


def test_version_2_is_never_corrected(root):
    for entry in ct_rate.read(root, SetOptions(reconstruction="all")).volumes:
        assert (entry.affine, entry.slope, entry.intercept) == ("", None, None)


def test_version_1_takes_geometry_and_rescale_from_the_metadata(tmp_path):
    root = make_ct_rate(tmp_path, version=1)
    entries = ct_rate.read(root, SetOptions(reconstruction="all", validation=0)).volumes
    assert len(entries) == 8
    for entry in entries:
        volume = BY_NAME[entry.series]
        stored = np.asarray(nib.load(root / "dataset" / entry.path).dataobj, np.float64)
        affine = np.array(entry.affine.split(), float).reshape(3, 4)
        np.testing.assert_allclose(affine, ras_affine(volume)[:3], atol=1e-6)
        np.testing.assert_array_equal(entry.slope * stored + entry.intercept, hounsfield(volume))


def test_affine_of_version_1_by_hand(tmp_path):
    # Position (-100, -90, -200) LPS+ is (100, 90, -200) RAS+; rows go to the left (LPS +x, RAS -x), columns to the back, slices to
    # the head, 0.7, 0.7 and 1.5 mm apart. Of the prone patient, rows go to the right and columns to the front.
    root = make_ct_rate(tmp_path, version=1)
    affines = {entry.series: entry.affine for entry in ct_rate.read(root, SetOptions(validation=0)).volumes}
    assert affines["train_1_a_1"] == "-0.7 0 0 100 0 -0.7 0 90 0 0 1.5 -200"
    assert affines["train_1_b_1"] == "0.7 0 0 100 0 0.7 0 90 0 0 1.5 -200"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("XYSpacing", "[0.7]"),
        ("XYSpacing", "[0.0, 0.0]"),
        ("ImagePositionPatient", "nan"),
        ("ImageOrientationPatient", "[1, 0, 0, 1, 0, 0]"),
    ],
)
def test_version_1_without_a_geometry_is_left_out(tmp_path, column, value):
    root = make_ct_rate(tmp_path, version=1)
    path = root / "dataset" / "metadata" / "validation_metadata.csv"
    edit_table(path, lambda rows: [row | {column: value} for row in rows])
    tables = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    assert not [name for name in names(tables) if name.startswith("valid")]
    assert tables.counts["volumes"]["without a geometry in the metadata"] == 4  # all of the part


def test_version_1_without_a_rescale_is_left_out(tmp_path):
    root = make_ct_rate(tmp_path, version=1)
    path = root / "dataset" / "metadata" / "train_metadata.csv"
    edit_table(
        path,
        lambda rows: [row | {"RescaleIntercept": "" if "train_2" in row["VolumeName"] else "-1024"} for row in rows],
    )
    tables = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    assert tables.counts["volumes"]["without a rescale in the metadata"] == 2 and "train_2_a_1" not in names(tables)


def test_the_corrected_version_is_used_where_both_are_there(root):
    make_ct_rate(root, version=1)
    tables = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    assert all("_fixed/" in entry.path and entry.affine == "" for entry in tables.volumes)
    assert tables.counts["volumes"]["delivered"] == 15
    assert [finding for finding in tables.findings if "corrected version" in finding] == [
        "dataset/train is not used: dataset/train_fixed is its corrected version",
        "dataset/valid is not used: dataset/valid_fixed is its corrected version",
    ]


def test_a_part_that_is_not_downloaded_is_a_finding(root):
    shutil.rmtree(root / "dataset" / "train_fixed")
    (root / "dataset" / "metadata" / "train_metadata.csv").unlink()
    tables = ct_rate.read(root, SetOptions())
    # the file train_5_b_1 is in the part valid, and its patient has no other
    assert names(tables) == ["train_5_b_1", "valid_1_a_1"] and {entry.split for entry in tables.volumes} == {"test"}
    assert tables.findings[0] == "dataset/train_fixed has no volumes: nothing of the train split is used"


def test_version_1_is_used_if_the_folder_of_version_2_is_empty(tmp_path):
    root = make_ct_rate(tmp_path, version=1)
    (root / "dataset" / "train_fixed" / "train_1").mkdir(parents=True)  # a download that has just begun
    tables = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    assert tables.counts["volumes"]["delivered"] == 15
    assert names(tables) and all("_fixed/" not in entry.path and entry.affine for entry in tables.volumes)
    assert not any("corrected version" in finding for finding in tables.findings)


@pytest.mark.parametrize(("column", "other"), [("XYSpacing", "[0.9, 0.9]"), ("RescaleIntercept", "-1000.0")])
@pytest.mark.parametrize("version", [1, 2])
def test_version_1_with_contradictory_rows_of_metadata_is_left_out(tmp_path, version, column, other):
    root = make_ct_rate(tmp_path, version=version)
    table = root / "dataset" / "metadata" / "validation_metadata.csv"
    edit_table(table, lambda rows: [*rows, *(row | {column: other} for row in rows if "valid_1_a_1" in str(row))])
    counts = ct_rate.read(root, SetOptions()).counts["volumes"]
    assert counts.get("with several geometries or rescales in the metadata", 0) == (version == 1)


@pytest.mark.parametrize("place", ["", "dataset", "dataset/lists"])
@pytest.mark.parametrize(
    "line", ["train_3_a_1.nii.gz", "train_3_a_1", "dataset/train/train_3/train_3_a/train_3_a_1.nii.gz", "train_3_a"]
)
def test_lists_of_no_chest_are_found_wherever_they_are(root, place, line):
    (root / "dataset" / "metadata" / "no_chest_train.txt").unlink()
    (root / place).mkdir(exist_ok=True)
    (root / place / "no_chest_train.txt").write_text(f"\n{line}\r\n", encoding="utf-8")
    assert ct_rate.read(root, SetOptions()).counts["volumes"]["no chest"] == 1


def test_missing_lists_of_no_chest_are_a_finding(root):
    for path in (root / "dataset" / "metadata").glob("no_chest*"):
        path.unlink()
    tables = ct_rate.read(root, SetOptions())
    assert "train_3_a_1" in names(tables)
    assert (
        "no_chest_train.txt and no_chest_valid.txt are not there: volumes of other regions cannot be left out"
        in tables.findings
    )


def test_missing_list_of_one_part_is_a_finding_if_the_part_is_used(root):
    (root / "dataset" / "metadata" / "no_chest_train.txt").unlink()
    missing = "no_chest_train.txt is not there: volumes of other regions cannot be left out"
    assert missing in ct_rate.read(root, SetOptions()).findings
    shutil.rmtree(root / "dataset" / "train_fixed")
    assert missing not in ct_rate.read(root, SetOptions()).findings


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("radiology_text_reports/train_reports.csv", "Findings_EN"),
        ("metadata/validation_metadata.csv", "RescaleSlope"),
        ("metadata/train_metadata.csv", "VolumeName"),
    ],
)
def test_missing_column_is_named(root, table, column):
    path = root / "dataset" / table
    path.write_text(path.read_text(encoding="utf-8").replace(column, "x", 1), encoding="utf-8")
    with pytest.raises(ValueError, match=f'^{path.name}: line 1: has no column "{column}";'):
        ct_rate.read(root, SetOptions())


@pytest.mark.parametrize("table", ["radiology_text_reports/train_reports.csv", "metadata/validation_metadata.csv"])
def test_missing_table_is_named(root, table):
    (root / "dataset" / table).unlink()
    with pytest.raises(FileNotFoundError, match=table):
        ct_rate.read(root, SetOptions())


def test_masks_are_found_by_the_name_of_their_volume(root):
    tables = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    assert tables.mask_folder == root / "dataset" / "ts_seg" / "ts_total"
    assert tables.masks == {entry.path: entry.path for entry in tables.volumes}


def test_masks_of_other_names_folders_and_numbers(root):
    masks = root / "dataset" / "ts_seg" / "ts_total"
    shutil.move(masks / "train_fixed" / "train_1", masks / "moved")
    first = masks / "moved" / "train_1_a" / "train_1_a_1.nii.gz"
    first.rename(first.with_name("train_1_a_12.nii.gz"))  # of another volume
    second = masks / "moved" / "train_1_b" / "train_1_b_1.nii.gz"
    second.rename(masks / "seg_train_1_b_1_total.nii.gz")
    folder = masks / "train_fixed" / "train_2" / "train_2_a" / "train_2_a_1"
    folder.mkdir()
    shutil.move(folder.with_suffix(".nii.gz"), folder / "liver.nii.gz")
    shutil.copy(folder / "liver.nii.gz", folder / "spleen.nii.gz")
    shutil.copy(folder / "liver.nii.gz", masks / "valid_1_a_1_old.nii.gz")  # not in a folder valid_fixed
    shutil.copy(folder / "liver.nii.gz", masks / "train_fixed" / "train_14384_a_1.nii.gz")
    tables = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    by_name = {entry.series: tables.masks.get(entry.path) for entry in tables.volumes}
    assert by_name == {
        "train_1_a_1": None,
        "train_1_b_1": "seg_train_1_b_1_total.nii.gz",
        "train_2_a_1": "train_fixed/train_2/train_2_a/train_2_a_1",
        "valid_1_a_1": "valid_fixed/valid_1/valid_1_a/valid_1_a_1.nii.gz",
        "train_14384_a_1": None,
    }
    assert tables.findings[-2:] == [
        "1 volumes that are used have several masks, of which none is taken",
        "2 volumes that are used have no mask",
    ]


def test_masks_of_lesions_are_no_masks_of_organs(root):
    masks = root / "dataset" / "ts_seg"
    (masks / "ts_total").rename(masks / "ts_lung_nodules")
    tables = ct_rate.read(root, SetOptions())
    assert tables.masks == {} and tables.mask_folder is None


def test_masks_of_lesions_are_refused_and_those_of_organs_are_found_beside_them(root):
    masks = root / "dataset" / "ts_seg"
    shutil.copytree(masks / "ts_total", masks / "ts_lung_nodules")
    usual = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    beside = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST._replace(masks=masks))
    assert (beside.masks, beside.mask_folder) == (usual.masks, masks / "ts_total")
    # Their label 1 would be read as the first organ of TotalSegmentator.
    with pytest.raises(ValueError, match="ts_lung_nodules holds masks of lesions"):
        ct_rate.read(root, SetOptions(masks=masks / "ts_lung_nodules"))
    shutil.rmtree(masks / "ts_total")
    with pytest.raises(ValueError, match="ts_lung_nodules holds masks of lesions"):
        ct_rate.read(root, SetOptions(masks=masks))
    assert ct_rate.read(root, SetOptions()).masks == {}


def test_volumes_that_only_version_1_has_are_counted(root):
    make_ct_rate(root, version=1)
    for scan in ("train_1_b", "train_5_a"):
        shutil.rmtree(next((root / "dataset" / "train_fixed").glob(f"*/{scan}")))
    (finding,) = [text for text in ct_rate.read(root, SetOptions()).findings if text.startswith("dataset/train ")]
    assert finding == (
        "dataset/train is not used: dataset/train_fixed is its corrected version, which lacks 2 of its volumes"
    )


def test_unknown_names_and_second_copies_are_counted(root):
    valid = root / "dataset" / "valid_fixed"
    volume = valid / "valid_1" / "valid_1_a" / "valid_1_a_1.nii.gz"
    shutil.copy(volume, valid / "scout.nii.gz")
    shutil.copy(volume, valid / "valid_1_a_1.nii")
    shutil.copy(volume, valid / ".valid_1_a_3.nii.gz")  # a download that has not ended
    counts = ct_rate.read(root, SetOptions()).counts["volumes"]
    assert counts["delivered"] == 17
    assert (counts["name of no volume"], counts["name of an earlier file"]) == (1, 1)


def test_folders_on_another_disk_are_followed_through_links(root, tmp_path):
    usual = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    for number, folder in enumerate(("train_fixed/train_1", "valid_fixed", "ts_seg/ts_total/train_fixed")):
        (root / "dataset" / folder).rename(tmp_path / str(number))
        (root / "dataset" / folder).symlink_to(tmp_path / str(number))
    (root / "dataset" / "train_fixed" / "train_2" / "loop").symlink_to(root / "dataset" / "train_fixed")
    linked = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    assert (linked.volumes, linked.masks, linked.counts) == (usual.volumes, usual.masks, usual.counts)


def test_slices_are_those_of_the_metadata(root):
    # five volumes of six slices
    assert ct_rate.read(root, SetOptions()).slices == 30


def test_estimate_counts_the_volumes_of_the_metadata_before_they_are_downloaded(root):
    downloaded = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    for folder in ("train_fixed", "valid_fixed", "ts_seg"):
        shutil.rmtree(root / "dataset" / folder)
    with pytest.raises(FileNotFoundError, match="download them"):
        ct_rate.read(root, NEITHER_TRAIN_NOR_TEST)
    estimated = ct_rate.read(root, NEITHER_TRAIN_NOR_TEST._replace(is_estimate=True))
    listed = sum(
        len((root / "dataset" / "metadata" / f"{part}_metadata.csv").read_text().splitlines()) - 1
        for part in ("train", "validation")
    )
    assert estimated.counts["volumes"]["delivered"] == listed
    assert set(names(downloaded)) <= set(names(estimated))
    assert estimated.slices and estimated.slices >= downloaded.slices
