"""Evaluate RadGrounder on the test patients, next to untrained weights, mean boxes and the blank-image ablation."""

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import EvaluateOptions, TrainOptions
from refrad.core.files import atomic, write_json
from refrad.core.rows import rows_of
from refrad.dataset.examples import ExampleRow, ImageExample, example_of_row, read_image_table
from refrad.dataset.training_overlap import TrainingOverlap, find_training_overlap
from refrad.evaluation.answered_questions import (
    AnsweredQuestions,
    EvaluationImages,
    TrainedModel,
    answer_questions,
    build_codec,
)
from refrad.evaluation.error_analysis import confused_classes, confused_sides, example_answers, overlap_histogram
from refrad.evaluation.headline import DEFINITIONS, headline, location_scores
from refrad.evaluation.metrics.judge import llm_scores, load_scale
from refrad.evaluation.metrics.localization import summarise_locations
from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord, read_records
from refrad.evaluation.metrics.scoring import METRICS, score_items
from refrad.evaluation.metrics.similarity import Embedder
from refrad.evaluation.metrics.summary import compare, summarise
from refrad.evaluation.published_results import published
from refrad.evaluation.record_rows import prediction_row, truth_row
from refrad.evaluation.regions import RegionCodec
from refrad.llm import open_models
from refrad.model.model_card import TRAINING
from refrad.model.processor import load_processor
from refrad.model.radgrounder import load_model
from refrad.training.provenance import weights_digest
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["run"]

VERSION = 4
EXAMPLES = 6  # worst, and as many best
CONFUSIONS = 20

log = logging.getLogger(__name__)


def run(
    *,
    checkpoint: Path,
    images: list[Path],
    schema: Path,
    store: Path,
    scale: Path,
    truth: Path,
    predictions: Path,
    scores: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    public: list[Path] | None = None,
    trained: list[Path] | None = None,
    against: list[Path] | None = None,
    llm: str | None = None,
) -> None:
    """Write the questions, the answers of the model and their scores.

    `store` is the answer cache: a killed job resumes, and new metrics need no new answers. `public` and `trained` are benchmarks,
    files of `refrad public`: those whose test questions are included, and those that the model was trained on. `against` are
    scores of earlier runs, compared item by item.

    Raises:
        ValueError: if there is no test question, or a test image was trained on and evaluate.leaks.action is stop.
    """
    options = EvaluateOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    account = json.loads((checkpoint / TRAINING).read_text(encoding="utf-8"))
    training = TrainOptions.from_stored(Fingerprint.parse(account["fingerprint"]).options)
    torch.set_num_threads(training.threads)
    overlap = _check_overlap([*images, *(trained or [])], [*images, *(public or [])], options)
    examples = _read_images(images, public or [], options.samples, overlap.test_ids, training.variant)

    # Answers
    model = _load_model(checkpoint, training)
    codec = build_codec(model, examples, anatomy)
    answered = answer_questions(model, examples, codec, store, options.batch)
    _write_lines(truth, map(truth_row, answered.questions))
    _write_lines(predictions, map(prediction_row, answered.questions, answered.answers, answered.decoded))

    # Scores
    names = {structure.id: structure.name for structure in anatomy.classes}
    items, counts, judge = _score_answers(truth, predictions, names, options, scale, llm)
    with atomic(scores) as temporary:
        items.write_parquet(temporary)

    # Results
    result = {
        **_headline(answered, examples, codec, items, names, options.resamples),
        **_score_tables(items, options, against or [], training.variant),
        **_errors(answered, examples, codec, anatomy, options.resamples),
        "counts": counts,
        "judge": judge,
        "variant": training.variant,
        "marks": codec.name,
        "images": len(examples.test),
        "steps": account["steps"],
        "leaks": {"looked": overlap.compared, "found": len(overlap.test_ids)},
        "definitions": DEFINITIONS,
        "weights": model.weights,
    }
    write_json(metrics, {"stage": "evaluate", "fingerprint": fingerprint.text, **result})
    log.info("mean IoU %.3f; mean box %.3f", result["mean_iou"], result["baselines"]["mean_box"]["mean_iou"])


def _check_overlap(training: Sequence[Path], tested: Sequence[Path], options: EvaluateOptions) -> TrainingOverlap:
    overlap = find_training_overlap(training, tested, options.leaks.difference)
    if overlap.test_ids and options.leaks.action == "stop":
        raise ValueError(
            f"evaluate: {overlap.sentence()}; set evaluate.leaks.action to drop to leave their questions out"
        )
    log.info("leaks: of %d images compared, %s", overlap.compared, overlap.sentence())
    return overlap


def _read_images(
    shards: Sequence[Path], public: Sequence[Path], samples: int, leaking: Collection[str], variant: str
) -> EvaluationImages:
    """At most `samples` test images of the shards and of each benchmark, without the leaking ones, and the training images.

    Mean masks are computed from at most `samples` training images, since they are slower to decode than boxes.
    """
    test = _test_images(shards, samples, leaking)
    if not test:
        raise ValueError(
            "no image of a test patient has a grounded caption: raise index.test, or see the report page of shards"
        )
    benchmarks = {}
    for path in public:
        if not (images := _test_images([path], samples, leaking)):
            raise ValueError(
                f"{path}: no test question in it that was not trained on; does the folder it was made from have the test split?"
            )
        benchmarks[images[0].image_id.split(":")[0]] = images  # image ids begin with the name of the benchmark
    training = read_image_table(shards, {"train"}, pixels=False)
    return EvaluationImages(test, benchmarks, _sample(training, samples if variant == "segmentation" else None))


def _test_images(paths: Sequence[Path], samples: int, leaking: Collection[str]) -> list[ImageExample]:
    frame = read_image_table(paths, {"test"})
    return _sample(frame.filter(~frame["image_id"].is_in(leaking)), samples)


def _sample(frame: pl.DataFrame, samples: int | None) -> list[ImageExample]:
    """At most `samples` images, or all; image ids are pseudonyms, so every n-th image is a fair draw over patients."""
    count = len(frame) if samples is None else min(samples, len(frame))
    indices = np.unique(np.linspace(0, len(frame) - 1, count).round().astype(int))
    return [example_of_row(row) for row in rows_of(frame[indices], ExampleRow)]


def _load_model(checkpoint: Path, training: TrainOptions) -> TrainedModel:
    processor = load_processor(checkpoint)
    device = torch.device("cuda" if training.gpus and torch.cuda.is_available() else "cpu")
    model = load_model(checkpoint, processor)
    model.to(device)  # type: ignore[arg-type]
    config = (checkpoint / "config.json").read_bytes()
    return TrainedModel(model, processor, training, weights_digest(checkpoint), config, device)


def _score_answers(
    truth: Path, predictions: Path, names: Mapping[int, str], options: EvaluateOptions, scale: Path, llm: str | None
) -> tuple[pl.DataFrame, dict[str, int], str | None]:
    """The scored items and the counts of `score_items`, and the name of the judge, None without one."""
    with open_models(llm) as models:
        judge = partial(llm_scores, models=models, scale=load_scale(scale)) if options.judge == "llm" else None
        similarity = Embedder(Path(options.embedder)) if options.embedder else None
        records = read_records(truth, TruthRecord), read_records(predictions, PredictionRecord)
        items, counts = score_items(*records, similarity, names, judge)
        return items, counts, models.name("score") if judge else None


def _headline(
    answered: AnsweredQuestions,
    examples: EvaluationImages,
    codec: RegionCodec,
    items: pl.DataFrame,
    names: Mapping[Any, str],
    resamples: int,
) -> dict[str, Any]:
    """The headline numbers, and those of task locate for the blank-image ablation and the baselines."""
    visible = answered.visible(examples, codec)
    internal = items.filter(dataset="internal")
    result = headline(answered.test_questions, answered.test_regions, internal, visible, resamples)
    located = answered.located
    patients = [question.patient for question in located]

    def summary(regions: Sequence[Any]) -> dict[str, Any]:
        return dict(summarise_locations(patients, location_scores(located, regions), resamples))

    baselines: dict[str, Sequence[Any]] = {
        "untrained": answered.untrained,
        **codec.baselines(examples.training, located),
    }
    return {
        **result,
        "by_class": {names.get(key, key): value for key, value in result["by_class"].items()},
        "blanked": summary(answered.blanked),
        "baselines": {name: summary(regions) for name, regions in baselines.items()},
    }


def _score_tables(
    items: pl.DataFrame, options: EvaluateOptions, against: Sequence[Path], variant: str
) -> dict[str, Any]:
    """Means and intervals of scored items, and comparisons with earlier runs and the paper."""
    rows = summarise(items, options.resamples, options.interval)
    used = {row["metric"] for row in rows}
    names = "classes" if variant == "detection" else "phrases"
    return {
        "scores": rows,
        "similarity": Path(options.embedder).name if options.embedder else f"equal {names}",
        "compared": [
            {"run": path.parent.name, **row}
            for path in against
            for row in compare(items, pl.read_parquet(path), options.resamples)
        ],
        "paper": [
            {"dataset": dataset, "task": task, "metric": metric, "mean": mean, "half": half}
            for (dataset, task, metric), (mean, half) in published(variant).items()
        ],
        "metrics": {name: text for name, text in METRICS.items() if name in used},
    }


def _errors(
    answered: AnsweredQuestions, examples: EvaluationImages, codec: RegionCodec, schema: Schema, resamples: int
) -> dict[str, Any]:
    """Error analysis of task locate."""
    located, regions = answered.located, answered.located_regions
    scores = location_scores(located, regions)
    class_regions = {image.image_id: codec.classes(image) for image in examples.test}
    return {
        "confusions": confused_classes(located, regions, schema)[:CONFUSIONS],
        "sides": confused_sides(located, regions, class_regions, schema, resamples),
        "histogram": overlap_histogram([score.iou for question_scores in scores for score in question_scores]),
        "examples": example_answers(located, scores, EXAMPLES),
    }


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
