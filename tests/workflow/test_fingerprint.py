import pytest

from refrad.workflow.fingerprint import Fingerprint, compose, content_digest, stage_version


def test_a_fingerprint_survives_the_trip_through_the_command_line():
    fingerprint = Fingerprint("structures", 2, {"schema": "a b.yaml", "minimum_share": 0.5}, {"schema": "ff"})
    assert Fingerprint.parse(fingerprint.text) == fingerprint


def test_what_is_no_fingerprint_is_refused():
    with pytest.raises(ValueError, match="not a fingerprint"):
        Fingerprint.parse("{}")


def test_comments_and_layout_of_a_schema_do_not_count(tmp_path):
    (tmp_path / "a.yaml").write_text("classes: {liver: 5}  # the liver\n")
    (tmp_path / "b.yaml").write_text("classes:\n  liver: 5\n")
    (tmp_path / "c.yaml").write_text("classes:\n  liver: 6\n")
    digests = [content_digest(tmp_path / name) for name in ("a.yaml", "b.yaml", "c.yaml")]
    assert digests[0] == digests[1] != digests[2]


def test_options_in_another_order_are_the_same_options(tmp_path):
    (tmp_path / "s.yaml").write_text("x: 1")
    files = {"schema": tmp_path / "s.yaml"}
    assert compose("index", {"a": 1, "b": 2}, files).text == compose("index", {"b": 2, "a": 1}, files).text


def test_every_stage_has_a_version():
    from refrad.workflow.stages import STAGES

    assert all(stage_version(stage) >= 1 for stage in STAGES)
