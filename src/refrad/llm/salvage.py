"""Damage of the store of answers: how it is recognised, and what can still be read. A wrong answer is never read."""

import contextlib
import gzip
import json
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from refrad.core.files import digest_bytes

__all__ = [
    "COLUMNS",
    "ERRORS",
    "AnswerRow",
    "check_database",
    "checksum",
    "is_damage",
    "move_aside",
    "read_handed",
    "salvage",
]

COLUMNS = "key, task, model, answer, prompt_tokens, answer_tokens, seconds, at"
AnswerRow = tuple[str, str, str, str, int, int, float, float]
"""Values of COLUMNS."""

_ROWS = TypeAdapter(list[AnswerRow])
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
"""Errors of statements; the second is that of a message which quotes damaged names of tables."""


def checksum(key: Any, answer: Any) -> str | None:
    """Digest of an answer under its key; None without an answer, as for failures."""
    return digest_bytes(str(key).encode(), answer.encode()) if isinstance(answer, str) else None


def is_damage(error: Exception, opening: bool = False) -> bool:
    """Whether an error means that the file is no whole database: not that it is in use, or that the storage fails.

    While it is opened, it may also turn out to have other tables than ours.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 255
    return isinstance(error, UnicodeDecodeError) or code in _DAMAGE or (opening and code == sqlite3.SQLITE_ERROR)


def move_aside(path: Path) -> Path:
    """Give a damaged file a name that nobody reads, and return it; another process may have done so already."""
    aside = path.with_name(f"{path.name}.damaged")
    with contextlib.suppress(FileNotFoundError):
        path.replace(aside)
    return aside


def read_handed(path: Path) -> list[AnswerRow]:
    """The answers of a file that a machine has handed out.

    Raises:
        ValueError: if the file is damaged.
    """
    content = path.read_bytes()
    try:
        return _ROWS.validate_python(json.loads(gzip.decompress(content)))
    except (OSError, EOFError, zlib.error, ValidationError, ValueError):
        raise ValueError(f"{path.name} is damaged") from None


def salvage(path: Path) -> Iterator[AnswerRow]:
    """The answers of a damaged database that can be read and have the right checksum."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.text_factory = lambda text: text.decode(errors="replace")
        for order in ("asc", "desc"):  # from both ends up to the damage
            with contextlib.suppress(sqlite3.Error, UnicodeDecodeError, ValidationError):
                for *row, digest in database.execute(f"select {COLUMNS}, checksum from replies order by key {order}"):
                    if digest is not None and digest == checksum(row[0], row[3]):
                        yield from _ROWS.validate_python([row])


def check_database(path: Path) -> bool | None:
    """Whether a database is whole and all of its answers have the right checksum; None if it is of an earlier release, without any."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.text_factory = lambda text: text.decode(errors="replace")
            if database.execute("pragma quick_check").fetchone() != ("ok",):
                return False
            columns = {row[1] for row in database.execute("pragma table_info(replies)")}
            if columns and "checksum" not in columns:
                return None
            rows = database.execute("select key, answer, checksum from replies")
            return all(digest == checksum(key, answer) for key, answer, digest in rows)
    except ERRORS as error:
        if is_damage(error, opening=True):
            return False
        raise
