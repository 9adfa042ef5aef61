"""Rows of truth.jsonl and predictions.jsonl, in the format of docs/evaluation.md."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from refrad.evaluation.metrics.grounding import Region
from refrad.evaluation.metrics.records import REGION_TASKS
from refrad.evaluation.questions import EvalQuestion
from refrad.evaluation.rows import NamedRegionRow, PredictionRow, TruthRow

if TYPE_CHECKING:  # they import torch, which `refrad convert` does without
    from refrad.evaluation.answer_cache import GeneratedAnswer
    from refrad.evaluation.regions import DecodedAnswer

__all__ = ["answer_row", "prediction_row", "truth_row"]


def truth_row(question: EvalQuestion, sets: Mapping[str, str] | None = None) -> TruthRow:
    """A question with its true answer and regions; `sets` maps image ids to public sets, whose terms go with the answer."""
    row: TruthRow = {
        "id": question.id,
        "task": question.task,
        "group": question.patient,
        "image_id": question.image_id,
        "question": question.text,
        "language": question.language,
        "modality": question.modality or None,
        "dataset": question.dataset,
        "kind": question.kind or None,
        "topic": question.topic or None,
        "answer": question.answer or None,
        "entities": [
            _entity_row(target.text, target.classes[0] if len(target.classes) == 1 else None, target.region)
            for target in question.targets
        ],
    }
    if sets and (public_set := sets.get(question.image_id)):
        row["public_set"] = public_set
    return row


def answer_row(question: EvalQuestion, text: str, cut: bool, plain: str) -> PredictionRow:
    """An answer in words, without regions: the `text` as the model wrote it, and without the marks of regions (`plain`)."""
    return {
        "id": question.id,
        "image_id": question.image_id,
        "task": question.task,
        "language": question.language,
        "raw": text,
        "cut": cut,
        "answer": plain,
    }


def prediction_row(question: EvalQuestion, answer: "GeneratedAnswer", decoded: "DecodedAnswer") -> PredictionRow:
    """An answer to a question, with its regions if the task is locate or detect."""
    row = answer_row(question, answer.text, answer.cut, decoded.plain)
    if question.task in REGION_TASKS:
        row["entities"] = [_entity_row(region.text, region.class_id, region.region) for region in decoded.regions]
    return row


def _entity_row(text: str, class_id: int | None, region: Region) -> NamedRegionRow:
    row: NamedRegionRow = {"text": text} if class_id is None else {"class_id": class_id, "text": text}
    if isinstance(region, Mapping):
        row["mask"] = region
    else:
        row["box"] = [float(value) for value in region]
    return row
