"""Checksums of files that have none inside, and of the files that belong together: those of a folder, or of a job."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from isal import isal_zlib

from refrad.core.checksums import TableError, damaged, table_digest
from refrad.core.files import write_json

__all__ = [
    "MANIFEST",
    "SIDECAR",
    "changed_files",
    "is_sound",
    "read_sealed",
    "sealed_files",
    "sidecar_of",
    "verify_file",
    "verify_folder",
    "write_manifest",
    "write_sealed",
    "write_sidecar",
]

MANIFEST = "digests.json"  # of a folder
SIDECAR = ".digest"  # suffix, after the name of the file
SEAL = "sealed"
PROSE = ".md"  # suffix of files that people may edit, and that no program reads
BUFFER = 2**17  # bytes that are read at once: they stay in the CPU's cache


def write_sealed(path: Path, value: Mapping[str, object], files: Iterable[Path] = ()) -> None:
    """Write a JSON object atomically, with its checksum, and digests of `files`, as a further key."""
    digests = {Path(os.path.relpath(file, path.parent)).as_posix(): _digest(file) for file in files}
    write_json(path, {**value, SEAL: {"files": digests, "checksum": _checksum(value, digests)}})


def read_sealed(path: Path) -> Any:
    """A JSON object that `write_sealed` wrote, verified, without that key. Other JSON is taken as it is.

    Raises:
        TableError: if the file is damaged.
    """
    return _read(path)[0]


def sealed_files(path: Path) -> list[Path]:
    """The files for which a JSON object of `write_sealed` vouches; none for other JSON.

    Raises:
        TableError: if the object is damaged.
    """
    return [_named(path, name) for name in _read(path)[1] or {}]


def _named(manifest: Path, name: str) -> Path:
    """A file that a JSON object names, without "..", so that Snakemake knows the path."""
    return Path(os.path.normpath(manifest.parent / name))


def _read(path: Path) -> tuple[Any, Mapping[str, str] | None]:
    """A JSON object, and the digests of files in it; None without a checksum, as in earlier releases.

    Raises:
        TableError: if the file is damaged.
    """
    try:
        content = path.read_bytes()
        value = json.loads(content)
        if b'"checksum"' not in content and b'"sealed"' not in content:
            return value, None
        seal = value.pop(SEAL)
        if seal["checksum"] != _checksum(value, seal["files"]):
            raise damaged(path)
        files: Mapping[str, str] = seal["files"]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise damaged(path) from None
    return value, files


def _checksum(value: Mapping[str, object], digests: Mapping[str, str]) -> str:
    """CRC-32, 8 hexadecimal digits, of the values of JSON, whatever its layout."""
    parsed = json.loads(json.dumps([value, digests]))
    return f"{isal_zlib.crc32(json.dumps(parsed, sort_keys=True).encode()):08x}"


def changed_files(manifest: Path, prose: bool = True) -> list[Path] | None:
    """The files that are missing or not as a JSON object says; the object itself if it is damaged.

    None without such an object or without a checksum in it, as in earlier releases.

    Args:
        manifest: a file of `write_sealed`.
        prose: whether Markdown files count.

    Raises:
        OSError: if the storage fails.
    """
    try:
        _, digests = _read(manifest)
    except FileNotFoundError:
        return None
    except TableError:
        return [manifest]
    if digests is None:
        return None
    files = {_named(manifest, name): digest for name, digest in digests.items() if prose or not name.endswith(PROSE)}
    return [path for path, digest in files.items() if not _has_digest(path, digest)]


def write_manifest(folder: Path) -> None:
    """Write the digests of all files below a folder into `digests.json` there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    write_sealed(folder / MANIFEST, {}, files)


def verify_folder(folder: Path) -> None:
    """Verify the files of a folder by its manifest, if it has one, but for Markdown files.

    Raises:
        TableError: if a file is damaged or missing.
    """
    if changed := changed_files(folder / MANIFEST, prose=False):
        raise damaged(folder, [path.name for path in changed])


def verify_file(path: Path, manifest: Path) -> None:
    """Verify a file by a JSON object of `write_sealed`, if that exists and names it.

    Raises:
        TableError: if one of both is damaged.
    """
    if manifest.exists():
        digest = (_read(manifest)[1] or {}).get(Path(os.path.relpath(path, manifest.parent)).as_posix())
        if digest is not None and not _has_digest(path, digest):
            raise damaged(path)


def write_sidecar(path: Path, temporary: Path) -> None:
    """Write `<path>.digest`, the digest of a file that is complete as `temporary` and is to be renamed to `path`."""
    write_sealed(sidecar_of(path), {path.name: _digest(temporary)})


def is_sound(path: Path) -> bool | None:
    """Whether a file is as its sidecar says; None without a sidecar, as in earlier releases.

    Raises:
        OSError: if there is no such file, or the storage fails.
    """
    digest = _digest(path)
    try:
        return bool(read_sealed(sidecar_of(path)) == {path.name: digest})
    except FileNotFoundError:
        return None
    except TableError:
        return False


def sidecar_of(path: Path) -> Path:
    """The file that holds the digest of a file."""
    return path.with_name(path.name + SIDECAR)


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and _digest(path) == digest
    except TableError:
        return False


def _digest(path: Path) -> str:
    """What identifies the content of a file: the digest inside of a table, else size and CRC-32.

    Raises:
        TableError: if it is a damaged table.
    """
    if path.suffix == ".parquet" and (digest := table_digest(path)):
        return digest
    buffer = bytearray(BUFFER)
    view = memoryview(buffer)
    crc = size = 0
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            crc, size = isal_zlib.crc32(view[:count], crc), size + count
    return f"{size} {crc:08x}"
