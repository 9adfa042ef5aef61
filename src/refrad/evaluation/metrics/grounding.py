"""Overlap of regions and names: IoU and Dice of boxes and masks, and G-IoU."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from refrad.core.types import Box
from refrad.evaluation.metrics.text import composed

__all__ = [
    "Box",
    "EntityName",
    "Named",
    "NamedRegion",
    "Region",
    "RunLengths",
    "Similarity",
    "dice_of_iou",
    "g_iou",
    "g_ious",
    "iou",
    "is_mask",
    "name_of",
    "overlap",
    "phrase_key",
    "region_order",
    "same",
    "same_name",
]


class RunLengths(TypedDict):
    """A mask as COCO run lengths: `size` is [height, width], px; `counts` is compressed (text), or the lengths themselves."""

    size: list[int]
    counts: str | list[int]


SIMILARITY_TOLERANCE = 1e-6

# A box (x_min, y_min, x_max, y_max), a bool mask [height, width], or a mask as COCO run lengths.
Region: TypeAlias = Sequence[float] | NDArray[Any] | RunLengths
Key = TypeVar("Key")
Entities = Sequence[tuple[Key, Region]]
# Similarity of n pairs of keys, float [n]: at most 1, and 1 for equal keys.
Similarity = Callable[[Sequence[Any], Sequence[Any]], NDArray[np.float64]]

# The name of an entity: its class, None if it has none, and its text as `phrase_key` writes it.
EntityName = tuple[int | None, str]


class Named(Protocol):
    """A region with a name: a text, a class or both."""

    @property
    def text(self) -> str:
        """The words that name the region; "" if it is named by its class alone."""

    @property
    def class_id(self) -> int | None:
        """The class of the schema; None if the region is named by its text alone."""

    @property
    def region(self) -> Region:
        """The box or the mask."""


@dataclass(frozen=True)
class NamedRegion:
    """A region with its name, as `Named` describes it."""

    region: Region
    text: str = ""
    class_id: int | None = None

    @property
    def key(self) -> int | str:
        """The class, or the text in small letters if there is no class."""
        class_id, text = name_of(self)
        return text if class_id is None else class_id


@lru_cache(maxsize=10_000)  # names repeat
def phrase_key(text: str) -> str:
    """The text in small, composed letters, its words with one blank between: phrases with the same key have the same name."""
    return " ".join(composed(text).casefold().split())


def name_of(entity: Named) -> EntityName:
    """The name by which entities are compared."""
    return entity.class_id, phrase_key(entity.text)


def same_name(a: EntityName, b: EntityName) -> bool:
    """True if two names have the same class or, where one of them has no class, the same text. Empty texts are never the same."""
    return a[0] == b[0] if None not in (a[0], b[0]) else a[1] == b[1] != ""


def dice_of_iou(iou: float) -> float:
    """Dice = 2 IoU / (1 + IoU)."""
    return 2 * iou / (1 + iou)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two half-open boxes (x_min, y_min, x_max, y_max) in one unit; 0 where both are empty."""
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    areas = [max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0) for box in (a, b)]
    union = areas[0] + areas[1] - shared
    return float(shared / union) if union > 0 else 0.0


def is_mask(region: Region) -> bool:
    """True for a mask, False for a box."""
    if isinstance(region, list | tuple):  # a box: the check for a mapping is slow, and boxes are many
        return False
    return isinstance(region, Mapping) or (isinstance(region, np.ndarray) and region.ndim == 2)


def overlap(a: Region, b: Region) -> float:
    """IoU of two regions of one kind; 0 where both are empty.

    Args:
        a: a box in any unit, or a mask: bool [height, width] or COCO run lengths.
        b: a box in the same unit, or a mask of the same size.

    Raises:
        ValueError: if one region is a box and the other a mask, or the masks differ in size.
    """
    if is_mask(a) != is_mask(b):
        raise ValueError("a box cannot be compared with a mask: give both sides as boxes or both as masks")
    if not is_mask(a):
        return iou(a, b)  # type: ignore[arg-type]
    ours, theirs = _run_lengths(a), _run_lengths(b)
    if list(ours["size"]) != list(theirs["size"]):
        raise ValueError(f"masks of different size: {ours['size']} and {theirs['size']}")
    return float(np.nan_to_num(coco.iou([ours], [theirs], [0])[0, 0]))


def _run_lengths(region: Any) -> Any:
    if isinstance(region, np.ndarray):
        return coco.encode(np.asfortranarray(region.astype(np.uint8)))
    counts = region["counts"]
    if isinstance(counts, list):
        return coco.frPyObjects(dict(region), *region["size"])
    return dict(region) | {"counts": counts.encode("ascii") if isinstance(counts, str) else counts}


def region_order(region: Region) -> tuple[Any, ...]:
    """A sort key of regions of one kind: matchings of sorted regions do not depend on the order in which they were given."""
    if isinstance(region, np.ndarray) and region.ndim == 2:
        return (region.tobytes(),)
    return tuple(map(str, region.values())) if isinstance(region, Mapping) else tuple(map(float, region))


def same(a: Sequence[Any], b: Sequence[Any]) -> NDArray[np.float64]:
    """Similarity of each pair of keys, float64 [n]: 1 if they are equal, else 0."""
    return np.fromiter((left == right for left, right in zip(a, b, strict=True)), np.float64, len(a))


def g_iou(predicted: Entities[Key], true: Entities[Key], similarity: Similarity = same) -> float:
    """G-IoU of one sample: sum over matched pairs of IoU x similarity, divided by max(number predicted, number true).

    Entities are matched one to one, greedily by similarity: the most similar pair is matched first, and its members are not
    used again. Of pairs with equal similarity the one with the larger IoU is matched first, so that the score does not depend on
    the order of the entities. A sample without predictions scores 0.
    Source: the paper on spatially grounded radiology models (MICCAI 2026), where the similarity is the cosine of text embeddings.

    Args:
        predicted: (key, region) of each predicted entity; `similarity` compares the keys (class or text).
        true: the same of each true entity.
        similarity: of keys.

    Raises:
        ValueError: if there is no true entity: the measure is not defined then.
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
    for (predicted_count, true_count), numbers in shapes.items():
        if predicted_count:
            left: list[Entities[Key]] = [predicted[n] for n in numbers]
            right: list[Entities[Key]] = [true[n] for n in numbers]
            scores[numbers] = _matched(left, right, similarity) / max(predicted_count, true_count)
    return scores


def _matched(
    predicted: Sequence[Entities[Key]], true: Sequence[Entities[Key]], similarity: Similarity
) -> NDArray[np.float64]:
    """Sum of IoU x similarity over the matched pairs of each sample; all samples have P predicted and T true entities."""
    predicted, true = _ordered(predicted), _ordered(true)
    likeness = _likeness(predicted, true, similarity)
    samples, _, true_count = likeness.shape
    overlaps = _pairwise_ious(_stacked(predicted), _stacked(true))
    rows = np.arange(samples)
    total = np.zeros(samples)
    for _ in range(min(likeness.shape[1:])):
        # Similarities that differ by rounding alone are equal.
        most_similar = likeness >= likeness.max(axis=(1, 2), keepdims=True) - SIMILARITY_TOLERANCE
        i, j = np.divmod(np.where(most_similar, overlaps, -1).reshape(samples, -1).argmax(axis=1), true_count)
        total += likeness[rows, i, j] * overlaps[rows, i, j]
        likeness[rows, i, :] = -np.inf
        likeness[rows, :, j] = -np.inf
    return total


def _ordered(samples: Sequence[Entities[Key]]) -> Sequence[Entities[Key]]:
    """The entities of each sample in an order of their own, for pairs with equal similarity and equal IoU."""
    if len(samples[0]) < 2:
        return samples
    return [sorted(entities, key=lambda entity: (str(entity[0]), region_order(entity[1]))) for entities in samples]


def _likeness(
    predicted: Sequence[Entities[Key]], true: Sequence[Entities[Key]], similarity: Similarity
) -> NDArray[np.float64]:
    """Similarity of each predicted with each true entity, float [samples, P, T]; computed once for each distinct pair of keys."""
    numbers: dict[Any, int] = {}
    ours, theirs = (
        np.array([[numbers.setdefault(key, len(numbers)) for key, _ in entities] for entities in side])
        for side in (predicted, true)
    )
    keys = list(numbers)
    pairs, positions = np.unique(ours[:, :, None] * len(keys) + theirs[:, None, :], return_inverse=True)
    left, right = ([keys[n] for n in side.tolist()] for side in np.divmod(pairs, len(keys)))
    return np.asarray(similarity(left, right), np.float64)[positions].reshape(*ours.shape, theirs.shape[1])


def _stacked(samples: Sequence[Entities[Key]]) -> NDArray[Any]:
    """The regions: boxes as float [samples, entities, 4], others as they are in an object array [samples, entities]."""
    if any(is_mask(region) for entities in samples for _, region in entities):
        regions = np.empty((len(samples), len(samples[0])), object)
        for sample, entity in np.ndindex(regions.shape):
            regions[sample, entity] = samples[sample][entity][1]
        return regions
    return np.array([[region for _, region in entities] for entities in samples], np.float64)


def _pairwise_ious(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of each of our regions with each of theirs of the same sample, float [samples, P, T]."""
    samples, ours_count = ours.shape[:2]
    theirs_count = theirs.shape[1]
    if ours.dtype == object or theirs.dtype == object:
        ious = [
            overlap(ours[n, i], theirs[n, j])
            for n in range(samples)
            for i in range(ours_count)
            for j in range(theirs_count)
        ]
        return np.array(ious).reshape(samples, ours_count, theirs_count)
    shape = samples, ours_count, theirs_count, 4
    left = np.broadcast_to(ours[:, :, None], shape).reshape(-1, 4)
    right = np.broadcast_to(theirs[:, None], shape).reshape(-1, 4)
    return _box_ious(left, right).reshape(samples, ours_count, theirs_count)


def _box_ious(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of each box of float [n, 4] with the box at the same index, float [n]; 0 where both are empty."""
    sides = np.minimum(ours[:, 2:], theirs[:, 2:]) - np.maximum(ours[:, :2], theirs[:, :2])
    shared = sides.clip(0).prod(axis=1)
    union = sum((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1) for boxes in (ours, theirs)) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros(len(shared)), where=union > 0))
