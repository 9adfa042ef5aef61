"""Scores of regions that a question names: IoU, Dice, recall, and the share with an IoU of at least 0.5."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np

from refrad.evaluation.metrics.grounding import Named, dice_of_iou, name_of, overlap, same_name
from refrad.evaluation.metrics.intervals import group_interval

__all__ = [
    "LocationScore",
    "LocationSummary",
    "mean_iou_by_key",
    "score_locations",
    "summarise_locations",
]

HIT = 0.5  # IoU from which a region counts as a hit


class LocationScore(NamedTuple):
    """The score of one true region; `is_named`: the answer has a region of this name."""

    iou: float
    is_named: bool

    @property
    def dice(self) -> float:
        """Dice, from the IoU."""
        return dice_of_iou(self.iou)

    @property
    def hit(self) -> bool:
        """True if the IoU is at least 0.5."""
        return self.iou >= HIT


class LocationSummary(TypedDict):
    """Means over all true regions; intervals are [low, high], 95 %, and draw patients."""

    mean_iou: float
    mean_iou_interval: list[float]
    mean_dice: float
    mean_dice_interval: list[float]
    class_recall: float
    iou50: float


def score_locations(true: Sequence[Named], predicted: Sequence[Named]) -> list[LocationScore]:
    """The score of each true region of one question, in order.

    A true region is compared with the first predicted region of the same name; without such a region its IoU is 0.

    Raises:
        ValueError: if a box is compared with a mask, or two masks differ in size.
    """
    scores = []
    for target in true:
        match = next((entity for entity in predicted if same_name(name_of(entity), name_of(target))), None)
        scores.append(LocationScore(overlap(match.region, target.region) if match else 0.0, match is not None))
    return scores


def summarise_locations(
    patients: Sequence[str], scores: Sequence[Sequence[LocationScore]], resamples: int
) -> LocationSummary:
    """Means with intervals over all true regions.

    Args:
        patients: the patient of each question.
        scores: the scores of each question, as `score_locations` returns them.
        resamples: bootstrap resamples.

    Raises:
        ValueError: if there is no true region.
    """
    counts = [len(question) for question in scores]
    iou_sums = [sum(score.iou for score in question) for question in scores]
    dice_sums = [sum(score.dice for score in question) for question in scores]
    intervals = [group_interval(patients, sums, counts, resamples) for sums in (iou_sums, dice_sums)]
    total = sum(counts)
    return {
        "mean_iou": sum(iou_sums) / total,
        "mean_iou_interval": intervals[0],
        "mean_dice": sum(dice_sums) / total,
        "mean_dice_interval": intervals[1],
        "class_recall": sum(score.is_named for question in scores for score in question) / total,
        "iou50": sum(score.hit for question in scores for score in question) / total,
    }


def mean_iou_by_key(
    keys: Sequence[Sequence[int | str]], scores: Sequence[Sequence[LocationScore]]
) -> dict[int | str, float]:
    """Mean IoU of each key (class, or phrase), in the order of the keys as texts; `keys` are those of each question's regions."""
    values: dict[int | str, list[float]] = {}
    for question_keys, question in zip(keys, scores, strict=True):
        for key, score in zip(question_keys, question, strict=True):
            values.setdefault(key, []).append(score.iou)
    return {key: float(np.mean(values[key])) for key in sorted(values, key=str)}
