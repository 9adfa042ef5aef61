"""The site's lists of what to use and what to leave out, by the identifiers of the archive: reading, checking, digest.

A list is a CSV table with the columns kind and value. It is private, and no message shows a value of it.
"""

import datetime
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from refrad.formats.charsets import charset_of, errors_of, mend_text
from refrad.formats.csv_rows import read_csv_rows
from refrad.formats.spreadsheets import is_rounded
from refrad.privacy.header_fields import MODALITIES

__all__ = [
    "KINDS",
    "LEFT_OUT",
    "LISTS",
    "ChoiceEntry",
    "body_part_key",
    "digests_of_choice",
    "range_of",
    "read_choice_list",
]

LISTS = ("include", "exclude")  # options of stage index
LEFT_OUT = ("excluded", "not_chosen")  # reasons of images and reports, the stronger one first

DIGITS = 16  # hexadecimal, of a digest
SHOWN = 10  # wrong lines that a message names
WORKBOOK = b"PK\x03\x04"
DATE = "a date is written 2019-01-31, a range 2019-01-01..2019-12-31, 2019-01-01.. or ..2019-12-31"
_DATES = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)(?:[T ]00:00(?::00(?:\.0+)?)?)?"),
    re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"),
    re.compile(r"(?P<day>\d\d?)\.(?P<month>\d\d?)\.(?P<year>\d{4})"),
)


class ChoiceEntry(NamedTuple):
    """An entry of a list: the line, the kind, one of `KINDS`, and the value in one spelling of its kind."""

    line: int
    kind: str
    value: str


def body_part_key(value: str) -> str:
    """What spellings of a body part share: capitals and digits, as in "C-Spine", "c spine" and "CSPINE"."""
    return "".join(letter for letter in value.upper() if letter.isalnum())


def range_of(value: str) -> tuple[str, str]:
    """The first and last day of a range of an entry, both included, as ISO dates that can be compared as text."""
    first, _, last = value.partition("..")
    return first or "0001-01-01", last or "9999-12-31"


def _identifier(value: str) -> str:
    if is_rounded(value):
        raise ValueError("a spreadsheet has rounded the number: format its column as text, and enter it anew")
    return value


def _modality(value: str) -> str:
    if value.upper() not in MODALITIES:
        raise ValueError("no modality of DICOM: write CT or MR")
    return value.upper()


def _body_part(value: str) -> str:
    if not (key := body_part_key(value)):
        raise ValueError("no body part: write it as BodyPartExamined has it, such as ABDOMEN")
    return key


def _date_range(value: str) -> str:
    first, dots, last = (part.strip() for part in value.partition(".."))
    days = [_day(part) if part else "" for part in (first, last if dots else first)]
    if not any(days) or (all(days) and days[0] > days[1]):
        raise ValueError(DATE + ("" if not any(days) else ", the earlier day first"))
    return "..".join(days)


def _day(text: str) -> str:
    match = next(filter(None, (pattern.fullmatch(text) for pattern in _DATES)), None)
    try:
        return (
            datetime.date(*(int(match[part]) for part in ("year", "month", "day"))).isoformat() if match else _no_day()
        )
    except ValueError:
        return _no_day()


def _no_day() -> str:
    raise ValueError(DATE)


KINDS: Mapping[str, Callable[[str], str]] = {
    "patient": _identifier,
    "study": _identifier,
    "series": _identifier,
    "modality": _modality,
    "body_part": _body_part,
    "date": _date_range,
}
"""Kind of an entry to the function that gives its value in one spelling; raises ValueError with the remedy."""


def read_choice_list(path: Path) -> tuple[ChoiceEntry, ...]:
    """The entries of a list, in the order of the file.

    Args:
        path: a CSV table with any of the usual delimiters and charsets; further columns are ignored.

    Raises:
        ValueError: if the file is no such table or a line is wrong; a line of the message for each, with its number and remedy.
    """
    try:
        state = path.stat()
        return _entries(path, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise ValueError(f"{path.name}: cannot be read: {error.strerror}") from None


@lru_cache(maxsize=8)
def _entries(path: Path, _changed_at: int, _size: int) -> tuple[ChoiceEntry, ...]:
    """The entries of a list as it is now; kept, since both the check of the config and the fingerprint ask for them."""
    rows = list(_rows(path))
    entries, problems = [], []
    for line, kind, value in rows:
        try:
            entries.append(_entry(line, kind, value))
        except ValueError as error:
            problems.append(f"{path.name}, line {line}: {error}")
    if len(problems) > SHOWN:
        problems[SHOWN:] = [f"{path.name}: {len(problems) - SHOWN} more lines are wrong"]
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(entries)


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, kind and value of each row; kind and value are empty where the row cannot be read."""
    with path.open("rb") as file:
        if file.read(len(WORKBOOK)) == WORKBOOK:
            raise ValueError(f"{path.name}: is a workbook: save it as CSV")
    charset = charset_of(path)
    with path.open(encoding=charset, errors=errors_of(charset), newline="") as file:
        for row in read_csv_rows(file, path.name):
            if not row.problem and not {"kind", "value"} <= row.cells.keys():
                raise ValueError(
                    f"{path.name}, line 1: the columns must be kind and value, as in the first line kind,value"
                )
            kind, value = (mend_text(row.cells.get(column, ""))[0] for column in ("kind", "value"))
            yield row.line, kind.strip(" \t\0"), value.strip(" \t\0")


def _entry(line: int, kind: str, value: str) -> ChoiceEntry:
    name = re.sub(r"[\s-]+", "_", kind.casefold())
    if not kind or not value:
        raise ValueError("needs a kind and a value, such as patient,12345, and as many columns as the first line")
    if name not in KINDS:
        raise ValueError(f"the kind must be {', '.join(list(KINDS)[:-1])} or {list(KINDS)[-1]}")
    return ChoiceEntry(line, name, KINDS[name](value))


def digests_of_choice(lists: Mapping[str, Iterable[ChoiceEntry]], key: bytes) -> dict[str, str]:
    """Keyed digest of the entries of each list that has any, whatever their order, as hexadecimal digits.

    A plain digest would not do: fingerprints are published, and a list of a few numbers is found by trying.
    """
    texts = {
        f"index.{name}": "\n".join(sorted({f"{entry.kind}\0{entry.value}" for entry in entries}))
        for name, entries in lists.items()
    }
    return {
        role: hmac.digest(key, f"{role}\0{text}".encode(), hashlib.sha256).hex()[:DIGITS]
        for role, text in texts.items()
        if text
    }
