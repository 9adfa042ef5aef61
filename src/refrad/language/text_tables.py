"""Tables in report text: rows with values of several days are no sentences, rows of one value become sentences."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

__all__ = ["split_tables"]

# A column of another day, or the name of a column.
OF_DAYS = """
    vor voruntersuchung vorher vu zuvor prior previous baseline ausgangsbefund aktuell aktuelle current now heute today nadir date datum verlauf
    verlaufskontrolle
"""
OF_COLUMNS = """
    organ struktur befund größe lokalisation läsion region seite wert normwert normal messung nr finding size location structure side
    value lesion target measurement normalbereich reference
"""
_OF_DAYS, _OF_COLUMNS = frozenset(OF_DAYS.split()), frozenset(OF_COLUMNS.split())
_BORDER = re.compile(r"\t+|\||[ ]{3,}")
_RULE = re.compile(r"[\s|:=+-]+")
_VALUE = re.compile(
    r"[<>~≈]?\s?(?:ca\.\s)?\d+(?:[.,]\d+)?(?:\s?[x×]\s?\d+(?:[.,]\d+)?){0,2}\s?(?:mm|cm|ml|%|HE|HU)?|-|–|\[DATE\]"
)


def split_tables(text: str) -> Iterator[tuple[bool, str]]:
    """The text in its order as (whether it is a table with values of several days, text); rows of one value are sentences."""
    lines = [(line, _cells(line)) for line in text.split("\n")]
    block: list[str] = []
    for is_row, group in groupby(lines, key=lambda line: bool(line[1])):
        rows = list(group)
        cells = [row for _, row in rows]
        if is_row and _has_days(cells):
            yield False, "\n".join(block)
            yield True, "\n".join(line for line, _ in rows)
            block = []
        elif is_row:
            block += [sentence for row in cells if (sentence := _sentence(row))]
        else:
            block += [line for line, _ in rows]
    yield False, "\n".join(block)


def _cells(line: str) -> Sequence[str]:
    """The cells of a row; none if the line is none."""
    if "|" not in line and "\t" not in line.strip() and "   " not in line.strip():
        return ()
    if "|" in line and _RULE.fullmatch(line):
        return ("",)
    cells = [cell.strip() for cell in _BORDER.split(line)]
    cells = [cell for cell in cells if cell]
    is_framed = "|" in line or "\t" in line.strip()
    return cells if len(cells) >= (2 if is_framed else 3) else ()


def _has_days(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table compares days: a column is named so, or rows have two values."""
    wide = [row for row in rows if len(row) > 2]
    if any(sum(_VALUE.fullmatch(cell) is not None for cell in row[1:]) > 1 for row in wide):
        return True
    return any(word in _OF_DAYS for row in wide[:1] for cell in row for word in re.findall(r"[^\W\d_]+", cell.lower()))


def _sentence(row: Sequence[str]) -> str:
    """The sentence "Leber: normal, 14 mm" for a row of cells; nothing for the names of columns and for lines between rows."""
    if all(set(re.findall(r"[^\W\d_]+", cell.lower())) <= _OF_COLUMNS for cell in row):
        return ""
    first, *values = row
    text = f"{first.rstrip(':')}: {', '.join(values)}" if values else first
    return text if text[-1:] in ".!?" else f"{text}."
