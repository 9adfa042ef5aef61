"""Ask RadGrounder about the test patients' images, beside untrained weights, mean boxes and blank images."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import EvaluateOptions, TrainOptions
from refrad.files import atomic, digest_bytes, write_json
from refrad.fingerprint import Fingerprint
from refrad.grounding.targets import parse_detection
from refrad.llm import open_models
from refrad.metrics.grounding import Box
from refrad.metrics.judge import llm_scores, load_scale
from refrad.metrics.records import Prediction, Truth, read_records
from refrad.metrics.scoring import METRICS, compare, score_items, summarise
from refrad.metrics.similarity import Embedder
from refrad.model.asking import Interviewer, weights_digest
from refrad.model.augment import see, whole_view
from refrad.model.evaluation import (
    DEFINITIONS,
    Asked,
    Entities,
    ask,
    entities_of,
    mean_boxes,
    score,
    score_boxes,
    summary,
)
from refrad.model.mistakes import confusions, examples, histogram, sides
from refrad.model.paper import PAPER
from refrad.model.processor import load_processor
from refrad.model.radgrounder import load_model, untrained_like
from refrad.model.rows import Picture, picture_of, read_images

__all__ = ["run"]

VERSION = 2
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
    against: list[Path] | None = None,
    llm: str | None = None,
) -> None:
    """Write what the model was asked, what it answered, and how right it was.

    Args:
        checkpoint: folder of the model, with training.json.
        images: the shards.
        schema: the class schema.
        store: folder where answers are kept as they come: a killed job goes on, and new metrics need no new answers.
        scale: of LLMScore, with its worked examples.
        truth: the questions and what is true, as docs/evaluation.md describes it.
        predictions: the answers, likewise.
        scores: the score of each item, Parquet.
        metrics: the results.
        fingerprint: of stage evaluate.
        public: benchmarks as `refrad public` writes them; their test questions are asked as well.
        against: scores of earlier runs, to compare with item by item.
        llm: the judge, as the rule hands it over; None: no LLMScore.

    Raises:
        ValueError: if no test patient has an image with a grounded caption, or a benchmark has no test question.
    """
    options = EvaluateOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    account = json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))
    training = TrainOptions.model_validate(Fingerprint.parse(account["fingerprint"]).options)
    if training.variant == "segmentation":
        raise ValueError(f"{checkpoint}: of the segmentation variant; evaluate scores boxes: see docs/training.md")
    torch.set_num_threads(training.threads)
    pictures = _test_pictures(images, options.samples)
    if not pictures:
        raise ValueError(
            "no image of a test patient has a grounded caption: raise index.test, or see the report page of shards"
        )
    asked = [one for picture in pictures for one in ask(picture, resize=training.resize)]
    others = _benchmarks(public or [], options.samples)
    processor = load_processor(checkpoint)
    model = load_model(checkpoint, processor)
    side = processor.image_processor.size["height"]
    shown = [*pictures, *(picture for some in others.values() for picture in some)]
    seen = {picture.image_id: see(picture.open(), whole_view(picture.size, training.resize), side) for picture in shown}
    interviewer = Interviewer(processor, seen, store, options.batch)
    weights = weights_digest(checkpoint)
    given = interviewer.ask(model, weights, asked)
    order = training.coordinates
    abroad = [one for name, some in others.items() for picture in some for one in ask(picture, name, training.resize)]
    answered = list(zip([*asked, *abroad], [*given, *interviewer.ask(model, weights, abroad)], strict=True))
    _write_lines(truth, [_truth(one) for one, _ in answered])
    _write_lines(predictions, [_prediction(one, text, order) for one, text in answered])

    located = [one for one in asked if one.task == "locate"]
    found = [entities_of(text, order, one.view) for one, text in zip(asked, given, strict=True) if one.task == "locate"]
    visible = {one.image_id: one.structures for one in pictures}
    blanked = interviewer.ask(model, weights, located, blank=True)
    config = (checkpoint / "config.json").read_bytes()
    nobody = digest_bytes(b"untrained", config, str(training.seed).encode())
    untrained = interviewer.ask(untrained_like(model, processor, training.seed), nobody, located)
    means = mean_boxes(picture_of(row) for row in read_images(images, {"train"}).iter_rows(named=True))
    mean_box: list[Entities] = [[(c, means[c]) for c, _ in one.targets if c in means] for one in located]
    result = summary(asked, given, visible, order, options.resamples)

    def short(entities: Sequence[Entities]) -> dict[str, Any]:
        scored = score_boxes(located, entities, options.resamples)
        return {key: scored[key] for key in ("mean_iou", "mean_iou_interval", "class_recall", "iou50")}

    def boxes(answers: Sequence[str]) -> list[Entities]:
        return [entities_of(text, order, one.view) for one, text in zip(located, answers, strict=True)]

    result["blanked"] = short(boxes(blanked))
    result["baselines"] = {
        "untrained": short(boxes(untrained)),
        "mean_box": short(mean_box),
    }
    names = {one.id: one.name for one in anatomy.classes}
    result["by_class"] = {names[class_id]: value for class_id, value in result["by_class"].items()}
    with open_models(llm) as models:
        judge = partial(llm_scores, models=models, scale=load_scale(scale)) if options.judge == "llm" else None
        similarity = Embedder(Path(options.embedder)) if options.embedder else None
        items, counts = score_items(
            read_records(truth, Truth), read_records(predictions, Prediction), similarity, names, judge
        )
        result["judge"] = models.name("score") if judge else None
    result |= {"counts": counts} | _scored(items, scores, options, against or [])
    result |= _mistakes(located, found, visible, anatomy, options.resamples)
    result |= {"images": len(pictures), "steps": account["steps"], "definitions": DEFINITIONS, "weights": weights}
    write_json(metrics, {"stage": "evaluate", "fingerprint": fingerprint.text, **result})
    log.info("mean IoU %.3f; mean box %.3f", result["mean_iou"], result["baselines"]["mean_box"]["mean_iou"])


def _test_pictures(images: Sequence[Path], samples: int) -> list[Picture]:
    frame = read_images(images, {"test"})
    # Image ids are pseudonyms, so every n-th in their order is a fair draw over patients.
    chosen = np.unique(np.linspace(0, len(frame) - 1, min(samples, len(frame))).round().astype(int))
    return [picture_of(frame.row(int(index), named=True)) for index in chosen]


def _benchmarks(public: Sequence[Path], samples: int) -> dict[str, list[Picture]]:
    """Name of each benchmark, which its image ids begin with, to its test images."""
    found = {}
    for path in public:
        if not (pictures := _test_pictures([path], samples)):
            raise ValueError(f"{path}: no test question in it; does the folder it was made from have the test split?")
        found[pictures[0].image_id.split(":")[0]] = pictures
    return found


def _scored(items: pl.DataFrame, scores: Path, options: EvaluateOptions, against: Sequence[Path]) -> dict[str, Any]:
    """Means, intervals and comparisons of scored items, which are kept."""
    with atomic(scores) as temporary:
        items.write_parquet(temporary)
    rows = summarise(items, options.resamples, options.interval)
    used = {row["metric"] for row in rows}
    return {
        "scores": rows,
        "similarity": Path(options.embedder).name if options.embedder else "equal classes",
        "compared": [
            {"run": path.parent.name, **row}
            for path in against
            for row in compare(items, pl.read_parquet(path), options.resamples)
        ],
        "paper": [
            {"dataset": dataset, "task": task, "metric": metric, "mean": mean, "half": half}
            for (dataset, task, metric), (mean, half) in PAPER.items()
        ],
        "metrics": {name: text for name, text in METRICS.items() if name in used},
    }


def _mistakes(
    located: Sequence[Asked],
    found: Sequence[Entities],
    visible: Mapping[str, Mapping[int, Box]],
    anatomy: Schema,
    resamples: int,
) -> dict[str, Any]:
    scored = [score(one, entities) for one, entities in zip(located, found, strict=True)]
    overlaps = [value for one in scored for values in one.by_class.values() for value in values]
    return {
        "confusions": confusions(located, found, anatomy)[:CONFUSIONS],
        "sides": sides(located, found, visible, anatomy, resamples),
        "histogram": histogram(overlaps),
        "examples": examples(located, found, EXAMPLES),
    }


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _truth(one: Asked) -> dict[str, Any]:
    about: dict[str, Any] = {
        "id": one.id,
        "task": one.task,
        "group": one.patient,
        "image_id": one.image_id,
        "question": one.text,
    }
    about |= {"language": one.language, "modality": one.modality, "dataset": one.dataset}
    about |= {"kind": one.kind or None, "topic": one.topic or None, "answer": one.answer or None}
    return about | {"entities": _boxes(one.targets, one.names)}


def _prediction(one: Asked, text: str, order: str) -> dict[str, Any]:
    about: dict[str, Any] = {
        "id": one.id,
        "image_id": one.image_id,
        "task": one.task,
        "language": one.language,
        "raw": text,
    }
    if one.task == "vqa":
        return about | {"answer": text}
    parsed = parse_detection(text, order)
    return about | {
        "answer": parsed.plain,
        "entities": _boxes(entities_of(text, order, one.view), [entity.text for entity in parsed.entities]),
    }


def _boxes(entities: Entities, names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"class_id": class_id, "text": name, "box": [float(value) for value in box]}
        for (class_id, box), name in zip(entities, names, strict=True)
    ]
