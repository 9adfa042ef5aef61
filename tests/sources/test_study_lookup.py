import pytest

from refrad.core.contracts import InstanceTable
from refrad.core.tables import frame_of
from refrad.privacy.pseudonyms import FileTable
from refrad.sources.reports import Report
from refrad.sources.study_lookup import StudyLookup

FILES = [("f1", "p/one.nii.gz", "s1"), ("f2", "p/two.nii.gz", "s1"), ("f3", "a\u0308/three.nii", "s2")]


def lookup(**columns):
    """A delivery of NIfTI files of two studies, with image numbers unless `columns` say otherwise."""
    files = [
        dict.fromkeys(FileTable.to_schema().columns, "")
        | {"file": f, "path": path, "study": s, "patient": "P", "patient_id": f"P-{s}", "shard": 0}
        for f, path, s in FILES
    ]
    instances = []
    for number, (file, _, study) in enumerate(FILES):
        row = dict.fromkeys(InstanceTable.to_schema().columns) | {
            "file": file,
            "frame": 0,
            "study": study,
            "volume": f"v{number}",
        }
        row |= {"patient": "P", "shard": 0, "slices": 10, "series_number": number + 1, "instance_number": 1}
        instances.append(row | {name: values[number] for name, values in columns.items()})
    return StudyLookup(frame_of(files, FileTable).lazy(), frame_of(instances, InstanceTable).lazy(), 0)


def test_report_of_another_study_is_of_none_of_its_patient():
    assert lookup().study_of(Report("R", "P-s2", "", "", "en", "text")) == "s2"
    assert lookup().study_of(Report("R", "P-s2", "", "later", "en", "text")) is None


def report(path):
    return Report("R", "", "", "", "en", "text", dicom=path)


@pytest.mark.parametrize(
    ("path", "study"),
    [
        ("p/one.nii.gz", "s1"),
        ("./ä/three.nii", "s2"),  # cells of reports have such letters composed
        ("p", "s1"),
        ("p\\one.nii.gz", "s1"),
        ("p/one.nii", None),
        ("three.nii", None),
        (".", None),
    ],
)
def test_report_finds_its_study_by_a_file_or_folder(path, study):
    assert lookup().study_of(report(path)) == study


# The first slice of a volume that is numbered from the other end has the highest number.
@pytest.mark.parametrize("first_number", [1, 10], ids=["from the first slice", "from the last"])
@pytest.mark.parametrize(
    ("first", "last", "outcome"),
    [(1, None, "found"), (10, None, "found"), (11, None, "not found"), (0, None, "not found"), (8, 14, "found")],
)
def test_reference_is_to_any_slice_of_a_numbered_volume(first_number, first, last, outcome):
    assert lookup(instance_number=[first_number] * 3).outcome("s1", 1, first, last) == outcome


def test_reference_to_a_volume_without_numbers_is_not_found():
    studies = lookup(instance_number=[None] * 3)
    assert studies.outcome("s1", 1, 5, None) == "not found"
    assert studies.outcome("s1", 1, None, None) == "found"


def test_reference_to_two_volumes_is_ambiguous():
    assert lookup().outcome("s1", None, 5, None) == "ambiguous"


def test_reference_to_a_dicom_image_is_to_its_own_number():
    studies = lookup(slices=[1, 1, 1], instance_number=[5, 6, 5])
    assert studies.outcome("s1", None, 5, None) == "found"
    assert studies.outcome("s1", 1, 6, None) == "not found"
