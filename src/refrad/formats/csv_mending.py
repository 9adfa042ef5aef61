"""Rows of a table with wrong quotes: how a row begins, and the text that is left between the quotes."""

from collections import deque
from collections.abc import Sequence

__all__ = ["IDS", "RowLook", "leading_cells", "unquote"]

REMEMBERED = 200  # well-formed rows before a fault from which the look of a row is taken
ENOUGH = 20  # rows from which that look is trusted
LONGEST_LANGUAGE = 7  # characters, as in "english"
IDS = ("report_id", "patient_id", "accession_number", "study_uid")


class RowLook:
    """How the cells before the text look: kinds of characters that all of the last rows have, and that any has."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self._count = 0
        self._unread: deque[list[str]] = deque(maxlen=REMEMBERED)  # rows since the last fault
        self._looks: deque[list[frozenset[str]]] = deque(maxlen=REMEMBERED)
        self._learned: list[tuple[frozenset[str], frozenset[str]]] = []

    def remember(self, cells: Sequence[str]) -> None:
        """Take a well-formed row as an example."""
        self._count += 1
        self._unread.append(list(cells[: len(self.columns)]))

    def matches(self, cells: Sequence[str]) -> bool:
        """Whether these cells look like those of the last rows; with few rows, whether they look like ids."""
        if self._count < ENOUGH:
            return self._is_plausible(cells)
        return all(
            _is_like(cell, kinds)
            for name, cell, kinds in zip(self.columns, cells, self._learn(), strict=True)
            if name in IDS or name == "language"
        )

    def may_begin(self, cell: str) -> bool:
        """Whether a first cell looks like those of the last rows; with few rows, whether it has a number and no space."""
        if self._count and _is_like(cell, self._learn()[0]):
            return True
        return self._count < ENOUGH and _is_id(cell) and _has_number(cell)

    def _is_plausible(self, cells: Sequence[str]) -> bool:
        """Whether these cells may be ids and a language, and have numbers where all of the last rows have."""
        named = dict(zip(self.columns, (cell.strip() for cell in cells), strict=True))
        ids = {name: cell for name, cell in named.items() if name in IDS}
        if (
            not all(map(_is_id, ids.values()))
            or not named.get("report_id", "-")
            or len(named.get("language", "")) > LONGEST_LANGUAGE
        ):
            return False
        if not self._count:
            return any(map(_has_number, ids.values()))
        numbered = [name for name, (always, _) in zip(self.columns, self._learn(), strict=True) if "9" in always]
        return all(_has_number(named[name]) for name in numbered if name in IDS)

    def _learn(self) -> list[tuple[frozenset[str], frozenset[str]]]:
        """The kinds that all and any of the last rows have, by column; each row is looked at once, and only if a fault follows."""
        if self._unread:
            self._looks.extend([_kinds(cell) for cell in row] for row in self._unread)
            self._unread.clear()
            columns = zip(*self._looks, strict=True)
            self._learned = [(frozenset.intersection(*column), frozenset.union(*column)) for column in columns]
        return self._learned


def _kinds(cell: str) -> frozenset[str]:
    kinds = ("9" if character.isdigit() else "A" if character.isalpha() else character for character in cell.strip())
    return frozenset(kinds) or frozenset([""])


def _is_like(cell: str, kinds: tuple[frozenset[str], frozenset[str]]) -> bool:
    always, ever = kinds
    return len(cell) < 200 and always <= _kinds(cell) <= ever


def _is_id(cell: str) -> bool:
    return len(cell) < 80 and not any(map(str.isspace, cell.strip()))


def _has_number(cell: str) -> bool:
    return any(map(str.isdigit, cell))


def leading_cells(text: str, number: int, delimiter: str) -> tuple[list[str], int] | None:
    """The first cells of a row and where the next one begins, or None if there are fewer in its first line."""
    cells: list[str] = []
    position = 0
    while len(cells) < number:
        if text[position : position + 1] == '"':
            end = text.find(f'"{delimiter}', position + 1)
            cell, after = text[position + 1 : end], end + 2
        else:
            end = text.find(delimiter, position)
            cell, after = text[position:end], end + 1
        if end < 0 or '"' in cell or "\n" in cell or "\r" in cell:
            return None
        cells.append(cell)
        position = after
    return cells, position


def unquote(body: str) -> str:
    """A cell with wrong quotes as text: without those around it, those inside undoubled and without backslash."""
    body = body.replace('\\"', "\0")
    opening = len(body) - len(body.lstrip('"'))
    if opening:
        body = '"' * ((opening - 1) // 2) + body[opening:]
        closing = len(body) - len(body.rstrip('"'))
        body = body[: len(body) - closing] + '"' * ((closing - 1) // 2)
    else:
        closing = 0
    if not closing and body.count('"') % 2:  # the closing quote stands before the end, or its opening one is missing
        last = body.rindex('"')
        body = body[:last] + body[last + 1 :]
    return (body.replace('""', '"') if opening else body).replace("\0", '"')
