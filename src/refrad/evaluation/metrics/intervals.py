"""Bootstrap intervals of means, and the paired comparison of two models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from refrad.evaluation.metrics.group_sums import GroupSums

__all__ = [
    "RESAMPLES",
    "Difference",
    "Intervals",
    "bootstrap",
    "bootstrap_interval",
    "bootstrap_sums",
    "group_interval",
    "paired_difference",
    "paired_ratio_difference",
]

RESAMPLES = 10_000
CHUNK = 4_000_000  # coins held at once
COLUMNS = 32  # means whose quantiles are computed at once
Method = Literal["percentile", "bca"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Intervals:
    """Estimates and bounds of several means, each float [means]; NaN for a mean of nothing."""

    estimate: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Difference:
    """The mean difference of two models over the same groups, its interval, and the p-value of no difference."""

    estimate: float
    low: float
    high: float
    p: float


def bootstrap(
    totals: ArrayLike,
    counts: ArrayLike,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    method: Method = "percentile",
    seed: int = 0,
) -> Intervals:
    """Bootstrap intervals (Efron 1979, 1987) of several means sum(totals) / sum(counts), by drawing whole groups.

    Items (boxes, answers) come in groups (patients), and the interval must reflect the variation between patients. Each draw
    takes n of n groups with replacement, the same groups for all means.

    Args:
        totals: sum of the items' values in each group, float [groups, means] or [groups].
        counts: number of items in each group, the same shape; 0 where a group has no item of a mean.
        resamples: B.
        level: share of the resampled means inside the interval.
        method: "percentile", or "bca": bias-corrected and accelerated, with the jackknife's acceleration.
        seed: of the draws.

    Raises:
        ValueError: if the shapes differ, or there is no group.
    """
    values, sizes = np.asarray(totals, np.float64), np.asarray(counts, np.float64)
    if values.shape != sizes.shape or values.ndim not in (1, 2):
        raise ValueError("totals and counts must be two arrays of one shape")
    if not values.size:
        raise ValueError("no interval without any item")
    sums = GroupSums(len(values))
    sums.add(values.reshape(len(values), -1), sizes.reshape(len(sizes), -1))
    return bootstrap_sums(sums, resamples, level, method, seed)


def bootstrap_sums(
    sums: GroupSums,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    method: Method = "percentile",
    seed: int = 0,
) -> Intervals:
    """The intervals of `bootstrap` from sums that were collected before; `sums` has at least one mean."""
    means = sums.resampled(resamples, seed)
    parts = []
    for first in range(0, len(sums), COLUMNS):
        values, sizes = sums.dense(columns := slice(first, first + COLUMNS))
        drawn = means[:, columns]
        with np.errstate(invalid="ignore", divide="ignore"):
            estimate = values.sum(0) / sizes.sum(0)
        tails = np.repeat(np.array([[(1 - level) / 2], [(1 + level) / 2]]), len(estimate), axis=1)
        if method == "bca":
            tails = _corrected(tails, drawn, estimate, values, sizes)
        parts.append((estimate, *_quantiles(drawn, tails)))
    return Intervals(*map(np.concatenate, zip(*parts, strict=True)))


def _corrected(tails: Floats, means: Floats, estimate: Floats, values: Floats, sizes: Floats) -> Floats:
    """The tails of BCa, float [2, means]: shifted by the bias z0 and the acceleration a (Efron 1987, formulas 2.3 and 6.6)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        below = ((means < estimate).mean(0) + (means <= estimate).mean(0)) / 2  # ties count half
        bias = ndtri(below)
        left_out = (values.sum(0) - values) / (sizes.sum(0) - sizes)
        counted = (sizes > 0) & np.isfinite(left_out)  # a group without items of a mean is left out
        centre = np.where(counted, left_out, 0).sum(0) / counted.sum(0)
        away = np.where(counted, centre - left_out, 0)
        acceleration = (away**3).sum(0) / (6 * (away**2).sum(0) ** 1.5)
        z = ndtri(tails)
        shifted = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
    return np.asarray(np.where(np.isfinite(shifted), shifted, tails))


def _quantiles(means: Floats, tails: Floats) -> tuple[Floats, Floats]:
    """Quantiles of each column, at tails float [2, columns]; draws without any item of a mean are left out."""
    ordered = np.sort(means, axis=0)  # NaN last
    last = np.isfinite(means).sum(0) - 1
    at = tails * np.maximum(last, 0)
    below = np.floor(at).astype(int)
    columns = np.arange(means.shape[1])
    low = ordered[below, columns]
    high = ordered[np.minimum(below + 1, np.maximum(last, 0)), columns]
    bounds = low + (high - low) * (at - below)
    return bounds[0], bounds[1]


def bootstrap_interval(
    totals: Sequence[float], counts: Sequence[float], resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval (low, high) of one mean, as `bootstrap` computes it. Groups without items are left out.

    Raises:
        ValueError: if there is no item, or totals and counts differ in length.
    """
    values, sizes = np.asarray(totals, np.float64), np.asarray(counts, np.float64)
    if values.shape != sizes.shape or values.ndim != 1:
        raise ValueError("totals and counts must be two lists of one length")
    used = sizes > 0
    interval = bootstrap(values[used], sizes[used], resamples, level, seed=seed)
    return float(interval.low[0]), float(interval.high[0])


def group_interval(
    groups: Sequence[str], sums: Sequence[float], counts: Sequence[int], resamples: int = RESAMPLES
) -> list[float]:
    """95 % percentile interval [low, high] of sum(sums) / sum(counts) of rows, drawing groups.

    Args:
        groups: the group (patient) of each row.
        sums: the sum of the items' values in each row.
        counts: the number of items in each row.
        resamples: B.

    Raises:
        ValueError: if there is no item.
    """
    totals: dict[str, list[float]] = {}
    for group, value, count in zip(groups, sums, counts, strict=True):
        total = totals.setdefault(group, [0.0, 0.0])
        total[0] += value
        total[1] += count
    values, sizes = zip(*totals.values(), strict=True) if totals else ((), ())
    return list(bootstrap_interval(values, sizes, resamples))


def paired_difference(
    totals_a: ArrayLike,
    totals_b: ArrayLike,
    counts: ArrayLike,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """The mean difference (a - b) of two models over the items that both have answered.

    The interval draws groups, as `bootstrap` does. The p-value is that of a permutation test: in each of B rounds the two
    models swap their answers in each group with probability 1/2; p = (1 + rounds at least as far from 0) / (1 + B), two-sided.

    Args:
        totals_a: sum of the first model's values in each group, float [groups].
        totals_b: of the second's.
        counts: number of items in each group, the same for both.
        resamples: B.
        level: of the interval.
        seed: of draws and coins.
    """
    gaps = np.asarray(totals_a, np.float64) - np.asarray(totals_b, np.float64)
    sizes = np.asarray(counts, np.float64)
    interval = bootstrap(gaps, sizes, resamples, level, seed=seed)
    rng = np.random.default_rng(seed)
    observed, far = abs(gaps.sum()), 0
    rows = max(CHUNK // max(len(gaps), 1), 1)
    for first in range(0, resamples, rows):
        coins: Any = rng.integers(0, 2, (min(rows, resamples - first), len(gaps)), dtype=np.int8) * 2 - 1
        far += int((np.abs(coins @ gaps) >= observed - 1e-12 * max(observed, 1)).sum())
    return Difference(
        float(interval.estimate[0]), float(interval.low[0]), float(interval.high[0]), (1 + far) / (1 + resamples)
    )


def paired_ratio_difference(
    totals: ArrayLike, counts: ArrayLike, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Difference:
    """The difference a - b of the means of two models whose items are not the same, such as the instances that each has drawn.

    The models are paired by group: the interval draws the same groups for both, and in each round of the permutation test the two
    models swap all their items in each group with probability 1/2. A round in which a model has no item counts as far from 0,
    a draw with none is left out.

    Args:
        totals: sum of the items' values in each group, float [2, groups], the first model's first.
        counts: number of items in each group, the same shape; 0 where a model has none.
        resamples: B, as in `paired_difference`.
        level: of the interval.
        seed: of draws and coins.

    Raises:
        ValueError: if one of the models has no item at all.
    """
    values, sizes = np.asarray(totals, np.float64), np.asarray(counts, np.float64)
    if not sizes.sum(1).all():
        raise ValueError("no difference of models of which one has no item")

    def gap(sums: Floats, numbers: Floats) -> Floats:
        """The difference of the two means of each row, from float [rows, 2]."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((sums / numbers) @ [1.0, -1.0])

    estimate = float(gap(values.sum(1)[None], sizes.sum(1)[None])[0])
    models = GroupSums(values.shape[1])
    models.add(values.T, sizes.T)
    draws = models.resampled(resamples, seed) @ [1.0, -1.0]
    low, high = _quantiles(draws[:, None], np.array([[(1 - level) / 2], [(1 + level) / 2]]))
    rng = np.random.default_rng(seed)
    near = 0
    rows = max(CHUNK // values.shape[1], 1)
    for first in range(0, resamples, rows):
        swapped = rng.integers(0, 2, (min(rows, resamples - first), values.shape[1]), dtype=np.int8).astype(np.float64)
        sums, numbers = (
            side.sum(1) + swapped @ np.stack([side[1] - side[0], side[0] - side[1]], 1) for side in (values, sizes)
        )
        near += int((np.abs(gap(sums, numbers)) < abs(estimate) - 1e-12).sum())
    return Difference(estimate, float(low[0]), float(high[0]), (1 + resamples - near) / (1 + resamples))
