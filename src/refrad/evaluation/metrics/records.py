"""Predictions and truth as JSON lines: the format that any model's output can be brought into (docs/evaluation.md)."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from refrad.evaluation.metrics.grounding import Region, RunLengths

__all__ = ["EntityRecord", "PredictionRecord", "TruthRecord", "read_records"]

TASKS = ("locate", "detect", "caption", "vqa")


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class EntityRecord(_Record):
    """A named region: a box (x_min, y_min, x_max, y_max) or a mask (COCO run lengths: size [height, width] and counts)."""

    text: str = ""
    class_id: int | None = None
    box: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None
    mask: dict[str, Any] | None = None

    @model_validator(mode="after")
    def has_one_region(self) -> "EntityRecord":
        """A box or a mask, with a name or a class."""
        if (self.box is None) == (self.mask is None):
            raise ValueError("an entity has either a box or a mask")
        if self.mask is not None and not {"size", "counts"} <= set(self.mask):
            raise ValueError("a mask has size [height, width] and counts")
        if not self.text and self.class_id is None:
            raise ValueError("an entity has a text or a class_id")
        return self

    @property
    def region(self) -> Region:
        """The box, or else the mask."""
        return self.box if self.box is not None else cast(RunLengths, self.mask)


class PredictionRecord(_Record):
    """The answer of a model: words, entities or both; null if there is none."""

    id: str
    answer: str | None = None
    entities: tuple[EntityRecord, ...] = ()


class TruthRecord(_Record):
    """A question and its true answer.

    `group` is the independent unit, a patient; the id if it is left out. `kind` of a question is open, or closed (yesno
    and multiple are closed too). `size` is the image's [width, height] in the unit of the boxes; without it boxes up to 1 are
    taken as shares.
    """

    id: str
    task: Literal["locate", "detect", "caption", "vqa"]
    answer: str | None = None
    entities: tuple[EntityRecord, ...] = ()
    kind: Literal["open", "closed", "yesno", "multiple"] | None = None
    group: str | None = None
    question: str | None = None
    language: str | None = None
    modality: str | None = None
    topic: str | None = None
    dataset: str | None = None
    size: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def matches_its_task(self) -> "TruthRecord":
        """Check that a question has a kind, and each task its true answer or entities."""
        if self.task == "vqa" and self.kind is None:
            raise ValueError("a question has a kind: open or closed")
        if self.task == "locate" and not self.entities:
            raise ValueError("task locate has entities")
        if self.task in ("vqa", "caption") and self.answer is None:
            raise ValueError(f"task {self.task} has the true answer")
        return self

    @property
    def closed(self) -> bool:
        """A question with few possible answers."""
        return self.kind in ("closed", "yesno", "multiple")


R = TypeVar("R", PredictionRecord, TruthRecord)


def read_records(path: Path, kind: type[R]) -> dict[str, R]:
    """The rows of a JSON lines file by their id, in order.

    Raises:
        ValueError: naming file and line and the error, without values, or a duplicate id.
    """
    records: dict[str, R] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = kind.model_validate(_with_text_id(json.loads(line)))
            except ValidationError as error:
                raise ValueError(f"{path}, line {number}: {_sentence(error)}") from None
            except (ValueError, RecursionError):
                raise ValueError(f"{path}, line {number}: not one JSON object") from None
            if row.id in records:
                raise ValueError(f"{path}, line {number}: duplicate id")
            records[row.id] = row
    if not records:
        raise ValueError(f"{path}: no row in it")
    return records


def _with_text_id(row: Any) -> Any:
    return row | {"id": str(row["id"])} if isinstance(row, dict) and isinstance(row.get("id"), int) else row


def _sentence(error: ValidationError) -> str:
    """Key and message of the first error."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
