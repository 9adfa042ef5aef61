import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from tests.factories.dicom import write_dicom

from refrad.dicom.scan import headers_of_file
from refrad.dicom.times import TIME_KEYWORDS, times_of

NOON = 12 * 3600


def seconds(**values):
    """The times of an image with these attributes."""
    assert values.keys() <= set(TIME_KEYWORDS)
    return times_of({keyword: [value] for keyword, value in values.items()})


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("120000", NOON),
        ("120000.25", NOON + 0.25),
        ("12:00:01.5", NOON + 1.5),
        ("1201", NOON + 60),
        ("12", NOON),
        ("", None),
        ("noon", None),
    ],
)
def test_time_of_the_day_is_seconds_since_midnight(time, expected):
    assert seconds(AcquisitionTime=time)[1] == expected
    assert seconds(ContentTime=time)[2] == expected


def test_dates_make_midnight_a_second_like_any_other():
    before = seconds(
        AcquisitionDate="20240228", AcquisitionTime="235959.5", ContentDate="20231231", ContentTime="235959"
    )
    after = seconds(
        AcquisitionDate="20240229", AcquisitionTime="000000.5", ContentDate="20240101", ContentTime="000000"
    )
    assert [later - earlier for earlier, later in zip(before[1:3], after[1:3], strict=True)] == [1, 1]


@pytest.mark.parametrize("keyword", ["FrameAcquisitionDateTime", "FrameReferenceDateTime", "AcquisitionDateTime"])
def test_date_and_time_in_one_equal_separate_ones(keyword):
    moment = seconds(**{keyword: "20240229120000.250000+0100"})[0]
    assert moment == seconds(AcquisitionDate="20240229", AcquisitionTime="120000.25")[1]


def test_time_of_a_frame_wins_over_that_of_the_file():
    frame, file = {"FrameAcquisitionDateTime": "20240229120001"}, {"AcquisitionDateTime": "20240229120000"}
    assert seconds(**frame, **file) == seconds(**frame)


@pytest.mark.parametrize("day", ["20241399", "2024", ""])
def test_invalid_date_counts_as_none(day):
    assert seconds(AcquisitionDate=day, AcquisitionTime="12") == seconds(AcquisitionTime="12")


def test_offset_of_a_temporal_position_is_a_time():
    assert seconds(TemporalPositionTimeOffset=1.5) == (None, None, None, 1.5)


def test_header_of_a_file_has_its_times_and_decimals(tmp_path):
    written = {"AcquisitionDate": "20240229", "AcquisitionTime": "120000", "ContentTime": "120001"}
    write_dicom(
        tmp_path / "0.dcm", np.zeros((4, 4), np.uint16), ImagePositionPatient=["1", "-2.50", "1.25e1"], **written
    )
    (header,) = headers_of_file(tmp_path, "0.dcm")
    assert header.decimals == (0, 1, 1)
    assert header.times == seconds(**written)


def test_frames_have_times_and_offsets_of_their_own(tmp_path):
    def frame(number):
        group, content, offset = Dataset(), Dataset(), Dataset()
        content.FrameAcquisitionDateTime = f"2024022912000{number}"
        offset.TemporalPositionTimeOffset = 1.5 * number
        group.FrameContentSequence, group.TemporalPositionSequence = Sequence([content]), Sequence([offset])
        return group

    frames = {"PerFrameFunctionalGroupsSequence": Sequence([frame(0), frame(1)])}
    write_dicom(tmp_path / "0.dcm", np.zeros((2, 4, 4), np.uint16), AcquisitionDateTime="20240229110000", **frames)
    first, second = (header.times for header in headers_of_file(tmp_path, "0.dcm"))
    assert (second[0] - first[0], second[3] - first[3]) == (1, 1.5)
