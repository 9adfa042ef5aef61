"""Verdicts of reviewers on items of the dataset: an SQLite file to which rows are only ever added.

An item is a caption of an image, with its phrases and boxes, or a question. A verdict holds the digest of the item as the reviewer
saw it, so that it never falls on another text or box after a rerun. Several processes, also of several machines that
share the folder, may read and add at once: the file has a rollback journal, since SQLite's write-ahead log works on one machine only.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from refrad.core.files import digest_bytes
from refrad.core.private_files import only_for_the_owner
from refrad.review.judgement import ReviewVerdict, VerdictError, standing

__all__ = ["VerdictStore", "open_verdicts"]

PATIENCE = 30.0  # seconds to wait for another writer

_TABLES = """
create table if not exists verdicts (
    number integer primary key autoincrement, reviewer text not null, time text not null, delivery text not null,
    shard integer not null, patient text not null, image_id text not null, item text not null, item_id text not null,
    entity integer, verdict text not null, reason text not null, queue text not null, digest text not null, checksum text not null
);
create trigger if not exists verdicts_stay before delete on verdicts begin select raise(abort, 'verdicts are only added'); end;
create trigger if not exists verdicts_stay_as_they_are before update on verdicts
begin select raise(abort, 'verdicts are only added'); end;
"""


_COLUMNS = tuple(field.name for field in fields(ReviewVerdict))


class VerdictStore:
    """An open file of verdicts. Use it in the thread that opened it; every process and thread may open the file for itself."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path, self._database = path, database

    def __enter__(self) -> "VerdictStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, verdict: ReviewVerdict) -> int:
        """Add a verdict; see `add_all`. Returns its number, which grows from verdict to verdict."""
        self.add_all([verdict])
        return int(self._database.execute("select last_insert_rowid()").fetchone()[0])

    def add_all(self, verdicts: Iterable[ReviewVerdict]) -> None:
        """Add verdicts, all or none; they are on the disk when this returns.

        Raises:
            VerdictError: if the file cannot be written.
            OSError: if the disk or the quota is full.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [
            [getattr(verdict, name) or now if name == "time" else getattr(verdict, name) for name in _COLUMNS]
            for verdict in verdicts
        ]
        places = ", ".join("?" * (len(_COLUMNS) + 1))
        with _explained(self._path), _at_once(self._database):
            self._database.executemany(
                f"insert into verdicts ({', '.join(_COLUMNS)}, checksum) values ({places})",
                [[*values, _checksum(values)] for values in rows],
            )

    def last_number(self) -> int:
        """Number of the last verdict; 0 if there is none. A cheap test for new verdicts."""
        with _explained(self._path):
            return int(self._database.execute("select coalesce(max(number), 0) from verdicts").fetchone()[0])

    def all(
        self, until: int | None = None, image_id: str | None = None, after: int | None = None
    ) -> list[ReviewVerdict]:
        """All verdicts in the order in which they were added, each verified by its checksum.

        Args:
            until: number of the last verdict to read.
            image_id: if given, those of this image alone.
            after: number of the last verdict not to read.

        Raises:
            VerdictError: if the file is damaged.
        """
        limits = {"number <= ?": until, "image_id = ?": image_id, "number > ?": after}
        limits = {text: value for text, value in limits.items() if value is not None}
        where = f" where {' and '.join(limits)}" if limits else ""
        with _explained(self._path):
            rows = self._database.execute(
                f"select {', '.join(_COLUMNS)}, checksum from verdicts{where} order by number", list(limits.values())
            ).fetchall()
        if any(_checksum(values) != digest for *values, digest in rows):
            raise _damaged(self._path)
        return [ReviewVerdict(**dict(zip(_COLUMNS, values[:-1], strict=True))) for values in rows]

    def latest(self, until: int | None = None, image_id: str | None = None) -> list[ReviewVerdict]:
        """The verdicts that count (`standing`), in the order in which they were added; arguments as those of `all`."""
        return standing(self.all(until, image_id))


def open_verdicts(path: Path, *, writable: bool = True) -> VerdictStore:
    """Open a file of verdicts; make it, and its folder, if it is to be written and does not exist. Only the owner can read both.

    Args:
        path: of the file, such as private/review/verdicts.sqlite.
        writable: whether verdicts will be added; without, nothing is made.

    Raises:
        VerdictError: if it is damaged, no file of verdicts, or cannot be opened; the message names it and the remedy.
        OSError: if the disk or the quota is full.
    """
    with _explained(path):
        if writable:
            with only_for_the_owner():
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        mode = "rw" if writable else "ro"
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", PATIENCE, isolation_level=None, uri=True)
        try:
            database.execute("pragma synchronous = extra")  # also the removal of the journal survives a power cut
            if writable:
                with _at_once(database):
                    for statement in _statements():
                        database.execute(statement)
            if database.execute("pragma quick_check(1)").fetchone() != ("ok",):
                raise _damaged(path)
            columns = {row[1] for row in database.execute("pragma table_info(verdicts)")}
            if not columns >= {*_COLUMNS, "checksum"}:
                raise VerdictError(f"{path}: not a file of verdicts")
        except BaseException:
            database.close()
            raise
    return VerdictStore(path, database)


def _statements() -> list[str]:
    """The statements of `_TABLES`."""
    statements, text = [], ""
    for line in _TABLES.strip().splitlines():
        text += line + "\n"
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements


@contextlib.contextmanager
def _at_once(database: sqlite3.Connection) -> Iterator[None]:
    """All of a block, or nothing; no other process writes meanwhile."""
    database.execute("begin immediate")
    try:
        yield
        database.execute("commit")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("rollback")
        raise


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of SQLite as one line that names the file and the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        words = str(error)
        if "full" in words:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
        if "malformed" in words or "not a database" in words:
            raise _damaged(path) from None
        if "readonly" in words or "unable to open" in words:
            raise VerdictError(
                f"{path} cannot be opened or written: check its permissions and those of its folder"
            ) from None
        if "locked" in words or "busy" in words:
            raise VerdictError(
                f"{path} is in use by another process since {PATIENCE:.0f} s: end it, or try again"
            ) from None
        raise VerdictError(f"{path}: {words}") from None
    except UnicodeDecodeError:  # a message that quotes damaged names of tables
        raise _damaged(path) from None
    except PermissionError:
        raise VerdictError(
            f"{path} cannot be opened or written: check its permissions and those of its folder"
        ) from None
    except OSError as error:
        if error.errno == errno.EROFS:
            raise VerdictError(f"{path} is on a read-only file system") from None
        raise


def _damaged(path: Path) -> VerdictError:
    return VerdictError(
        f"{path} is damaged: put a backup of it in its place, or move it away to start without verdicts"
    )


def _checksum(values: Iterable[object]) -> str:
    return digest_bytes(*(repr(value).encode() for value in values))[:16]
