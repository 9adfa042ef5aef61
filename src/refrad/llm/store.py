"""Replies, kept under the digest of the request: SQLite, for all jobs of one machine at once.

A reply is committed the moment it arrives, so that killing a job loses only the open requests. Failures are kept for
people to look at; the next run repeats them. SQLite's log cannot be shared over a network: every few minutes, and at the ends of
a job, a machine hands out its new answers in a file that never changes, and each job first takes in those of the others.
"""

import contextlib
import fcntl
import gzip
import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from refrad.core.files import atomic

__all__ = ["ReplyStore", "Store", "UnkeptReplies", "Usage"]

PATIENCE = 60.0  # seconds to wait for another writer
HAND_OUT = 120.0  # seconds between files for other machines

_TABLES = """
create table if not exists replies (
    key text primary key, task text not null, model text not null, answer text, failure text,
    prompt_tokens integer not null, answer_tokens integer not null, seconds real not null, at real not null
) without rowid;
create table if not exists kept_back (key text primary key) without rowid;
create table if not exists taken_in (name text primary key) without rowid;
"""
_COLUMNS = "key, task, model, answer, prompt_tokens, answer_tokens, seconds, at"


class Usage(NamedTuple):
    """Cost of one request, its repetition included: tokens of prompts and answers, and seconds."""

    prompt_tokens: int
    answer_tokens: int
    seconds: float


class ReplyStore(Protocol):
    """The store that a client looks into before it sends a request, and puts the reply into; see `Store`."""

    def answer(self, key: str) -> str | None:
        """The stored answer as JSON text, or None."""

    def put(self, key: str, task: str, model: str, answer: str | None, failure: str | None, used: Usage) -> None:
        """Take an answer, or a failure."""

    def claim(self, key: str) -> contextlib.AbstractContextManager[bool]:
        """Whether this process may send the request of `key` now."""

    def close(self) -> None:
        """Close the files."""


@dataclass
class UnkeptReplies:
    """No store: each request is sent, no reply is kept. `used` is the cost of each request, in the order of the replies."""

    used: list[Usage] = field(default_factory=list)

    def answer(self, key: str) -> None:
        """None: no reply is kept."""

    def put(self, key: str, task: str, model: str, answer: str | None, failure: str | None, used: Usage) -> None:  # noqa: ARG002
        """Note the cost of a request."""
        self.used.append(used)

    def claim(self, key: str) -> contextlib.AbstractContextManager[bool]:  # noqa: ARG002
        """True: no other process sends these requests."""
        return contextlib.nullcontext(True)

    def close(self) -> None:
        """Nothing to close."""


class Store:
    """Replies of one machine, `<folder>/replies-<machine>.sqlite`, and the answers that machines exchange,
    `<folder>/answers/<machine>-<number>.json.gz`.

    Answers hold report text; only the owner can read the files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"replies-{platform.node()}.sqlite"
        self._claims = os.open(path.with_suffix(".claims"), os.O_RDWR | os.O_CREAT, 0o600)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._database = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        self._patiently("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=normal")  # survives any crash of the job
        for statement in _TABLES.split(";"):
            self._patiently(statement)
        self._answers = folder / "answers"
        self._answers.mkdir(mode=0o700, exist_ok=True)
        self._take_in()
        self._hand_out()  # answers of a killed job of this machine

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

    def put(self, key: str, task: str, model: str, answer: str | None, failure: str | None, used: Usage) -> None:
        """Keep an answer, or a failure, with its cost. A failure never replaces an answer."""
        with self._at_once():
            self._database.execute(
                "insert into replies values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (key) do update set"
                " answer = excluded.answer, failure = excluded.failure, prompt_tokens = excluded.prompt_tokens,"
                " answer_tokens = excluded.answer_tokens, seconds = excluded.seconds, at = excluded.at"
                " where replies.answer is null or excluded.answer is not null",
                (key, task, model, answer, failure, *used, time.time()),
            )
            if answer is not None:
                self._database.execute("insert or ignore into kept_back values (?)", (key,))
        if time.monotonic() - self._handed_out > HAND_OUT:
            self._hand_out()

    @contextlib.contextmanager
    def _at_once(self) -> Iterator[None]:
        """All of a block, or nothing; no other job writes meanwhile."""
        self._database.execute("begin immediate")
        with self._database:
            yield

    def _hand_out(self) -> None:
        """Write the new answers of this machine to a file for the others."""
        self._handed_out = time.monotonic()
        with self._at_once():
            rows = self._database.execute(f"select {_COLUMNS} from replies natural join kept_back").fetchall()
            if not rows:
                return
            name = f"{platform.node()}-{time.time_ns()}.json.gz"
            with atomic(self._answers / name) as temporary:
                temporary.touch(mode=0o600)
                temporary.write_bytes(gzip.compress(json.dumps(rows, ensure_ascii=False).encode(), 3))
            self._database.execute("delete from kept_back")
            self._database.execute("insert into taken_in values (?)", (name,))

    def _take_in(self) -> None:
        """Keep the answers that other machines have handed out since."""
        imported = {name for (name,) in self._database.execute("select name from taken_in")}
        for path in sorted(self._answers.glob("[!.]*.json.gz")):
            if path.name not in imported:
                rows = json.loads(gzip.decompress(path.read_bytes()))
                with self._at_once():
                    self._database.executemany(
                        f"insert into replies ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (key) do update set"
                        " answer = excluded.answer, failure = null, at = excluded.at where replies.answer is null",
                        rows,
                    )
                    self._database.execute("insert or ignore into taken_in values (?)", (path.name,))

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Whether this process may send the request of `key` now. A claim of another process ends with it, however that dies."""
        offset = int(key[:15], 16)
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, offset)

    def close(self) -> None:
        """Hand out the new answers, and close the files."""
        self._hand_out()
        self._database.close()
        os.close(self._claims)
