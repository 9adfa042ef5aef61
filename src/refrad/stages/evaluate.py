"""Ask RadGrounder about the test patients' images, beside untrained weights, mean boxes and blank images."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import EvaluateOptions, TrainOptions
from refrad.core.files import atomic, digest_bytes, write_json
from refrad.dataset.examples import ImageExample, example_of_row, read_image_table
from refrad.dataset.training_overlap import find_training_overlap
from refrad.evaluation.answer_cache import CachedGenerator, GeneratedAnswer
from refrad.evaluation.error_analysis import confusions, examples, histogram, sides
from refrad.evaluation.metrics.grounding import Region
from refrad.evaluation.metrics.judge import llm_scores, load_scale
from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord, read_records
from refrad.evaluation.metrics.scoring import METRICS, compare, score_items, summarise
from refrad.evaluation.metrics.similarity import Embedder
from refrad.evaluation.published_results import published
from refrad.evaluation.questions import (
    DEFINITIONS,
    Entities,
    EvalQuestion,
    build_questions,
    score,
    score_places,
    summary,
)
from refrad.evaluation.regions import BoxCodec, DecodedAnswer, MaskCodec, RegionCodec, phrases_of_pictures
from refrad.llm import open_models
from refrad.model.model_card import TRAINING
from refrad.model.preprocess import render_view, whole_view
from refrad.model.processor import load_processor
from refrad.model.radgrounder import load_model, untrained_like
from refrad.training.provenance import weights_digest
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["run"]

VERSION = 3
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
        trained: benchmarks that the model was trained on, likewise.
        against: scores of earlier runs, to compare with item by item.
        llm: the judge, as the rule hands it over; None: no LLMScore.

    Raises:
        ValueError: if no test patient has an image with a grounded caption, or a benchmark has no test question; if a test image
            was trained on and the options say to stop.
    """
    options = EvaluateOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    account = json.loads((checkpoint / TRAINING).read_text(encoding="utf-8"))
    training = TrainOptions.from_stored(Fingerprint.parse(account["fingerprint"]).options)
    torch.set_num_threads(training.threads)
    leaks = find_training_overlap([*images, *(trained or [])], [*images, *(public or [])], options.leaks.difference)
    if leaks.test_ids and options.leaks.action == "stop":
        raise ValueError(
            f"evaluate: {leaks.sentence()}; set evaluate.leaks.action to drop to leave their questions out"
        )
    log.info("leaks: of %d images looked at, %s", leaks.compared, leaks.sentence())
    pictures = _test_pictures(images, options.samples, leaks.test_ids)
    if not pictures:
        raise ValueError(
            "no image of a test patient has a grounded caption: raise index.test, or see the report page of shards"
        )
    put = partial(build_questions, resize=training.resize, masks=training.variant == "segmentation")
    asked = [one for picture in pictures for one in put(picture)]
    others = _benchmarks(public or [], options.samples, leaks.test_ids)
    processor = load_processor(checkpoint)
    device = torch.device("cuda" if training.gpus and torch.cuda.is_available() else "cpu")
    model = load_model(checkpoint, processor)
    model.to(device)  # type: ignore[arg-type]
    side = processor.image_processor.size["height"]
    shown = [*pictures, *(picture for some in others.values() for picture in some)]
    seen = {
        picture.image_id: render_view(picture.load_image(), whole_view(picture.size, training.resize), side)
        for picture in shown
    }
    generator = CachedGenerator(processor, seen, store, options.batch)
    weights = weights_digest(checkpoint)
    known = _sample(
        read_image_table(images, {"train"}, pixels=False),
        options.samples if training.variant == "segmentation" else None,
    )
    marks: RegionCodec = BoxCodec(training.coordinates)
    if training.variant == "segmentation":
        sizes = {one.image_id: one.size for one in shown}
        marks = MaskCodec(side, sizes, phrases_of_pictures([*known, *pictures], anatomy))
    given = generator.generate(model, weights, asked)
    abroad = [one for name, some in others.items() for picture in some for one in put(picture, name)]
    answered = list(zip([*asked, *abroad], [*given, *generator.generate(model, weights, abroad)], strict=True))
    read = [marks.decode(one, answer) for one, answer in answered]
    _write_lines(truth, [_truth(one) for one, _ in answered])
    _write_lines(
        predictions, [_prediction(one, answer, said) for (one, answer), said in zip(answered, read, strict=True)]
    )

    located = [one for one in asked if one.task == "locate"]

    def entities_in(some: Sequence[EvalQuestion], answers: Sequence[GeneratedAnswer]) -> list[Entities]:
        return [marks.decode(one, answer).entities for one, answer in zip(some, answers, strict=True)]

    def short(entities: Sequence[Entities]) -> dict[str, Any]:
        scored = score_places(located, entities, options.resamples)
        return {key: value for key, value in scored.items() if key.startswith(("mean_", "class_recall", "iou50"))}

    blanked = generator.generate(model, weights, located, blank=True)
    config = (checkpoint / "config.json").read_bytes()
    nobody = digest_bytes(b"untrained", marks.name.encode(), config, str(training.seed).encode())
    fresh = untrained_like(model, processor, training.seed)
    model.cpu()  # type: ignore[call-arg]
    fresh.to(device)  # type: ignore[arg-type]
    untrained = generator.generate(fresh, nobody, located)
    entities = [said.entities for said in read[: len(asked)]]
    keys: dict[str, set[Any]] = {picture.image_id: set() for picture in pictures}
    for one, some in zip(asked, entities, strict=True):
        keys[one.image_id].update(key for key, _ in some)
    visible = {picture.image_id: marks.visible(picture, keys[picture.image_id]) for picture in pictures}
    result = summary(asked, [answer.text for answer in given], entities, visible, options.resamples)
    result |= {"variant": training.variant, "marks": marks.name}
    result["blanked"] = short(entities_in(located, blanked))
    result["baselines"] = {
        "untrained": short(entities_in(located, untrained)),
        **{name: short(some) for name, some in marks.baselines(known, located).items()},
    }
    names = {one.id: one.name for one in anatomy.classes}
    result["by_class"] = {names.get(key, key): value for key, value in result["by_class"].items()}
    with open_models(llm) as models:
        judge = partial(llm_scores, models=models, scale=load_scale(scale)) if options.judge == "llm" else None
        similarity = Embedder(Path(options.embedder)) if options.embedder else None
        items, counts = score_items(
            read_records(truth, TruthRecord), read_records(predictions, PredictionRecord), similarity, names, judge
        )
        result["judge"] = models.name("score") if judge else None
    result |= {"counts": counts} | _scored(items, scores, options, against or [], training.variant)
    found = [some for one, some in zip(asked, entities, strict=True) if one.task == "locate"]
    classes = {picture.image_id: marks.classes(picture) for picture in pictures}
    result |= _mistakes(located, found, classes, anatomy, options.resamples)
    result |= {
        "images": len(pictures),
        "steps": account["steps"],
        "leaks": {"looked": leaks.compared, "found": len(leaks.test_ids)},
        "definitions": DEFINITIONS,
        "weights": weights,
    }
    write_json(metrics, {"stage": "evaluate", "fingerprint": fingerprint.text, **result})
    log.info("mean IoU %.3f; mean box %.3f", result["mean_iou"], result["baselines"]["mean_box"]["mean_iou"])


def _test_pictures(images: Sequence[Path], samples: int, leaking: Collection[str]) -> list[ImageExample]:
    frame = read_image_table(images, {"test"})
    return _sample(frame.filter(~frame["image_id"].is_in(leaking)), samples)


def _sample(frame: pl.DataFrame, samples: int | None) -> list[ImageExample]:
    """So many of the images, or all; image ids are pseudonyms, so every n-th in their order is a fair draw over patients."""
    number = len(frame) if samples is None else min(samples, len(frame))
    chosen = np.unique(np.linspace(0, len(frame) - 1, number).round().astype(int))
    return [example_of_row(frame.row(int(index), named=True)) for index in chosen]


def _benchmarks(public: Sequence[Path], samples: int, leaking: Collection[str]) -> dict[str, list[ImageExample]]:
    """Name of each benchmark, which its image ids begin with, to its test images."""
    found = {}
    for path in public:
        if not (pictures := _test_pictures([path], samples, leaking)):
            raise ValueError(
                f"{path}: no test question in it that was not trained on; does the folder it was made from have the test split?"
            )
        found[pictures[0].image_id.split(":")[0]] = pictures
    return found


def _scored(
    items: pl.DataFrame, scores: Path, options: EvaluateOptions, against: Sequence[Path], variant: str
) -> dict[str, Any]:
    """Means, intervals and comparisons of scored items, which are kept."""
    with atomic(scores) as temporary:
        items.write_parquet(temporary)
    rows = summarise(items, options.resamples, options.interval)
    used = {row["metric"] for row in rows}
    return {
        "scores": rows,
        "similarity": Path(options.embedder).name
        if options.embedder
        else f"equal {'classes' if variant == 'detection' else 'phrases'}",
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


def _mistakes(
    located: Sequence[EvalQuestion],
    found: Sequence[Entities],
    classes: Mapping[str, Mapping[int, Region]],
    anatomy: Schema,
    resamples: int,
) -> dict[str, Any]:
    scored = [score(one, entities) for one, entities in zip(located, found, strict=True)]
    overlaps = [value for one in scored for values in one.by_key.values() for value in values]
    return {
        "confusions": confusions(located, found, anatomy)[:CONFUSIONS],
        "sides": sides(located, found, classes, anatomy, resamples),
        "histogram": histogram(overlaps),
        "examples": examples(located, found, EXAMPLES),
    }


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _truth(one: EvalQuestion) -> dict[str, Any]:
    about: dict[str, Any] = {
        "id": one.id,
        "task": one.task,
        "group": one.patient,
        "image_id": one.image_id,
        "question": one.text,
    }
    about |= {"language": one.language, "modality": one.modality, "dataset": one.dataset}
    about |= {"kind": one.kind or None, "topic": one.topic or None, "answer": one.answer or None}
    targets = zip(one.names, one.classes, one.targets, strict=True)
    return about | {
        "entities": [
            _entity(name, classes[0] if len(classes) == 1 else None, region) for name, classes, (_, region) in targets
        ]
    }


def _prediction(one: EvalQuestion, answer: GeneratedAnswer, said: DecodedAnswer) -> dict[str, Any]:
    about: dict[str, Any] = {
        "id": one.id,
        "image_id": one.image_id,
        "task": one.task,
        "language": one.language,
        "raw": answer.text,
        "answer": said.plain,
    }
    if one.task == "vqa":
        return about
    places = ((phrase, key if isinstance(key, int) else None, region) for phrase, key, region in said.places)
    return about | {"entities": [_entity(*place) for place in places]}


def _entity(text: str, class_id: int | None, region: Region) -> dict[str, Any]:
    about = {"text": text} if class_id is None else {"class_id": class_id, "text": text}
    if isinstance(region, Mapping):
        return about | {"mask": region}
    return about | {"box": [float(value) for value in region]}
