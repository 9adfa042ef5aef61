"""The page of the evaluation: cards of the worst and best answers, and the rows of its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.dataset.image_codec import decode_image, decode_mask
from refrad.dataset.shard_rows import ImageRow
from refrad.evaluation.error_analysis import ExampleAnswer, ExampleTarget
from refrad.evaluation.metrics.grounding import phrase_key
from refrad.evaluation.metrics.summary import SummaryRow
from refrad.evaluation.result import EvaluationResult, PublishedRow
from refrad.evaluation.rows import NamedRegionRow, PredictionRow
from refrad.reporting.drawing import data_uri, draw_outlines
from refrad.reporting.gallery import ImageCard, card_box

__all__ = ["OverallRow", "ScoreSections", "compare_with_baselines", "example_cards", "score_sections"]

BASELINES = {
    "mean_mask": "mean training mask of the class",
    "mean_box": "mean training box of the class",
    "untrained": "untrained weights",
}


class OverallRow(SummaryRow):
    """The mean over all items, and the number of the paper if it has one."""

    paper: PublishedRow | None


@dataclass(frozen=True)
class ScoreSections:
    """The scores of a result, for the tables of the page: `overall`, and `by` stratum, then by dataset with task, and metric."""

    overall: list[OverallRow]
    by: dict[str, dict[tuple[str, str], list[SummaryRow]]]


def example_cards(
    examples: Mapping[str, Sequence[ExampleAnswer]],
    images: Mapping[str, ImageRow],
    predictions: Mapping[str, PredictionRow],
    schema: Schema,
) -> dict[str, list[ImageCard]]:
    """Cards of the worst and the best answers: true regions with full lines, regions of the model with dashed lines.

    Args:
        examples: under "worst" and "best".
        images: image id to the row of the image; examples without one have no card.
        predictions: id of each question to its answer.
        schema: the class schema.
    """

    def answer(example: ExampleAnswer) -> Sequence[NamedRegionRow]:
        return predictions[example["id"]].get("entities", []) if example["id"] in predictions else []

    return {
        name: [
            _card(example, images[example["image_id"]], answer(example), schema)
            for example in kind
            if example["image_id"] in images
        ]
        for name, kind in examples.items()
    }


def _card(example: ExampleAnswer, row: ImageRow, entities: Sequence[NamedRegionRow], schema: Schema) -> ImageCard:
    targets = example["true"]
    if any("mask" in entity for entity in entities) or isinstance(targets[0]["region"], Mapping):
        boxes, outlines = [], _outlines(targets, entities)
        names = [str(target["key"]) for target in targets], [entity["text"] for entity in entities]
    else:
        true = [
            card_box(target["key"], target["region"], schema)
            for target in targets
            if isinstance(target["key"], int) and isinstance(target["region"], Sequence)
        ]
        in_schema = [entity for entity in entities if entity.get("class_id") in schema.by_id]
        answered = [card_box(entity["class_id"], entity["box"], schema, by_model=True) for entity in in_schema]
        boxes, outlines = [*true, *answered], ""
        names = [box.name for box in true], [box.name for box in answered]
    sides = [", ".join(dict.fromkeys(side)) or "nothing" for side in names]
    text = Markup("Target: {}. Answer: {}. IoU {:.2f}").format(*sides, example["iou"])
    return ImageCard(
        picture=data_uri(Image.fromarray(np.ascontiguousarray(decode_image(row).transpose(1, 2, 0)))),
        outlines=outlines,
        aspect=row["width"] * row["spacing_x"] / (row["height"] * row["spacing_y"]),
        text=text,
        boxes=boxes,
        facts=[fact for fact in (row["modality"], row["plane"]) if fact],
    )


def _outlines(targets: Sequence[ExampleTarget], entities: Sequence[NamedRegionRow]) -> str:
    """The edges of masks in one colour a phrase: true masks with full lines, masks of the model with dashed lines."""
    true = [(target["key"], target["region"]) for target in targets if isinstance(target["region"], Mapping)]
    answered = [(phrase_key(entity["text"]), entity["mask"]) for entity in entities]
    phrases = dict.fromkeys(phrase for phrase, _ in [*true, *answered])
    colours = {phrase: number for number, phrase in enumerate(phrases, 1)}
    masks = [
        [(colours[phrase], decode_mask(str(mask["counts"]), *mask["size"])) for phrase, mask in regions]
        for regions in (true, answered)
    ]
    height, width = next(mask["size"] for _, mask in [*true, *answered])
    return data_uri(draw_outlines(masks[0], (height, width), masks[1]))


def compare_with_baselines(
    result: EvaluationResult, metric: Literal["mean_iou", "mean_dice"]
) -> list[tuple[str, float]]:
    """Name and mean of the trained model, of the blank-image ablation and of each baseline."""
    trained = [("RadGrounder", result[metric]), ("blank-image ablation", result["blanked"][metric])]
    return trained + [
        (text, result["baselines"][name][metric]) for name, text in BASELINES.items() if name in result["baselines"]
    ]


def score_sections(result: EvaluationResult) -> ScoreSections:
    """The scores of a result, with the numbers of the paper."""
    paper = {(row["dataset"], row["task"], row["metric"]): row for row in result["paper"]}
    overall: list[OverallRow] = [
        {**row, "paper": paper.get((row["dataset"] or "", row["task"], row["metric"]))}
        for row in result["scores"]
        if row["by"] is None
    ]
    by: dict[str, dict[tuple[str, str], list[SummaryRow]]] = {}
    for row in result["scores"]:
        if row["by"] is not None and row["mean"] is not None:
            name = ", ".join(part for part in (row["dataset"], row["task"]) if part)
            by.setdefault(row["by"], {}).setdefault((name, row["metric"]), []).append(row)
    return ScoreSections(overall, by)
