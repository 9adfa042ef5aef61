import os
import stat

import pytest

from refrad.core.private_files import close_to_others, only_for_the_owner


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0o002)
    yield
    os.umask(before)


def test_files_made_in_the_block_are_closed(tmp_path):
    with only_for_the_owner():
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "file").touch()
    (tmp_path / "after").touch()
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/file", "after")] == [0o700, 0o700, 0o600, 0o664]


def test_folder_is_closed_at_any_depth(tmp_path):
    outside = tmp_path / "outside"
    outside.touch(mode=0o644)
    private = tmp_path / "private"
    (private / "delivery" / ".index").mkdir(parents=True)
    (private / "delivery" / "files.parquet").touch()
    (private / "script").touch(mode=0o775)
    (private / "link").symlink_to(outside)
    (private / "lost").symlink_to(tmp_path / "nowhere")
    close_to_others(private)
    assert {mode(path) for path in private.rglob("*") if path.is_dir()} | {mode(private)} == {0o700}
    assert mode(private / "delivery" / "files.parquet") == 0o600 and mode(private / "script") == 0o700
    assert mode(outside) == 0o644


def test_link_to_a_private_folder_is_followed(tmp_path):
    (tmp_path / "elsewhere" / "demo").mkdir(parents=True)
    (tmp_path / "private").symlink_to(tmp_path / "elsewhere")
    close_to_others(tmp_path / "private")
    assert mode(tmp_path / "elsewhere") == mode(tmp_path / "elsewhere" / "demo") == 0o700


@pytest.mark.parametrize("failing", ["refused", "without effect"])
def test_folder_that_cannot_be_closed_is_refused_with_a_remedy(tmp_path, monkeypatch, failing):
    def chmod(path, _mode):
        if failing == "refused":
            raise PermissionError(1, "Operation not permitted", str(path))

    (tmp_path / "private" / "secret-name").mkdir(parents=True)
    monkeypatch.setattr("pathlib.Path.chmod", chmod)
    with pytest.raises(
        ValueError, match=r"others can read .*private.*(chmod -R go= |name another in the config)"
    ) as error:
        close_to_others(tmp_path / "private")
    assert "secret-name" not in str(error.value)
