"""Writing files so that a crash never leaves half of one."""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "atomic",
    "atomic_folder",
    "digest_bytes",
    "digest_file",
    "flushed_at_end",
    "is_temporary",
    "write_json",
]

UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}  # by some network drives, for folders
_deferred: list[Path] = []  # folders whose files `flushed_at_end` flushes


@contextlib.contextmanager
def atomic(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary name next to `path`; rename it to `path` when the block ends well, remove it otherwise.

    The temporary name keeps the suffixes of `path`, since some writers choose their format by suffix. The content is on the
    disk before the name is: a power cut leaves the old file or the new one, never an empty one. Inside of `flushed_at_end`, and
    in processes of it, which do not `flush`, a power cut may leave an empty one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        yield temporary
        now = flush and not any(path.is_relative_to(folder) for folder in _deferred)
        if now:
            _flush(temporary)
        temporary.replace(path)
        if now:
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def flushed_at_end(folder: Path) -> Iterator[None]:
    """Let `atomic` not wait for the disk for each file below `folder`, but this block once, at its end.

    For commands that write many files, which are written again if the command did not end: a killed process leaves no partial
    file either, but a power cut may.
    """
    _deferred.append(folder)
    try:
        yield
    finally:
        _deferred.remove(folder)
    if folder.exists():
        _flush_file_system(folder)


def _flush_file_system(folder: Path) -> None:
    """Wait until all that was written to the file system of a folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(descriptor) and (number := ctypes.get_errno()) not in UNSUPPORTED:
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder next to `path`; it takes the place of `path` when the block ends well, and is removed otherwise."""
    temporary = _temporary_name(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                _flush(Path(folder, name))
            _flush(Path(folder))
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_name(path: Path) -> Path:
    """`.<process>-<host>-<random>.<name>`: no other process has it, on this machine or on one that shares the folder."""
    host = "".join(letter if letter.isalnum() else "-" for letter in platform.node().split(".")[0])
    return path.with_name(f".{os.getpid()}-{host}-{secrets.token_hex(4)}.{path.name}")


def is_temporary(name: str) -> bool:
    """Whether a file or folder has a temporary name of this module, of this or an earlier release (`.<process>.<name>`)."""
    return bool(re.match(r"\.\d+(-[\w-]*-[0-9a-f]{8})?\.", name))


def _flush(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def digest_bytes(*parts: bytes | memoryview) -> str:
    """32 hexadecimal digits (BLAKE2b-128) over the parts, each preceded by its length."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.hexdigest()


def digest_file(path: Path) -> str:
    """32 hexadecimal digits (BLAKE2b-128) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
