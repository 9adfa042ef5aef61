"""What is left of a patient is found as a whole identifier, not as a part of another one."""

import pytest

from refrad.withdrawal.traces import Traces, is_named


@pytest.mark.parametrize(
    ("content", "holds"),
    [
        ("train_1", True),
        ("train/train_1/train_1_a/train_1_a_1.nii.gz", True),
        ('{"patient_id":"train_1"}', True),
        ("train_10 train_11", False),
        ("xtrain_1", False),
        ("train_10/x train_1.zip", True),
        ("", False),
    ],
)
def test_key_with_a_separator_is_found_as_a_whole(content, holds):
    assert is_named(b"train_1", content.encode()) is holds
    assert Traces(set(), {"train_1"}, set()).is_in(content.encode()) is holds


@pytest.mark.parametrize(
    ("content", "holds"),
    [
        ("merlin_data/AC42abcdef.nii.gz", True),
        ('{"study_uid":"AC42abcdef"}', True),
        ("It is AC42abcdef.", True),
        ("AC42abcdef0.nii.gz 1.2.AC42abcdef", False),
    ],
)
def test_key_without_a_separator_is_found_as_the_name_of_a_file(content, holds):
    assert Traces(set(), {"AC42abcdef"}, set()).is_in(content.encode()) is holds


def test_traces_in_a_folder_are_the_files_of_the_patient_alone(tmp_path):
    (tmp_path / "log.txt").write_text("cannot read sub-01/ses-1/ct.nii.gz")
    (tmp_path / "other.txt").write_text("cannot read sub-011/ses-1/ct.nii.gz")
    (tmp_path / "table.csv").write_text("volume,mask\nsub-01,m.nii.gz\n")
    traces = Traces(set(), {"sub-01"}, set())
    assert [path.name for path in traces.search([tmp_path])] == ["log.txt", "table.csv"]
    assert [path.name for path in traces.search([tmp_path], [tmp_path / "table.csv"])] == ["log.txt"]


def test_sentence_is_found_inside_of_any_other_text():
    traces = Traces(set(), set(), {"Leber mit einer Zyste"})
    assert traces.is_in(b"vorLeber mit einer Zystenwand")
