"""The table that names the label volumes of a delivery: masks.csv, or another of the same columns."""

import logging
import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow.parquet as pq

from refrad.formats.charsets import charset_of, errors_of, mend_text
from refrad.formats.csv_rows import SourceRow, read_csv_rows
from refrad.segmentation.base import DeliveredMasks
from refrad.segmentation.mask_folder import MaskFolder

__all__ = ["MISSING", "TABLE", "GivenMask", "TableRow", "masks_of_volumes", "read_rows"]

TABLE = "masks.csv"
IMAGES = (
    "dicom",
    "volume",
)  # spellings of the column of the images: of a delivery of DICOM files, and of NIfTI volumes
MASK = "mask"
NAMES = "columns dicom or volume, and mask"
LISTED = 20  # lines that a warning names

USED = "names a mask and images of the delivery"
FOREIGN = "names nothing of the delivery"
EMPTY = "names no mask"
MISSING = "names a mask that is not in the folder"
BROKEN = "cannot be read"

logger = logging.getLogger(__name__)


class GivenMask(NamedTuple):
    """The mask of a volume: a file or folder, or the reason code why it cannot be used."""

    path: Path | None
    reason: str = ""


class TableRow(NamedTuple):
    """A row: its line, the images that it names ("" for the whole delivery, None for none), and its mask, as written.

    `problem` is what is wrong with the row itself, one of the outcomes that are counted, or "".
    """

    line: int
    images: str | None
    mask: str
    problem: str = ""


def read_rows(table: Path) -> Iterator[TableRow]:
    """The rows of a table of masks, a Parquet file or else CSV, read as leniently as tables of reports.

    Its column `dicom` or `volume` is a file or folder inside of the delivery ("." for all of it), and `mask` a NIfTI file or a folder of
    such files inside of the folder of masks. Whether it is there is not looked at. Rows of Parquet count from 1, as lines.

    Raises:
        ValueError: if there is no table, or it cannot be understood.
    """
    if not table.is_file():
        raise ValueError(f"{table.name}: no such table of masks ({NAMES}); mask_table of the delivery may name another")
    rows = broken = 0
    images = ""
    for row in _rows_of_parquet(table) if table.suffix.lower() == ".parquet" else _rows_of_csv(table):
        rows += 1
        if row.problem:
            broken += 1
            yield TableRow(row.line, None, "", BROKEN)
            continue
        images = images or _column_of_images(list(row.cells), table.name)
        cells = [mend_text(str(row.cells[name] or ""))[0].strip() for name in (images, MASK)]
        yield TableRow(row.line, _images(cells[0]), cells[1], "" if cells[1] else EMPTY)
    if rows == broken:
        problem = f"no row of {rows} can be read" if rows else "no row is below the header"
        raise ValueError(f"{table.name}: line 1: {problem} ({NAMES})")


def masks_of_volumes(delivered: DeliveredMasks) -> dict[str, GivenMask]:
    """Name of each volume that the table names to its mask.

    Only masks of these volumes are looked for: a table may name 50,000, for two hundred shards. The shard that counts rows looks
    for all of them, and a warning names the lines of unused ones. A volume of which rows name different masks has none: the reason
    is `ambiguous_mask`.

    Raises:
        ValueError: if the table cannot be understood.
    """
    rows = list(read_rows(delivered.table))
    folder = MaskFolder(delivered.folder)
    volumes_of = _volumes_of_names({row.images for row in rows if row.images is not None}, delivered.file_paths())
    if delivered.count_rows:
        _count(rows, delivered, folder, {name for name, volumes in volumes_of.items() if not volumes})
    masks: dict[str, set[Path]] = defaultdict(set)
    missing: set[str] = set()
    for row in rows:
        volumes = volumes_of[row.images] if row.images is not None else set()
        if not volumes or row.problem:
            continue
        path = folder.find(row.mask)
        for volume in volumes:
            if path:
                masks[volume].add(path)
            else:
                missing.add(volume)
    given_masks = {volume: GivenMask(None, "mask_missing") for volume in missing}
    for volume, paths in masks.items():
        if len(paths) > 1 or volume in missing:
            given_masks[volume] = GivenMask(None, "ambiguous_mask")
        else:
            (path,) = paths
            given_masks[volume] = GivenMask(path)
    return given_masks


def _count(rows: Sequence[TableRow], delivered: DeliveredMasks, folder: MaskFolder, unmatched: set[str]) -> None:
    """Count what becomes of the rows, and warn of unused ones; `unmatched` are the names of images that this shard has not."""
    assert delivered.count_rows
    foreign = unmatched - _names_in_delivery(unmatched, delivered.delivery)
    lines: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        outcome = row.problem or USED
        if outcome != BROKEN and (row.images is None or row.images in foreign):
            outcome = FOREIGN
        elif outcome == USED and not folder.find(row.mask):
            outcome = MISSING
        lines[outcome].append(row.line)
    for outcome, numbers in lines.items():
        delivered.count_rows(outcome, len(numbers))
        if outcome != USED:
            listed = ", ".join(map(str, numbers[:LISTED])) + (", ..." if len(numbers) > LISTED else "")
            logger.warning("%s: %d rows: %s (lines %s)", delivered.table.name, len(numbers), outcome, listed)


def _rows_of_csv(table: Path) -> Iterator[SourceRow]:
    charset = charset_of(table)
    with table.open(encoding=charset, errors=errors_of(charset), newline="") as file:
        yield from read_csv_rows(file, table.name)


def _rows_of_parquet(table: Path) -> Iterator[SourceRow]:
    """The rows of a Parquet file, with the columns that are used."""
    try:
        file = pq.ParquetFile(table)
    except Exception:  # its messages quote paths
        raise ValueError(f"{table.name}: is no Parquet file") from None
    columns = {name.strip().lower(): name for name in file.schema_arrow.names}
    used = {name: column for name, column in columns.items() if name in (*IMAGES, MASK)}
    _column_of_images(list(used), table.name)
    numbers = count(1)
    for batch in file.iter_batches(columns=list(used.values())):
        for cells in batch.to_pylist():
            yield SourceRow(next(numbers), {name: cells[column] for name, column in used.items()})


def _column_of_images(columns: Sequence[str], table: str) -> str:
    """The column that names the images.

    Raises:
        ValueError: if there is none or two, or no column of masks.
    """
    images = [name for name in IMAGES if name in columns]
    if not images or MASK not in columns:
        raise ValueError(f"{table}: line 1: the header has no column {MASK if images else ' or '.join(IMAGES)}")
    if len(images) > 1:
        raise ValueError(f"{table}: line 1: the header has the columns dicom and volume, which mean the same")
    return images[0]


def _volumes_of_names(names: set[str], paths: pl.DataFrame) -> dict[str, set[str]]:
    """Each name of a file or folder to the volumes that have a file at or below it."""
    volumes: dict[str, set[str]] = {name: set() for name in names}
    for volume, path in paths.select("volume", "path").iter_rows():
        name = _normal(path)
        while name:
            if name in volumes:
                volumes[name].add(volume)
            name = name.rpartition("/")[0]
        if "" in volumes:
            volumes[""].add(volume)
    return volumes


def _names_in_delivery(names: set[str], delivery: pl.LazyFrame) -> set[str]:
    """The names that are a file or a folder of the delivery."""
    delivered_names = {""} & names
    paths = delivery.select(pl.col("path").str.replace_all("\\", "/", literal=True).str.normalize("NFC").str.split("/"))
    for depth in {name.count("/") + 1 for name in names - delivered_names}:
        heads = paths.select(pl.col("path").list.head(depth).list.join("/")).unique()
        of_depth = [name for name in names if name.count("/") + 1 == depth]
        delivered_names |= set(heads.filter(pl.col("path").is_in(of_depth)).collect(engine="streaming")["path"])
    return delivered_names


def _images(cell: str) -> str | None:
    """A file or folder of the delivery as `_normal` spells it, "" for the whole delivery, or None."""
    if not cell:
        return None
    name = posixpath.normpath(_normal(cell).strip("/") or ".")
    return None if name.split("/")[0] == ".." else "" if name == "." else name


def _normal(path: str) -> str:
    """A path with slashes and composed letters."""
    return unicodedata.normalize("NFC", path.replace("\\", "/"))
