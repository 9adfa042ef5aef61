"""The NIfTI files of a delivery, from a table, a pattern of their paths, or BIDS."""

import csv
import logging
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from refrad.config import VolumeFiles
from refrad.core.files import atomic
from refrad.dicom.scan import find_files, printable_path
from refrad.nifti.bids import bids_reader
from refrad.nifti.entry_table import entries_of_table
from refrad.nifti.entry_values import entry_of_cells
from refrad.nifti.volume_entry import COLUMNS, ENDINGS, VolumeEntry, unnamed_entry

__all__ = ["find_volumes", "read_entries", "write_entries"]

log = logging.getLogger(__name__)

ROWS_A_GROUP = 8192


def read_entries(files: VolumeFiles) -> Iterator[VolumeEntry]:
    """Yield each NIfTI file of a delivery once, in no order, also those that cannot be used, which have a `problem`.

    With a table these are the files that it names; with a pattern, or BIDS, all NIfTI files in the folder.

    Raises:
        FileNotFoundError: if folder or table is missing, or there is no NIfTI file.
        ValueError: if the table cannot be understood, or the folder is no BIDS dataset where it must be one.
    """
    folder = Path(files.folder)
    if files.table is not None:
        entries = entries_of_table(Path(files.table), folder)
    elif files.pattern is not None:
        entries = _entries_of_pattern(files.pattern, folder)
    else:
        entries = _entries_of_paths(folder, bids_reader(folder))
    is_empty = True
    for entry in entries:
        is_empty = False
        yield _with_modality(entry, files.modality or "")
    if is_empty:
        empty = f"table {files.table} has no rows" if files.table else f"no NIfTI file (.nii, .nii.gz) is in {folder}"
        raise FileNotFoundError(f"{empty}: check deliveries.volumes in the config")


def find_volumes(folder: Path) -> Iterator[str]:
    """Relative posix paths of the NIfTI files below a folder, in no order; the path of a .zip file goes on inside of it.

    A .zip file that cannot be read is in the list itself, and so is a link to a folder, which is not followed.

    Raises:
        FileNotFoundError: if there is no such folder, or no file in it.
        OSError: if a folder cannot be read.
    """
    for path in find_files(folder, "deliveries.volumes.folder"):
        if path.lower().endswith(ENDINGS):
            yield path
        elif path.lower().endswith(".zip"):
            try:
                with zipfile.ZipFile(folder / path) as archive:
                    names = archive.namelist()
            except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
                yield path
            else:
                members = dict.fromkeys(names)  # an archive that was appended to has the newer file under an old name
                yield from (f"{path}/{name}" for name in members if name.lower().endswith(ENDINGS))
        elif os.path.isdir(f"{folder}/{path}"):  # noqa: PTH112 - pathlib is slow, and this runs for each file
            yield path


def _entries_of_pattern(pattern: str, folder: Path) -> Iterator[VolumeEntry]:
    """The files below a folder, with the fields that the groups of a regular expression find in their paths."""
    expression = re.compile(pattern)
    findings: Counter[str] = Counter()

    def entry_of_path(path: str) -> VolumeEntry:
        match = expression.fullmatch(path)
        if match is None:
            return unnamed_entry(path)
        parsed = entry_of_cells({**match.groupdict(default=""), "path": path})
        findings.update(f"the value of {name} cannot be understood, and they are not used" for name in parsed.wrong)
        findings.update(f"the value of {name} cannot be understood and is ignored" for name in parsed.ignored)
        return parsed.entry

    yield from _entries_of_paths(folder, entry_of_path)
    for finding, count in findings.items():
        log.warning("deliveries.volumes.pattern: %d files: %s", count, finding)


def _entries_of_paths(folder: Path, entry_of_path: Callable[[str], VolumeEntry]) -> Iterator[VolumeEntry]:
    """The entries of all files below a folder, also of those whose names no table can hold."""
    for path in find_volumes(folder):
        printable = printable_path(path)
        is_utf8 = printable == path
        yield entry_of_path(path) if is_utf8 else VolumeEntry(printable, "", "", "", problem="name_not_utf8")


def _with_modality(entry: VolumeEntry, modality: str) -> VolumeEntry:
    """The entry with the modality of the config where it has none."""
    if entry.modality or entry.problem:
        return entry
    return entry._replace(modality=modality, problem="" if modality else "no_modality")


def write_entries(path: Path, entries: Iterable[VolumeEntry]) -> None:
    """Write a table of volumes atomically: Parquet, or CSV for any other ending than .parquet. Entries are written as they come."""
    if path.suffix.lower() != ".parquet":
        with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(["" if value is None else value for value in entry[: len(COLUMNS)]] for entry in entries)
        return
    import pyarrow as pa  # here, as every rule reads the fields and few write tables
    import pyarrow.parquet as pq

    kinds = {"series_number": pa.int64(), "slope": pa.float64(), "intercept": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    source = iter(entries)
    parts = iter(lambda: list(islice(source, ROWS_A_GROUP)), [])
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for part in parts:
            columns = list(zip(*part, strict=True))[: len(COLUMNS)]
            writer.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=schema))
