"""The values of a volume entry from text, as tables, file names and BIDS have them."""

import math
import posixpath
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import PureWindowsPath
from typing import NamedTuple

from refrad.core.types import MODALITIES
from refrad.formats.spreadsheets import is_rounded
from refrad.nifti.volume_entry import KEYS, VolumeEntry
from refrad.privacy.header_fields import date_of

__all__ = ["ParsedEntry", "age_in_years", "entry_of_cells", "path_inside"]

SPLITS = {
    "train": ("train", "training", "tr"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "ts"),
}
SEXES = {"M": ("m", "male"), "F": ("f", "female"), "O": ("o", "other")}
CONTRASTS = {"yes": ("yes", "y", "true", "1"), "no": ("no", "n", "false", "0")}
_DECIMALS = re.compile(r"\.0+$")  # of a whole number that a program took for a decimal
_ABSENT = {"", "n/a", "na", "nan", "none", "null"}
_AGE = re.compile(r"(\d{1,3})(?:\.\d+)?\s*\+?\s*(?:y|years?)?", re.IGNORECASE)
_AGE_OF_DICOM = re.compile(r"\d{1,3}[DWMY]")
_SEPARATORS = re.compile(r"[\s,;\[\]()]+")
ELEMENTS_OF_AFFINE = 12


class ParsedEntry(NamedTuple):
    """An entry, the columns whose values make it useless, and those whose values are ignored as they cannot be understood."""

    entry: VolumeEntry
    wrong: tuple[str, ...]
    ignored: tuple[str, ...]


class _Cells:
    """The cells of a row by column, and the columns whose values cannot be understood."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self._cells = cells
        self.wrong: list[str] = []
        self.ignored: list[str] = []

    def text(self, column: str) -> str:
        value = self._cells.get(column, "").strip()
        return "" if value.lower() in _ABSENT else value

    def term(self, column: str, terms: Mapping[str, tuple[str, ...]], *, is_needed: bool) -> str:
        """The term that a cell means, "" if it is empty or none of them."""
        value = _DECIMALS.sub("", self.text(column).lower())
        term = next((term for term, words in terms.items() if value in words), "")
        if value and not term:
            (self.wrong if is_needed else self.ignored).append(column)
        return term

    def identifier(self, column: str) -> str:
        """The text of a cell, "" if a spreadsheet has rounded it."""
        text = self.text(column)
        if is_rounded(text):
            self.ignored.append(column)
            return ""
        return text

    def number(self, column: str) -> float | None:
        value = self.text(column)
        if not value:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.wrong.append(column)
            return None
        return number


def entry_of_cells(cells: Mapping[str, str]) -> ParsedEntry:
    """The entry that a row describes: cells by column in lower case, others than those of `VolumeEntry` are ignored.

    A split, series number, image numbering, affine, slope or intercept that cannot be understood makes the file useless, as a
    missing key does: a guess could put a finding on the wrong slice, or a patient into two splits. So does a key that a spreadsheet
    has rounded, which may be that of many patients. Other values are dropped.
    The path is taken as it is.

    Args:
        cells: text; "" if absent. Letters with separate accents, as in file names of a Mac, become one character, as in reports.
    """
    path = cells.get("path", "")
    cells = {column: unicodedata.normalize("NFC", cell) for column, cell in cells.items()}
    row = _Cells(cells)
    keys = {key: cells.get(key, "").strip() for key in KEYS}  # "n/a" may be one: a patient may have any name
    row.wrong += [key for key in KEYS if is_rounded(keys[key])]
    modality = row.text("modality").upper().replace("MRI", "MR")
    number = row.number("series_number")
    if number is not None and not (number.is_integer() and 0 <= number < 2**31):
        row.wrong.append("series_number")
        number = None
    slope, intercept = row.number("slope"), row.number("intercept")
    if (slope is None) != (intercept is None) or slope == 0:
        row.wrong.append("slope")
    entry = VolumeEntry(
        path,
        **keys,
        modality=modality if modality in MODALITIES else "",
        split=row.term("split", SPLITS, is_needed=True),
        series_number=None if number is None else int(number),
        numbering=row.term("numbering", {"head": ("head",), "feet": ("feet",)}, is_needed=True),
        accession_number=row.identifier("accession_number"),
        frame_of_reference=row.text("frame_of_reference"),
        study_date=_date(row),
        sex=row.term("sex", SEXES, is_needed=False),
        age=_age(row),
        body_part=row.text("body_part"),
        contrast=row.term("contrast", CONTRASTS, is_needed=False),
        manufacturer=row.text("manufacturer"),
        affine=_affine(row),
        slope=slope,
        intercept=intercept,
    )
    problem = ""
    if not all(keys.values()):
        problem = "no_key"
    elif modality and not entry.modality:
        problem = "not_ct_or_mr"
    elif row.wrong:
        problem = "wrong_entry"
    return ParsedEntry(entry._replace(problem=problem), tuple(row.wrong), tuple(row.ignored))


def age_in_years(text: str) -> str:
    """A DICOM age, of itself or of years such as "63", "63.4", "63 years" or "89+"; "" if it is none."""
    if _AGE_OF_DICOM.fullmatch(text):
        return text
    match = _AGE.fullmatch(text)
    if match is None:
        return ""
    return f"{int(match[1]) + ('+' in text):03d}Y"  # 89+ is over 89


def path_inside(cell: str, folders: Sequence[str]) -> tuple[str, bool]:
    """A path inside the folder of the delivery as posix writes it, and whether it is one.

    Args:
        cell: as a table has it.
        folders: absolute paths of the folder, any of which the cell may begin with.
    """
    path = cell.strip() if "/" in cell else cell.strip().replace("\\", "/")
    path = next((path.removeprefix(f"{folder}/") for folder in folders if path.startswith(f"{folder}/")), path)
    windows = PureWindowsPath(path)
    if not path or path.startswith("/") or windows.drive or windows.root or "\0" in path:
        return path.replace("\0", ""), False
    path = posixpath.normpath(path)
    return path, path != "." and path.split("/")[0] != ".."


def _date(row: _Cells) -> str:
    """A date as YYYYMMDD, from that or from an ISO date, perhaps with a time; "" if it is none."""
    text = _DECIMALS.sub("", row.text("study_date"))
    match = re.match(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})(?!\d)", text)
    day = "".join(match.groups()) if match else ""
    if text and date_of(day) is None:
        row.ignored.append("study_date")
        return ""
    return day


def _age(row: _Cells) -> str:
    text = row.text("age")
    age = age_in_years(text)
    if text and not age:
        row.ignored.append("age")
    return age


def _affine(row: _Cells) -> str:
    """12 numbers separated by blanks, also from a list in brackets or from the 16 of a whole matrix."""
    text = row.text("affine")
    if not text:
        return ""
    numbers = [part for part in _SEPARATORS.split(text) if part]
    try:
        values = [float(part) for part in numbers]
    except ValueError:
        values = []
    if values[ELEMENTS_OF_AFFINE:] == [0, 0, 0, 1]:
        numbers, values = numbers[:ELEMENTS_OF_AFFINE], values[:ELEMENTS_OF_AFFINE]
    if len(values) != ELEMENTS_OF_AFFINE or not all(map(math.isfinite, values)):
        row.wrong.append("affine")
        return ""
    return " ".join(numbers)
