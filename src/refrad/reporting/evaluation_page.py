"""The page of the evaluation: cards of the worst and best answers, and the rows of its tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.dataset.image_codec import decode_image, decode_mask
from refrad.dataset.rows import ImageRow
from refrad.dataset.shard_io import read_images
from refrad.reporting.drawing import data_uri, draw_outlines
from refrad.reporting.gallery import ImageCard, card_box

__all__ = ["compare_with_baselines", "example_cards", "score_tables"]

BASELINES = {
    "mean_mask": "mean training mask of the class",
    "mean_box": "mean training box of the class",
    "untrained": "untrained weights",
}


def example_cards(
    shards: Sequence[Path], examples: Mapping[str, Sequence[Mapping[str, Any]]], predictions: Path, schema: Schema
) -> dict[str, list[ImageCard]]:
    """Cards of the worst and the best answers: true regions with full lines, regions of the model with dashed lines.

    Args:
        shards: the image shards.
        examples: under "worst" and "best", rows of `ExampleAnswer`.
        predictions: predictions.jsonl of stage evaluate.
        schema: the class schema.
    """
    question_ids = {example["id"] for kind in examples.values() for example in kind}
    answers: dict[str, list[Any]] = {}
    with predictions.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["id"] in question_ids:
                answers[row["id"]] = row["entities"]
    image_ids = {example["image_id"] for kind in examples.values() for example in kind}
    rows = {row["image_id"]: row for row in read_images(shards, sorted(image_ids))}
    return {
        name: [
            _card(example, rows[example["image_id"]], answers.get(example["id"], []), schema)
            for example in kind
            if example["image_id"] in rows
        ]
        for name, kind in examples.items()
    }


def _card(
    example: Mapping[str, Any], row: ImageRow, entities: Sequence[Mapping[str, Any]], schema: Schema
) -> ImageCard:
    targets = example["true"]
    if any("mask" in entity for entity in entities) or isinstance(targets[0]["region"], Mapping):
        boxes, outlines = [], _outlines(targets, entities)
        phrases = [target["key"] for target in targets], [entity["text"] for entity in entities]
    else:
        true = [card_box(target["key"], target["region"], schema) for target in targets]
        in_schema = [entity for entity in entities if entity["class_id"] in schema.by_id]
        answered = [card_box(entity["class_id"], entity["box"], schema, by_model=True) for entity in in_schema]
        boxes, outlines = [*true, *answered], ""
        phrases = [box.name for box in true], [box.name for box in answered]
    names = [", ".join(dict.fromkeys(words)) or "nothing" for words in phrases]
    text = Markup("Asked for {}, answered with {}: IoU {:.2f}").format(*names, example["iou"])
    return ImageCard(
        picture=data_uri(Image.fromarray(np.ascontiguousarray(decode_image(row).transpose(1, 2, 0)))),
        outlines=outlines,
        aspect=row["width"] * row["spacing_x"] / (row["height"] * row["spacing_y"]),
        text=text,
        boxes=boxes,
        facts=[fact for fact in (row["modality"], row["plane"]) if fact],
    )


def _outlines(targets: Sequence[Mapping[str, Any]], entities: Sequence[Mapping[str, Any]]) -> str:
    """The edges of masks in one colour a phrase: true masks with full lines, masks of the model with dashed lines."""
    true = [(target["key"], target["region"]) for target in targets]
    answered = [(entity["text"].strip().casefold(), entity["mask"]) for entity in entities]
    phrases = dict.fromkeys(phrase for phrase, _ in [*true, *answered])
    colours = {phrase: number for number, phrase in enumerate(phrases, 1)}
    masks = [
        [(colours[phrase], decode_mask(mask["counts"], *mask["size"])) for phrase, mask in regions]
        for regions in (true, answered)
    ]
    size = next(tuple(mask["size"]) for _, mask in [*true, *answered])
    return data_uri(draw_outlines(masks[0], size, masks[1]))


def compare_with_baselines(result: Mapping[str, Any], metric: str) -> list[tuple[str, float]]:
    """Name and mean of the trained model, of the blank-image ablation and of each baseline."""
    trained = [("RadGrounder", result[metric]), ("blank-image ablation", result["blanked"][metric])]
    return trained + [
        (text, result["baselines"][name][metric]) for name, text in BASELINES.items() if name in result["baselines"]
    ]


def score_tables(result: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of a result: `overall` with the paper's numbers, and `by` stratum, dataset with task, and metric."""
    paper = {(row["dataset"], row["task"], row["metric"]): row for row in result["paper"]}
    overall = [
        row | {"paper": paper.get((row["dataset"], row["task"], row["metric"]))}
        for row in result["scores"]
        if row["by"] is None
    ]
    by: dict[str, dict[tuple[str, str], list[Any]]] = {}
    for row in result["scores"]:
        if row["by"] is not None and row["mean"] is not None:
            name = ", ".join(part for part in (row["dataset"], row["task"]) if part)
            by.setdefault(row["by"], {}).setdefault((name, row["metric"]), []).append(row)
    return {"overall": overall, "by": by}
