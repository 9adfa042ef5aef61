"""The dataset: Parquet rows with the image inside, one row an image.

Boxes and masks are in px of the DICOM image; the stored picture is that image windowed and squashed to a square, so a box
scales by image_size / width and image_size / height.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refrad.anatomy.schema import Schema
from refrad.core.checksums import checksum_writer, verify
from refrad.core.files import atomic, digest_bytes
from refrad.core.types import FINGERPRINT_KEY
from refrad.dataset.columns import COLUMNS, arrow_schema, features
from refrad.dataset.shard_rows import BenchmarkImageRow, ImageRow
from refrad.workflow.fingerprint import Fingerprint

__all__ = [
    "count_rows",
    "fingerprint_digest",
    "read_batches",
    "read_class_names",
    "read_columns",
    "read_images",
    "read_rows",
    "read_schema",
    "read_source_fingerprints",
    "write_rows",
    "write_shard",
]

# A row group ends with the first of these: random access reads little, writing holds little, and the footer stays small.
GROUP_BYTES = 8_000_000  # of pictures
GROUP_ROWS = 1000
BATCH_ROWS = 100  # read at once
FILTERED = (
    "image_id",
    "volume",
    "study",
    "patient",
    "split",
    "modality",
    "plane",
)  # by readers, so these have statistics
SOURCES_KEY = "refrad.fingerprints"

R = TypeVar("R")


def fingerprint_digest(fingerprint: Fingerprint) -> str:
    """12 hexadecimal digits that represent a fingerprint in the rows."""
    return digest_bytes(fingerprint.text.encode())[:12]


def write_shard(
    path: Path,
    rows: Iterable[ImageRow | BenchmarkImageRow],
    schema: Schema,
    fingerprint: Fingerprint,
    sources: Mapping[str, Fingerprint] | None = None,
    formats: Sequence[str] = ("png",),
) -> int:
    """Write rows as they come, a row group at a time, and return how many there were. Same rows, same bytes.

    Args:
        path: of the Parquet file.
        rows: with the columns of `formats` and those that every file has.
        schema: the class schema, for the names of the class labels.
        fingerprint: of the stage that writes.
        sources: of the stages whose tables the rows come from, by stage.
        formats: of the pictures: png, raw, full.
    """
    arrow = arrow_schema(formats)
    texts = {stage: source.text for stage, source in sorted((sources or {}).items())}
    arrow = arrow.with_metadata(
        {
            FINGERPRINT_KEY: fingerprint.text,
            SOURCES_KEY: json.dumps(texts, ensure_ascii=False),
            "huggingface": json.dumps({"info": {"features": features(arrow, schema)}}),
        }
    )
    return write_rows(path, rows, arrow)


def write_rows(path: Path, rows: Iterable[ImageRow | BenchmarkImageRow], arrow: pa.Schema) -> int:
    """Write rows under a schema whose columns are those of the dataset, and return how many there were."""
    # Pictures are compressed already: a second time would cost much and save nothing.
    pictures = {name for column in COLUMNS if column.format for name in _leaves(column.kind, column.name)}
    leaves = [name for field in arrow for name in _leaves(field.type, field.name)]
    codecs = {name: "NONE" if name in pictures else "ZSTD" for name in leaves}
    words = [name for name in leaves if name not in pictures]
    filtered = [name for name in leaves if name in FILTERED]
    count = 0
    with (
        atomic(path) as temporary,
        checksum_writer(
            temporary, arrow, compression=codecs, use_dictionary=words, write_statistics=filtered
        ) as writer,
    ):
        group: list[ImageRow | BenchmarkImageRow] = []
        size = 0
        for row in rows:
            group.append(row)
            size += _picture_bytes(row)
            count += 1
            if len(group) == GROUP_ROWS or size >= GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(group, arrow))
                group, size = [], 0
        if group:
            writer.write_table(pa.Table.from_pylist(group, arrow))
    return count


def _picture_bytes(row: ImageRow | BenchmarkImageRow) -> int:
    """Size of the pictures of a row in bytes."""
    encoded = sum(len(picture["bytes"]) for picture in (row.get("image"), row.get("image_full")) if picture)
    return encoded + len(row.get("pixels") or b"")


def _leaves(kind: pa.DataType, path: str) -> list[str]:
    """The Parquet columns that a column consists of."""
    if pa.types.is_struct(kind):
        return [leaf for field in kind for leaf in _leaves(field.type, f"{path}.{field.name}")]
    if pa.types.is_list(kind):
        return _leaves(kind.value_type, f"{path}.list.element")
    return [path]


@overload
def read_rows(files: Iterable[Path]) -> Iterator[ImageRow]: ...


@overload
def read_rows(files: Iterable[Path], row: type[R]) -> Iterator[R]: ...


def read_rows(files: Iterable[Path], row: type[Any] | None = None) -> Iterator[Any]:
    """The rows of all files, one row group in memory at a time.

    Args:
        files: Parquet files of the dataset.
        row: a typed dictionary whose keys are the columns to read; a key that a file lacks is absent. All columns if not given.
    """
    columns = None if row is None else row.__required_keys__ | row.__optional_keys__
    for path in files:
        present = [name for name in read_schema(path).names if columns is None or name in columns]
        with _open(path) as file:
            for group in range(file.num_row_groups):
                verify(path, present, [group])
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=present):
                    yield from batch.to_pylist()


def read_batches(path: Path, columns: Sequence[str], splits: Collection[str]) -> Iterator[pa.Table]:
    """The rows of some splits of a file, at most GROUP_ROWS in memory at a time; what holds none of them is not read.

    Raises:
        TableError: if the file is damaged.
    """
    chosen = pa.array(splits, pa.string())
    with _open(path) as file:
        for group in range(file.num_row_groups):
            verify(path, ["split"], [group])
            if not pc.any(pc.is_in(file.read_row_group(group, ["split"])["split"], chosen)).as_py():
                continue
            verify(path, columns, [group])
            for batch in file.iter_batches(GROUP_ROWS, row_groups=[group], columns=list(columns)):
                table = pa.Table.from_batches([batch])
                yield table.filter(pc.is_in(table["split"], chosen))


def read_columns(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of a file.

    Args:
        path: a Parquet file of the dataset.
        columns: as Parquet names them, such as "image_id" or "captions.list.element.text".

    Raises:
        TableError: if the file is damaged.
    """
    with _open(path) as file:
        verify(path, {name.split(".")[0] for name in columns})
        return cast(pl.DataFrame, pl.from_arrow(file.read(list(columns))))


def read_images(files: Iterable[Path], image_ids: Sequence[str]) -> list[ImageRow]:
    """The rows of some images with their pictures, in the order of `image_ids`; ids that no file has are left out."""
    chosen = set(image_ids)
    rows = {row["image_id"]: row for path in files for row in _rows_of_images(path, chosen)}
    return [rows[name] for name in image_ids if name in rows]


def _rows_of_images(path: Path, chosen: Set[str]) -> Iterator[ImageRow]:
    """The rows of these images in a file, of which only their row groups are read."""
    with _open(path) as file:
        verify(path, ["image_id"])
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, ["image_id"])["image_id"].to_pylist()
            if chosen & set(ids):
                verify(path, None, [group])
                table = file.read_row_group(group)
                yield from table.filter(pc.is_in(table["image_id"], pa.array(chosen, pa.string()))).to_pylist()


def read_schema(path: Path) -> pa.Schema:
    """Columns and metadata of a file of the dataset.

    Raises:
        TableError: if the file is damaged.
    """
    with _open(path) as file:
        return file.schema_arrow


def count_rows(path: Path) -> int:
    """Number of rows of a file of the dataset.

    Raises:
        TableError: if the file is damaged.
    """
    with _open(path) as file:
        return int(file.metadata.num_rows)


def _open(path: Path) -> pq.ParquetFile:
    """A file of the dataset with a sound footer; the reader verifies the row groups."""
    verify(path, [])
    return pq.ParquetFile(path)


def read_class_names(path: Path) -> dict[int, str]:
    """Class id to name, from the file's own description of its class labels."""
    description = json.loads(read_schema(path).metadata[b"huggingface"])["info"]["features"]
    names = description["structures"]["feature"]["class_id"]["names"]
    return {number: name for number, name in enumerate(names) if number and not name.startswith("unused_")}


def read_source_fingerprints(path: Path) -> dict[str, Fingerprint]:
    """The fingerprints of the stages that a file comes from, by stage, its own included."""
    metadata = read_schema(path).metadata
    own = Fingerprint.parse(metadata[FINGERPRINT_KEY.encode()].decode())
    sources = json.loads(metadata.get(SOURCES_KEY.encode(), b"{}"))
    return {stage: Fingerprint.parse(text) for stage, text in sources.items()} | {own.stage: own}
