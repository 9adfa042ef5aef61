"""Reading reports one after the other, from a table (CSV, Parquet, JSON lines) or from a folder of text files."""

import errno
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from refrad.formats.charsets import charset_of, errors_of, mend_text
from refrad.formats.csv_rows import BROKEN, SourceRow, read_csv_rows
from refrad.sources.document_formats import UnreadableDocument, decode_document
from refrad.sources.source_notes import FAILED, MENDED, WRONG, SourceNotes

__all__ = ["COLUMNS", "Report", "read_reports", "read_rows"]

COLUMNS = ("report_id", "patient_id", "accession_number", "study_uid", "dicom", "language", "text")
VOLUME = "volume"  # another name of the column dicom, for deliveries of NIfTI files
TIES = ("study_uid", "accession_number", "patient_id", "dicom", VOLUME)  # any of these columns finds the study
TABLE_OF_A_FOLDER = "reports.csv"  # in a folder of text files: the columns, with `file` instead of `text`
TEXT_ENDINGS = ("", ".txt", ".text", ".rtf", ".hl7", ".htm", ".html", ".xml")
LONGEST_TEXT = 1 << 20  # characters of a report; more are a picture or a file
OF_ONE_FILE = {errno.EIO, errno.ESTALE}  # errors of a disk or file server, after which other files may still be read
NO_ARRAY = "a .json file must hold one array of objects; one object per line is .jsonl"
EXACT_FLOATS = 2**53  # from here on a float does not hold each whole number


@dataclass(frozen=True)
class Report:
    """One report; empty strings where the source has nothing.

    Attributes:
        dicom: a folder inside the delivery, or a NIfTI file.
        line: of the table, or number of the row or file.
        problem: why it cannot be used, such as "broken_row"; the text is empty then.
    """

    report_id: str
    patient_id: str
    accession_number: str
    study_uid: str
    language: str
    text: str
    dicom: str = ""
    line: int = 0
    problem: str = ""


IsHeading = Callable[[str], bool]
"""Whether the label of an HL7 observation is a heading of reports, as `refrad.language.sections.is_heading` says."""


def read_reports(path: Path, is_heading: IsHeading, notes: SourceNotes | None = None) -> Iterator[Report]:
    """The reports of a table or a folder, streamed: one for each row or file, also for those that cannot be used.

    A table needs the columns report_id and text, and one of study_uid, accession_number, patient_id and dicom. In a folder
    each text file is a report: reports.csv inside it lists them (`file` instead of `text`); without it the name of a
    file, up to its last dot, is report_id and accession number.

    Args:
        path: of the table or folder.
        is_heading: of labels in HL7 messages.
        notes: gets what was wrong in rows.

    Raises:
        ValueError: if a column is missing, the file is not of the format of its ending, or none of its rows can be read;
            names the file and the line.
    """
    notes = notes if notes is not None else SourceNotes()
    if path.is_dir():
        yield from _read_folder(path, is_heading, notes)
        return
    checked = False
    for row in _source_rows(path, notes):
        if not checked and not row.problem:
            _check_columns(row.cells, path.name, "text")
            checked = True
        yield _report(row, row.cells.get("text", ""), is_heading, notes)
    if not checked and (broken := notes.rows.get(BROKEN)):
        raise ValueError(f"{path.name}: none of its {broken} rows can be read; {notes.warnings(path.name)[0]}")


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a table as text, keys in lower case; by the ending of its name: .parquet, .jsonl, .ndjson or .json, else CSV.

    CSV has comma, semicolon, tab or "|" between its columns. Its charset is found by `charset_of`.

    Raises:
        ValueError: if the file is empty or not of the format of its ending, or a row cannot be read.
    """
    for row in _source_rows(path, SourceNotes()):
        if row.problem:
            raise ValueError(f"{path.name}: line {row.line}: the row cannot be read")
        yield dict(row.cells)


def _source_rows(path: Path, notes: SourceNotes) -> Iterator[SourceRow]:
    """Rows of a table with cells as text without wrong characters."""
    match path.suffix.lower():
        case ".parquet":
            rows = _read_parquet(path)
        case ".jsonl" | ".ndjson":
            rows = _read_json_lines(path)
        case ".json":
            rows = _read_json_array(path)
        case _:
            rows = _read_csv(path)
    for row in rows:
        wrong = 0
        cells: dict[str, str] = {}
        for key, value in row.cells.items():
            column = str(key).strip().lower()
            if column:
                text, count = mend_text(
                    _text_of_cell(value, f"{path.name}: line {row.line}: {column}", column in COLUMNS)
                )
                cells[column] = text.strip()
                wrong += count
        if wrong:
            notes.add(WRONG, row.line, wrong)
        if row.is_mended:
            notes.add(MENDED, row.line)
        if row.problem:
            notes.add(row.problem, row.line)
        yield row._replace(cells=cells)


def _text_of_cell(value: Any, place: str, is_needed: bool) -> str:
    """A cell of any type as text: bytes are decoded, texts of a list are lines, whole numbers have no decimals.

    Raises:
        ValueError: if the cell is needed and of a type that is no text.
    """
    match value:
        case str():
            return value
        case None:
            return ""
        case bytes():
            try:
                return value.decode("utf-8-sig")
            except UnicodeDecodeError:
                return value.decode("utf-8", errors="surrogateescape")
        case float():
            whole = value.is_integer() and abs(value) < EXACT_FLOATS
            return "" if value != value else str(int(value)) if whole else str(value)
        case list() if all(isinstance(part, str | bytes | None) for part in value):
            return "\n".join(_text_of_cell(part, place, is_needed) for part in value)
        case list() | dict() | tuple():
            if is_needed:
                raise ValueError(f"{place} holds a {type(value).__name__}, no text")
            return ""
        case _:
            return str(value)


def _report(row: SourceRow, text: str, is_heading: IsHeading, notes: SourceNotes) -> Report:
    problem = row.problem
    if not problem:
        text, problem = _readable(text, is_heading)
        problem = problem or ("" if row.cells.get("report_id") else "no_report_id")
        if problem:
            notes.add(problem, row.line)
    cells = {name: row.cells.get(name, "") for name in COLUMNS if name != "text"}
    cells["dicom"] = cells["dicom"] or row.cells.get(VOLUME, "")
    return Report(**cells, text="" if problem else text, line=row.line, problem=problem)


def _readable(text: str, is_heading: IsHeading) -> tuple[str, str]:
    """The plain text of a report and "", or "" and the reason why it has none."""
    if len(text) > LONGEST_TEXT:
        return "", "too_long_report"
    try:
        text = decode_document(text, is_heading)
    except UnreadableDocument as error:
        return "", str(error)
    return text, "" if text else "no_text"


def _check_columns(row: Mapping[str, str], name: str, text: str) -> None:
    missing = [column for column in ("report_id", text) if column not in row]
    if missing or not any(column in row for column in TIES):
        needed = " and ".join(missing) or ", ".join(TIES[:-2]) + f" or {TIES[-2]}"
        columns = ", ".join(column if column != "text" else text for column in COLUMNS)
        raise ValueError(f"{name}: has no column {needed}; columns are {columns}")


def _read_csv(path: Path) -> Iterator[SourceRow]:
    charset = charset_of(path)
    with path.open(encoding=charset, errors=errors_of(charset), newline="") as file:
        yield from read_csv_rows(file, path.name)


def _read_json_lines(path: Path) -> Iterator[SourceRow]:
    charset = charset_of(path)
    with path.open(encoding=charset, errors=errors_of(charset)) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):  # also a number of thousands of digits
                row = None
            yield SourceRow(number, row) if isinstance(row, dict) else SourceRow(number, {}, BROKEN)


def _read_json_array(path: Path) -> Iterator[SourceRow]:
    charset = charset_of(path)
    try:
        array = json.loads(path.read_text(encoding=charset, errors=errors_of(charset)))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}: line {error.lineno}: {NO_ARRAY}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path.name}: holds lists nested too deeply, or a number of thousands of digits") from None
    if not isinstance(array, list):
        raise ValueError(f"{path.name}: {NO_ARRAY}")
    for number, row in enumerate(array, start=1):
        yield SourceRow(number, row) if isinstance(row, dict) else SourceRow(number, {}, BROKEN)


def _read_parquet(path: Path) -> Iterator[SourceRow]:
    try:
        file = pq.ParquetFile(path)
    except Exception:
        raise ValueError(f"{path.name}: is no Parquet file") from None
    names = [name for name in file.schema_arrow.names if name.strip().lower() in {*COLUMNS, VOLUME}] or None
    numbers = itertools.count(1)
    for batch in file.iter_batches(batch_size=1024, columns=names):
        for row in batch.to_pylist():
            yield SourceRow(next(numbers), row)


def _read_folder(folder: Path, is_heading: IsHeading, notes: SourceNotes) -> Iterator[Report]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    table = folder / TABLE_OF_A_FOLDER
    if table.exists():
        yield from _read_listed(folder, table, files, is_heading, notes)
        return
    texts = [path for path in files if path.suffix.lower() in TEXT_ENDINGS and not path.name.startswith(".")]
    notes.ignore(set(files).difference(texts))
    if not texts:
        ignored = f"; {notes.ignored()}" if files else ""
        raise ValueError(f"{folder.name}: holds neither text files (*.txt) nor {TABLE_OF_A_FOLDER}{ignored}")
    for number, path in enumerate(texts, start=1):
        cells = {"report_id": path.stem, "accession_number": path.stem}
        yield _report_of_file(path, folder, SourceRow(number, cells), is_heading, notes)


def _read_listed(
    folder: Path, table: Path, files: Sequence[Path], is_heading: IsHeading, notes: SourceNotes
) -> Iterator[Report]:
    """The reports that the table of a folder lists."""
    unlisted = {path.resolve() for path in files} - {table.resolve()}
    checked = False
    for row in _source_rows(table, notes):
        if row.problem:
            yield _report(row, "", is_heading, notes)
            continue
        if not checked:
            _check_columns(row.cells, f"{folder.name}/{table.name}", "file")
            checked = True
        path = folder / row.cells["file"]
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise ValueError(f"{folder.name}/{table.name}: line {row.line}: its file is not in the folder")
        unlisted.discard(path.resolve())
        yield _report_of_file(path, folder, row, is_heading, notes)
    notes.ignore(unlisted)


def _report_of_file(path: Path, folder: Path, row: SourceRow, is_heading: IsHeading, notes: SourceNotes) -> Report:
    """The report of a text file; one for which the storage fails cannot be used, and the others can."""
    try:
        text = _read_text(path, row.line, notes)
    except OSError as error:
        if error.errno not in OF_ONE_FILE:
            raise OSError(error.errno, f"a report of the folder: {os.strerror(error.errno or 0)}") from None  # no path
        notes.fail(row.line, os.path.relpath(path, folder))
        text, row = "", row._replace(problem=FAILED)
    return _report(row, text, is_heading, notes)


def _read_text(path: Path, line: int, notes: SourceNotes) -> str:
    charset = charset_of(path)
    content = path.read_text(encoding=charset, errors=errors_of(charset))
    text, wrong = mend_text(content)
    if wrong:
        notes.add(WRONG, line, wrong)
    return text.strip()
