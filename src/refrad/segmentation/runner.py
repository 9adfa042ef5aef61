"""Label many volumes in one process of their own that holds the networks; what goes wrong there stays there.

Several volumes are in work at once, each in a thread: while the networks look at one, the next is read and resampled and
the last is brought back to its grid, compressed and written. The process that gives the orders watches time and memory. It
ends a process that oversteps them or dies, starts another, and gives what was in work a second try, one volume at a time,
so that the volume at fault is known. Temporary files lie in a folder that goes with the process, or with the next run if
all of them were killed.
"""

import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from refrad.dicom.volume_store import read_volume
from refrad.segmentation.labels import save_labels, summarize_labels
from refrad.segmentation.totalsegmentator import UnsegmentableError

__all__ = ["SegmentationJob", "SegmentationResult", "SegmenterLimits", "label_volumes"]

TRIES = 2
WATCH = 0.5  # s between looks at the process
UP = None  # what the process says when it is ready for orders
# What a single volume may cause. All else is a fault of the installation, and stops the run.
FAULTS_OF_A_VOLUME = (RuntimeError, ValueError, LookupError, ArithmeticError, AssertionError, MemoryError)

logger = logging.getLogger(__name__)


class Segmenter(Protocol):
    """Whatever labels a volume; it is sent to the process before it holds anything."""

    def load(self) -> None:
        """Import and prepare what is needed, before any thread works."""

    def segment(self, volume: NDArray[np.int16], affine: NDArray[np.float64], task: str) -> NDArray[np.uint8]:
        """Labels on the grid of `volume`."""


@dataclass(frozen=True)
class SegmenterLimits:
    """Of the process: minutes without a finished volume, GiB of memory, and volumes in work at once."""

    minutes: float
    memory_gb: float
    at_once: int


@dataclass(frozen=True)
class SegmentationJob:
    """Label this volume, and write the labels there. `key` names it in the outcome."""

    key: str
    volume: Path
    labels: Path
    task: str


@dataclass(frozen=True)
class SegmentationResult:
    """What became of an order: labels written (digest and number of labels), or the reason why there are none."""

    key: str
    seconds: float
    digest: str | None = None
    labels: int | None = None
    reason: str | None = None


def label_volumes(
    segmenter: Segmenter, orders: Iterable[SegmentationJob], limits: SegmenterLimits, scratch: Path
) -> Iterator[SegmentationResult]:
    """Label volumes; outcomes come as they are ready, exactly one for each order.

    Args:
        segmenter: labels them, in a process of its own.
        orders: what to label, and where the labels go.
        limits: of that process.
        scratch: folder for temporary files, of this run alone; removed before and after, with all that is in it.

    Raises:
        RuntimeError: if the segmenter cannot run at all, which no second try would mend.
    """
    waiting, again = deque(orders), deque[SegmentationJob]()
    worker: _Worker | None = None
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    try:
        while waiting or again:
            # A first try shares the process; a second one has it alone.
            queue, at_once, last = (waiting, limits.at_once, False) if waiting else (again, 1, True)
            worker = worker or _Worker(segmenter, limits, scratch)
            while queue or worker.in_work:
                while queue and len(worker.in_work) < at_once:
                    worker.give(queue.popleft())
                outcomes = worker.outcomes()
                if worker.ended:
                    worker = None
                for order, outcome in outcomes:
                    if outcome.reason in TRIED_AGAIN and not last:
                        again.append(order)
                    else:
                        yield outcome
                if worker is None:
                    break
        if worker:
            worker.dismiss()
    finally:
        if worker and not worker.ended:
            worker.end()
        shutil.rmtree(scratch, ignore_errors=True)


TRIED_AGAIN = ("segmenter_failed", "segmenter_crashed", "over_time", "over_memory")


class _Worker:
    """The process, as the one who gives it orders sees it."""

    def __init__(self, segmenter: Segmenter, limits: SegmenterLimits, scratch: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._limits = limits
        scratch.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(dir=scratch)).resolve()
        self._here, there = context.Pipe()
        orders = (segmenter, there, limits.at_once, self._scratch)
        self._process = context.Process(target=_work, args=orders, daemon=True)
        self._process.start()
        there.close()
        self._watched = psutil.Process(self._process.pid)
        self._progress = time.monotonic()
        self.in_work: dict[str, tuple[SegmentationJob, float]] = {}
        self.ended = False

    def give(self, order: SegmentationJob) -> None:
        """Send an order."""
        if not self.in_work:
            self._progress = time.monotonic()
        self.in_work[order.key] = order, time.monotonic()
        try:
            self._here.send(order)
        except OSError:  # it has just died; `outcomes` will see it
            logger.debug("the process is gone")

    def outcomes(self) -> list[tuple[SegmentationJob, SegmentationResult]]:
        """Outcomes that are ready, after a short wait; those of all orders in work if the process had to be ended."""
        wait([self._here, self._process.sentinel], WATCH)
        found = []
        try:
            while self._here.poll():
                answer = self._here.recv()
                self._progress = time.monotonic()
                if answer is not UP:
                    found.append(self._outcome(answer))
        except (EOFError, OSError):
            logger.debug("the process is gone")
        reason = self._reason_to_end()
        if reason:
            self.end()
            logger.warning("%s: the segmenting process starts anew, %d volumes were in work", reason, len(self.in_work))
            now = time.monotonic()
            found += [
                (order, SegmentationResult(key, now - start, reason=reason))
                for key, (order, start) in self.in_work.items()
            ]
        return found

    def _outcome(self, answer: Any) -> tuple[SegmentationJob, SegmentationResult]:
        if isinstance(answer, str):
            raise RuntimeError(f"the segmenter cannot run: {answer}")
        order, _ = self.in_work.pop(answer.key)
        return order, answer

    def _reason_to_end(self) -> str | None:
        if not self._process.is_alive():
            return "segmenter_crashed"
        if self.in_work and time.monotonic() - self._progress > 60 * self._limits.minutes:
            return "over_time"
        try:
            family = [self._watched, *self._watched.children(recursive=True)]
            held = sum(one.memory_info().rss for one in family)
        except psutil.NoSuchProcess:
            return None  # seen at the next look
        return "over_memory" if held > self._limits.memory_gb * 2**30 else None

    def dismiss(self) -> None:
        """Let the process end by itself; there are no more orders."""
        self._here.send(None)
        self._process.join(10)

    def end(self) -> None:
        """End the process, now."""
        self.ended = True
        self._process.kill()
        self._process.join()
        self._here.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _work(segmenter: Segmenter, connection: Connection, at_once: int, scratch: Path) -> None:
    """The process: one thread for each volume in work, until nobody gives orders any more."""
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    sending = threading.Lock()

    def label(order: SegmentationJob) -> None:
        answer = _answer(segmenter, order)
        with sending:
            connection.send(answer)

    try:
        segmenter.load()
    except BaseException as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(UP)
    with ThreadPoolExecutor(at_once) as pool:
        while True:
            try:
                order = connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # the other side is gone: what is in work is for nobody
            if order is None:
                return
            pool.submit(label, order)


def _answer(segmenter: Segmenter, order: SegmentationJob) -> SegmentationResult | str:
    """The outcome of an order, or what is wrong with the installation."""
    start = time.monotonic()
    try:
        volume, affine = read_volume(order.volume)
        labels = segmenter.segment(np.asarray(volume, np.int16), affine, order.task)
        save_labels(order.labels, labels, affine)
        digest, count = summarize_labels(labels)
        return SegmentationResult(order.key, time.monotonic() - start, digest, count)
    except UnsegmentableError as reason:
        return SegmentationResult(order.key, time.monotonic() - start, reason=str(reason))
    except FAULTS_OF_A_VOLUME as error:
        place = traceback.extract_tb(error.__traceback__)[-1]  # never the message, which may tell what the volume holds
        logger.warning(
            "segmentation failed: %s in %s:%d", type(error).__name__, Path(place.filename).name, place.lineno
        )
        _free_the_gpu()
        return SegmentationResult(order.key, time.monotonic() - start, reason="segmenter_failed")
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def _free_the_gpu() -> None:
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.empty_cache()
