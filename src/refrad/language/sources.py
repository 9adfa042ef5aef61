"""Reading reports one after the other, from a table (CSV, Parquet, JSON lines) or from a folder of text files."""

import codecs
import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

__all__ = ["COLUMNS", "Report", "charset_of", "read_reports", "read_rows"]

COLUMNS = ("report_id", "patient_id", "accession_number", "study_uid", "dicom", "language", "text")
TIES = ("study_uid", "accession_number", "patient_id", "dicom")  # any of these columns finds the study
TABLE_OF_A_FOLDER = "reports.csv"  # in a folder of text files: the columns, with `file` instead of `text`
LONGEST_FIELD = 1 << 24  # characters; the csv module's own limit is shorter than some reports

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_EIGHT_BITS = ("cp1252", "cp850", "mac_roman")  # Windows, DOS, old Macintosh; the first wins a draw
_UMLAUT = re.compile(r"(?<=[a-zäöüß])[äöüß]|[äöü](?=[a-zß])|(?<![^\W\d_])[ÄÖÜ](?=[a-z])|(?<=[A-Z])[ÄÖÜ](?=[A-Z])")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Report:
    """One report; empty strings where the source has nothing. `dicom` is a folder inside the delivery."""

    report_id: str
    patient_id: str
    accession_number: str
    study_uid: str
    language: str
    text: str
    dicom: str = ""


def read_reports(path: Path) -> Iterator[Report]:
    """The reports of a table or a folder, streamed.

    A table needs the columns report_id and text, and one of study_uid, accession_number, patient_id and dicom. In a folder
    each text file is a report: reports.csv inside it lists them (`file` instead of `text`); without it the name of a
    file, up to its last dot, is report_id and accession number.

    Raises:
        ValueError: if a column is missing or the file is not of the format of its ending; names the file and the line.
    """
    if path.is_dir():
        yield from _read_folder(path)
        return
    checked = False
    for row in read_rows(path):
        if not checked:
            _check_columns(row, path.name, "text")
            checked = True
        yield _report(row, row.get("text", ""))


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a table as text, keys in lower case; by the ending of its name: .parquet, .jsonl or .ndjson, else CSV.

    CSV has comma, semicolon or tab between its columns. Its charset is found by `charset_of`.

    Raises:
        ValueError: if the file is empty or not of the format of its ending.
    """
    match path.suffix.lower():
        case ".parquet":
            rows: Iterator[Mapping[Any, Any]] = _read_parquet(path)
        case ".jsonl" | ".ndjson":
            rows = _read_json_lines(path)
        case _:
            rows = _read_csv(path)
    for row in rows:
        yield {
            str(key).strip().lower(): "" if value is None else str(value).strip() for key, value in row.items() if key
        }


def charset_of(path: Path) -> str:
    """The charset of a text file: by its byte order mark, else UTF-8 if all of it is valid, else the 8-bit charset
    that gives the most umlauts in the usual positions.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        head = file.read(_CHUNK)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return name
        if head[:200].count(0) > len(head[:200]) // 4:
            return "utf-16-le" if head[1:200:2].count(0) > head[:200:2].count(0) else "utf-16-be"
        file.seek(0)
        try:
            for chunk in iter(lambda: file.read(_CHUNK), b""):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
            return "utf-8"
        except UnicodeDecodeError:
            pass
        file.seek(0)
        counts = dict.fromkeys(_EIGHT_BITS, 0)
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            for name in _EIGHT_BITS:
                counts[name] += len(_UMLAUT.findall(chunk.decode(name, errors="replace")))
    return max(_EIGHT_BITS, key=lambda name: counts[name])


def _report(row: Mapping[str, str], text: str) -> Report:
    return Report(**{name: row.get(name, "") for name in COLUMNS if name != "text"}, text=text)


def _check_columns(row: Mapping[str, str], name: str, text: str) -> None:
    missing = [column for column in ("report_id", text) if column not in row]
    if missing or not any(column in row for column in TIES):
        needed = " and ".join(missing) or ", ".join(TIES[:-1]) + f" or {TIES[-1]}"
        columns = ", ".join(column if column != "text" else text for column in COLUMNS)
        raise ValueError(f"{name}: has no column {needed}; columns are {columns}")


def _read_csv(path: Path) -> Iterator[Mapping[Any, Any]]:
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name}: is empty, a header is needed")
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding=charset_of(path), errors="replace", newline="") as file:
        header = file.readline()
        delimiter = max(",;\t", key=header.count)
        file.seek(0)
        try:
            yield from csv.DictReader(file, delimiter=delimiter)
        except csv.Error as error:
            raise ValueError(f"{path.name}: is no CSV: {error}") from None


def _read_json_lines(path: Path) -> Iterator[Mapping[Any, Any]]:
    with path.open(encoding=charset_of(path), errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                row = None
            if not isinstance(row, dict):
                raise ValueError(f"{path.name}: line {number}: is no JSON object")
            yield row


def _read_parquet(path: Path) -> Iterator[Mapping[Any, Any]]:
    try:
        file = pq.ParquetFile(path)
    except Exception:
        raise ValueError(f"{path.name}: is no Parquet file") from None
    names = [name for name in file.schema_arrow.names if name.strip().lower() in COLUMNS] or None
    for batch in file.iter_batches(batch_size=1024, columns=names):
        yield from batch.to_pylist()


def _read_folder(folder: Path) -> Iterator[Report]:
    table = folder / TABLE_OF_A_FOLDER
    if not table.exists():
        files = sorted(
            path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in {".txt", ".text", ""}
        )
        if not files:
            raise ValueError(f"{folder.name}: holds neither text files (*.txt) nor {TABLE_OF_A_FOLDER}")
        for path in files:
            yield _report({"report_id": path.stem, "accession_number": path.stem}, _text_of(path))
        return
    for number, row in enumerate(read_rows(table), start=2):
        if number == 2:
            _check_columns(row, f"{folder.name}/{table.name}", "file")
        path = folder / row["file"]
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise ValueError(f"{folder.name}/{table.name}: line {number}: its file is not in the folder")
        yield _report(row, _text_of(path))


def _text_of(path: Path) -> str:
    return path.read_text(encoding=charset_of(path), errors="replace").removeprefix("\ufeff").strip()
