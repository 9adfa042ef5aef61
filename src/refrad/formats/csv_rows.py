"""Rows of a CSV table, also of one with wrong quotes: no row is lost, and none is joined with another.

A well-formed row is read by the rules of CSV. Where these fail, or a row has another width than the header, the lines around it
are cut where the cells before the text look like those of other rows. Each piece is then read with the surplus in its text, or
is a broken row.
"""

import csv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TextIO

from refrad.formats.csv_mending import IDS, RowLook, leading_cells, unquote

__all__ = ["BROKEN", "SourceRow", "read_csv_rows", "refuse_repeated"]

BROKEN = "broken_row"
DELIMITERS = ",;\t|"
LONGEST_CELL = 1 << 24  # characters
PEEKED = 20  # rows at the head of a table that are compared with the header


class SourceRow(NamedTuple):
    """A row of a source: its line, its cells by column in lower case, and the reason why it cannot be used, or ""."""

    line: int
    cells: Mapping[str, Any]
    problem: str = ""
    is_mended: bool = False


class _Record(NamedTuple):
    """Lines of a table that follow each other, the number of the first, and its cells if it is well-formed."""

    line: int
    lines: list[str]
    cells: list[str] | None


class _Lines:
    """The lines of a file, to which lines can be given back; `taken` are those since it was last emptied."""

    def __init__(self, file: TextIO) -> None:
        self.number = 0
        self.taken: list[str] = []
        self._file = file
        self._back: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else self._file.readline(LONGEST_CELL)
        if not line:
            raise StopIteration
        if len(line) >= LONGEST_CELL and line[-1] not in "\r\n":  # too long for a cell: its end is of no use
            while (part := self._file.readline(LONGEST_CELL)) and part[-1] not in "\r\n":
                pass
            line += "\n"
        self.number += 1
        self.taken.append(line)
        return line

    def give_back(self, lines: Sequence[str]) -> None:
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


def read_csv_rows(file: TextIO, name: str, once: Sequence[str] = ()) -> Iterator[SourceRow]:
    """The rows of a table with comma, semicolon, tab or "|" between its columns, or what the line "sep=" names.

    Args:
        file: opened with newline="".
        name: of the file, for messages.
        once: columns that must not be there twice: of others the last counts.

    Raises:
        ValueError: if the table has no header, or a column twice, its rows have another width than the header, or the rows around a wrong quote
            cannot be told apart.
    """
    csv.field_size_limit(LONGEST_CELL)
    table = _Table(_Lines(file), name)
    refuse_repeated(table.header, once, f"{name}: line 1")
    yield from table.rows()


def refuse_repeated(header: Sequence[str], once: Sequence[str], place: str) -> None:
    """Refuse a header that has one of the columns `once` twice; `place` begins the message.

    Raises:
        ValueError: if it has.
    """
    if twice := [column for column in once if header.count(column) > 1]:
        raise ValueError(f"{place}: has the column {twice[0]} twice: which of them is it? Rename the other")


class _Table:
    def __init__(self, lines: _Lines, name: str) -> None:
        self._lines, self._name = lines, name
        first = self._first_line()
        self._delimiter = max(DELIMITERS, key=first.count)
        if first.lower().startswith("sep=") and len(first.rstrip("\r\n")) == 5:
            self._delimiter = first[4]
            first = self._first_line()
        lines.give_back([first])
        self.header = [cell.strip().lower() for cell in next(csv.reader(lines, delimiter=self._delimiter))]
        while self.header and not self.header[-1]:
            self.header.pop()
        self._text = self.header.index("text") if "text" in self.header else len(self.header) - 1
        self._look = RowLook(self.header[: self._text])
        self._check_header()

    def rows(self) -> Iterator[SourceRow]:
        """The rows; each is held back until the next one has begun as rows do."""
        held: _Record | None = None
        for record in self._records():
            if record.cells == []:
                if held:
                    held.lines.extend(record.lines)
                continue
            if (cells := self._fitted(record.cells)) is not None:
                if held:
                    yield self._row(held)
                held = record._replace(cells=cells)
                continue
            if record.cells is not None and not any(name in IDS for name in self.header[: self._text]):
                # Rows cannot be told apart by their beginning, but this one ends as it should.
                yield from [self._row(piece) for piece in (held, record._replace(cells=None)) if piece]
            else:
                yield from self._recover(held, record)
            held = None
        if held:
            yield self._row(held)

    def _first_line(self) -> str:
        for line in self._lines:
            if line.strip():
                return line
        raise ValueError(f"{self._name}: line 1: the table is empty, a header is needed")

    def _records(self) -> Iterator[_Record]:
        """Well-formed records, with no cells where a line is empty or the header again, and None where the rules of CSV fail."""
        reader = csv.reader(self._lines, delimiter=self._delimiter, strict=True)
        self._lines.taken = []
        while True:
            line = self._lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                cells = None
                reader = csv.reader(self._lines, delimiter=self._delimiter, strict=True)
            taken, self._lines.taken = self._lines.taken, []
            if cells and [cell.strip().lower() for cell in cells] == self.header:
                cells = []
            yield _Record(line, taken, cells if cells is None or any(cells) else [])
            self._lines.taken = []

    def _check_header(self) -> None:
        """Compare the header with the first rows.

        Raises:
            ValueError: if they all have the same other width, and not for delimiters in their texts.
        """
        self._lines.taken = []
        peeked: list[list[str]] = []
        try:
            reader = csv.reader(self._lines, delimiter=self._delimiter, strict=True)
            peeked = [_trimmed(cells, len(self.header)) for cells in islice(reader, PEEKED) if any(cells)]
        except csv.Error:
            peeked = []
        self._lines.give_back(self._lines.taken)
        (width,) = widths if len(widths := {len(cells) for cells in peeked}) == 1 else (len(self.header),)
        is_last = self._text == len(self.header) - 1
        in_texts = is_last and (
            len(peeked) < 3 or any(" " in " ".join(cells[self._text : self._text + 1]) for cells in peeked)
        )
        if width < len(self.header) or (width > len(self.header) and not in_texts):
            raise ValueError(
                f"{self._name}: line 1: the header has {len(self.header)} columns, and the rows have {width}"
            )

    def _fitted(self, cells: list[str] | None) -> list[str] | None:
        """The cells in the width of the header, or None; empty cells at the end may be missing or too many."""
        if cells is None:
            return None
        width = len(self.header)
        cells = _trimmed(cells, width)
        if self._text < len(cells) < width and self._look.matches(cells[: self._text]):
            return cells + [""] * (width - len(cells))
        return cells if len(cells) == width else None

    def _row(self, record: _Record, is_mended: bool = False) -> SourceRow:
        if record.cells is None:
            return SourceRow(record.line, {}, BROKEN)
        if not is_mended:
            self._look.remember(record.cells)
        return SourceRow(record.line, dict(zip(self.header, record.cells, strict=True)), "", is_mended)

    def _recover(self, held: _Record | None, faulty: _Record) -> Iterator[SourceRow]:
        """The rows from the held one to the next clear beginning of a row behind the faulty one.

        Raises:
            ValueError: if there is no beginning by which rows could be told apart.
        """
        if not any(name in IDS for name in self.header[: self._text]):
            raise ValueError(f"{self._name}: line {faulty.line}: a quote is wrong or missing")
        if held and self._starts(faulty.lines[0]):
            yield self._row(held)
            held = None
        lines = [*(held.lines if held else ()), *faulty.lines]
        own = len(lines) - len(faulty.lines)
        end = self._next_start(lines, own + 1, faulty.line)
        self._lines.give_back(lines[end:])
        cuts = [
            number
            for number in range(1, end)
            if (self._may_start(lines[number]) if number >= own else self._starts(lines[number]))
        ]
        first = held.line if held else faulty.line
        for begin, stop in zip([0, *cuts], [*cuts, end], strict=True):
            is_clear = self._starts(lines[begin]) and (stop == end or self._starts(lines[stop]))
            yield self._piece(_Record(first + begin, lines[begin:stop], None), held, is_clear)

    def _next_start(self, lines: list[str], number: int, fault: int) -> int:
        """The number of the first line, from `number` on, with which a row clearly begins; reads lines until there is one."""
        size = 0
        while True:
            if number == len(lines):
                line = next(self._lines, None)
                if line is None:
                    return number
                lines.append(line)
            if self._starts(lines[number]):
                return number
            size += len(lines[number])
            if size > 4 * LONGEST_CELL:
                raise ValueError(f"{self._name}: line {fault}: a quote is wrong or missing, and no row begins after it")
            number += 1

    def _piece(self, piece: _Record, held: _Record | None, is_clear: bool) -> SourceRow:
        """The row of the lines between two cuts."""
        if held and (piece.line, piece.lines) == (held.line, held.lines):
            return self._row(held)
        if not is_clear:
            return self._row(piece)
        try:
            rows = [cells for cells in csv.reader(piece.lines, delimiter=self._delimiter, strict=True) if any(cells)]
        except csv.Error:
            rows = []
        if len(rows) == 1 and (cells := self._fitted(rows[0])) is not None:
            return self._row(piece._replace(cells=cells))
        return self._row(piece._replace(cells=self._mended("".join(piece.lines))), is_mended=True)

    def _mended(self, text: str) -> list[str] | None:
        """The cells of a row with a wrong quote or delimiter in its text, or None if it is not clear where the text ends."""
        beginning = leading_cells(text, self._text, self._delimiter)
        if beginning is None:
            return None
        cells, position = beginning
        body = text[position:].strip(" \r\n")
        behind = len(self.header) - 1 - self._text
        body, *last = body.rsplit(self._delimiter, behind) if behind else [body]
        is_clear = not behind or (body[:1] == '"' and body[1:].endswith('"'))
        if not is_clear or len(last) != behind or any("\n" in cell or cell.count('"') % 2 for cell in last):
            return None
        if len(body) > LONGEST_CELL:
            return None
        return [*cells, unquote(body), *(cell.strip().strip('"') for cell in last)]

    def _starts(self, line: str) -> bool:
        """Whether a row begins with this line, as far as the cells before its text tell."""
        beginning = leading_cells(line, self._text, self._delimiter)
        return beginning is not None and self._look.matches(beginning[0])

    def _may_start(self, line: str) -> bool:
        """Whether a row may begin with this line, as far as its first cell tells."""
        beginning = leading_cells(line, 1, self._delimiter)
        first = beginning[0][0] if beginning else line.strip().strip('"') if self._delimiter not in line else ""
        return (first != "" and self._look.may_begin(first)) or self._starts(line)


def _trimmed(cells: list[str], width: int) -> list[str]:
    """Cells without surplus empty ones at the end."""
    while len(cells) > width and not cells[-1].strip():
        cells = cells[:-1]
    return cells
