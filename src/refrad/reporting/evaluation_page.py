"""The evaluation's page: the questions answered worst and best as pictures, and the rows of its tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.dataset.image_codec import decode_image, decode_mask
from refrad.reporting.drawing import data_uri, draw_outlines
from refrad.reporting.gallery import ImageCard, card_box, choose_rows

__all__ = ["beside", "example_cards", "tables"]

BASELINES = {
    "mean_mask": "mean training mask of the class",
    "mean_box": "mean training box of the class",
    "untrained": "untrained weights",
}


def example_cards(
    shards: Sequence[Path], examples: Mapping[str, Sequence[Mapping[str, Any]]], predictions: Path, schema: Schema
) -> dict[str, list[ImageCard]]:
    """Cards of the worst and the best answers: the asked places full, those of the model dashed.

    Args:
        shards: where the images are.
        examples: under "worst" and "best", questions with id, image_id, iou and what was asked for (`true`).
        predictions: the answers, as stage evaluate writes them.
        schema: the class schema.
    """
    wanted = {one["id"] for some in examples.values() for one in some}
    given: dict[str, list[Any]] = {}
    with predictions.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["id"] in wanted:
                given[row["id"]] = row["entities"]
    images = {one["image_id"] for some in examples.values() for one in some}
    rows = {row["image_id"]: row for row in choose_rows(shards, len(images), sorted(images))}
    return {
        kind: [
            _card(one, rows[one["image_id"]], given.get(one["id"], []), schema)
            for one in some
            if one["image_id"] in rows
        ]
        for kind, some in examples.items()
    }


def _card(
    one: Mapping[str, Any], row: Mapping[str, Any], given: Sequence[Mapping[str, Any]], schema: Schema
) -> ImageCard:
    if any("mask" in entity for entity in given) or isinstance(one["true"][0]["region"], Mapping):
        boxes, outlines = [], _outlines(one["true"], given)
        asked, said = ([entity[name] for entity in some] for some, name in ((one["true"], "key"), (given, "text")))
    else:
        true = [card_box(entity["key"], entity["region"], schema) for entity in one["true"]]
        known = [entity for entity in given if entity["class_id"] in schema.by_id]
        answered = [card_box(entity["class_id"], entity["box"], schema, given=True) for entity in known]
        boxes, outlines = [*true, *answered], ""
        asked, said = ([box.name for box in some] for some in (true, answered))
    words = [", ".join(dict.fromkeys(some)) or "nothing" for some in (asked, said)]
    text = Markup("Asked for {}, answered with {}: IoU {:.2f}").format(*words, one["iou"])
    return ImageCard(
        picture=data_uri(Image.fromarray(np.ascontiguousarray(decode_image(row).transpose(1, 2, 0)))),
        outlines=outlines,
        aspect=row["width"] * row["spacing_x"] / (row["height"] * row["spacing_y"]),
        text=text,
        boxes=boxes,
        facts=[fact for fact in (row["modality"], row["plane"]) if fact],
    )


def _outlines(true: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> str:
    """The edges of masks: a colour a phrase, the true ones full and those of the model dashed."""
    named = [(one["key"], one["region"]) for one in true], [(one["text"].casefold(), one["mask"]) for one in given]
    colours = {phrase: number for number, phrase in enumerate(dict.fromkeys(p for some in named for p, _ in some), 1)}
    masks = [[(colours[phrase], decode_mask(mask["counts"], *mask["size"])) for phrase, mask in some] for some in named]
    size = next(tuple(mask["size"]) for some in named for _, mask in some)
    return data_uri(draw_outlines(masks[0], size, masks[1]))


def beside(result: Mapping[str, Any], metric: str) -> list[tuple[str, float]]:
    """Name and mean of what was learned, and of what needs no learning."""
    learned = [("RadGrounder", result[metric]), ("RadGrounder, black images", result["blanked"][metric])]
    return learned + [
        (text, result["baselines"][name][metric]) for name, text in BASELINES.items() if name in result["baselines"]
    ]


def tables(result: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of a result, as the page shows them: all together with the paper's beside, and by each stratum."""
    paper = {(one["dataset"], one["task"], one["metric"]): one for one in result["paper"]}
    overall = [
        row | {"paper": paper.get((row["dataset"], row["task"], row["metric"]))}
        for row in result["scores"]
        if row["by"] is None
    ]
    by: dict[str, dict[tuple[str, str], list[Any]]] = {}
    for row in result["scores"]:
        if row["by"] is not None and row["mean"] is not None:
            name = ", ".join(one for one in (row["dataset"], row["task"]) if one)
            by.setdefault(row["by"], {}).setdefault((name, row["metric"]), []).append(row)
    return {"overall": overall, "by": by}
