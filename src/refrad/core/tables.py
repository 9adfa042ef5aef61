"""Reading and writing Parquet tables, each checked against its contract (`refrad.core.contracts`)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from refrad.core.checksums import TableError, checksum_writer, damaged, groups_with, has_checksums, remedy, verify
from refrad.core.contracts import Table
from refrad.core.files import atomic
from refrad.core.schemas import pa
from refrad.core.types import FINGERPRINT_KEY, PUBLIC_SET_KEY

__all__ = [
    "Stamp",
    "TableError",
    "frame_of",
    "read_frame",
    "read_public_set",
    "read_table",
    "scan_table",
    "write_frame",
    "write_parts",
    "write_table",
]

ROWS_A_GROUP = 8192


class Stamp(Protocol):
    """The origin of a table, as its metadata hold it: a fingerprint."""

    @property
    def text(self) -> str:
        """One line of JSON."""


def frame_of(rows: Iterable[Mapping[str, Any]], contract: type[Table]) -> pl.DataFrame:
    """A frame with the columns and types of `contract`, from one mapping a row (also when there are no rows)."""
    schema = {name: column.dtype.type for name, column in contract.to_schema().columns.items()}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def write_table(
    path: Path, frame: pl.DataFrame, contract: type[Table], fingerprint: Stamp, public_set: str | None = None
) -> None:
    """Check `frame` against its contract and write it atomically, with the fingerprint in the Parquet metadata.

    `public_set` is the name of the public set that the delivery of the table is; `read_public_set` returns it.

    Raises:
        TableError: if the frame breaks the contract.
    """
    table = _checked(frame, contract, path).to_arrow().replace_schema_metadata(_metadata(fingerprint, public_set))
    with atomic(path) as temporary, checksum_writer(temporary, table.schema, compression="zstd") as writer:
        writer.write_table(table)


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a table without a contract atomically, with checksums; categories as texts."""
    table = frame.cast({pl.Categorical: pl.String}).to_arrow()
    with atomic(path) as temporary, checksum_writer(temporary, table.schema, compression="zstd") as writer:
        writer.write_table(table)


def write_parts(
    path: Path,
    parts: Iterable[Iterable[Mapping[str, Any]]],
    contract: type[Table],
    fingerprint: Stamp,
    public_set: str | None = None,
) -> None:
    """Write a table of any length from parts of its rows, checked and written as they come; else as `write_table`.

    Raises:
        TableError: if a part breaks the contract. Uniqueness is checked inside of a row group only.
    """
    schema = frame_of([], contract).to_arrow().schema.with_metadata(_metadata(fingerprint, public_set))
    rows: list[Mapping[str, Any]] = []
    with atomic(path) as temporary, checksum_writer(temporary, schema, compression="zstd") as writer:

        def write() -> None:
            writer.write_table(_checked(frame_of(rows, contract), contract, path).to_arrow().cast(schema))
            rows.clear()

        for part in parts:
            rows.extend(part)
            if len(rows) >= ROWS_A_GROUP:
                write()
        write()


def _metadata(fingerprint: Stamp, public_set: str | None) -> dict[str, str]:
    return {FINGERPRINT_KEY: fingerprint.text} | ({PUBLIC_SET_KEY: public_set} if public_set else {})


def _checked(frame: pl.DataFrame, contract: type[Table], path: Path) -> pl.DataFrame:
    try:
        contract.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise TableError(f"{contract.__name__} ({path.name}): {_broken_rules(error)}") from None
    return frame


def _broken_rules(error: pa.errors.SchemaErrors) -> str:
    """Column and rule of each failure. Values are left out, as they may be report text, unless they are column names."""
    cases = error.failure_cases.select("column", "check", "failure_case").rows()
    about_columns = {
        "column_in_dataframe": "missing",
        "column_in_schema": "not in the contract",
        "column_ordered": "order",
    }
    rules = [
        f"{value}: {about_columns[rule]}" if rule in about_columns else f"{column}: {rule}"
        for column, rule, value in cases
    ]
    return "; ".join(sorted(set(rules))[:5])


def read_table(path: Path, contract: type[Table]) -> pl.DataFrame:
    """Read a table of this workflow, verified by its checksums.

    Raises:
        TableError: if it is damaged or has no checksums, or a column of the contract is missing.
    """
    return scan_table(path, contract).collect()


def read_public_set(path: Path) -> str | None:
    """The name of the public set that the delivery of a table is; None for a site's own data.

    Raises:
        TableError: if the table is damaged.
    """
    has_checksums(path)  # raises if the metadata are damaged
    return pl.read_parquet_metadata(path).get(PUBLIC_SET_KEY)


def scan_table(path: Path, contract: type[Table], shard: int | None = None) -> pl.LazyFrame:
    """A table of this workflow of which only the requested columns and rows are read; verified here by its checksums.

    Args:
        path: of the table.
        contract: of the table.
        shard: if given, only the rows of this shard; the others are neither verified nor read.

    Raises:
        TableError: if it is damaged or has no checksums, or a column of the contract is missing.
    """
    if not has_checksums(path):
        raise TableError(f"{path} has no checksums, as tables of earlier releases: {remedy(path)}")
    frame = pl.scan_parquet(path)
    there = frame.collect_schema().names()
    missing = [name for name in contract.to_schema().columns if name not in there]
    if missing:
        raise TableError(f"{path}: not a {contract.__name__}, lacks {', '.join(missing)}")
    if shard is None:
        verify(path)
        return frame
    verify(path, groups=groups_with(path, "shard", shard))
    return frame.filter(pl.col("shard") == shard)


def read_frame(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Columns of a Parquet file with or without checksums, which are verified; all columns if None.

    Raises:
        TableError: if it is damaged.
    """
    verify(path, columns)
    try:
        return pl.read_parquet(path, columns=columns)
    except pl.exceptions.PolarsError:
        raise damaged(path) from None
