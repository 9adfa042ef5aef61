"""Checksums inside of Parquet files, so that damage anywhere in them is noticed before a value is used.

A file's own metadata hold a digest of the footer and a CRC-32 of each column chunk (the pages of a column in a row group).
The footer is verified whenever a file is read, and of the chunks those that the reader needs, once in a process.
"""

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from isal import isal_zlib

from refrad.core.files import digest_bytes

__all__ = [
    "ChecksumWriter",
    "TableError",
    "checksum_writer",
    "damaged",
    "groups_with",
    "has_checksums",
    "remedy",
    "table_digest",
    "verify",
]

log = logging.getLogger(__name__)

KEY = "refrad.checksums"
DIGEST = 32  # hexadecimal digits of the footer
CRC = 8  # hexadecimal digits of a chunk
MAGIC = b"PAR1"
TAIL = 8  # bytes after the footer: its length and MAGIC
LONGEST_GROUP = 2**20  # rows


class TableError(ValueError):
    """A table is damaged or breaks its contract. The message names table, column and rule, never a value."""


def damaged(path: Path, files: Collection[str] = ()) -> TableError:
    """The error for a file whose content is not what was written, or for a folder with such `files`."""
    names = f" ({', '.join(sorted(files)[:3])})" if files else ""
    return TableError(f"{path} is damaged{names}: {remedy(path)}")


def remedy(path: Path) -> str:
    """How a table is made again. Without --forcerun, Snakemake does not miss a file that only finished jobs have read."""
    return f"delete it and run again with --forcerun {path}"


class ChecksumWriter:
    """A writer of a Parquet file, a row group a call; see `checksum_writer`."""

    def __init__(self, writer: pq.ParquetWriter, leaves: int) -> None:
        self.digits = DIGEST
        self._writer, self._leaves = writer, leaves

    def write_table(self, table: pa.Table) -> None:
        """Write the rows as a row group (several, if there are very many); without rows there is none."""
        for start in range(0, len(table), LONGEST_GROUP):
            self._writer.write_table(table.slice(start, LONGEST_GROUP), row_group_size=LONGEST_GROUP)
            self.digits += CRC * self._leaves


@contextmanager
def checksum_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[ChecksumWriter]:
    """A writer of a Parquet file that holds its checksums once the block ends well.

    Args:
        path: of the file, written in place: a name that no reader knows yet.
        schema: columns, and the metadata of the file.
        options: of `pyarrow.parquet.ParquetWriter`.
    """
    with pq.ParquetWriter(path, schema, **options) as parquet:
        writer = ChecksumWriter(parquet, sum(_leaves(column.type) for column in schema))
        yield writer
        parquet.add_key_value_metadata({KEY: "0" * writer.digits})
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        footer = _read_footer(file, size)
        value = _value(footer)
        assert value is not None
        chunks = _chunks(pq.read_metadata(path))
        crcs = "".join(f"{_crc(file, chunk):0{CRC}x}" for chunk in chunks).encode()
        assert len(crcs) == value.stop - value.start - DIGEST
        assert sum(chunk.size for chunk in chunks) == size - len(footer) - TAIL - len(MAGIC)
        footer[value.start + DIGEST : value.stop] = crcs
        footer[value.start : value.start + DIGEST] = _digest(footer, value, size).encode()
        file.seek(size - TAIL - len(footer))
        file.write(footer)


def _leaves(kind: pa.DataType) -> int:
    """Number of Parquet columns of a column."""
    if pa.types.is_struct(kind):
        return sum(_leaves(part.type) for part in kind)
    return _leaves(kind.value_type) if pa.types.is_list(kind) or pa.types.is_large_list(kind) else 1


class _Chunk(NamedTuple):
    """Position of a column of a row group in a file."""

    group: int
    column: str
    start: int
    size: int


def _chunks(metadata: pq.FileMetaData) -> list[_Chunk]:
    """All column chunks of a file in their order."""
    chunks = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(metadata.num_columns):
            chunk = group.column(index)
            start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
            name = chunk.path_in_schema.split(".")[0]
            chunks.append(_Chunk(number, name, start, chunk.total_compressed_size))
    return chunks


def _crc(file: BinaryIO, chunk: _Chunk) -> int:
    content = os.pread(file.fileno(), chunk.size, chunk.start)
    return int(isal_zlib.crc32(content))


def _read_footer(file: BinaryIO, size: int) -> bytearray:
    """The footer between the row groups and the tail.

    Raises:
        ValueError: if the file does not begin and end as a Parquet file.
    """
    tail = os.pread(file.fileno(), TAIL, max(size - TAIL, 0))
    length = int.from_bytes(tail[:4], "little")
    if os.pread(file.fileno(), len(MAGIC), 0) + tail[4:] != 2 * MAGIC or length > size - TAIL - len(MAGIC):
        raise ValueError
    return bytearray(os.pread(file.fileno(), length, size - TAIL - length))


def _value(footer: bytearray) -> slice | None:
    """Where the checksums are in a footer: after the key, a byte for the field, and their length as a varint."""
    start = footer.find(KEY.encode())
    if start < 0:
        return None
    start += len(KEY) + 1
    length = shift = 0
    while True:
        byte = footer[start]
        length |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128:
            return slice(start, start + length)


def _digest(footer: bytearray, value: slice, size: int) -> str:
    """Digest of a footer, with zeros in place of this digest, and of the size of the file in bytes."""
    blank = footer.copy()
    blank[value.start : value.start + DIGEST] = b"0" * DIGEST
    return digest_bytes(bytes(blank), size.to_bytes(8, "little"))


@dataclass(frozen=True)
class _Checksums:
    """The checksums of a file whose footer is sound, with the chunks that this process has verified."""

    digest: str
    metadata: pq.FileMetaData
    crcs: Mapping[_Chunk, int]
    sound: set[_Chunk] = field(default_factory=set)


def has_checksums(path: Path) -> bool:
    """Whether a Parquet file has checksums; those of earlier releases and of other programs have none.

    Raises:
        TableError: if it is damaged.
    """
    return _checksums(path) is not None


def table_digest(path: Path) -> str | None:
    """The digest in the footer of a Parquet file, which depends on all of its content; None without checksums.

    Raises:
        TableError: if the footer is damaged.
    """
    checksums = _checksums(path)
    return checksums.digest if checksums else None


def verify(path: Path, columns: Collection[str] | None = None, groups: Collection[int] | None = None) -> None:
    """Verify the footer, and the given columns of the given row groups (all if None), of a file.

    A file without checksums is taken as it is, with a warning.

    Raises:
        TableError: if the file is damaged.
    """
    checksums = _checksums(path)
    if checksums is None:
        _warn(path)
        return
    wanted = [
        chunk
        for chunk in checksums.crcs.keys() - checksums.sound
        if (columns is None or chunk.column in columns) and (groups is None or chunk.group in groups)
    ]
    with path.open("rb") as file:
        for chunk in sorted(wanted):
            if _crc(file, chunk) != checksums.crcs[chunk]:
                raise damaged(path)
    checksums.sound.update(wanted)


@cache
def _warn(path: Path) -> None:
    log.warning("%s has no checksums: damage in it may remain unnoticed", path)


def groups_with(path: Path, column: str, value: int) -> list[int]:
    """Numbers of the row groups that may hold a value in a column, by the least and the greatest value there.

    Raises:
        TableError: if the file is damaged.
    """
    checksums = _checksums(path)
    metadata = checksums.metadata if checksums else pq.read_metadata(path)
    index = metadata.schema.names.index(column)
    numbers = []
    for number in range(metadata.num_row_groups):
        statistics = metadata.row_group(number).column(index).statistics
        if not (statistics and statistics.has_min_max) or statistics.min <= value <= statistics.max:
            numbers.append(number)
    return numbers


def _checksums(path: Path) -> _Checksums | None:
    state = path.stat()
    return _read_checksums(path, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(256)
def _read_checksums(path: Path, inode: int, size: int, modified: int) -> _Checksums | None:  # noqa: ARG001
    """The checksums in a file, None if it has none."""
    try:
        with path.open("rb") as file:
            footer = _read_footer(file, size)
        value = _value(footer)
        if value is None:
            pq.read_metadata(path)
            return None
        text = footer[value].decode("ascii")
        if _digest(footer, value, size) != text[:DIGEST]:
            raise damaged(path)
        metadata = pq.read_metadata(path)
        crcs = [int(text[at : at + CRC], 16) for at in range(DIGEST, len(text), CRC)]
        return _Checksums(text[:DIGEST], metadata, dict(zip(_chunks(metadata), crcs, strict=True)))
    except (ValueError, IndexError, pa.ArrowException):
        raise damaged(path) from None
    except OSError as error:
        if (
            error.errno is not None
        ):  # of the storage; pyarrow raises OSErrors without a number for what it cannot decode
            raise
        raise damaged(path) from None
