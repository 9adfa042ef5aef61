"""Removal of rows from Parquet files, whose columns, metadata, compression and modification time stay as they are."""

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from refrad.core.checksums import CHECKSUMS_KEY, checksum_writer, verify
from refrad.core.files import atomic

__all__ = ["column_names", "read_columns", "remove_rows"]

Choice = Callable[[pl.DataFrame], pl.Series]
"""From some columns of a row group: for each row, whether it is one of the rows in question."""


def column_names(path: Path) -> list[str]:
    """The columns of a Parquet file.

    Raises:
        TableError: if the file is damaged.
    """
    verify(path, [])
    with pq.ParquetFile(path) as file:
        return list(file.schema_arrow.names)


def read_columns(path: Path, columns: Collection[str]) -> Iterator[pl.DataFrame]:
    """Columns of a Parquet file, verified, a row group at a time.

    Raises:
        TableError: if the file is damaged.
    """
    verify(path, columns)
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield _frame(file, group, columns)


def remove_rows(path: Path, columns: Collection[str], choose: Choice) -> int:
    """Remove the rows that `choose` chooses by these columns, atomically, and return how many; without any, nothing is written.

    Raises:
        TableError: if the file is damaged.
    """
    verify(path)
    status = path.stat()
    removed = 0
    with pq.ParquetFile(path) as file:
        chosen = [choose(_frame(file, group, columns)) for group in range(file.num_row_groups)]
        removed = sum(int(rows.sum()) for rows in chosen)
        if not removed:
            return 0
        schema = file.schema_arrow
        metadata = {name: value for name, value in (schema.metadata or {}).items() if name != CHECKSUMS_KEY.encode()}
        schema = schema.with_metadata(metadata)
        with atomic(path) as temporary:
            with checksum_writer(temporary, schema, **_options(file.metadata)) as writer:
                for group, rows in enumerate(chosen):
                    table = file.read_row_group(group).replace_schema_metadata(metadata)
                    writer.write_table(table.filter(pa.array((~rows).to_list())))
            os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
    return removed


def _frame(file: pq.ParquetFile, group: int, columns: Collection[str]) -> pl.DataFrame:
    frame = pl.from_arrow(file.read_row_group(group, list(columns)))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _options(metadata: pq.FileMetaData) -> dict[str, object]:
    """The options of the writer that made a file of at least one row group: compression, dictionaries and statistics of its columns."""
    leaves = [metadata.row_group(0).column(number) for number in range(metadata.num_columns)]
    names = [leaf.path_in_schema for leaf in leaves]
    return {
        "compression": {
            name: "NONE" if leaf.compression == "UNCOMPRESSED" else leaf.compression
            for name, leaf in zip(names, leaves, strict=True)
        },
        "use_dictionary": [name for name, leaf in zip(names, leaves, strict=True) if leaf.has_dictionary_page],
        "write_statistics": [name for name, leaf in zip(names, leaves, strict=True) if leaf.is_stats_set],
    }
