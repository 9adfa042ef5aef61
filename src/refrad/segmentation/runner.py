"""Labels for many volumes from one separate process that holds the networks.

Several volumes are in work at once, each in a thread: while the networks process one, the next is read and resampled and the
last is resampled back to its grid, compressed and written. This process supervises the other: it ends one that exceeds its
time or memory or dies, starts another, and gives the volumes that were in work a second try, one at a time, so that the volume at
fault is known. Temporary files are in a folder that is removed with the process, or by the next run if all processes were killed.

`refrad.core.sandbox` supervises processes too, but shares nothing with this: there a process has one item at a time, a hard limit
of its address space (which CUDA does not survive) and no second try; here it starts in seconds, works on several volumes at once,
and answers in any order.
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
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from refrad.core.entries import DamagedEntryError
from refrad.dicom.volume_store import read_volume
from refrad.segmentation.base import (
    FailedVolume,
    SegmentationJob,
    SegmentationResult,
    SegmentedVolume,
    SegmenterLimits,
    UnsegmentableError,
)
from refrad.segmentation.labels import save_labels

__all__ = ["Network", "label_volumes"]

POLL = 0.5  # s, longest wait for results between checks of the process
READY = None  # message of the process once its networks can be used
# Errors that a single volume may cause. All others are faults of the installation, and stop the run.
FAULTS_OF_A_VOLUME = (RuntimeError, ValueError, LookupError, ArithmeticError, AssertionError, MemoryError)
RETRIED = ("segmenter_failed", "segmenter_crashed", "over_time", "over_memory")

logger = logging.getLogger(__name__)


class InstallationFault(NamedTuple):
    """Message of the process when it cannot label any volume: the error, as text."""

    error: str


Message = SegmentationResult | InstallationFault | DamagedEntryError
"""The outcome of a job, sent by the segmenting process."""


class Network(Protocol):
    """Labels a volume; it is pickled and sent to the process before `load`."""

    def load(self) -> None:
        """Import and prepare what is needed, before any thread works."""

    def segment(self, volume: NDArray[np.int16], affine: NDArray[np.float64], task: str) -> NDArray[np.uint8]:
        """Native ids uint8 [column, row, slice], on the grid of the volume.

        Args:
            volume: int16 [column, row, slice], HU (CT) or without a unit (MR).
            affine: [4, 4], RAS+ mm.
            task: one of `refrad.core.types.TASK_OF`; it determines the native ids.

        Raises:
            UnsegmentableError: if the volume gets no labels, with the reason code.
        """


def label_volumes(
    network: Network, jobs: Iterable[SegmentationJob], limits: SegmenterLimits, scratch: Path
) -> Iterator[SegmentationResult]:
    """Yield the results as they are ready, exactly one for each job.

    Args:
        network: labels the volumes, in a separate process.
        jobs: the volumes, and where their labels are written.
        limits: of that process.
        scratch: folder for temporary files, of this run alone; removed before and after, with all that is in it.

    Raises:
        RuntimeError: if the network cannot run at all, so that a second try would fail too.
    """
    first_tries, second_tries = deque(jobs), deque[SegmentationJob]()
    process: _SegmentingProcess | None = None
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    try:
        while first_tries or second_tries:
            # First tries share the process; a second one has it alone.
            is_second = not first_tries
            queue, concurrent_volumes = (second_tries, 1) if is_second else (first_tries, limits.concurrent_volumes)
            process = process or _SegmentingProcess(network, limits, scratch)
            while queue or process.in_work:
                while queue and len(process.in_work) < concurrent_volumes:
                    process.give(queue.popleft())
                results = process.results()
                if process.ended:
                    process = None
                for job, result in results:
                    if isinstance(result, FailedVolume) and result.reason in RETRIED and not is_second:
                        second_tries.append(job)
                    else:
                        yield result
                if process is None:
                    break
        if process:
            process.dismiss()
    finally:
        if process and not process.ended:
            process.end()
        shutil.rmtree(scratch, ignore_errors=True)


class _SegmentingProcess:
    """The process that holds the networks, as its supervisor handles it."""

    def __init__(self, network: Network, limits: SegmenterLimits, scratch: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._limits = limits
        scratch.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(dir=scratch)).resolve()
        self._connection, remote = context.Pipe()
        arguments = (network, remote, limits.concurrent_volumes, self._scratch)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        remote.close()
        self._usage = psutil.Process(self._process.pid)
        self._last_progress = time.monotonic()
        self.in_work: dict[str, tuple[SegmentationJob, float]] = {}  # key -> job, time when it was given
        self.ended = False

    def give(self, job: SegmentationJob) -> None:
        """Send a job."""
        if not self.in_work:
            self._last_progress = time.monotonic()
        self.in_work[job.key] = job, time.monotonic()
        try:
            self._connection.send(job)
        except OSError:  # it has just died; `results` will see it
            logger.debug("the process is gone")

    def results(self) -> list[tuple[SegmentationJob, SegmentationResult]]:
        """Results that are ready, after a short wait; those of all jobs in work if the process had to be ended."""
        wait([self._connection, self._process.sentinel], POLL)
        results = []
        try:
            while self._connection.poll():
                message = self._connection.recv()
                self._last_progress = time.monotonic()
                if message is not READY:
                    results.append(self._result(message))
        except (EOFError, OSError):
            logger.debug("the process is gone")
        reason = self._reason_to_end()
        if reason:
            self.end()
            logger.warning("%s: the segmenting process starts anew, %d volumes were in work", reason, len(self.in_work))
            now = time.monotonic()
            results += [(job, FailedVolume(key, now - start, reason)) for key, (job, start) in self.in_work.items()]
        return results

    def _result(self, message: Message) -> tuple[SegmentationJob, SegmentationResult]:
        if isinstance(message, DamagedEntryError):
            raise message
        if isinstance(message, InstallationFault):
            raise RuntimeError(f"the segmenter cannot run: {message.error}")
        job, _ = self.in_work.pop(message.key)
        return job, message

    def _reason_to_end(self) -> str | None:
        if not self._process.is_alive():
            return "segmenter_crashed"
        if self.in_work and time.monotonic() - self._last_progress > 60 * self._limits.minutes:
            return "over_time"
        try:
            family = [self._usage, *self._usage.children(recursive=True)]
            resident = sum(process.memory_info().rss for process in family)
        except psutil.NoSuchProcess:
            return None  # seen at the next check
        return "over_memory" if resident > self._limits.memory_gb * 2**30 else None

    def dismiss(self) -> None:
        """Let the process end by itself; there are no more jobs."""
        self._connection.send(None)
        self._process.join(10)

    def end(self) -> None:
        """End the process, now."""
        self.ended = True
        self._process.kill()
        self._process.join()
        self._connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _serve(network: Network, connection: Connection, concurrent_volumes: int, scratch: Path) -> None:
    """The process: one thread for each volume in work, until it is dismissed or its supervisor is gone."""
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    sending = threading.Lock()

    def label(job: SegmentationJob) -> None:
        message = _label(network, job)
        with sending:
            connection.send(message)

    try:
        network.load()
    except BaseException as error:
        connection.send(InstallationFault(f"{type(error).__name__}: {error}"))
        return
    connection.send(READY)
    with ThreadPoolExecutor(concurrent_volumes) as pool:
        while True:
            try:
                job = connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # the supervisor is gone: no result can be delivered
            if job is None:
                return
            pool.submit(label, job)


def _label(network: Network, job: SegmentationJob) -> Message:
    """The result of a job, or the fault of the installation or of a stored volume that stops the run."""
    start = time.monotonic()
    try:
        volume, affine = read_volume(job.volume)
        labels = network.segment(np.asarray(volume, np.int16), affine, job.task)
        digest, count = save_labels(job.labels, labels, affine)
        return SegmentedVolume(job.key, time.monotonic() - start, digest, count)
    except DamagedEntryError as error:
        return error
    except UnsegmentableError as reason:
        return FailedVolume(job.key, time.monotonic() - start, str(reason))
    except FAULTS_OF_A_VOLUME as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]  # never the message, which may quote the volume
        logger.warning(
            "segmentation failed: %s in %s:%d", type(error).__name__, Path(frame.filename).name, frame.lineno
        )
        _free_the_gpu()
        return FailedVolume(job.key, time.monotonic() - start, "segmenter_failed")
    except BaseException as error:
        return InstallationFault(f"{type(error).__name__}: {error}")


def _free_the_gpu() -> None:
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.empty_cache()
