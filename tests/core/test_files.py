import ctypes
import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from refrad.core.files import (
    atomic,
    atomic_folder,
    digest_bytes,
    digest_file,
    flushed_at_end,
    is_temporary,
    write_json,
)


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


def test_temporary_names_differ_between_hosts_and_calls(tmp_path, monkeypatch):
    names = set()
    for host in ("node1", "node2.cluster.local", "node 2", ""):
        monkeypatch.setattr("platform.node", lambda host=host: host)
        for _ in range(2):
            with atomic(tmp_path / "a.parquet") as temporary:
                temporary.touch()
                names.add(temporary.name)
    assert len(names) == 8
    assert all(is_temporary(name) for name in names)


@pytest.mark.parametrize(
    ("name", "temporary"),
    [
        (".77.masks.parquet", True),
        (".77-node7-0123abcd.masks.parquet", True),
        (".77--0123abcd.a", True),
        (".77-my-node-0123abcd.a", True),
        ("77.masks.parquet", False),
        (".hidden.file", False),
        (".77", False),
        (".77-node7.masks.parquet", False),
    ],
)
def test_temporary_names_are_known_by_their_form(name, temporary):
    assert is_temporary(name) == temporary


def test_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    fsync = os.fsync

    def noted(descriptor):
        calls.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), (tmp_path / "a").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with atomic(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert calls == [(str(temporary), False), (str(tmp_path), True)]
    calls.clear()
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "c").write_text("x")
    assert [path for path, _ in calls] == [str(folder / "c"), str(folder), str(tmp_path)]


def test_a_drive_that_cannot_flush_folders_is_written_all_the_same(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EINVAL, "no folders here")

    monkeypatch.setattr(os, "fsync", refuse)
    write_json(tmp_path / "a", 1)
    assert (tmp_path / "a").read_text() == "1\n"


def test_files_below_a_folder_are_flushed_once_at_its_end(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("os.fsync", waits.append)
    with flushed_at_end(tmp_path / "out"):
        for name in ("a", "b"):
            with atomic(tmp_path / "out" / "images" / name) as temporary:
                temporary.write_text(name)
            assert (tmp_path / "out" / "images" / name).read_text() == name
        assert not waits
        with atomic(tmp_path / "elsewhere") as temporary:
            temporary.touch()
        assert len(waits) == 2
    with atomic(tmp_path / "out" / "later") as temporary:
        temporary.touch()
    assert len(waits) == 4


def test_failure_of_the_disk_at_the_end_is_not_hidden(tmp_path, monkeypatch):
    def fails(_):
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: SimpleNamespace(syncfs=fails))
    with pytest.raises(OSError, match="Input/output error"), flushed_at_end(tmp_path):
        pass


def test_system_without_syncfs_flushes_all(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr("os.sync", lambda: flushed.append(True))
    with flushed_at_end(tmp_path):
        pass
    assert flushed
