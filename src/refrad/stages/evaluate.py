"""Ask RadGrounder about the test patients' images, beside untrained weights, mean boxes and blank images."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from refrad.anatomy.schema import load_schema
from refrad.config import EvaluateOptions, TrainOptions
from refrad.files import atomic, write_json
from refrad.fingerprint import Fingerprint
from refrad.metrics.grounding import Box
from refrad.model.augment import WHOLE, see
from refrad.model.evaluation import DEFINITIONS, LIMITS, Asked, ask, entities_of, mean_boxes, score_boxes, summary
from refrad.model.predict import answers
from refrad.model.processor import load_processor
from refrad.model.radgrounder import load_model, untrained_like
from refrad.model.rows import picture_of, read_images

__all__ = ["run"]

VERSION = 1
TASKS = ("locate", "detect", "vqa")

log = logging.getLogger(__name__)


def run(
    *, checkpoint: Path, images: list[Path], schema: Path, predictions: Path, metrics: Path, fingerprint: Fingerprint
) -> None:
    """Write what the model answered and how right it was.

    Raises:
        ValueError: if no test patient has an image with a grounded caption.
    """
    options = EvaluateOptions.model_validate(fingerprint.options)
    account = json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))
    training = TrainOptions.model_validate(Fingerprint.parse(account["fingerprint"]).options)
    torch.set_num_threads(training.threads)
    frame = read_images(images, {"test"})
    if not len(frame):
        raise ValueError(
            "no image of a test patient has a grounded caption: raise index.test, or see the report page of shards"
        )
    # Image ids are pseudonyms, so every n-th in their order is a fair draw over patients.
    chosen = np.unique(np.linspace(0, len(frame) - 1, min(options.samples, len(frame))).round().astype(int))
    pictures = [picture_of(frame.row(int(index), named=True)) for index in chosen]
    asked = [one for picture in pictures for one in ask(picture)]
    processor = load_processor(checkpoint)
    model = load_model(checkpoint, processor)
    side = processor.image_processor.size["height"]
    seen = {picture.image_id: see(picture.open(), WHOLE, side) for picture in pictures}

    def answer(model: torch.nn.Module, asked: Sequence[Asked], blank: bool = False) -> list[str]:
        found: dict[int, str] = {}
        for task in TASKS:
            places = [i for i, one in enumerate(asked) if one.task == task]
            shown = [seen[asked[i].image_id] * (not blank) for i in places]
            texts = answers(model, processor, shown, [asked[i].text for i in places], LIMITS[task])  # type: ignore[arg-type]
            found |= dict(zip(places, texts, strict=True))
            log.info("%d answers of task %s", len(places), task)
        return [found[i] for i in range(len(asked))]

    given = answer(model, asked)
    result = summary(asked, given, {one.image_id: one.structures for one in pictures}, training.coordinates)
    located = [one for one in asked if one.task == "locate"]
    blanked = [entities_of(text, training.coordinates) for text in answer(model, located, blank=True)]
    untrained_model = untrained_like(model, processor, training.seed)
    untrained = [entities_of(text, training.coordinates) for text in answer(untrained_model, located)]
    means = mean_boxes(picture_of(row) for row in read_images(images, {"train"}).iter_rows(named=True))
    mean_box: list[list[tuple[int, Box]]] = [[(c, means[c]) for c, _ in one.targets if c in means] for one in located]
    result["blanked"] = _short(score_boxes(located, blanked))
    result["baselines"] = {
        "untrained": _short(score_boxes(located, untrained)),
        "mean_box": _short(score_boxes(located, mean_box)),
    }
    names = load_schema(schema).by_id
    result["by_class"] = {names[class_id].name: value for class_id, value in result["by_class"].items()}
    with atomic(predictions) as temporary, temporary.open("w", encoding="utf-8") as file:
        for one, text in zip(asked, given, strict=True):
            file.write(json.dumps(_row(one, text, training.coordinates), ensure_ascii=False) + "\n")
    result |= {"images": len(pictures), "steps": account["steps"], "definitions": DEFINITIONS}
    write_json(metrics, {"stage": "evaluate", "fingerprint": fingerprint.text, **result})
    log.info("mean IoU %.3f; mean box %.3f", result["mean_iou"], result["baselines"]["mean_box"]["mean_iou"])


def _short(scores: dict[str, object]) -> dict[str, object]:
    return {key: scores[key] for key in ("mean_iou", "mean_iou_interval", "class_recall", "iou50")}


def _row(one: Asked, text: str, order: str) -> dict[str, object]:
    row: dict[str, object] = {
        "image_id": one.image_id,
        "task": one.task,
        "language": one.language,
        "asked": one.text,
        "answer": text,
    }
    if one.task == "vqa":
        return row | {"true": one.answer}
    return row | {"true": _boxes(one.targets), "given": _boxes(entities_of(text, order))}


def _boxes(entities: Sequence[tuple[int, Box]]) -> list[dict[str, object]]:
    return [{"class_id": class_id, "box": [round(value, 4) for value in box]} for class_id, box in entities]
