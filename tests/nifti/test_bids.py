import errno
import json
import os

import pytest

from refrad.config import VolumeFiles
from refrad.nifti import bids
from refrad.nifti.volume_entry import VolumeEntry
from refrad.nifti.volume_list import read_entries


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def read(folder):
    return {entry.path: entry for entry in read_entries(VolumeFiles(folder=str(folder)))}


def test_keys_are_subject_session_and_the_rest_of_the_name(tmp_path):
    make(
        tmp_path,
        "sub-01/ses-02/anat/sub-01_ses-02_acq-3T_run-1_T1w.nii.gz",
        "sub-03/anat/sub-03_FLAIR.nii",
        "sub-03/ct/sub-03_ct.nii.gz",
    )
    assert set(read(tmp_path).values()) == {
        VolumeEntry(
            "sub-01/ses-02/anat/sub-01_ses-02_acq-3T_run-1_T1w.nii.gz",
            "sub-01",
            "sub-01_ses-02",
            "acq-3T_run-1_T1w",
            "MR",
        ),
        VolumeEntry("sub-03/anat/sub-03_FLAIR.nii", "sub-03", "sub-03", "FLAIR", "MR"),
        VolumeEntry("sub-03/ct/sub-03_ct.nii.gz", "sub-03", "sub-03", "ct", "CT"),
    }


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("derivatives/fmriprep/sub-01/anat/sub-01_T1w.nii.gz", "bids_derivative"),
        ("sourcedata/sub-01/anat/sub-01_T1w.nii.gz", "bids_derivative"),
        ("sub-01/func/sub-01_task-rest_bold.nii.gz", "bids_kind"),
        ("sub-01/dwi/sub-01_dwi.nii.gz", "bids_kind"),
        ("sub-01/fmap/sub-01_T1w.nii.gz", "bids_kind"),
        ("sub-01/anat/sub-01_part-phase_T2starw.nii.gz", "bids_kind"),
        ("sub-01/anat/sub-01_T1map.nii.gz", "bids_kind"),
        ("sub-01/anat/sub-01_mod-T1w_defacemask.nii.gz", "bids_kind"),
        ("sub-01/old/ct/sub-01_ct.nii.gz", "not_named"),
        ("sub-01/anat/sub-02_T1w.nii.gz", "not_named"),  # whose image is it?
        ("sub-01/anat/sub-01_ses-1_T1w.nii.gz", "not_named"),
        ("sub-01/anat/._sub-01_T1w.nii.gz", "not_named"),
    ],
)
def test_other_files_are_delivered_with_their_reason(tmp_path, name, problem):
    make(tmp_path, "dataset_description.json", name)
    assert read(tmp_path)[name].problem == problem


def test_metadata_are_those_of_the_tables_and_of_the_sidecar(tmp_path):
    name = "sub-01/ses-1/anat/sub-01_ses-1_T1w"
    make(tmp_path, f"{name}.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t63\tF\nsub-02\tn/a\tn/a\n")
    (tmp_path / "sub-01/sub-01_sessions.tsv").write_text("session_id\tacq_time\nses-1\t2009-06-15T13:45:30\n")
    (tmp_path / "sub-01/ses-1/sub-01_ses-1_scans.tsv").write_text(
        "filename\tacq_time\nanat/sub-01_ses-1_T1w.nii.gz\t2009-06-16T08:00:00\n"
    )
    sidecar = {"Manufacturer": "Siemens", "BodyPartExamined": "BRAIN", "SeriesNumber": 4}
    (tmp_path / f"{name}.json").write_text(json.dumps(sidecar))
    entries = read(tmp_path)
    entry = entries[f"{name}.nii.gz"]
    assert (entry.age, entry.sex, entry.study_date) == ("063Y", "F", "20090616")
    assert (entry.manufacturer, entry.body_part, entry.series_number) == ("Siemens", "BRAIN", 4)
    other = entries["sub-02/anat/sub-02_T1w.nii.gz"]
    assert (other.age, other.sex, other.study_date, other.series_number) == ("", "", "", None)


def test_sidecar_values_are_inherited(tmp_path):
    # The example of the specification: a file holds for images of its suffix, at its level or below, that have all its entities.
    folder = "sub-01/ses-1/anat"
    images = [f"{folder}/sub-01_ses-1_{name}.nii.gz" for name in ("acq-a_T1w", "acq-ab_T1w", "T1w", "T2w")]
    make(tmp_path, *images, "sub-02/anat/sub-02_T1w.nii")
    sidecars = {
        "T1w.json": {"Manufacturer": "Siemens", "BodyPartExamined": "BRAIN", "SeriesNumber": 9},
        "acq-a_T1w.json": {"ContrastBolusIngredient": "GADOLINIUM"},
        "sub-01/sub-01_T1w.json": {"Manufacturer": "Philips"},
        f"{folder}/sub-01_ses-1_T1w.json": {"BodyPartExamined": "HEAD", "SeriesNumber": 3},
        "sub-02/sub-01_T1w.json": {"Manufacturer": "GE"},
    }
    for name, values in sidecars.items():
        (tmp_path / name).write_text(json.dumps(values))
    entries = read(tmp_path)
    values = {
        entry.path: (entry.manufacturer, entry.body_part, entry.contrast, entry.series_number)
        for entry in entries.values()
    }
    assert [values[image] for image in images] == [
        ("Philips", "HEAD", "yes", None),
        ("Philips", "HEAD", "", None),  # acq-a is no part of acq-ab
        ("Philips", "HEAD", "", 3),  # a number that several images inherit is that of none
        ("", "", "", None),
    ]
    assert values["sub-02/anat/sub-02_T1w.nii"] == ("Siemens", "BRAIN", "", None)


@pytest.mark.parametrize(("units", "age"), [(None, "018Y"), ("years", "018Y"), ("Months", ""), ("weeks", "")])
def test_ages_in_another_unit_are_no_years(tmp_path, units, age):
    make(tmp_path, "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t18\tF\n")
    (tmp_path / "sub-01/sub-01_sessions.tsv").write_text("session_id\tage\tsex\nses-1\tn/a\tn/a\n")
    if units:
        (tmp_path / "participants.json").write_text(json.dumps({"age": {"Units": units}}))
    (entry,) = read(tmp_path).values()
    assert (entry.age, entry.sex) == (age, "F")


@pytest.mark.parametrize(("agent", "contrast"), [("IODINE", "yes"), ("NONE", "no"), ("n/a", ""), ("", "")])
def test_contrast_is_that_of_the_agent(tmp_path, agent, contrast):
    make(tmp_path, "sub-01/ct/sub-01_ct.nii")
    (tmp_path / "sub-01/ct/sub-01_ct.json").write_text(json.dumps({"ContrastBolusIngredient": agent}))
    (entry,) = read(tmp_path).values()
    assert entry.contrast == contrast


def test_broken_metadata_lose_no_image(tmp_path):
    make(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text("")
    (tmp_path / "sub-01/anat/sub-01_T1w.json").write_text('["{')
    assert read(tmp_path)["sub-01/anat/sub-01_T1w.nii.gz"].problem == ""


def test_failing_storage_of_a_table_is_told_without_its_name(tmp_path, monkeypatch):
    """Tables of visits are named after the subject."""
    make(tmp_path, "sub-Meyer/ses-1/anat/sub-Meyer_ses-1_T1w.nii.gz")
    (tmp_path / "sub-Meyer" / "sub-Meyer_sessions.tsv").write_text("session_id\tage\nses-1\t63\n")

    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(bids, "charset_of", fail)
    with pytest.raises(OSError, match="a file or folder of the delivery: Input/output error") as error:
        read(tmp_path)
    assert "Meyer" not in str(error.value) and error.value.__suppress_context__


def test_folder_that_is_no_dataset_is_refused(tmp_path):
    make(tmp_path, "a/T1w.nii.gz")
    with pytest.raises(ValueError, match=r"is no BIDS dataset.*deliveries\.volumes"):
        read(tmp_path)
