"""The page of the evaluation: cards of the worst and best answers, and the rows of its tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from markupsafe import Markup

from refrad.anatomy.schema import Schema
from refrad.dataset.image_codec import decode_mask
from refrad.dataset.shard_rows import ImageRow, QuestionStruct
from refrad.evaluation.error_analysis import ExampleAnswer, ExampleTarget
from refrad.evaluation.headline import KindAccuracy, VqaSummary
from refrad.evaluation.metrics.finding_scores import FINDING_METRICS
from refrad.evaluation.metrics.grounding import phrase_key
from refrad.evaluation.metrics.summary import SummaryRow
from refrad.evaluation.result import EvaluationResult, PublishedRow
from refrad.evaluation.rows import NamedRegionRow, PredictionRow
from refrad.reporting.card_pictures import SlicePicture
from refrad.reporting.drawing import data_uri, draw_outlines
from refrad.reporting.gallery import ImageCard, card_box, pseudonyms_of

__all__ = [
    "AskedImage",
    "ChanceRow",
    "OverallRow",
    "ScoreSections",
    "caption_bars",
    "compare_with_baselines",
    "compare_with_chance",
    "example_cards",
    "score_sections",
]

BASELINES = {
    "mean_mask": "mean training mask of the class",
    "mean_box": "mean training box of the class",
    "untrained": "untrained weights",
}


FINDING_STRATA = ("category", "size")
CLOSED_KINDS = ("yesno", "multiple")
YES_NO = ("yes", "no")  # answers of a question that lists no choices


class AskedImage(TypedDict):
    """The column of the dataset that the chance level follows from."""

    questions: list[QuestionStruct]


class ChanceRow(TypedDict):
    """Closed questions of a kind: their number, the accuracy of the model and that of random answers."""

    name: str
    questions: int
    accuracy: float
    chance: float


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
    pictures: Mapping[str, SlicePicture],
    predictions: Mapping[str, PredictionRow],
    schema: Schema,
) -> dict[str, list[ImageCard]]:
    """Cards of the worst and the best answers: true regions with full lines, regions of the model with dashed lines.

    Args:
        examples: under "worst" and "best".
        images: image id to the row of the image; examples without one have no card.
        pictures: image id to the picture of the image.
        predictions: id of each question to its answer.
        schema: the class schema.
    """

    def answer(example: ExampleAnswer) -> Sequence[NamedRegionRow]:
        return predictions[example["id"]].get("entities", []) if example["id"] in predictions else []

    return {
        name: [
            _card(example, images[example["image_id"]], pictures[example["image_id"]], answer(example), schema)
            for example in kind
            if example["image_id"] in images
        ]
        for name, kind in examples.items()
    }


def _card(
    example: ExampleAnswer,
    row: ImageRow,
    picture: SlicePicture,
    entities: Sequence[NamedRegionRow],
    schema: Schema,
) -> ImageCard:
    targets = example["true"]
    class_ids = [target["key"] for target in targets if isinstance(target["key"], int)]
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
        picture=picture,
        channel=picture.channel_of(schema.by_id[key].name for key in class_ids if key in schema.by_id),
        outlines=outlines,
        text=text,
        boxes=boxes,
        facts=[fact for fact in (row["modality"], row["plane"]) if fact],
        pseudonyms=pseudonyms_of(row),
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
    trained = [("RadGrounder", result["same_items"][metric]), ("blank-image ablation", result["blanked"][metric])]
    return trained + [
        (text, result["baselines"][name][metric]) for name, text in BASELINES.items() if name in result["baselines"]
    ]


def caption_bars(result: EvaluationResult) -> list[tuple[str, float]]:
    """Name and value of the scores of grounded captions: against the image, then against the true sentence, with the baselines of recall."""
    free, names = result["free"], "classes" if result["marks"] == "boxes" else "phrases"
    bars = [(f"share of the answer's {names} that are in the image", free["visible"])]
    if "verified" in free:
        bars.append((f"share of the answer's {result['marks']} that are verified", free["verified"]))
    bars.append((f"recall of the sentence's {names}", free["class_recall"]))
    if baselines := result.get("caption_baselines"):
        bars.append(("the same, most frequent names of what is in the image", baselines["most_named"]))
        bars.append(("the same, random names of what is in the image", baselines["chance"]))
    return [*bars, ("G-IoU with the sentence", free["g_iou"])]


def compare_with_chance(vqa: VqaSummary | Mapping[str, float], questions: Iterable[QuestionStruct]) -> list[ChanceRow]:
    """The accuracy of closed questions and that of random answers, over all and by topic and kind; empty without such questions.

    Args:
        vqa: of the result.
        questions: of test images, which have the choices of each kind; a kind that has none here is left out, and so is the total then.
    """
    shares: dict[str, list[float]] = {}
    for question in questions:
        if question["kind"] in CLOSED_KINDS:
            name = f"{question['topic']}, {question['kind']}"
            shares.setdefault(name, []).append(1 / (len(question["choices"]) or len(YES_NO)))
    by_kind: Mapping[str, KindAccuracy] = vqa.get("by_kind", {})  # type: ignore[assignment]
    rows: list[ChanceRow] = [
        {"name": name.replace("yesno", "yes or no"), **kind, "chance": sum(shares[name]) / len(shares[name])}
        for name, kind in by_kind.items()
        if name in shares
    ]
    if not rows or len(rows) < len(by_kind):
        return rows
    count = sum(row["questions"] for row in rows)
    chance = sum(row["questions"] * row["chance"] for row in rows) / count
    total: ChanceRow = {"name": "all", "questions": count, "accuracy": float(vqa["accuracy"]), "chance": chance}
    return [total, *rows]


def score_sections(result: EvaluationResult) -> ScoreSections:
    """The scores of a result, with the numbers of the paper; the scores of findings by category and size alone."""
    paper = {(row["dataset"], row["task"], row["metric"]): row for row in result["paper"]}
    overall: list[OverallRow] = [
        {**row, "paper": paper.get((row["dataset"] or "", row["task"], row["metric"]))}
        for row in result["scores"]
        if row["by"] is None
    ]
    by: dict[str, dict[tuple[str, str], list[SummaryRow]]] = {}
    for row in result["scores"]:
        if row["by"] is None or (row["metric"] in FINDING_METRICS and row["by"] not in FINDING_STRATA):
            continue
        if row["mean"] is not None:
            name = ", ".join(part for part in (row["dataset"], row["task"]) if part)
            by.setdefault(row["by"], {}).setdefault((name, row["metric"]), []).append(row)
    return ScoreSections(overall, by)
