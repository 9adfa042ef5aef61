"""Error analysis of located regions: confused classes, confused sides, overlaps, worst and best answers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np

from refrad.anatomy.schema import Schema
from refrad.evaluation.metrics.grounding import NamedRegion, Region, overlap
from refrad.evaluation.metrics.intervals import group_interval
from refrad.evaluation.metrics.localization import LocationScore, match_locations
from refrad.evaluation.questions import EvalQuestion

__all__ = [
    "ClassConfusion",
    "ExampleAnswer",
    "ExampleTarget",
    "HistogramBin",
    "SideConfusion",
    "confused_classes",
    "confused_sides",
    "example_answers",
    "overlap_histogram",
]

BINS = 10
NOTHING = "nothing"


class ClassConfusion(TypedDict):
    """Of the `of` questions for class (phrase) `asked`, `count` were answered with class `given` instead."""

    asked: str
    given: str
    count: int
    of: int


class SideConfusion(TypedDict):
    """Confusions of left and right among `asked` true regions; without such a region the other keys are missing."""

    asked: int
    named: NotRequired[int]
    placed: NotRequired[int]
    rate: NotRequired[float]
    interval: NotRequired[list[float] | None]


class HistogramBin(TypedDict):
    """A range of IoU and the number of regions in it."""

    overlap: str
    count: int


class ExampleTarget(TypedDict):
    """A true region and its key, a class or a phrase."""

    key: int | str
    region: Region


class ExampleAnswer(TypedDict):
    """A question with its mean IoU and its true regions."""

    id: str
    image_id: str
    iou: float
    true: list[ExampleTarget]


def confused_classes(
    questions: Sequence[EvalQuestion], answers: Sequence[Sequence[NamedRegion]], schema: Schema
) -> list[ClassConfusion]:
    """The pairs of a missed class (phrase) and the class that was given instead, the most frequent pair first.

    `given` is the first class of the answer that is no target of the question, or "nothing" if there is none. Several targets of one
    class are matched one to one with the answer's regions of it.

    Args:
        questions: of task locate.
        answers: the regions given to each question; only their keys count.
        schema: the class schema.
    """
    pairs: Counter[tuple[int | str, int | str]] = Counter()
    total: Counter[int | str] = Counter()
    for question, regions in zip(questions, answers, strict=True):
        target_keys = [target.key for target in question.targets]
        answer_keys = [region.key for region in regions]
        surplus_keys = [key for key in answer_keys if key not in target_keys]
        total.update(target_keys)
        # Of several targets of one class as many are missed as the answer has too few regions of it.
        for key, count in (Counter(target_keys) - Counter(answer_keys)).items():
            pairs[key, surplus_keys[0] if surplus_keys else 0] += count

    def name(key: int | str) -> str:
        if isinstance(key, str):
            return key
        return schema.by_id[key].name if key in schema.by_id else NOTHING if key == 0 else "no class"

    return [
        {"asked": name(target), "given": name(answer), "count": count, "of": total[target]}
        for (target, answer), count in pairs.most_common()
    ]


def confused_sides(
    questions: Sequence[EvalQuestion],
    answers: Sequence[Sequence[NamedRegion]],
    class_regions: Mapping[str, Mapping[int, Region]],
    schema: Schema,
    resamples: int,
) -> SideConfusion:
    """How often left and right are confused, among the targets whose single class has a twin on the other side.

    `named`: the class of the other side was given, and the target's class was not (phrases have no twins). `placed`: the region
    matched with the target overlaps the twin's true region more than the target's. `rate` is the share of targets with either, with
    its 95 % interval over patients (None for a single patient).

    Args:
        questions: of task locate.
        answers: the regions given to each question.
        class_regions: image id to the true region of each class in the image.
        schema: the class schema.
        resamples: bootstrap resamples.
    """
    patients: list[str] = []
    confused: list[bool] = []
    name_errors = position_errors = 0
    for question, regions in zip(questions, answers, strict=True):
        answer_keys = {region.key for region in regions}
        target_keys = {target.key for target in question.targets}
        for target, match in zip(question.targets, match_locations(question.targets, regions), strict=True):
            class_ids = target.classes
            twin = schema.twin(class_ids[0]) if len(class_ids) == 1 and class_ids[0] in schema.by_id else None
            if twin is None:
                continue
            wrong_name = match is None and twin in answer_keys and twin not in target_keys
            twin_region = class_regions.get(question.image_id, {}).get(twin)
            wrong_place = (
                match is not None
                and twin_region is not None
                and overlap(match.region, twin_region) > overlap(match.region, target.region)
            )
            name_errors += wrong_name
            position_errors += wrong_place
            patients.append(question.patient)
            confused.append(wrong_name or wrong_place)
    total = len(confused)
    if not total:
        return {"asked": 0}
    interval = group_interval(patients, confused, [1] * total, resamples) if len(set(patients)) > 1 else None
    return {
        "asked": total,
        "named": name_errors,
        "placed": position_errors,
        "rate": (name_errors + position_errors) / total,
        "interval": interval,
    }


def overlap_histogram(overlaps: Sequence[float]) -> list[HistogramBin]:
    """The number of overlaps in each tenth; overlaps of exactly 0 are counted separately, first."""
    values = np.asarray(overlaps, np.float64)
    bins = np.minimum((values[values > 0] * BINS + 1e-9).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    tenths = [f"{i / BINS:.1f} to {(i + 1) / BINS:.1f}" for i in range(BINS)]
    rows = [("none", int((values == 0).sum())), *zip(tenths, counts.tolist(), strict=True)]
    return [{"overlap": name, "count": count} for name, count in rows]


def example_answers(
    questions: Sequence[EvalQuestion], scores: Sequence[Sequence[LocationScore]], count: int
) -> dict[str, list[ExampleAnswer]]:
    """The `count` questions with the worst and with the best mean IoU, one an image; ties are in the order of their ids."""
    rated = [
        (sum(score.iou for score in question_scores) / len(question_scores), question)
        for question, question_scores in zip(questions, scores, strict=True)
    ]

    def first_of_each_image(ordered: Sequence[tuple[float, EvalQuestion]]) -> list[ExampleAnswer]:
        examples: dict[str, ExampleAnswer] = {}
        for iou, question in ordered:
            true: list[ExampleTarget] = [{"key": target.key, "region": target.region} for target in question.targets]
            examples.setdefault(
                question.image_id, {"id": question.id, "image_id": question.image_id, "iou": iou, "true": true}
            )
        return list(examples.values())[:count]

    best = first_of_each_image(sorted(rated, key=lambda pair: (-pair[0], pair[1].id)))
    best_ids = {example["id"] for example in best}
    ascending = sorted(rated, key=lambda pair: (pair[0], pair[1].id))
    return {"worst": first_of_each_image([pair for pair in ascending if pair[1].id not in best_ids]), "best": best}
