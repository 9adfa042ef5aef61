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


def test_identifier_of_two_series_is_ambiguous(spill):
    spill.add("s", [header("1", "twice"), header("2", "copied"), header("3", "copied"), header("4", "once")])
    spill.add("t", [header("5", "twice"), header("6", "once", reason="localizer")])
    ambiguous = spill.ambiguous()
    assert [key for key in ("twice", "copied", "once", "none") if key in ambiguous] == ["twice"]
