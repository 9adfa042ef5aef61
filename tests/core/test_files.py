import pytest

from refrad.core.files import atomic, digest_bytes, digest_file, write_json


def test_a_crash_while_writing_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "deep" / "value.json"
    write_json(path, 1)

    def crash():
        with atomic(path) as temporary:
            temporary.write_text("half of it")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert path.read_text() == "1\n"
    assert [p.name for p in path.parent.iterdir()] == ["value.json"]


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with atomic(tmp_path / "a.nii.gz") as temporary:
        assert temporary.name.endswith("a.nii.gz")
        assert temporary.parent == tmp_path
        temporary.touch()


def test_the_digest_tells_parts_from_their_concatenation(tmp_path):
    assert digest_bytes(b"ab", b"c") != digest_bytes(b"a", b"bc")
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "y").write_bytes(b"abc")
    assert digest_file(tmp_path / "x") == digest_file(tmp_path / "y")
