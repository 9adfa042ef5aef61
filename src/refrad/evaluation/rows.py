"""The lines of truth.jsonl and predictions.jsonl as typed dictionaries, in the format of docs/evaluation.md."""

from typing import NotRequired, TypedDict

from refrad.evaluation.metrics.grounding import RunLengths

__all__ = ["NamedRegionRow", "PredictionRow", "TruthRow"]


class NamedRegionRow(TypedDict):
    """A region with its name: a box (shares of width and height) or a mask (px of the DICOM image)."""

    class_id: NotRequired[int]
    text: str
    box: NotRequired[list[float]]
    mask: NotRequired[RunLengths]


class TruthRow(TypedDict):
    """A line of truth.jsonl: the columns of `TruthRecord`, and image_id; public_set only where the image is of one."""

    id: str
    task: str
    group: str
    image_id: str
    question: str
    language: str
    modality: str | None
    dataset: str
    kind: str | None
    topic: str | None
    answer: str | None
    entities: list[NamedRegionRow]
    public_set: NotRequired[str]


class PredictionRow(TypedDict):
    """A line of predictions.jsonl: the columns of `PredictionRecord`, and image_id, task, language, the raw text, and whether it was cut."""

    id: str
    image_id: str
    task: str
    language: str
    raw: str
    cut: bool
    answer: str
    entities: NotRequired[list[NamedRegionRow]]
