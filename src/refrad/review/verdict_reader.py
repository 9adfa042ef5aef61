"""The verdicts of a file as the review pages need them, read again only where the file has grown."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from refrad.review.item_index import verdict_states
from refrad.review.judgement import CountingVerdicts, ReviewVerdict, VerdictHistory
from refrad.review.verdicts import open_verdicts

__all__ = ["ReadVerdicts", "VerdictReader"]


@dataclass(frozen=True, eq=False)
class ReadVerdicts:
    """The verdicts that count at a time; another object where they have changed.

    Attributes:
        counting: all of them, and those of the random queue.
        by_image: all of them by image id.
    """

    counting: CountingVerdicts
    by_image: Mapping[str, Sequence[ReviewVerdict]]

    @cached_property
    def states(self) -> pl.DataFrame:
        """The judged items, see `verdict_states`."""
        return verdict_states(self.counting.standing)


class VerdictReader:
    """Reads and adds verdicts of a file that other servers and processes add to as well. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._history, self._last = VerdictHistory(), 0
        self._read: ReadVerdicts | None = None
        self._seen: tuple[int, int] | None = None
        open_verdicts(path).close()  # a damaged file is found before the first page

    def read(self) -> ReadVerdicts:
        """The verdicts as the file has them now.

        Raises:
            VerdictError: if the file is damaged or cannot be read.
        """
        with self._lock:
            state = self._path.stat()
            version = state.st_mtime_ns, state.st_size
            if self._read is None or version != self._seen:
                with open_verdicts(self._path, writable=False) as store:
                    last = store.last_number()
                    if last <= self._last:
                        # Changed without a new verdict: it has lost some, those of a patient who withdrew consent.
                        self._history, self._last = VerdictHistory(), 0
                    for verdict in store.all(until=last, after=self._last):
                        self._history.add(verdict)
                self._read, self._last, self._seen = _read(self._history.counting()), last, version
            return self._read

    def add(self, verdict: ReviewVerdict) -> None:
        """Add a verdict; it is on the disk when this returns.

        Raises:
            VerdictError: if the file cannot be written.
            OSError: if the disk or the quota is full.
        """
        with open_verdicts(self._path) as store:
            store.add(verdict)
        with self._lock:
            self._seen = None  # two changes may have one time


def _read(counting: CountingVerdicts) -> ReadVerdicts:
    by_image: dict[str, list[ReviewVerdict]] = {}
    for verdict in counting.standing:
        by_image.setdefault(verdict.image_id, []).append(verdict)
    return ReadVerdicts(counting, by_image)
