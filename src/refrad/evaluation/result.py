"""The result of an evaluation: the content of metrics.json, which the report reads, and the parts that it is built from."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import polars as pl

from refrad.anatomy.schema import Schema
from refrad.config import EvaluateOptions
from refrad.evaluation.answer_lengths import AnswerLengthRow
from refrad.evaluation.caption_baselines import CaptionBaselines, caption_baselines, mention_counts
from refrad.evaluation.error_analysis import (
    ClassConfusion,
    ExampleAnswer,
    HistogramBin,
    SideConfusion,
    confused_classes,
    confused_sides,
    example_answers,
    overlap_histogram,
)
from refrad.evaluation.headline import Headline, headline, location_scores
from refrad.evaluation.metrics.grounding import NamedRegion
from refrad.evaluation.metrics.localization import LocationSummary, summarise_locations
from refrad.evaluation.metrics.paired_scores import ComparisonRow, compare
from refrad.evaluation.metrics.scoring import METRICS
from refrad.evaluation.metrics.summary import SummaryRow, summarise
from refrad.evaluation.published_results import published

if TYPE_CHECKING:  # they import torch, which the report does without
    from refrad.evaluation.answered_questions import AnsweredQuestions, EvaluationImages
    from refrad.evaluation.regions import RegionCodec

__all__ = [
    "ErrorAnalysis",
    "EvaluationResult",
    "HeadlineWithBaselines",
    "LeakCounts",
    "OtherModelResult",
    "PublishedRow",
    "RunComparisonRow",
    "RunDescription",
    "SampledSummary",
    "ScoreTables",
    "analyse_errors",
    "headline_with_baselines",
    "tabulate_scores",
]

EXAMPLES = 6  # worst, and as many best
CONFUSIONS = 20


class SampledSummary(LocationSummary):
    """The means of the trained model over the `asked` regions of the `images` that the baselines were asked about."""

    images: int
    asked: int


class HeadlineWithBaselines(Headline):
    """The headline numbers, and the same means of task locate for the blank-image ablation and each baseline.

    These rest on a sample of the images; `same_items` has the means of the trained model on it. `caption_baselines` is None for masks,
    whose phrases are no classes.
    """

    same_items: SampledSummary
    blanked: LocationSummary
    baselines: dict[str, LocationSummary]
    caption_baselines: CaptionBaselines | None


class RunComparisonRow(ComparisonRow):
    """The differences from the scores of an earlier run."""

    run: str


class PublishedRow(TypedDict):
    """A number of the paper; `half` is half of its 95 % interval."""

    dataset: str
    task: str
    metric: str
    mean: float
    half: float | None


class ScoreTables(TypedDict):
    """Means and intervals, comparisons with earlier runs and the paper, and the definitions of the metrics."""

    scores: list[SummaryRow]
    similarity: str
    compared: list[RunComparisonRow]
    paper: list[PublishedRow]
    metrics: dict[str, str]


class ErrorAnalysis(TypedDict):
    """Error analysis of task locate; `examples` are under the keys worst and best."""

    confusions: list[ClassConfusion]
    sides: SideConfusion
    histogram: list[HistogramBin]
    examples: dict[str, list[ExampleAnswer]]


class LeakCounts(TypedDict):
    """Number of images compared, and of test images that were trained on."""

    looked: int
    found: int


class RunDescription(TypedDict):
    """The model and the data of an evaluation.

    `marks` is the name of the regions (boxes or masks), `weights` the digest of the model's weights; `images` and `steps` are the
    numbers of test images and of training steps; `images_of_task` the numbers of test images with questions of each task;
    `definitions` are those of the headline numbers.
    """

    variant: str
    marks: str
    images: int
    images_of_task: dict[str, int]
    steps: int
    leaks: LeakCounts
    definitions: dict[str, str]
    weights: str


class OtherModelResult(TypedDict):
    """Another model in metrics.json.

    `failure` is the reason why it, or one of its tasks, has no scores, else None; `counts` are those of `OtherAnswers`; `scores` are over all items, and
    `compared` are the differences of the evaluated model from it, in pairs.
    """

    name: str
    model: str
    window: int | str
    failure: str | None
    counts: dict[str, int]
    scores: list[SummaryRow]
    compared: list[ComparisonRow]


class EvaluationResult(HeadlineWithBaselines, ScoreTables, ErrorAnalysis, RunDescription):
    """The content of metrics.json. `answers` has the lengths of the model's answers and how many were cut; `counts` are those of
    `score_items`; `judge` is the name of the model that judged; `others` are other models on the same questions.
    """

    stage: str
    fingerprint: str
    answers: list[AnswerLengthRow]
    counts: dict[str, int]
    judge: str | None
    others: list[OtherModelResult]


def headline_with_baselines(
    answered: "AnsweredQuestions",
    images: "EvaluationImages",
    codec: "RegionCodec",
    items: pl.DataFrame,
    names: Mapping[int, str],
    resamples: int,
) -> HeadlineWithBaselines:
    """The headline numbers, and those of task locate for the blank-image ablation and the baselines.

    Args:
        answered: questions and answers.
        images: that the questions are about, and the training images of the baselines.
        codec: of the model's variant.
        items: scores as `score_items` returns them.
        names: of the classes, for the keys of `by_class`.
        resamples: bootstrap resamples.
    """
    visible = answered.visible(images, codec)
    internal = items.filter(dataset="internal")
    result = headline(answered.test_questions, answered.test_regions, internal, visible, resamples)
    located = answered.baseline_questions
    patients = [question.patient for question in located]

    def summary(regions: Sequence[Sequence[NamedRegion]]) -> LocationSummary:
        return summarise_locations(patients, location_scores(located, regions), resamples)

    baselines: dict[str, Sequence[Sequence[NamedRegion]]] = {
        "untrained": answered.untrained,
        **codec.baselines(images.training, located),
    }
    of_captions = None
    if codec.name == "boxes":
        pairs = zip(answered.test_questions, answered.test_regions, strict=True)
        captions = [(question, regions) for question, regions in pairs if question.task == "detect"]
        classes = {image.image_id: image.boxes.keys() for image in images.test}
        of_captions = caption_baselines(captions, classes, mention_counts(images.training))
    by_class = {names.get(key, key) if isinstance(key, int) else key: iou for key, iou in result["by_class"].items()}
    return {
        **result,
        "by_class": by_class,
        "same_items": {
            **summary(answered.baseline_regions),
            "images": len(answered.sampled),
            "asked": sum(len(question.targets) for question in located),
        },
        "blanked": summary(answered.blanked),
        "baselines": {name: summary(regions) for name, regions in baselines.items()},
        "caption_baselines": of_captions,
    }


def tabulate_scores(
    items: pl.DataFrame, options: EvaluateOptions, earlier: Iterable[tuple[str, pl.DataFrame]], variant: str
) -> ScoreTables:
    """Means and intervals of scored items, and comparisons with earlier runs and the paper.

    Args:
        items: scores as `score_items` returns them.
        options: of stage evaluate.
        earlier: name and scores of each earlier run.
        variant: detection or segmentation.
    """
    rows = summarise(items, options.resamples, options.interval)
    used = {row["metric"] for row in rows}
    names = "classes" if variant == "detection" else "phrases"
    return {
        "scores": rows,
        "similarity": Path(options.embedder).name if options.embedder else f"equal {names}",
        "compared": [
            {"run": run, **row} for run, scores in earlier for row in compare(items, scores, options.resamples)
        ],
        "paper": [
            {"dataset": dataset, "task": task, "metric": metric, "mean": mean, "half": half}
            for (dataset, task, metric), (mean, half) in published(
                variant, similar_names=bool(options.embedder)
            ).items()
        ],
        "metrics": {name: text for name, text in METRICS.items() if name in used},
    }


def analyse_errors(
    answered: "AnsweredQuestions", images: "EvaluationImages", codec: "RegionCodec", schema: Schema, resamples: int
) -> ErrorAnalysis:
    """Error analysis of task locate."""
    located, regions = answered.located, answered.located_regions
    scores = location_scores(located, regions)
    class_regions = {image.image_id: codec.classes(image) for image in images.test}
    return {
        "confusions": confused_classes(located, regions, schema)[:CONFUSIONS],
        "sides": confused_sides(located, regions, class_regions, schema, resamples),
        "histogram": overlap_histogram([score.iou for question_scores in scores for score in question_scores]),
        "examples": example_answers(located, scores, EXAMPLES),
    }
