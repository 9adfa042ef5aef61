"""Entries of the stores: gzip files that carry a seal, and are read to their end.

The seal is an extra field in the gzip header (RFC 1952, 2.3.1.1), which says what the entry is. The checksum at the end says that
its content is what was written; the seal, that it belongs under the entry's name.
"""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from isal import igzip, igzip_lib, isal_zlib

from refrad.core.files import atomic

__all__ = ["DamagedEntryError", "read_entry", "read_head", "write_entry"]

HEADER = struct.Struct(
    "<4s4x2sH2sH"
)  # magic with the flag of an extra field; no time; XFL, OS; length; its id, its length
MAGIC, ID = b"\x1f\x8b\x08\x04", b"RR"
PART = 2**22  # bytes compressed at once


class DamagedEntryError(ValueError):
    """An entry of a store is not what was written; the message names it and the stage that makes it again."""

    @classmethod
    def of(cls, path: Path, stage: str) -> "DamagedEntryError":
        """The error for an entry that a stage makes."""
        return cls(
            f"{path} is damaged: delete it and make {stage}.parquet of its shard again"
            f" with snakemake --force (`refrad check` names it)"
        )


def write_entry(path: Path, seal: str, parts: Iterable[bytes | memoryview], compressor: Any) -> None:
    """Write a gzip file atomically; equal arguments give equal bytes.

    Args:
        path: of the entry.
        seal: ASCII text.
        parts: of the content.
        compressor: an object of zlib or isal_zlib for raw deflate streams.
    """
    field = seal.encode("ascii")
    crc = size = 0
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(HEADER.pack(MAGIC, b"\0\xff", len(field) + 4, ID, len(field)) + field)
        for part in parts:
            for start in range(0, len(part), PART):
                piece = part[start : start + PART]
                file.write(compressor.compress(piece))
                crc, size = isal_zlib.crc32(piece, crc), size + len(piece)
        file.write(compressor.flush() + struct.pack("<LL", crc, size % 2**32))


def read_entry(path: Path) -> tuple[str | None, bytes]:
    """The seal of an entry (None if it has none) and its content, verified by its checksum.

    Raises:
        ValueError: if the file is cut or its content is not what was written.
    """
    packed = path.read_bytes()
    if len(packed) < HEADER.size:
        raise ValueError("too short")
    try:
        content: bytes = igzip.decompress(packed)  # type: ignore[no-untyped-call]
    except (OSError, EOFError, struct.error, zlib.error, igzip_lib.IsalError) as error:  # type: ignore[misc]
        raise ValueError(str(error)) from None
    if packed[-4:] != (len(content) % 2**32).to_bytes(4, "little"):
        raise ValueError("more than one member")
    magic, _, length, identifier, size = HEADER.unpack_from(packed)
    if (magic, identifier, length) != (MAGIC, ID, size + 4):
        return None, content
    return packed[HEADER.size : HEADER.size + size].decode("ascii", "replace"), content


def read_head(path: Path, size: int) -> bytes:
    """The first `size` bytes of an entry's content, which nothing vouches for.

    Raises:
        ValueError: if the file is cut there, or is no gzip file.
    """
    try:
        with igzip.open(path) as file:  # type: ignore[no-untyped-call]
            head: bytes = file.read(size)
    except (EOFError, struct.error, zlib.error, igzip.BadGzipFile, igzip_lib.IsalError) as error:  # type: ignore[misc]
        raise ValueError(str(error)) from None
    if len(head) < size:
        raise ValueError("too short")
    return head
