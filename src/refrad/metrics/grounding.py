"""How well boxes and names fit: IoU and G-IoU."""

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["Box", "g_iou", "iou", "same"]

Box = tuple[float, float, float, float]
Key = TypeVar("Key")


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x_min, y_min, x_max, y_max) in one unit; 0 where both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0.0) * max(height, 0.0)
    union = _area(a) + _area(b) - intersection
    return intersection / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def same(a: object, b: object) -> float:
    """The similarity that knows only equal (1) and different (0)."""
    return float(a == b)


def g_iou(
    predicted: Sequence[tuple[Key, Box]],
    true: Sequence[tuple[Key, Box]],
    similarity: Callable[[Key, Key], float] = same,
) -> float:
    """G-IoU of one sample: sum over matched pairs of IoU x similarity, divided by max(number predicted, number true).

    Entities are matched one to one, greedily by similarity: the most similar pair is taken first, and both its members
    are out for all later pairs. Equal similarities are taken in the order of `predicted`, then of `true`.

    Args:
        predicted: (key, box) of each predicted entity; the key is what `similarity` compares (class, text, embedding).
        true: the same of each true entity.
        similarity: symmetric, at most 1 and 1 for equal keys.

    Raises:
        ValueError: if there is no true entity, for which the measure is not defined.
    """
    if not true:
        raise ValueError("G-IoU needs at least one true entity")
    pairs = [(-similarity(p, t), i, j) for i, (p, _) in enumerate(predicted) for j, (t, _) in enumerate(true)]
    total, used_predicted, used_true = 0.0, set[int](), set[int]()
    for negative, i, j in sorted(pairs):
        if i not in used_predicted and j not in used_true:
            used_predicted.add(i)
            used_true.add(j)
            total += -negative * iou(predicted[i][1], true[j][1])
    return total / max(len(predicted), len(true))
