"""Replies, kept under the digest of the request: SQLite, for all jobs of one machine at once.

A reply is committed the moment it arrives, so that killing a job loses only the open requests. Failures are kept for
people to look at; the next run repeats them. Each answer has a checksum: a damaged one is requested again, and a damaged file is
moved aside. SQLite's log cannot be shared over a network: every few minutes, and at the ends of
a job, a machine hands out its new answers in a file that never changes, and each job first takes in those of the others.
"""

import contextlib
import fcntl
import gzip
import json
import logging
import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from refrad.core.files import atomic
from refrad.llm.salvage import COLUMNS, ERRORS, AnswerRow, checksum, is_damage, move_aside, read_handed, salvage

__all__ = ["ReplyStore", "Store", "UnkeptReplies", "Usage"]

log = logging.getLogger(__name__)

R = TypeVar("R")
PATIENCE = 60.0  # seconds to wait for another writer
HAND_OUT = 120.0  # seconds between files for other machines

_TABLES = """
create table if not exists replies (
    key text primary key, task text not null, model text not null, answer text, failure text,
    prompt_tokens integer not null, answer_tokens integer not null, seconds real not null, at real not null,
    checksum text
) without rowid;
create table if not exists asked (key text not null, subject text not null, primary key (key, subject)) without rowid;
create table if not exists kept_back (key text primary key) without rowid;
create table if not exists taken_in (name text primary key) without rowid;
"""
_COLUMNS = set(COLUMNS.split(", ")) | {"checksum"}
_SWAP = 2**61  # offset in the file of claims, beyond those of keys: locked while a damaged database is replaced


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

    def note(self, key: str, subject: str) -> None:
        """Take down whose data the request of `key` describes, if that is known."""

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

    def note(self, key: str, subject: str) -> None:
        """Nothing to note: no reply is kept."""

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
        self._path = folder / f"replies-{platform.node()}.sqlite"
        self._claims = os.open(self._path.with_suffix(".claims"), os.O_RDWR | os.O_CREAT, 0o600)
        self._answers = folder / "answers"
        self._answers.mkdir(mode=0o700, exist_ok=True)
        self._handed_out = time.monotonic()
        self._open()
        self._healed(self._take_in)
        self._healed(self._hand_out)  # answers of a killed job of this machine

    def _open(self) -> None:
        """Open the database; a damaged one is replaced by what can be read of it."""
        try:
            self._connect()
        except ERRORS as error:
            if not is_damage(error, opening=True):
                raise
            self._replace()

    def _connect(self) -> None:
        """Open the database, and make its tables if it is new."""
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._inode = self._path.stat().st_ino
        self._database = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
        self._database.text_factory = lambda text: text.decode(errors="replace")  # of damaged rows
        self._patiently("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=normal")  # survives any crash of the job
        for statement in _TABLES.split(";"):
            self._patiently(statement)
        columns = {row[1] for row in self._database.execute("pragma table_info(replies)")}
        if columns >= _COLUMNS - {"checksum"} and "checksum" not in columns:  # of an earlier release
            with self._at_once():
                if "checksum" not in {row[1] for row in self._database.execute("pragma table_info(replies)")}:
                    self._database.execute("alter table replies add column checksum text")
                    answers = self._database.execute("select key, answer from replies").fetchall()
                    digests = [(checksum(key, answer), key) for key, answer in answers]
                    self._database.executemany("update replies set checksum = ? where key = ?", digests)
        self._database.execute(f"select {COLUMNS}, checksum from replies limit 1").fetchall()

    def _replace(self) -> None:
        """Move the damaged database aside, unless another job has done so, and keep its sound answers."""
        self._database.close()
        fcntl.lockf(self._claims, fcntl.LOCK_EX, 1, _SWAP)
        try:
            if self._path.exists() and self._path.stat().st_ino == self._inode:
                aside = move_aside(self._path)
                with contextlib.suppress(FileNotFoundError):  # the newest answers
                    self._path.with_name(f"{self._path.name}-wal").replace(aside.with_name(f"{aside.name}-wal"))
                self._path.with_name(f"{self._path.name}-shm").unlink(missing_ok=True)
                self._connect()
                with self._at_once():
                    before = self._database.total_changes
                    for row in salvage(aside):
                        self._keep(row)
                        self._database.execute("insert or ignore into kept_back values (?)", (row[0],))
                    count = (self._database.total_changes - before) // 2
                log.warning("%s is damaged and moved aside; %d of its answers are kept", self._path.name, count)
                self._take_in()
            else:
                self._connect()
        finally:
            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _SWAP)

    def _healed(self, function: Callable[[], R]) -> R:
        """The result of a function; once more, if it meets damage, after the database has been replaced."""
        try:
            return function()
        except ERRORS as error:
            if not is_damage(error):
                raise
            self._replace()
            return function()

    def _patiently(self, statement: str) -> None:
        """Changing the journal mode does not wait for others by itself."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._database.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if time.monotonic() > end or is_damage(error, opening=True):
                    raise
                time.sleep(0.05)

    def answer(self, key: str) -> str | None:
        """The stored answer as JSON text, or None; a failure is no answer."""
        return self._healed(lambda: self._answer(key))

    def _answer(self, key: str) -> str | None:
        row = self._database.execute("select answer, checksum from replies where key = ?", (key,)).fetchone()
        if row is None or row == (None, None):
            return None
        answer, digest = row
        if digest is None or digest != checksum(key, answer):
            log.warning("an answer in %s is damaged and requested again", self._path.name)
            self._database.execute("delete from replies where key = ?", (key,))
            return None
        return str(answer)

    def put(self, key: str, task: str, model: str, answer: str | None, failure: str | None, used: Usage) -> None:
        """Keep an answer, or a failure, with its cost. A failure never replaces an answer."""
        row = (key, task, model, answer, failure, *used, time.time(), checksum(key, answer))
        self._healed(lambda: self._put(row))
        if time.monotonic() - self._handed_out > HAND_OUT:
            self._healed(self._hand_out)

    def _put(self, row: tuple[object, ...]) -> None:
        with self._at_once():
            self._database.execute(
                f"insert into replies ({COLUMNS.replace('answer,', 'answer, failure,', 1)}, checksum)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (key) do update set"
                " answer = excluded.answer, failure = excluded.failure, prompt_tokens = excluded.prompt_tokens,"
                " answer_tokens = excluded.answer_tokens, seconds = excluded.seconds, at = excluded.at,"
                " checksum = excluded.checksum where replies.answer is null or excluded.answer is not null",
                row,
            )
            if row[3] is not None:
                self._database.execute("insert or ignore into kept_back values (?)", (row[0],))

    def note(self, key: str, subject: str) -> None:
        """Take down whose data a request describes, so that its reply is found when the patient withdraws."""
        query = "select 1 from asked where key = ? and subject = ?"
        if subject and not self._healed(lambda: self._database.execute(query, (key, subject)).fetchone()):
            self._healed(lambda: self._database.execute("insert or ignore into asked values (?, ?)", (key, subject)))

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
            stored = self._database.execute(f"select {COLUMNS}, checksum from replies natural join kept_back")
            rows = [row for *row, digest in stored if digest is not None and digest == checksum(row[0], row[3])]
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
                try:
                    rows = read_handed(path)
                except ValueError:
                    log.warning("%s is damaged and moved aside; its answers are requested again", path.name)
                    move_aside(path)
                    continue
                with self._at_once():
                    for row in rows:
                        self._keep(row)
                    self._database.execute("insert or ignore into taken_in values (?)", (path.name,))

    def _keep(self, row: AnswerRow) -> None:
        """Keep an answer of elsewhere, unless there is one."""
        self._database.execute(
            f"insert into replies ({COLUMNS}, checksum) values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (key) do update"
            " set answer = excluded.answer, failure = null, at = excluded.at, checksum = excluded.checksum"
            " where replies.answer is null",
            (*row, checksum(row[0], row[3])),
        )

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
        self._healed(self._hand_out)
        self._database.close()
        os.close(self._claims)
