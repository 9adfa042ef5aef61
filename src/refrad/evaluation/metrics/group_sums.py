"""Totals and counts of many means in each group, and the means of the groups that a bootstrap draws."""

import logging
from collections.abc import Iterator
from hashlib import blake2b
from math import ceil

import numpy as np
from numpy.typing import NDArray

from refrad.core.progress import log_progress

__all__ = ["GroupSums"]

log = logging.getLogger(__name__)

DRAWS = 1_000_000  # held at once
EXACT = 2**24  # up to which float32 holds each whole number

Floats = NDArray[np.float64]


class GroupSums:
    """Totals and counts of several means in each of some groups, at least one.

    Many metrics are scored on the same items, and many totals are numbers of hits. So each distinct column is held and multiplied
    once, and small whole numbers as float32, in which their sums are exact.
    """

    def __init__(self, groups: int) -> None:
        self._groups = groups
        self._columns: dict[bytes, tuple[int, NDArray[np.floating]]] = {}  # by digest, with their number
        self._totals: list[int] = []  # the number of the column of each mean
        self._counts: list[int] = []

    def __len__(self) -> int:
        """The number of means."""
        return len(self._totals)

    def add(self, totals: Floats, counts: Floats) -> None:
        """Add means: sums of the items' values and numbers of items, both float [groups, means]."""
        self._totals += map(self._number, np.ascontiguousarray(totals.T))
        self._counts += map(self._number, np.ascontiguousarray(counts.T))

    def _number(self, column: Floats) -> int:
        key = blake2b(column.tobytes(), digest_size=16).digest()
        if key not in self._columns:
            is_exact = (column == np.floor(column)).all() and np.abs(column).max() * self._groups < EXACT
            self._columns[key] = len(self._columns), column.astype(np.float32 if is_exact else np.float64)
        return self._columns[key][0]

    def dense(self, means: slice) -> tuple[Floats, Floats]:
        """Totals and counts of some means in the order in which they were added, both float [groups, means]."""
        columns = [column for _, column in self._columns.values()]
        totals, counts = (
            np.stack([columns[number] for number in numbers[means]], axis=1, dtype=np.float64)
            for numbers in (self._totals, self._counts)
        )
        return totals, counts

    def resampled(self, resamples: int, seed: int) -> Floats:
        """Each mean in the groups of each draw, float [resamples, means]; NaN where a draw has no item of a mean.

        Each draw takes n of n groups with replacement, the same groups for all means. A draw is a row of numbers, how often it has
        each group, so all means of a draw are one product of matrices.
        """
        matrices = list(self._matrices())
        means = np.empty((resamples, len(self)))
        rows = max(DRAWS // self._groups, 1)
        parts = log_progress(self._draws(resamples, rows, seed), log, "parts of draws", ceil(resamples / rows))
        first = 0
        for draws in parts:
            sums = np.empty((len(draws), len(self._columns)))
            for numbers, matrix in matrices:
                sums[:, numbers] = draws.astype(matrix.dtype) @ matrix
            with np.errstate(invalid="ignore", divide="ignore"):
                means[first : first + len(draws)] = sums[:, self._totals] / sums[:, self._counts]
            first += len(draws)
        return means

    def _matrices(self) -> Iterator[tuple[list[int], NDArray[np.floating]]]:
        """The columns of each precision: their numbers, and the matrix [groups, columns]."""
        for dtype in (np.float32, np.float64):
            keys = [key for key, (_, column) in self._columns.items() if column.dtype == dtype]
            if keys:
                matrix = np.stack([self._columns[key][1] for key in keys], axis=1)
                numbers = [self._columns[key][0] for key in keys]
                # From here on the columns are those of the matrix, so that none is held twice.
                self._columns.update(zip(keys, zip(numbers, matrix.T, strict=True), strict=True))
                yield numbers, matrix

    def _draws(self, resamples: int, rows: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """How often each group is drawn, int [at most `rows`, groups], `resamples` rows in total."""
        rng = np.random.default_rng(seed)
        for first in range(0, resamples, rows):
            count = min(rows, resamples - first)
            drawn = rng.integers(0, self._groups, (count, self._groups), dtype=np.uint32)
            drawn += np.arange(count, dtype=np.uint32)[:, None] * np.uint32(self._groups)
            yield np.bincount(drawn.ravel(), minlength=count * self._groups).reshape(count, self._groups)
