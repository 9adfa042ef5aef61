"""How well regions and names fit: IoU of boxes and masks, and G-IoU."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from refrad.core.types import Box

__all__ = ["Box", "Region", "Similarity", "g_iou", "g_ious", "iou", "overlap", "same"]

# A box (x_min, y_min, x_max, y_max), a bool mask [height, width], or a mask as COCO run lengths ({"size", "counts"}).
Region: TypeAlias = Sequence[float] | NDArray[Any] | Mapping[str, Any]
Key = TypeVar("Key")
Entities = Sequence[tuple[Key, Region]]
# Similarity of n pairs of keys, float [n]: at most 1, and 1 for equal keys.
Similarity = Callable[[Sequence[Any], Sequence[Any]], NDArray[np.float64]]


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x_min, y_min, x_max, y_max) in one unit; 0 where both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0.0) * max(height, 0.0)
    union = _area(a) + _area(b) - intersection
    return intersection / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def overlap(a: Region, b: Region) -> float:
    """IoU of two regions of one kind: two boxes, or two masks of one size; 0 where both are empty.

    Raises:
        ValueError: if a box meets a mask, or the masks differ in size.
    """
    if _is_mask(a) != _is_mask(b):
        raise ValueError("a box cannot be compared with a mask: give both sides as boxes or both as masks")
    if not _is_mask(a):
        return iou(a, b)  # type: ignore[arg-type]
    ours, theirs = _run_lengths(a), _run_lengths(b)
    if list(ours["size"]) != list(theirs["size"]):
        raise ValueError(f"masks of different size: {ours['size']} and {theirs['size']}")
    return float(np.nan_to_num(coco.iou([ours], [theirs], [0])[0, 0]))


def _is_mask(region: Region) -> bool:
    return isinstance(region, Mapping) or (isinstance(region, np.ndarray) and region.ndim == 2)


def _run_lengths(region: Any) -> Any:
    if isinstance(region, np.ndarray):
        return coco.encode(np.asfortranarray(region.astype(np.uint8)))
    counts = region["counts"]
    if isinstance(counts, list):
        return coco.frPyObjects(dict(region), *region["size"])
    return dict(region) | {"counts": counts.encode("ascii") if isinstance(counts, str) else counts}


def same(a: Sequence[Any], b: Sequence[Any]) -> NDArray[np.float64]:
    """The similarity that knows only equal (1) and different (0)."""
    return np.fromiter((one == other for one, other in zip(a, b, strict=True)), np.float64, len(a))


def g_iou(predicted: Entities[Key], true: Entities[Key], similarity: Similarity = same) -> float:
    """G-IoU of one sample: sum over matched pairs of IoU x similarity, divided by max(number predicted, number true).

    Entities are matched one to one, greedily by similarity: the most similar pair of all is taken first, and both its
    members are out for all later pairs. Equal similarities are taken in the order of `predicted`, then of `true`. The
    measure is that of the paper on spatially grounded radiology models (MICCAI 2026), where the similarity is the cosine of
    text embeddings; a sample without any prediction scores 0.

    Args:
        predicted: (key, region) of each predicted entity; the key is what `similarity` compares (class or text).
        true: the same of each true entity.
        similarity: of keys.

    Raises:
        ValueError: if there is no true entity, for which the measure is not defined.
    """
    return float(g_ious([predicted], [true], similarity)[0])


def g_ious(
    predicted: Sequence[Entities[Key]], true: Sequence[Entities[Key]], similarity: Similarity = same
) -> NDArray[np.float64]:
    """G-IoU of many samples, float [samples]; see `g_iou`. Their mean is the score of a data set.

    Samples of equal entity counts are matched together, so that no Python loop runs over pairs.

    Raises:
        ValueError: if a sample has no true entity.
    """
    if any(not entities for entities in true):
        raise ValueError("G-IoU needs at least one true entity")
    shapes: dict[tuple[int, int], list[int]] = {}
    for number, (ours, theirs) in enumerate(zip(predicted, true, strict=True)):
        shapes.setdefault((len(ours), len(theirs)), []).append(number)
    scores = np.zeros(len(true))
    for (many, few), numbers in shapes.items():
        if many:
            left: list[Entities[Key]] = [predicted[n] for n in numbers]
            right: list[Entities[Key]] = [true[n] for n in numbers]
            scores[numbers] = _matched(left, right, similarity) / max(many, few)
    return scores


def _matched(
    predicted: Sequence[Entities[Key]], true: Sequence[Entities[Key]], similarity: Similarity
) -> NDArray[np.float64]:
    """Sum of IoU x similarity over the matched pairs of each sample; all samples have P predicted and T true entities."""
    likeness = _likeness(predicted, true, similarity)
    samples, _, few = likeness.shape
    regions = _stacked(predicted), _stacked(true)
    rows = np.arange(samples)
    total = np.zeros(samples)
    for _ in range(min(likeness.shape[1:])):
        i, j = np.divmod(likeness.reshape(samples, -1).argmax(axis=1), few)
        total += likeness[rows, i, j] * _ious(regions[0][rows, i], regions[1][rows, j])
        likeness[rows, i, :] = -np.inf
        likeness[rows, :, j] = -np.inf
    return total


def _likeness(
    predicted: Sequence[Entities[Key]], true: Sequence[Entities[Key]], similarity: Similarity
) -> NDArray[np.float64]:
    """Similarity of each predicted with each true entity, float [samples, P, T]; each distinct pair of keys is asked for once."""
    numbers: dict[Any, int] = {}
    ours, theirs = (
        np.array([[numbers.setdefault(key, len(numbers)) for key, _ in entities] for entities in side])
        for side in (predicted, true)
    )
    keys = list(numbers)
    pairs, places = np.unique(ours[:, :, None] * len(keys) + theirs[:, None, :], return_inverse=True)
    left, right = ([keys[n] for n in side.tolist()] for side in np.divmod(pairs, len(keys)))
    return np.asarray(similarity(left, right), np.float64)[places].reshape(*ours.shape, theirs.shape[1])


def _stacked(samples: Sequence[Entities[Key]]) -> NDArray[Any]:
    """The regions: boxes as float [samples, entities, 4], others as they are in an object array [samples, entities]."""
    if any(_is_mask(region) for entities in samples for _, region in entities):
        found = np.empty((len(samples), len(samples[0])), object)
        for place in np.ndindex(found.shape):
            found[place] = samples[place[0]][place[1]][1]
        return found
    return np.array([[region for _, region in entities] for entities in samples], np.float64)


def _ious(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of each of our regions with the one of theirs at its place, float [n]."""
    if ours.dtype == object or theirs.dtype == object:
        return np.array([overlap(a, b) for a, b in zip(ours, theirs, strict=True)])
    sides = np.minimum(ours[:, 2:], theirs[:, 2:]) - np.maximum(ours[:, :2], theirs[:, :2])
    shared = sides.clip(0).prod(axis=1)
    union = sum((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1) for boxes in (ours, theirs)) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros(len(shared)), where=union > 0))
