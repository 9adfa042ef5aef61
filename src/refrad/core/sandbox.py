"""Untrusted files are read in separate processes with limited memory and time.

A broken file can crash a decoder, request all memory, or hang. In a sandbox it ends only its worker: the item counts as failed,
and a new worker continues with the next one.
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

ITEMS_A_MESSAGE = 4
SECONDS_TO_START = 300.0
LOADED_FIRST = ["refrad.cli", "refrad.dicom.convert", "refrad.nifti.convert"]  # so that a new worker costs milliseconds


class Limits(NamedTuple):
    """Limits of one worker: bytes of memory (address space), and seconds for one item."""

    memory: int
    seconds: float

    @classmethod
    def of_gib(cls, memory_gb: float, seconds: float) -> "Limits":
        """Limits with the memory in GiB, as the config and the command line have it."""
        return cls(int(memory_gb * 2**30), seconds)


class Success(NamedTuple):
    """Message of a worker: the result for an item, or None if the memory did not suffice."""

    result: Any


class Failure(NamedTuple):
    """Message of a worker: the error of the function, which ends the run."""

    error: BaseException


def run_sandboxed(
    function: Callable[[Item], Result], items: Iterable[Item], limits: Limits, workers: int = 1
) -> Iterator[tuple[Item, Result | None]]:
    """Call `function` on each item in `workers` processes; yield each item once with its result, as results arrive.

    The result is None if the worker crashed or exceeded a limit. Items are taken as they are needed, so that there may be any
    number of them. Output of the workers is discarded, since it may quote the files.

    Args:
        function: picklable, as are its results.
        items: picklable.
        limits: of each worker.
        workers: number of processes.

    Raises:
        Exception: any exception of `function` but MemoryError; it ends the run.
        RuntimeError: if no worker can start, because memory is short or the installation is broken.
    """
    source = iter(items)
    batches = iter(lambda: list(itertools.islice(source, ITEMS_A_MESSAGE)), [])
    pool = [_Worker(function, limits, batch) for batch in itertools.islice(batches, workers)]
    try:
        while busy := [worker for worker in pool if worker.waiting]:
            timeout = min(worker.deadline for worker in busy) - time.monotonic()
            wait([worker.connection for worker in busy], max(0.0, timeout))
            for worker in busy:
                if (answer := worker.answer()) is None:
                    continue
                item = worker.waiting.popleft()
                if not worker.waiting:
                    worker.give(next(batches, []))
                if isinstance(answer, Failure):
                    raise answer.error
                yield item, answer.result
    finally:
        for worker in pool:
            worker.end()


class _Worker(Generic[Item]):
    """One process, and the items that it has been given and not answered; it works on the first of them."""

    def __init__(self, function: Callable[[Item], Any], limits: Limits, batch: list[Item]) -> None:
        # Not forked from this process: it may hold threads, and a fork copies their locks as they are.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(LOADED_FIRST)
        self._function, self._limits = function, limits
        self.waiting: deque[Item] = deque()
        self._start()
        self.give(batch)

    def give(self, batch: list[Item]) -> None:
        """Send items to a worker that has answered all earlier ones."""
        self.waiting.extend(batch)
        try:
            self.connection.send(batch)
        except OSError:  # it died while it had nothing to do
            self._start()
            self.connection.send(batch)
        self._set_deadline()

    def answer(self) -> Success | Failure | None:
        """The result or error of the first waiting item; None if it is not done yet.

        The result is None if the item ended the process or exceeded its time.

        Raises:
            RuntimeError: if the process ended before it started on an item: then no item is at fault.
        """
        try:
            if self.connection.poll():
                answer: Success | Failure | None = self.connection.recv()
                self._ready = True
                self._set_deadline()
                return answer
        except (EOFError, OSError):
            if not self._ready:
                raise RuntimeError("a process that reads files cannot start: is memory_gb too small?") from None
            self.deadline = 0.0
        if time.monotonic() <= self.deadline:
            return None
        unanswered = list(self.waiting)[1:]
        self.end()
        self._start()
        self.connection.send(unanswered)
        return Success(None)

    def end(self) -> None:
        """Stop the process at once."""
        self.connection.close()
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self.connection, remote = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(remote, self._function, self._limits), daemon=True)
        self._process.start()
        remote.close()
        self._ready = False
        self._set_deadline()

    def _set_deadline(self) -> None:
        self.deadline = time.monotonic() + (self._limits.seconds if self._ready else SECONDS_TO_START)


def _serve(connection: Connection, function: Callable[[Any], Any], limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that is interrupted ends its workers
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory if hard < 0 else min(limits.memory, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold data of the files
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    connection.send(None)
    while True:
        try:
            batch = connection.recv()
        except EOFError:
            return
        for item in batch:
            answer: Success | Failure
            try:
                answer = Success(function(item))
            except MemoryError:
                answer = Success(None)
            except BaseException as error:  # decoders raise anything, including panics of Rust
                answer = Failure(error)
            connection.send(answer)
