"""Reading files that nobody can vouch for: in processes of their own, with limited memory and time.

A broken file can crash a decoder, ask for all the memory there is, or never end. Here it takes only its worker with it:
the item counts as failed, and a fresh worker goes on with the next one.
"""

import itertools
import multiprocessing
import os
import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["Limits", "run_sandboxed"]

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_A_MESSAGE = 32
SECONDS_TO_START = 300.0
LOADED_FIRST = ["refrad.dicom.convert"]  # so that a new worker costs milliseconds


class Limits(NamedTuple):
    """Of one worker: bytes of memory (address space), and seconds for one item."""

    memory: int
    seconds: float


def run_sandboxed(
    function: Callable[[Item], Result], items: Iterable[Item], limits: Limits, workers: int = 1
) -> Iterator[tuple[Item, Result | None]]:
    """Call `function` on each item in `workers` processes; yield each item once with its result, as they come.

    The result is None if the worker crashed or passed a limit. Function, items and results must be picklable. Items are
    taken as they are needed, so that there may be any number of them. What workers print is thrown away, since it may
    quote the files.

    Raises:
        Exception: whatever `function` raises, but MemoryError; it ends the run.
        RuntimeError: if no worker can start, for want of memory or for a broken installation.
    """
    source = iter(items)
    batches = iter(lambda: list(itertools.islice(source, ITEMS_A_MESSAGE)), [])
    staff = [_Worker(function, limits, batch) for batch in itertools.islice(batches, workers)]
    try:
        while busy := [worker for worker in staff if worker.waiting]:
            patience = min(worker.deadline for worker in busy) - time.monotonic()
            wait([worker.connection for worker in busy], max(0.0, patience))
            for worker in busy:
                if (answer := worker.answer()) is None:
                    continue
                item = worker.waiting.popleft()
                if not worker.waiting:
                    worker.give(next(batches, []))
                succeeded, value = answer
                if not succeeded:
                    raise value
                yield item, value
    finally:
        for worker in staff:
            worker.end()


class _Worker(Generic[Item]):
    """One process, and what it has been given and not answered yet: first the item that it is at."""

    def __init__(self, function: Callable[[Item], Any], limits: Limits, batch: list[Item]) -> None:
        # Not forked from here: this process may hold threads, and a fork copies their locks as they are.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(LOADED_FIRST)
        self._function, self._limits = function, limits
        self.waiting: deque[Item] = deque()
        self._start()
        self.give(batch)

    def give(self, batch: list[Item]) -> None:
        """Hand over more items; only to a worker that waits for nothing."""
        self.waiting.extend(batch)
        try:
            self.connection.send(batch)
        except OSError:  # it died while it had nothing to do
            self._start()
            self.connection.send(batch)
        self._set_deadline()

    def answer(self) -> tuple[bool, Any] | None:
        """Whether the first waiting item went well, and its result or error; None if it is not done yet.

        Raises:
            RuntimeError: if the process ended before it did anything: then no item is to blame.
        """
        try:
            if self.connection.poll():
                found: tuple[bool, Any] | None = self.connection.recv()
                self._ready = True
                self._set_deadline()
                return found
        except (EOFError, OSError):
            if not self._ready:
                raise RuntimeError("a process that reads files cannot start: is memory_gb too small?") from None
            self.deadline = 0.0
        if time.monotonic() <= self.deadline:
            return None
        rest = list(self.waiting)[1:]
        self.end()
        self._start()
        self.connection.send(rest)
        return True, None

    def end(self) -> None:
        """Stop the process at once."""
        self.connection.close()
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self.connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs, self._function, self._limits), daemon=True)
        self._process.start()
        theirs.close()
        self._ready = False
        self._set_deadline()

    def _set_deadline(self) -> None:
        self.deadline = time.monotonic() + (self._limits.seconds if self._ready else SECONDS_TO_START)


def _serve(connection: Connection, function: Callable[[Any], Any], limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted ends its workers
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory if hard < 0 else min(limits.memory, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the files
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    connection.send(None)
    while True:
        try:
            batch = connection.recv()
        except EOFError:
            return
        for item in batch:
            answer: tuple[bool, Any]
            try:
                answer = True, function(item)
            except MemoryError:
                answer = True, None
            except BaseException as error:  # decoders raise anything, panics of Rust among it
                answer = False, error
            connection.send(answer)
