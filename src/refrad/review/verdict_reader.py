"""The verdicts of a file as the review pages need them, read again only where the file has grown."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from refrad.review.item_index import verdict_states
from refrad.review.judgement import ReviewVerdict, sampled, standing
from refrad.review.verdicts import open_verdicts

__all__ = ["ReadVerdicts", "VerdictReader"]


@dataclass(frozen=True)
class ReadVerdicts:
    """All verdicts up to a time, and what follows from them.

    Attributes:
        all: in the order in which they were added.
        states: of the items with a verdict that counts, see `verdict_states`.
        sample: those that count of the random queue, see `sampled`.
        by_image: those that count, by image id.
    """

    all: Sequence[ReviewVerdict]
    states: pl.DataFrame = field(init=False)
    sample: Sequence[ReviewVerdict] = field(init=False)
    by_image: dict[str, list[ReviewVerdict]] = field(init=False)

    def __post_init__(self) -> None:
        """Compute what follows from the verdicts."""
        counting = standing(self.all)
        by_image: dict[str, list[ReviewVerdict]] = {}
        for verdict in counting:
            by_image.setdefault(verdict.image_id, []).append(verdict)
        object.__setattr__(self, "states", verdict_states(counting))
        object.__setattr__(self, "sample", sampled(self.all))
        object.__setattr__(self, "by_image", by_image)


class VerdictReader:
    """Reads and adds verdicts of a file that other servers and processes add to as well. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._last = 0
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
                    # A file that has changed without a new verdict has lost some: those of a patient who withdrew consent.
                    grown = self._read is not None and last > self._last
                    before = self._read.all if self._read is not None and grown else ()
                    verdicts = [*before, *store.all(until=last, after=self._last if grown else 0)]
                self._read, self._last, self._seen = ReadVerdicts(verdicts), last, version
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
