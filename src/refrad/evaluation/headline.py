"""Headline numbers of an evaluation: the means that the page shows first, and the same means of each baseline."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np
import polars as pl

from refrad.evaluation.metrics.grounding import NamedRegion, Region, dice_of_iou, overlap
from refrad.evaluation.metrics.intervals import group_interval
from refrad.evaluation.metrics.localization import (
    LocationScore,
    LocationSummary,
    mean_iou_by_key,
    score_locations,
    summarise_locations,
)
from refrad.evaluation.questions import EvalQuestion

__all__ = [
    "DEFINITIONS",
    "CaptionSummary",
    "Headline",
    "KindAccuracy",
    "VqaSummary",
    "headline",
    "location_scores",
    "summarise_captions",
    "summarise_vqa",
]

VERIFIED = 0.5  # IoU, at least, of a region that is where it is said to be

DEFINITIONS = {
    "mean_iou": "task locate, where the prompt has the verbatim mentions of a sentence: IoU of a target region with the box of its class"
    " in the answer (in the segmentation variant, with the mask of its phrase), 0 if there is none; several of one name are matched one to"
    " one, by overlap; mean over targets",
    "mean_dice": "the same with Dice",
    "class_recall": "share of the target regions for which the answer has a box of the class (a mask of the phrase)",
    "iou50": "share of the target regions with an IoU of at least 0.5",
    "mean_iou_interval": "95 % bootstrap interval of mean_iou, drawing patients; the other intervals are computed in the same way",
    "free": "grounded captions, where the prompt names no region; g_iou: the metric of this name; class_recall: share of the caption's classes"
    " (phrases) in the answer; visible: share of the answer's classes that are in the image (phrases that name something in it);"
    " iou, dice: overlap of the answer's regions with the region of their class (phrase) in the image, 0 if it is not there; verified: share of the"
    " answer's regions with an IoU of at least 0.5 with it, whether the sentence names it or not",
    "caption_baselines": "recall of the caption's classes without knowledge of the sentence, with as many classes as the answer has; chance:"
    " drawn from those in the image; most_named: those in the image that training sentences name most often",
    "vqa": "accuracy and accuracy_lenient of closed questions, the metrics of these names; by_kind: accuracy by topic and kind",
    "baselines.untrained": "the same questions to the same architecture with random weights",
    "baselines.mean_box": "the mean box of each class over the training images, as shares of width and height",
    "baselines.mean_mask": "the pixels that a class covers most often in training images, as many as it covers on average",
    "same_items": "the trained model on the images that the blank-image ablation and the baselines rest on",
    "blanked": "blank-image ablation: the same questions to the trained model with black images",
}


class CaptionSummary(TypedDict):
    """Grounded captions with `places` regions in all, see DEFINITIONS["free"]."""

    captions: int
    places: int
    g_iou: float
    class_recall: float
    visible: float
    verified: float
    iou: NotRequired[float]
    iou_interval: NotRequired[list[float]]
    dice: NotRequired[float]
    dice_interval: NotRequired[list[float]]


class KindAccuracy(TypedDict):
    """Accuracy of closed questions."""

    questions: int
    accuracy: float


class VqaSummary(KindAccuracy):
    """Strict and lenient accuracy of closed questions; `by_kind` has the strict one by topic and kind."""

    accuracy_lenient: float
    by_kind: dict[str, KindAccuracy]


class Headline(LocationSummary):
    """Means over all true regions, `asked` in number; `by_class` is the mean IoU of each class (phrase)."""

    asked: int
    patients: int
    by_class: dict[int | str, float]
    free: CaptionSummary | dict[str, float]
    vqa: VqaSummary | dict[str, float]


def location_scores(
    questions: Sequence[EvalQuestion], answers: Sequence[Sequence[NamedRegion]]
) -> list[list[LocationScore]]:
    """The scores of the targets of each question."""
    return [score_locations(question.targets, regions) for question, regions in zip(questions, answers, strict=True)]


def headline(
    questions: Sequence[EvalQuestion],
    answers: Sequence[Sequence[NamedRegion]],
    items: pl.DataFrame,
    visible: Mapping[str, Mapping[int | str, Region]],
    resamples: int,
) -> Headline:
    """The headline numbers of one dataset.

    Args:
        questions: of all tasks.
        answers: the regions in the answer to each question.
        items: the scores of the same dataset as `score_items` returns them.
        visible: image id to the true region of each key that is in the image.
        resamples: bootstrap resamples.

    Raises:
        ValueError: if no question names a region.
    """
    pairs = list(zip(questions, answers, strict=True))
    located = [(question, regions) for question, regions in pairs if question.task == "locate"]
    scores = location_scores([question for question, _ in located], [regions for _, regions in located])
    patients = [question.patient for question, _ in located]
    keys = [[target.key for target in question.targets] for question, _ in located]
    return {
        **summarise_locations(patients, scores, resamples),
        "asked": sum(len(question_scores) for question_scores in scores),
        "patients": len(set(patients)),
        "by_class": mean_iou_by_key(keys, scores),
        "free": summarise_captions([pair for pair in pairs if pair[0].task == "detect"], items, visible, resamples),
        "vqa": summarise_vqa(items),
    }


def summarise_captions(
    captions: Sequence[tuple[EvalQuestion, Sequence[NamedRegion]]],
    items: pl.DataFrame,
    visible: Mapping[str, Mapping[int | str, Region]],
    resamples: int,
) -> CaptionSummary | dict[str, float]:
    """Scores of grounded captions; empty without captions. For the arguments, see `headline`."""
    if not captions:
        return {}
    recalled = true_count = visible_count = 0
    patients: list[str] = []
    overlaps: list[float] = []
    for question, regions in captions:
        true_keys = {target.key for target in question.targets}
        recalled += len(true_keys & {region.key for region in regions})
        true_count += len(true_keys)
        for region in regions:
            true_region = visible[question.image_id].get(region.key)
            visible_count += true_region is not None
            patients.append(question.patient)
            overlaps.append(0.0 if true_region is None else overlap(region.region, true_region))
    summary: CaptionSummary = {
        "captions": len(captions),
        "places": len(overlaps),
        "g_iou": float(np.mean(items.filter(task="detect", metric="g_iou")["value"].to_list())),
        "class_recall": recalled / true_count,
        "visible": visible_count / len(overlaps) if overlaps else 0.0,
        "verified": sum(iou >= VERIFIED for iou in overlaps) / len(overlaps) if overlaps else 0.0,
    }
    if overlaps:
        dices = [dice_of_iou(iou) for iou in overlaps]
        counts = [1] * len(overlaps)
        summary["iou"] = float(np.mean(overlaps))
        summary["iou_interval"] = group_interval(patients, overlaps, counts, resamples)
        summary["dice"] = float(np.mean(dices))
        summary["dice_interval"] = group_interval(patients, dices, counts, resamples)
    return summary


def summarise_vqa(items: pl.DataFrame) -> VqaSummary | dict[str, float]:
    """Accuracy of closed questions over all and by topic and kind; empty without closed questions."""
    closed = items.filter(task="vqa", metric="accuracy")
    lenient = items.filter(task="vqa", metric="accuracy_lenient")
    if closed.is_empty():
        return {}
    values_of: dict[str, list[float]] = {}
    for topic, kind, value in closed.select("topic", "kind", "value").iter_rows():
        values_of.setdefault(f"{topic}, {kind}", []).append(value)
    return {
        **_accuracy(closed["value"].to_list()),
        "accuracy_lenient": float(np.mean(lenient["value"].to_list())),
        "by_kind": {kind: _accuracy(values_of[kind]) for kind in sorted(values_of)},
    }


def _accuracy(values: Sequence[float]) -> KindAccuracy:
    return {"questions": len(values), "accuracy": float(np.mean(values))}
