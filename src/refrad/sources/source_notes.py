"""What was wrong in a source of reports, as counts for the log."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["FAILED", "MENDED", "WRONG", "SourceNotes"]

FAILED = "storage_error"
MENDED, WRONG = "mended", "wrong characters"
WARNINGS = {
    WRONG: "{amount} wrong characters in {rows} rows, read as Windows-1252 where they are letters",
    MENDED: "{rows} rows with wrong quotes or delimiters were mended",
}

_ENDING = re.compile(r"\.[a-z][a-z0-9]{1,4}")


class SourceNotes:
    """What was wrong in a source: rows of each kind with the line of the first one, and files of a folder that are ignored.

    Args:
        name_unread: takes the place in its folder of a file for which the storage fails, once for each file.
    """

    def __init__(self, name_unread: Callable[[str], None] | None = None) -> None:
        self._name_unread = name_unread
        self._unread: set[str] = set()
        self.rows: dict[str, int] = {}
        self._amounts: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._ignored: Counter[str] = Counter()

    def add(self, kind: str, line: int, amount: int = 1) -> None:
        """Note a row that was mended, holds wrong characters, or cannot be used for the reason `kind`."""
        self.rows[kind] = self.rows.get(kind, 0) + 1
        self._amounts[kind] = self._amounts.get(kind, 0) + amount
        self._first.setdefault(kind, line)

    def fail(self, line: int, name: str) -> None:
        """Note a row whose file the storage could not give."""
        self.add(FAILED, line)
        if self._name_unread and name not in self._unread:
            self._unread.add(name)
            self._name_unread(name)

    def ignore(self, files: Iterable[Path]) -> None:
        """Note files that are no reports, by their endings; an ending that may be part of a name is not told."""
        endings = (path.suffix.lower() for path in files)
        self._ignored.update(ending if _ENDING.fullmatch(ending) else "others" for ending in endings)

    def ignored(self) -> str:
        """How many files of which endings are ignored, or ""."""
        if not self._ignored:
            return ""
        endings = sorted(self._ignored.items(), key=lambda item: (-item[1], item[0]))
        counts = ", ".join(f"{count} {ending}" for ending, count in endings)
        return f"{self._ignored.total()} files are ignored: {counts}"

    def warnings(self, name: str) -> list[str]:
        """A line for each kind and one for ignored files, with the name of the source and numbers."""
        lines = [f"{name}: {ignored}"] if (ignored := self.ignored()) else []
        for kind, rows in self.rows.items():
            sentence = WARNINGS.get(kind, "{rows} rows cannot be used: {kind}")
            numbers = sentence.format(rows=rows, amount=self._amounts[kind], kind=kind)
            lines.append(f"{name}: {numbers}; the first is in line {self._first[kind]}")
        return lines
