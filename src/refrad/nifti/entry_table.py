"""The table of the volumes of a delivery: CSV with any delimiter and charset, or Parquet. It may have hundreds of thousands of rows."""

import datetime
import difflib
import itertools
import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from refrad.formats.charsets import charset_of, errors_of, mend_text
from refrad.formats.csv_rows import SourceRow, read_csv_rows, refuse_repeated
from refrad.nifti.entry_values import entry_of_cells, path_inside
from refrad.nifti.volume_entry import COLUMNS, KEYS, VolumeEntry

__all__ = ["columns_of_table", "entries_of_table", "paths_of_table"]

logger = logging.getLogger(__name__)

NEEDED = ("path", *KEYS)
WORKBOOKS = {".xlsx", ".xlsm", ".xls", ".ods"}
ROWS_AT_ONCE = 4096
LISTED = 20  # lines that a warning names
ALIKE = 0.8  # similarity from which a column that is not read may be a misspelt one
# Names that other tables have for the needed columns
LIKELY = {
    "path": ("file", "filename", "file_name", "filepath", "volume", "image", "nifti", "volumename"),
    "patient": ("patient_id", "patientid", "patient_uid", "subject", "subject_id", "participant_id", "person_id"),
    "study": ("study_uid", "study_id", "studyinstanceuid", "session", "session_id", "accession_number", "scan"),
    "series": ("series_uid", "series_id", "seriesinstanceuid", "volume_id", "reconstruction"),
}


def entries_of_table(path: Path, folder: Path) -> Iterator[VolumeEntry]:
    """The file of each row; of several rows that name one file the first, with the problem "listed_twice".

    A row that cannot be read has a path that begins with two slashes. Warnings name the lines of wrong rows, and no value.

    Args:
        path: of the table.
        folder: of the delivery, inside of which the paths are.

    Raises:
        FileNotFoundError: if there is no such table.
        ValueError: if a needed column is missing, or the file is neither CSV nor Parquet.
    """
    columns_of_table(path)
    folders = _spellings(folder)
    repeated = _repeated_paths(path, folder)
    is_of_first_row = dict.fromkeys(repeated, True)
    lines: dict[str, list[int]] = defaultdict(list)
    for row in _rows(path, COLUMNS):
        file, is_inside = path_inside(row.cells.get("path", ""), folders)
        parsed = entry_of_cells({**row.cells, "path": file})
        entry = parsed.entry if is_inside else parsed.entry._replace(problem="outside_folder")
        if row.problem or not entry.path:
            entry = entry._replace(path=f"//row {row.line}", problem="wrong_entry" if row.problem else "no_key")
        elif (digest := hash(entry.path)) in repeated:
            lines["the file is that of another row as well"].append(row.line)
            if not is_of_first_row[digest]:
                continue
            is_of_first_row[digest] = False
            entry = entry._replace(problem="listed_twice")
        if entry.problem and entry.problem != "listed_twice":
            columns = f" ({', '.join(parsed.wrong)})" if entry.problem == "wrong_entry" and parsed.wrong else ""
            lines[f"{entry.problem}{columns}"].append(row.line)
        for column in parsed.ignored:
            lines[f"the value of {column} cannot be understood and is ignored"].append(row.line)
        yield entry
    for finding, numbers in lines.items():
        listed = ", ".join(map(str, numbers[:LISTED])) + (", ..." if len(numbers) > LISTED else "")
        logger.warning("%s: %d rows: %s (line %s)", path.name, len(numbers), finding, listed)


def columns_of_table(path: Path) -> list[str]:
    """The columns of a table of volumes, in lower case.

    Raises:
        FileNotFoundError: if there is no such table.
        ValueError: if a needed column is missing, which the message names with the column that it may be.
    """
    if path.suffix.lower() in WORKBOOKS:
        raise ValueError(f"{path.name}: is a workbook: save the sheet as CSV, with the columns of keys as text")
    if path.suffix.lower() == ".parquet":
        columns = [name.strip().lower() for name in _parquet(path).schema_arrow.names]
        refuse_repeated(columns, COLUMNS, path.name)
    else:
        columns = list(next((row.cells for row in _csv_rows(path) if not row.problem), {}))
        if not columns:
            raise ValueError(f"{path.name}: no row below the header can be read")
    for column in NEEDED:
        if column not in columns:
            raise ValueError(f"{path.name}: line 1: has no column {column}{_hint(column, columns)}")
    for column in columns:
        alike = difflib.get_close_matches(column, COLUMNS, n=1, cutoff=ALIKE)
        if column not in COLUMNS and alike and alike[0] not in columns:
            logger.warning("%s: the column %s is not read; there is one called %s", path.name, column, alike[0])
    return columns


def _hint(column: str, columns: Sequence[str]) -> str:
    """The column that may be meant, as a question, and the columns that are needed."""
    plain = {name.replace(" ", "_").replace("-", "_"): name for name in columns}
    names = [name for alias in LIKELY[column] if (name := plain.get(alias)) and name not in NEEDED]
    if not set(COLUMNS).isdisjoint(
        columns
    ):  # without a header these are cells: "pat01" is close to "path", and a patient
        names += difflib.get_close_matches(column, [name for name in columns if name not in NEEDED], n=1)
    meant = f"; is it the column {names[0]}? Rename it" if names else ""
    return f"{meant}: a table of volumes needs the columns {', '.join(NEEDED)} (docs/nifti.md)"


def _spellings(folder: Path) -> list[str]:
    """The absolute paths of a folder: a table may have the name of a link to it, or where that leads."""
    return [os.path.abspath(folder), folder.resolve().as_posix()]  # noqa: PTH100 - absolute() keeps ".."


def paths_of_table(path: Path, folder: Path) -> Iterator[tuple[str, bool]]:
    """The path of each row, "" if it has none, and whether it is inside the folder of the delivery.

    Raises:
        FileNotFoundError, ValueError: as `entries_of_table`.
    """
    folders = _spellings(folder)
    for row in _rows(path, ("path",)):
        yield path_inside(row.cells.get("path", ""), folders)


def _repeated_paths(path: Path, folder: Path) -> frozenset[int]:
    """Hashes of the paths that several rows name: 8 bytes each, as the paths of an archive would fill the memory."""
    hashes: set[int] = set()
    repeated: set[int] = set()
    for file, _ in paths_of_table(path, folder):
        digest = hash(file)
        (repeated if digest in hashes else hashes).add(digest)
    return frozenset(repeated - {hash("")})


def _rows(path: Path, columns: Sequence[str]) -> Iterator[SourceRow]:
    """The rows of a table with these columns, as text without wrong characters."""
    for row in _parquet_rows(path, columns) if path.suffix.lower() == ".parquet" else _csv_rows(path):
        cells = {column: _mended(column, _text(row.cells[column])) for column in columns if column in row.cells}
        yield row._replace(cells=cells)


def _mended(column: str, text: str) -> str:
    """A cell without wrong characters; a path keeps its spelling, which is that of a file."""
    is_name = column == "path" and text == text.encode(errors="ignore").decode()
    return text if is_name else mend_text(text)[0]


def _csv_rows(path: Path) -> Iterator[SourceRow]:
    if not path.is_file():
        raise FileNotFoundError(f"no such table of volumes: {path}")
    charset = charset_of(path)
    with path.open(encoding=charset, errors=errors_of(charset), newline="") as file:
        yield from read_csv_rows(file, path.name, COLUMNS)


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[SourceRow]:
    file, numbers = _parquet(path), itertools.count(1)
    names = [name for name in file.schema_arrow.names if name.strip().lower() in columns]
    for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=names):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            cells: Mapping[str, Any] = {name.strip().lower(): value for name, value in zip(names, values, strict=True)}
            yield SourceRow(next(numbers), cells)


def _parquet(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise FileNotFoundError(f"no such table of volumes: {path}")
    try:
        return pq.ParquetFile(path)
    except Exception:  # pyarrow raises errors of several libraries
        raise ValueError(f"{path.name}: is no Parquet file") from None


def _text(value: Any) -> str:
    """A cell as text: whole numbers without decimals, dates as YYYYMMDD, lists separated by blanks."""
    match value:
        case str():
            return value
        case None:
            return ""
        case float():
            return (
                "" if value != value else str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
            )
        case datetime.date():
            return value.strftime("%Y%m%d")
        case list() | tuple():
            return " ".join(map(_text, value))
        case bytes():
            return value.decode("utf-8", errors="surrogateescape")
        case _:
            return str(value)
