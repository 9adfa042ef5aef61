"""Checksums inside of Parquet files, so that damage anywhere in them is noticed before a value is used.

A file's own metadata hold a digest of the footer and a CRC-32 of each column chunk (the pages of a column in a row group).
The footer is verified whenever a file is read, and of the chunks those that the reader needs, once in a process.
"""

import logging
import os
from collections.abc import Collection, Iterator, Sequence
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

CHECKSUMS_KEY = "refrad.checksums"
DIGEST = 32  # hexadecimal digits of the footer
CRC = 8  # hexadecimal digits of a chunk
MAGIC = b"PAR1"
TAIL = 8  # bytes after the footer: its length and MAGIC
LONGEST_GROUP = 2**20  # rows
READ_BYTES = 2**20  # at once, of small chunks


class TableError(ValueError):
    """A table is damaged or breaks its contract. The message names table, column and rule, never a value."""


def damaged(path: Path, files: Collection[str] = ()) -> TableError:
    """The error for a file whose content is not what was written, or for a folder with such `files`."""
    names = f" ({', '.join(sorted(files)[:3])})" if files else ""
    return TableError(f"{path} is damaged{names}: {remedy(path)}")


def remedy(path: Path) -> str:
    """How a table is made again. Without --force, Snakemake does not miss a file that only finished jobs have read."""
    if path.parts[-5:-3] in (("former", "data"), ("former", "metrics")):  # where stage card moves them
        return "delete it: it is of a former delivery or shard, and nothing needs it"
    return f"delete it and run snakemake --force {path}"


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
        parquet.add_key_value_metadata({CHECKSUMS_KEY: "0" * writer.digits})
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        footer = _read_footer(file, size)
        value = _value(footer)
        assert value is not None
        metadata = pq.read_metadata(path)
        chunks = [chunk for group in range(metadata.num_row_groups) for chunk in _chunks(metadata, group)]
        crcs = "".join(f"{crc:0{CRC}x}" for crc in _crcs(file, chunks)).encode()
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
    """Position of a column of a row group in a file, bytes, and the number of the Parquet column."""

    column: int
    start: int
    size: int


def _chunks(metadata: pq.FileMetaData, group: int) -> list[_Chunk]:
    """The column chunks of a row group, which follow each other in the file."""
    row_group = metadata.row_group(group)
    first = row_group.column(0)
    start = first.dictionary_page_offset if first.has_dictionary_page else first.data_page_offset
    chunks = []
    for column in range(metadata.num_columns):
        chunks.append(_Chunk(column, start, row_group.column(column).total_compressed_size))
        start += chunks[-1].size
    return chunks


def _crcs(file: BinaryIO, chunks: Sequence[_Chunk]) -> Iterator[int]:
    """CRC-32 of each chunk. Small chunks that follow each other are read at once."""
    content, begin = memoryview(b""), 0
    for number, chunk in enumerate(chunks):
        if not begin <= chunk.start <= chunk.start + chunk.size <= begin + len(content):
            begin = end = chunk.start
            for following in chunks[number:]:
                if following.start != end or (end > begin and following.start + following.size - begin > READ_BYTES):
                    break
                end = following.start + following.size
            content = memoryview(os.pread(file.fileno(), end - begin, begin))
        yield int(isal_zlib.crc32(content[chunk.start - begin : chunk.start - begin + chunk.size]))


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
    start = footer.find(CHECKSUMS_KEY.encode())
    if start < 0:
        return None
    start += len(CHECKSUMS_KEY) + 1
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


@dataclass
class _Checksums:
    """The checksums of a file whose footer is sound, with the chunks that this process has verified.

    digest: in the footer. names: column of the table to which each Parquet column belongs. crcs: of the chunks, in their order.
    sound: row group and Parquet column of the verified chunks.
    """

    digest: str
    metadata: pq.FileMetaData
    names: Sequence[str]
    crcs: Sequence[int]
    sound: set[tuple[int, int]] = field(default_factory=set)

    def verify(self, file: BinaryIO, group: int, columns: Collection[str] | None) -> bool:
        """Whether the chunks of columns (all if None) of a row group are sound."""
        count = len(self.names)
        missing = [
            number
            for number in range(count)
            if (group, number) not in self.sound and (columns is None or self.names[number] in columns)
        ]
        if not missing:
            return True
        chunks = _chunks(self.metadata, group)
        wanted = [chunks[number] for number in missing]
        for number, crc in zip(missing, _crcs(file, wanted), strict=True):
            if crc != self.crcs[group * count + number]:
                return False
        self.sound.update((group, number) for number in missing)
        return True


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
    return checksums.digest if (checksums := _checksums(path)) else None


def verify(path: Path, columns: Collection[str] | None = None, groups: Collection[int] | None = None) -> None:
    """Verify the footer, and the given columns of the given row groups (all if None), of a file.

    A file without checksums is taken as it is, with a warning.

    Raises:
        TableError: if the file is damaged.
    """
    if (checksums := _checksums(path)) is None:
        _warn(path)
        return
    with path.open("rb") as file:
        for group in range(checksums.metadata.num_row_groups) if groups is None else sorted(groups):
            if not checksums.verify(file, group, columns):
                raise damaged(path)


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
        if len(crcs) != metadata.num_row_groups * metadata.num_columns:
            raise damaged(path)
        names = [metadata.schema.column(number).path.split(".")[0] for number in range(metadata.num_columns)]
        return _Checksums(text[:DIGEST], metadata, names, crcs)
    except (ValueError, IndexError, pa.ArrowException):
        raise damaged(path) from None
    except OSError as error:
        if error.errno is not None:  # of the storage; pyarrow raises them without a number for what it cannot decode
            raise
        raise damaged(path) from None
