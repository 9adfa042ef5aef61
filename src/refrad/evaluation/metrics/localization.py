"""Scores of regions that a question names: IoU, Dice, recall, and the share with an IoU of at least 0.5."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from refrad.evaluation.metrics.grounding import Named, dice_of_iou, name_of, overlap, region_order, same_name
from refrad.evaluation.metrics.intervals import group_interval

__all__ = [
    "LocationScore",
    "LocationSummary",
    "match_locations",
    "mean_iou_by_key",
    "score_locations",
    "summarise_locations",
]

N = TypeVar("N", bound=Named)
M = TypeVar("M", bound=Named)

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

    True and predicted regions are matched as in `match_locations`; a true region without a match has IoU 0.

    Raises:
        ValueError: if a box is compared with a mask, or two masks differ in size.
    """
    return [
        LocationScore(0.0 if match is None else overlap(match.region, target.region), match is not None)
        for target, match in zip(true, match_locations(true, predicted), strict=True)
    ]


def match_locations(true: Sequence[N], predicted: Sequence[M]) -> list[M | None]:
    """The predicted region that each true region is compared with, None without one.

    Regions of the same name are matched one to one: as many as possible, and of such matchings the one with the largest sum of
    IoU (assignment problem). The result does not depend on the order of the regions.

    Raises:
        ValueError: if a box is compared with a mask, or two masks differ in size.
    """
    if len(true) == len(predicted) == 1:
        return [predicted[0] if same_name(name_of(true[0]), name_of(predicted[0])) else None]
    matches: list[M | None] = [None] * len(true)
    true_names, predicted_names = [name_of(region) for region in true], [name_of(region) for region in predicted]
    same = np.array([[same_name(a, b) for b in predicted_names] for a in true_names], bool)
    same = same.reshape(len(true), len(predicted))
    if same.sum(0).max(initial=0) <= 1 and same.sum(1).max(initial=0) <= 1:  # the usual case: names are unique
        for row, column in np.argwhere(same).tolist():
            matches[row] = predicted[column]
        return matches
    rows = sorted(range(len(true)), key=lambda row: region_order(true[row].region))
    columns = sorted(range(len(predicted)), key=lambda column: region_order(predicted[column].region))
    gains = np.zeros(same.shape)
    for row, i in enumerate(rows):
        for column, j in enumerate(columns):
            if same[i, j]:  # a match outweighs any sum of IoU
                gains[row, column] = min(same.shape) + 1 + overlap(predicted[j].region, true[i].region)
    for row, column in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
        if gains[row, column]:
            matches[rows[row]] = predicted[columns[column]]
    return matches


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
