import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.dicom.header_spool import HeaderSpool
from refrad.dicom.headers import Header


def header(path, instance="i", frame=0, reason=None):
    position = (0.0, 0.5, -1.0)
    return Header(path, frame, reason=reason, modality="CT", instance_uid=instance, position=position, echo_time=None)


@pytest.fixture
def spill(tmp_path):
    spool = HeaderSpool(tmp_path / "headers")
    yield spool
    spool.close()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text("xyz/ä", min_size=1)), unique=True, max_size=20))
def test_spooled_headers_return_by_series_in_path_order(tmp_path_factory, images):
    spill = HeaderSpool(tmp_path_factory.mktemp("spill") / "headers")
    for series, path in images:
        spill.add(series, [header(path)])
    spooled = [(series, headers) for series, headers in spill.series()]
    spill.close()
    assert [series for series, _ in spooled] == sorted({series for series, _ in images})
    for series, headers in spooled:
        assert {h.path for h in headers} == {path for key, path in images if key == series}
        assert [h.path.encode() for h in headers] == sorted(h.path.encode() for h in headers)
        assert headers == [header(h.path) for h in headers]


def test_spooled_frames_keep_their_order(spill):
    spill.add("s", [header("f", frame=number) for number in (2, 0, 11, 1)])
    ((_, headers),) = spill.series()
    assert [h.frame for h in headers] == [0, 1, 2, 11]


def study(number, images, patient="P", series="1", frames=1):
    changes = {"modality": "CT", "patient_id": patient, "study_uid": f"s{number}", "series_uid": series}
    return [Header(f"{number}/{i}", instance_uid=f"{number}.{i}", frames=frames, **changes) for i in range(images)]


@pytest.mark.parametrize(
    ("images", "patient", "expected"),
    [
        ([1] * 10, "P", True),
        ([1, 1, 1], "P", True),
        ([1] * 10, "", True),
        ([6, *[1] * 20], "P", True),
        ([2] * 5, "P", True),
        ([3] * 5, "P", False),
        ([1, 1], "P", False),
        ([20, 20], "P", False),
        ([20, 20, 20], "", False),
        ([20, 1, 1, 1], "P", False),
    ],
)
def test_series_with_a_study_for_each_image_is_scattered(images, patient, expected, spill):
    for number, count in enumerate(images):
        spill.add(f"k{number}", study(number, count, patient))
    assert (study(0, 1, patient)[0].unified_series_key in spill.scattered()) is expected


def test_one_series_uid_of_several_patients_is_not_scattered(spill):
    headers = [header for number in range(9) for header in study(number, 1, f"P{number}")]
    for number, header in enumerate(headers):
        spill.add(f"k{number}", [header])
    scattered = spill.scattered()
    assert not any(header.unified_series_key in scattered for header in headers)


def test_series_without_uid_and_unusable_images_are_not_scattered(spill):
    localizers = [header._replace(reason="localizer") for number in range(9) for header in study(number, 1)]
    without_uid = [header for number in range(9) for header in study(number, 1, series="")]
    for number, header in enumerate(localizers + without_uid):
        spill.add(f"k{number}", [header])
    scattered = spill.scattered()
    assert not any(header.unified_series_key in scattered for header in localizers + without_uid)


def test_identifier_of_two_series_is_ambiguous(spill):
    spill.add("s", [header("1", "twice"), header("2", "copied"), header("3", "copied"), header("4", "once")])
    spill.add("t", [header("5", "twice"), header("6", "once", reason="localizer")])
    ambiguous = spill.ambiguous()
    assert [key for key in ("twice", "copied", "once", "none") if key in ambiguous] == ["twice"]
