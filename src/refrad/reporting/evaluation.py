"""The evaluation's page: the questions answered worst and best as pictures, and the rows of its tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.dataset.pictures import stored
from refrad.reporting.gallery import Card, drawn, rows_of
from refrad.reporting.pictures import inside_html

__all__ = ["example_cards", "tables"]


def example_cards(
    shards: Sequence[Path], examples: Mapping[str, Sequence[Mapping[str, Any]]], predictions: Path, schema: Schema
) -> dict[str, list[Card]]:
    """Cards of the worst and the best answers: the asked boxes full, those of the model dashed.

    Args:
        shards: where the images are.
        examples: under "worst" and "best", questions with id, image_id, iou and the asked boxes (`true`).
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
    rows = {row["image_id"]: row for row in rows_of(shards, len(images), sorted(images))}
    return {
        kind: [
            _card(one, rows[one["image_id"]], given.get(one["id"], []), schema)
            for one in some
            if one["image_id"] in rows
        ]
        for kind, some in examples.items()
    }


def _card(one: Mapping[str, Any], row: Mapping[str, Any], given: Sequence[Mapping[str, Any]], schema: Schema) -> Card:
    true = [drawn(entity["class_id"], entity["box"], schema) for entity in one["true"]]
    answered = [
        drawn(entity["class_id"], entity["box"], schema, given=True)
        for entity in given
        if entity["class_id"] in schema.by_id
    ]
    asked = ", ".join(dict.fromkeys(box.name for box in true))
    said = ", ".join(dict.fromkeys(box.name for box in answered)) or "nothing"
    text = Markup("Asked for {}, answered with {}: IoU {:.2f}").format(asked, said, one["iou"])
    return Card(
        picture=inside_html(Image.fromarray(np.ascontiguousarray(stored(row).transpose(1, 2, 0)))),
        outlines="",
        aspect=row["width"] * row["spacing_x"] / (row["height"] * row["spacing_y"]),
        text=text,
        boxes=[*true, *answered],
        facts=[fact for fact in (row["modality"], row["plane"]) if fact],
    )


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
