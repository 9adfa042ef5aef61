"""Bootstrap and G-IoU over whole data sets, against loops as one writes them first.

python benchmarks/metrics.py

The loops do a tenth of the work; their times are times ten.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from refrad.evaluation.metrics.grounding import g_ious
from refrad.evaluation.metrics.intervals import bootstrap

SAMPLES, METRICS, RESAMPLES = 2_000, 8, 10_000
IMAGES, ENTITIES, CLASSES = 10_000, 5, 12
SHARE = 10


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a function, and its CPU seconds."""
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def naive_bootstrap(values: np.ndarray, resamples: int) -> np.ndarray:
    """Percentile bounds [2, metrics], one resample and metric after the other."""
    rng = np.random.default_rng(0)
    means = [
        [values[:, metric][rng.integers(0, len(values), len(values))].mean() for metric in range(values.shape[1])]
        for _ in range(resamples)
    ]
    return np.quantile(means, [0.025, 0.975], axis=0)


def naive_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """IoU of two boxes x_min, y_min, x_max, y_max."""
    width, height = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0), max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


def naive_g_iou(predicted: list, true: list) -> float:
    """G-IoU of one image: look for the most alike pair among what is left, of equal ones the most overlapping, again and again."""
    left, right, total = list(predicted), list(true), 0.0

    def likeness(pair: tuple) -> tuple[float, float]:
        return float(pair[0][0] == pair[1][0]), naive_iou(pair[0][1], pair[1][1])

    while left and right:
        p, t = max(((p, t) for p in left for t in right), key=likeness)
        total += float(p[0] == t[0]) * naive_iou(p[1], t[1])
        left.remove(p)
        right.remove(t)
    return total / max(len(predicted), len(true))


def images(seed: int) -> list[list]:
    """Entities of many images: classes and boxes at random."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, CLASSES, (IMAGES, ENTITIES)).tolist()
    corners = np.sort(rng.random((IMAGES, ENTITIES, 2, 2)), axis=2).reshape(IMAGES, ENTITIES, 4).tolist()
    return [list(zip(ids, map(tuple, boxes), strict=True)) for ids, boxes in zip(classes, corners, strict=True)]


def main() -> None:
    """Check that both sides agree, and print times and ratios."""
    values = np.random.default_rng(1).random((SAMPLES, METRICS))
    ours, fast = timed(lambda: bootstrap(values, np.ones_like(values), RESAMPLES))
    bca, corrected = timed(lambda: bootstrap(values, np.ones_like(values), RESAMPLES, method="bca"))
    theirs, slow = timed(lambda: naive_bootstrap(values, RESAMPLES // SHARE))
    if not np.allclose([ours.low, ours.high], theirs, atol=0.003) or not np.allclose(ours.low, bca.low, atol=0.003):
        raise SystemExit("the bounds differ")
    print(
        f"bootstrap, {RESAMPLES} resamples of {SAMPLES} samples, {METRICS} metrics: {fast:.2f} s (bca {corrected:.2f} s),"
    )
    print(f"  one by one {SHARE * slow:.1f} s: {SHARE * slow / fast:.0f}x")

    predicted, true = images(2), images(3)
    scores, fast = timed(lambda: g_ious(predicted, true))
    few = IMAGES // SHARE
    one_by_one, slow = timed(lambda: [naive_g_iou(p, t) for p, t in zip(predicted[:few], true[:few], strict=True)])
    if not np.allclose(scores[:few], one_by_one):
        raise SystemExit("the scores differ")
    print(f"G-IoU, {IMAGES} images with {ENTITIES} entities each: {fast:.2f} s,")
    print(f"  one by one {SHARE * slow:.1f} s: {SHARE * slow / fast:.0f}x")


if __name__ == "__main__":
    main()
