"""Replies, kept under the digest of what was asked: SQLite, for all jobs of one machine at once.

A reply is committed the moment it arrives, so that killing a job loses only what is under way. Failures are kept for
people to look at; asking again retries them.
"""

import contextlib
import fcntl
import os
import platform
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Store"]

PATIENCE = 60.0  # seconds to wait for another writer

_TABLE = """
create table if not exists replies (
    key text primary key, task text not null, model text not null, answer text, failure text,
    prompt_tokens integer not null, answer_tokens integer not null, seconds real not null, at real not null
) without rowid
"""


class Store:
    """Replies of one machine: `<folder>/replies-<machine>.sqlite`, since SQLite's WAL cannot be shared over a network.

    Answers hold report text; only the owner can read the file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"replies-{platform.node()}.sqlite"
        self._claims = os.open(path.with_suffix(".claims"), os.O_RDWR | os.O_CREAT, 0o600)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._database = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        self._patiently("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=normal")  # survives any crash of the job
        self._patiently(_TABLE)

    def _patiently(self, statement: str) -> None:
        """Changing the journal mode does not wait for others by itself."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._database.execute(statement)
                return
            except sqlite3.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def answer(self, key: str) -> str | None:
        """The stored answer as JSON text, or None; a failure is no answer."""
        row = self._database.execute("select answer from replies where key = ?", (key,)).fetchone()
        return row[0] if row else None

    def put(
        self, key: str, task: str, model: str, answer: str | None, failure: str | None, used: tuple[int, int, float]
    ) -> None:
        """Keep an answer, or a failure; `used` are tokens of prompts and answers, and seconds. A failure never replaces an answer."""
        self._database.execute(
            "insert into replies values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (key) do update set"
            " answer = excluded.answer, failure = excluded.failure, prompt_tokens = excluded.prompt_tokens,"
            " answer_tokens = excluded.answer_tokens, seconds = excluded.seconds, at = excluded.at"
            " where replies.answer is null or excluded.answer is not null",
            (key, task, model, answer, failure, *used, time.time()),
        )

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Whether this process may ask for `key` now. A claim of another process ends with it, however that dies."""
        place = int(key[:15], 16)
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, place)

    def close(self) -> None:
        """Close both files."""
        self._database.close()
        os.close(self._claims)
