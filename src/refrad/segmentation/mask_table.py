"""The table masks.csv, which names the label volumes of a delivery."""

import logging
import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import polars as pl

from refrad.formats.charsets import charset_of, errors_of, mend_text
from refrad.formats.csv_rows import read_csv_rows
from refrad.segmentation.base import DeliveredMasks
from refrad.segmentation.label_files import is_failing_storage

__all__ = ["TABLE", "GivenMask", "TableRow", "masks_of_volumes", "read_rows"]

TABLE = "masks.csv"
COLUMNS = ("dicom", "mask")
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
    """A row of masks.csv: its line, the images that it names ("" for the whole delivery, None for none), and its mask.

    `problem` is what is wrong with the row itself, one of the outcomes that are counted, or "".
    """

    line: int
    images: str | None
    mask: Path | None
    problem: str = ""


def read_rows(folder: Path) -> Iterator[TableRow]:
    """The rows of masks.csv, read as leniently as tables of reports.

    Args:
        folder: holds masks.csv, whose column `dicom` is a file or folder inside of the delivery ("." for all of it), and `mask` a
            NIfTI file or a folder of such files inside of `folder`.

    Raises:
        ValueError: if there is no table, or it cannot be understood.
    """
    table = folder / TABLE
    if not table.is_file():
        raise ValueError(f"{TABLE} (columns dicom and mask) is not in the folder of masks")
    charset, rows, broken = charset_of(table), 0, 0
    with table.open(encoding=charset, errors=errors_of(charset), newline="") as file:
        for row in read_csv_rows(file, TABLE):
            rows += 1
            if row.problem:
                broken += 1
                yield TableRow(row.line, None, None, BROKEN)
                continue
            if missing := [name for name in COLUMNS if name not in row.cells]:
                raise ValueError(f"{TABLE}: line 1: the header has no column {missing[0]}")
            images, cell = (mend_text(row.cells[name])[0].strip() for name in COLUMNS)
            mask = _find(folder, cell) if cell else None
            yield TableRow(row.line, _images(images), mask, "" if mask else MISSING if cell else EMPTY)
    if rows == broken:
        problem = f"no row of {rows} can be read" if rows else "no row is below the header"
        raise ValueError(f"{TABLE}: line 1: {problem} (columns dicom and mask)")


def masks_of_volumes(delivered: DeliveredMasks) -> dict[str, GivenMask]:
    """Name of each volume that the table names to its mask; rows are counted, and a warning names the lines of unused ones.

    A volume of which rows name different masks has none: the reason is `ambiguous_mask`.

    Raises:
        ValueError: if the table cannot be understood.
    """
    rows = list(read_rows(delivered.folder))
    volumes_of = _volumes_of_names({row.images for row in rows if row.images is not None}, delivered.file_paths())
    unmatched = {row.images for row in rows if row.images is not None and not volumes_of[row.images]}
    delivered_names = _names_in_delivery(unmatched, delivered.delivery)
    masks: dict[str, set[Path]] = defaultdict(set)
    missing: set[str] = set()
    lines: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        is_foreign = row.problem != BROKEN and (row.images is None or row.images in unmatched - delivered_names)
        lines[FOREIGN if is_foreign else row.problem or USED].append(row.line)
        if row.images is not None:
            for volume in volumes_of[row.images]:
                if row.mask:
                    masks[volume].add(row.mask)
                elif row.problem == MISSING:
                    missing.add(volume)
    for outcome, numbers in lines.items():
        delivered.count_rows(outcome, len(numbers))
        if outcome != USED:
            listed = ", ".join(map(str, numbers[:LISTED])) + (", ..." if len(numbers) > LISTED else "")
            logger.warning("%s: %d rows: %s (lines %s)", TABLE, len(numbers), outcome, listed)
    given_masks = {volume: GivenMask(None, "mask_missing") for volume in missing}
    for volume, paths in masks.items():
        if len(paths) > 1 or volume in missing:
            given_masks[volume] = GivenMask(None, "ambiguous_mask")
        else:
            (path,) = paths
            given_masks[volume] = GivenMask(path)
    return given_masks


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


def _find(folder: Path, cell: str) -> Path | None:
    """The file or folder that a cell names inside of `folder`; None if it is not there, or the path leaves it."""
    top = folder.resolve().as_posix() + "/"
    cell = cell.removeprefix(top)
    if PureWindowsPath(cell).drive or PureWindowsPath(cell).root:
        return None
    for name in dict.fromkeys((cell, cell.replace("\\", "/"))):
        parts = PurePosixPath(posixpath.normpath(name)).parts
        if ".." in parts:
            return None
        path = folder
        for part in parts:
            child = path / part
            path = child if _is_there(child) else _entries(path).get(_folded(part), child)
        if _is_there(path):
            return path
    return None


def _is_there(path: Path) -> bool:
    """Whether there is a file or folder, perhaps one for which the storage fails; no other kind is opened."""
    try:
        return path.is_file() or path.is_dir()
    except OSError as error:
        return is_failing_storage(error)
    except ValueError:  # no name of a file at all
        return False


@cache
def _entries(folder: Path) -> dict[str, Path]:
    """The files and folders in a folder by folded name, those excepted that share it."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    try:
        for entry in folder.iterdir():
            by_name[_folded(entry.name)].append(entry)
    except OSError:
        return {}
    return {name: entries[0] for name, entries in by_name.items() if len(entries) == 1}


def _folded(name: str) -> str:
    """A name as programs compare it that ignore the case of letters and how accents are stored."""
    return unicodedata.normalize("NFC", name).casefold()
