import stat

import pytest

from refrad.privacy.storage_errors import StorageErrors


def test_names_are_written_for_the_owner_alone_up_to_the_limit(tmp_path):
    path = tmp_path / "private" / "storage_errors.txt"
    errors = StorageErrors(path, limit=2)
    errors.add("a/1.dcm")
    errors.add("b/Ä.dcm")
    assert path.read_text(encoding="utf-8") == "a/1.dcm\nb/Ä.dcm\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(ValueError, match="the storage failed for 3 files") as stopped:
        errors.add("c.dcm")
    assert "dcm" not in str(stopped.value)
    assert path.read_text(encoding="utf-8").endswith("c.dcm\n")


def test_list_of_an_earlier_run_is_removed(tmp_path):
    path = tmp_path / "storage_errors.txt"
    StorageErrors(path, limit=2).add("a")
    assert StorageErrors(path, limit=2).count == 0
    assert not path.exists()


def test_name_that_is_no_text_is_written_with_escapes(tmp_path):
    path = tmp_path / "storage_errors.txt"
    StorageErrors(path, limit=2).add("M\udcfcller")
    assert path.read_text(encoding="utf-8") == "M\\udcfcller\n"
