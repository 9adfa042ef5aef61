"""Bootstrap intervals."""

from collections.abc import Sequence

import numpy as np

__all__ = ["bootstrap_interval"]


def bootstrap_interval(
    totals: Sequence[float], counts: Sequence[float], resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of sum(totals) / sum(counts) when whole groups are drawn again.

    The mean over items (entities, answers) that come in groups (images) varies as the groups vary, so groups are what is
    drawn: n of n with replacement, `resamples` times.

    Args:
        totals: sum of the items' values in each group.
        counts: number of items in each group.
        resamples: B.
        level: share of the resampled means inside the interval.
        seed: of the draws.

    Raises:
        ValueError: if there is no item, or totals and counts differ in length.
    """
    values, sizes = np.asarray(totals, np.float64), np.asarray(counts, np.float64)
    if values.shape != sizes.shape or values.ndim != 1:
        raise ValueError("totals and counts must be two lists of one length")
    kept = sizes > 0
    values, sizes = values[kept], sizes[kept]
    if not len(values):
        raise ValueError("no interval without any item")
    draws = np.random.default_rng(seed).multinomial(len(values), np.full(len(values), 1 / len(values)), size=resamples)
    means = (draws @ values) / (draws @ sizes)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
