"""Rows of truth.jsonl and predictions.jsonl, in the format of docs/evaluation.md."""

from collections.abc import Mapping
from typing import Any

from refrad.evaluation.answer_cache import GeneratedAnswer
from refrad.evaluation.metrics.grounding import Region
from refrad.evaluation.questions import EvalQuestion
from refrad.evaluation.regions import DecodedAnswer

__all__ = ["prediction_row", "truth_row"]


def truth_row(question: EvalQuestion) -> dict[str, Any]:
    """A question with its true answer and regions; the columns of `TruthRecord`, and image_id."""
    return {
        "id": question.id,
        "task": question.task,
        "group": question.patient,
        "image_id": question.image_id,
        "question": question.text,
        "language": question.language,
        "modality": question.modality,
        "dataset": question.dataset,
        "kind": question.kind or None,
        "topic": question.topic or None,
        "answer": question.answer or None,
        "entities": [
            _entity_row(target.text, target.classes[0] if len(target.classes) == 1 else None, target.region)
            for target in question.targets
        ],
    }


def prediction_row(question: EvalQuestion, answer: GeneratedAnswer, decoded: DecodedAnswer) -> dict[str, Any]:
    """An answer: the columns of `PredictionRecord`, and image_id, task, language and the raw text."""
    row: dict[str, Any] = {
        "id": question.id,
        "image_id": question.image_id,
        "task": question.task,
        "language": question.language,
        "raw": answer.text,
        "answer": decoded.plain,
    }
    if question.task == "vqa":
        return row
    return row | {"entities": [_entity_row(region.text, region.class_id, region.region) for region in decoded.regions]}


def _entity_row(text: str, class_id: int | None, region: Region) -> dict[str, Any]:
    name = {"text": text} if class_id is None else {"class_id": class_id, "text": text}
    if isinstance(region, Mapping):
        return name | {"mask": region}
    return name | {"box": [float(value) for value in region]}
