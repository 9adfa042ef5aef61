"""CSV files that people fill in with a spreadsheet."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from refrad.core.files import atomic

__all__ = ["is_rounded", "write_sheet"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # first characters that spreadsheets take for the start of a formula

_ROUNDED = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)


def is_rounded(cell: str) -> bool:
    """Whether a cell is a number as a spreadsheet shows a long identifier, such as 1.23E+12: digits are lost, and others look the same."""
    return _ROUNDED.fullmatch(cell) is not None


def write_sheet(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV in UTF-8 with a byte order mark, atomically; no text in it is read as a formula, as "-20 HU" would be."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_no_formula(value) for value in row] for row in rows)


def _no_formula(value: Any) -> Any:
    return f" {value}" if isinstance(value, str) and value.startswith(FORMULA) else value
