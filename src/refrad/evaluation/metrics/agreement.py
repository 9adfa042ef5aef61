"""Agreement of raters: Krippendorff's alpha and Pearson's r."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["krippendorff_alpha", "pearson_r"]

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(ratings: ArrayLike, level: Level = "ordinal") -> float:
    """Krippendorff's alpha: 1 - observed / expected disagreement; 1 is full agreement, 0 that of chance.

    With o the coincidence matrix of the units that two or more raters rated, n_c its margins and n their sum,
    alpha = 1 - (n - 1) sum o_ck d_ck / sum n_c n_k d_ck (Krippendorff, Content Analysis, 2011). The squared distance d of
    two ordinal values is (sum of the margins from c to k, less half of both ends)^2.

    Args:
        ratings: float [raters, units]; NaN where a rater did not rate.
        level: of measurement.

    Raises:
        ValueError: if no unit has two ratings. Alpha is NaN if all ratings are equal.
    """
    values = np.asarray(ratings, np.float64)
    if values.ndim != 2:
        raise ValueError("ratings must be an array of raters and units")
    scale, values_index = np.unique(values[~np.isnan(values)], return_inverse=True)
    counts = np.zeros((values.shape[1], len(scale)))
    np.add.at(counts, (np.nonzero(~np.isnan(values))[1], values_index), 1)
    counts = counts[counts.sum(1) >= 2]
    if not len(counts):
        raise ValueError("no unit was rated by two raters")
    raters = counts.sum(1, keepdims=True)
    observed = (counts / (raters - 1)).T @ counts - np.diag((counts / (raters - 1)).sum(0))
    margins = observed.sum(0)
    distances = _distances(scale, margins, level)
    expected = (np.outer(margins, margins) * distances).sum()
    if expected == 0:
        return float("nan")
    return float(1 - (margins.sum() - 1) * (observed * distances).sum() / expected)


def _distances(scale: NDArray[np.float64], margins: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    if level == "nominal":
        return 1.0 - np.eye(len(scale))
    if level == "interval":
        return np.asarray((scale[:, None] - scale[None]) ** 2)
    middle = margins.cumsum() - margins / 2
    return np.asarray((middle[:, None] - middle[None]) ** 2)


def pearson_r(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson's correlation of the pairs in which neither is NaN; NaN if one side never varies or there are fewer than two.

    Args:
        x: float [n].
        y: float [n].
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    paired = ~(np.isnan(a) | np.isnan(b))
    a, b = a[paired], b[paired]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
