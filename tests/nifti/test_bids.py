import json

import pytest

from refrad.config import VolumeFiles
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


def test_broken_metadata_lose_no_image(tmp_path):
    make(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text("")
    (tmp_path / "sub-01/anat/sub-01_T1w.json").write_text('["{')
    assert read(tmp_path)["sub-01/anat/sub-01_T1w.nii.gz"].problem == ""


def test_folder_that_is_no_dataset_is_refused(tmp_path):
    make(tmp_path, "a/T1w.nii.gz")
    with pytest.raises(ValueError, match=r"is no BIDS dataset.*deliveries\.volumes"):
        read(tmp_path)
