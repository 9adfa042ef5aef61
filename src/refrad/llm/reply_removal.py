"""Removal of replies from the store: their bytes leave the databases of all machines and the files that these exchange.

No job may use the store meanwhile.
"""

import contextlib
import gzip
import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Set
from pathlib import Path
from typing import NamedTuple

from refrad.core.files import atomic
from refrad.llm.salvage import ERRORS, read_handed

__all__ = ["StoredReplies", "find_replies", "remove_replies"]

PATIENCE = 60.0  # seconds to wait for another writer


class StoredReplies(NamedTuple):
    """Keys of replies.

    own: of requests about these patients alone, or with their text. shared: of requests that others made as well, so that the
    reply stays. nobodys: of requests of which it is not known whom they describe, those of earlier releases.
    """

    own: frozenset[str]
    shared: frozenset[str]
    nobodys: frozenset[str]


def find_replies(folder: Path, subjects: Set[str], is_theirs: Callable[[str], bool]) -> StoredReplies:
    """The replies to requests about patients.

    Args:
        folder: of the store.
        subjects: pseudonyms of the patients.
        is_theirs: whether the JSON text of an answer holds their text; decides on replies that are nobody's.

    Raises:
        ValueError: if a database cannot be read.
    """
    own: set[str] = set()
    others: set[str] = set()
    answers: dict[str, bool] = {}  # key to whether the answer is theirs
    for path in _databases(folder):
        with _opened(path) as database:
            for key, subject in database.execute("select key, subject from asked"):
                (own if subject in subjects else others).add(key)
            for key, answer in database.execute("select key, answer from replies"):
                answers[key] = answers.get(key, False) or is_theirs(answer or "")
    for path in _handed(folder):
        with contextlib.suppress(ValueError):  # damaged ones are removed as a whole
            answers |= {row[0]: answers.get(row[0], False) or is_theirs(row[3]) for row in read_handed(path)}
    nobodys = answers.keys() - own - others
    theirs = {key for key in nobodys if answers[key]}
    return StoredReplies(frozenset(own - others | theirs), frozenset(own & others), frozenset(nobodys - theirs))


def remove_replies(folder: Path, keys: Collection[str], subjects: Collection[str]) -> None:
    """Remove the replies of these keys, and whom requests describe where that is one of `subjects`; damaged files as a whole.

    The databases are written anew without free pages, and their logs are emptied: no byte of a reply stays in them.

    Raises:
        ValueError: if a database cannot be read.
    """
    for path in _databases(folder):
        with _opened(path) as database:
            database.execute("pragma secure_delete = on")
            database.execute("begin immediate")
            for table in ("replies", "kept_back", "asked"):
                database.executemany(f"delete from {table} where key = ?", [(key,) for key in keys])
            database.executemany("delete from asked where subject = ?", [(subject,) for subject in subjects])
            database.execute("commit")
            database.execute("vacuum")
            database.execute("pragma wal_checkpoint(truncate)")
    for path in _handed(folder):
        try:
            rows = read_handed(path)
        except ValueError:
            path.unlink()
            continue
        left = [row for row in rows if row[0] not in keys]
        if len(left) < len(rows):
            with atomic(path) as temporary:
                temporary.touch(mode=0o600)
                temporary.write_bytes(gzip.compress(json.dumps(left, ensure_ascii=False).encode(), 3))
    for path in [*folder.glob("*.damaged*"), *(folder / "answers").glob("*.damaged*")]:
        path.unlink()


def _databases(folder: Path) -> list[Path]:
    return sorted(folder.glob("replies-*.sqlite"))


def _handed(folder: Path) -> list[Path]:
    return sorted((folder / "answers").glob("[!.]*.json.gz"))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A database with all of its tables."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as database:
            database.text_factory = lambda text: text.decode(errors="replace")
            database.execute(
                "create table if not exists asked"
                " (key text not null, subject text not null, primary key (key, subject)) without rowid"
            )
            yield database
    except ERRORS as error:
        raise ValueError(f"{path} cannot be read ({error}): delete it, or start again once no job uses it") from None
