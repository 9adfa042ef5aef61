"""Predictions and truth as JSON lines: the format that any model's output can be brought into (docs/evaluation.md)."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from refrad.core.garbage import without_garbage_collection
from refrad.core.progress import log_progress
from refrad.evaluation.metrics.comparability import (
    check_comparable,
    check_midline,
    is_beyond_image,
    kind_of_regions,
)
from refrad.evaluation.metrics.grounding import Region, RunLengths, phrase_key
from refrad.evaluation.metrics.json_lines import count_lines, read_objects
from refrad.evaluation.metrics.record_keys import OPTIONAL, describe_error, suggest_key
from refrad.evaluation.metrics.run_lengths import draw_polygons, read_mask

__all__ = ["REGION_TASKS", "TASKS", "EntityRecord", "PredictionRecord", "TruthRecord", "read_records"]

log = logging.getLogger(__name__)

TASKS = ("locate", "detect", "caption", "vqa")
REGION_TASKS = ("locate", "detect")
KINDS = ("open", "closed", "yesno", "multiple")
SPELLINGS = {"yes/no": "yesno", "yes no": "yesno", "multiple choice": "multiple"}  # of kinds
# Keys without which a prediction says nothing, by the task of its question
NEEDED = {"vqa": ("answer",), "caption": ("answer",), "detect": ("answer", "entities"), "locate": ("entities",)}

# Of an error of pydantic, the sentence where its own speaks of Python
UNCLEAR_UNIT = "have boxes from 0 to 1 that may be pixels or shares of the image, and are compared as they are"
BEYOND_IMAGE = (
    "have boxes beyond their image, perhaps in another unit or of another image, and are compared as they are"
)

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


# Answers and patients may be numbers, as in VQA-RAD.
FORM = ConfigDict(extra="ignore", coerce_numbers_to_str=True)
# Keys whose texts are few, and held once
REPEATED = ("group", "language", "modality", "topic", "category", "dataset")


class _Unstated(tuple[()]):
    """The entities of a row that does not have this key: it does not state that there is no region."""

    __slots__ = ()


UNSTATED = _Unstated()


class _Record:
    """A row: slots, since there are many, and models of pydantic take three times the memory."""

    __slots__ = ()

    @classmethod
    def model_validate(cls, row: Mapping[str, Any]) -> Self:
        """The record of a row of JSON; its other keys are left out.

        Raises:
            ValidationError: a ValueError that names each key at fault.
        """
        return cast(Self, cls.__pydantic_validator__.validate_python(row))  # type: ignore[attr-defined]  # of pydantic's dataclasses


@dataclass(frozen=True, slots=True, config=FORM)
class EntityRecord(_Record):
    """A named region: a box (x_min, y_min, x_max, y_max) or a mask.

    A mask is read in any form of COCO, and then compressed run lengths of `size` [height, width]; or polygons, until the size of
    their image is known.
    """

    text: str = ""
    class_id: Annotated[int, Field(strict=True)] | None = None
    category: str | None = None
    box: Annotated[list[Number], Field(min_length=4, max_length=4)] | None = None
    mask: Annotated[Any, BeforeValidator(lambda mask: None if mask is None else read_mask(mask))] = None

    @model_validator(mode="after")
    def has_one_region(self) -> "EntityRecord":
        """A box or a mask, with a name or a class."""
        if (self.box is None) == (self.mask is None):
            raise ValueError("an entity has either a box or a mask")
        if self.box is not None and (self.box[0] > self.box[2] or self.box[1] > self.box[3]):
            raise ValueError("a box is x_min, y_min, x_max, y_max; here a maximum is below its minimum")
        if not self.text and self.class_id is None:
            raise ValueError("an entity has a text or a class_id")
        return self

    @property
    def region(self) -> Region:
        """The box, or else the mask, whose polygons are drawn."""
        return self.box if self.box is not None else cast(RunLengths, self.mask)


@dataclass(frozen=True, slots=True, config=FORM)
class PredictionRecord(_Record):
    """The answer of a model: words, entities or both; null if there is none."""

    id: str
    answer: str | None = None
    entities: tuple[EntityRecord, ...] = UNSTATED

    @property
    def is_given(self) -> bool:
        """True if the model has answered: with words, regions, or an explicitly empty list of regions."""
        return self.entities is not UNSTATED or bool((self.answer or "").strip())

    def is_empty(self, true: "TruthRecord") -> bool:
        """True if the prediction has nothing that answers its question."""
        if true.task in REGION_TASKS and not true.entities and self.is_given:
            return False  # no region is due
        has_words = bool((self.answer or "").strip())
        return not (self.entities if true.task == "locate" else has_words or (true.task == "detect" and self.entities))


@dataclass(frozen=True, slots=True, config=FORM)
class TruthRecord(_Record):
    """A question and its true answer.

    `group` is the independent unit, a patient; the id if it is left out. `kind` is open, or closed (yesno and multiple are closed too).
    `size` is the image's [width, height] in the unit of the boxes and polygons; without it boxes up to 1 are taken as shares. `absent`
    are names of findings that the image does not show, so that no region is due; an empty list of `entities` states that none is due.
    `midline` is the x between the sides of the patient, in the unit of the boxes or px; half the width if left out. `public_set`: of the image.
    """

    id: str
    task: Literal["locate", "detect", "caption", "vqa"]
    answer: str | None = None
    entities: tuple[EntityRecord, ...] = UNSTATED
    kind: Literal["open", "closed", "yesno", "multiple"] | None = None
    group: str | None = None
    question: str | None = None
    language: str | None = None
    modality: str | None = None
    topic: str | None = None
    category: str | None = None
    absent: tuple[str, ...] = ()
    midline: Number | None = None
    dataset: str | None = None
    public_set: str | None = None
    size: Annotated[list[Annotated[Number, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def matches_its_task(self) -> "TruthRecord":
        """Check that a question has a kind, and each task its true answer or entities."""
        if self.task == "vqa" and self.kind is None:
            raise ValueError("a question has a kind: open or closed")
        if self.task == "locate" and self.entities is UNSTATED and not self.absent:
            raise ValueError("task locate has entities; an empty list if no region is due")
        if self.absent and self.task not in REGION_TASKS:
            raise ValueError("absent findings belong to tasks locate and detect")
        if any(not name.strip() for name in self.absent):
            raise ValueError("an absent finding has a name")
        if {phrase_key(name) for name in self.absent} & {phrase_key(entity.text) for entity in self.entities}:
            raise ValueError("a finding is absent or has entities, not both")
        if self.task in ("vqa", "caption") and self.answer is None:
            raise ValueError(f"task {self.task} has the true answer")
        if self.entities and self.task in REGION_TASKS:
            object.__setattr__(self, "entities", _drawn(self.entities, self.size))
            regions = _regions(self.entities)
            kind_of_regions(regions, self.size)
            if self.midline is not None:
                check_midline(self.midline, regions, self.size)
        return self

    @property
    def no_region_due(self) -> bool:
        """True if the truth states that no region at all is due, neither of a named finding nor of another."""
        return self.entities is not UNSTATED and not self.entities and not self.absent

    @property
    def closed(self) -> bool:
        """A question with few possible answers."""
        return self.kind in ("closed", "yesno", "multiple")


TRUTH_KEYS = frozenset(field.name for field in fields(TruthRecord))
R = TypeVar("R", PredictionRecord, TruthRecord)


@without_garbage_collection()
def read_records(path: Path, kind: type[R], truth: Mapping[str, TruthRecord] | None = None) -> dict[str, R]:
    """The rows of a JSON lines file by their id, in order.

    Args:
        path: the file.
        kind: what its rows are.
        truth: the questions of predictions, by id: the regions of each prediction must fit those of its question, and polygons
            are drawn in the size of its image.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming file and line and the error, without values, or a duplicate id.
    """
    records: dict[str, R] = {}
    doubts: dict[str, list[int]] = {}  # sentence to lines
    for number, row in log_progress(read_objects(path), log, f"rows of {path.name}", count_lines(path)):
        try:
            record = kind.model_validate(_prepared(row, kind, truth))
            true: TruthRecord | None = record if isinstance(record, TruthRecord) else (truth or {}).get(record.id)
            if isinstance(record, PredictionRecord) and true is not None:
                record, is_clear = _fitted(record, true)  # type: ignore[assignment]  # R is a prediction here
                if not is_clear:
                    doubts.setdefault(UNCLEAR_UNIT, []).append(number)
            if true is not None and record.entities and is_beyond_image(_regions(record.entities), true.size):
                doubts.setdefault(BEYOND_IMAGE, []).append(number)
            if kind is TruthRecord and (meant := suggest_key(sorted(row.keys() - TRUTH_KEYS), OPTIONAL)):
                doubts.setdefault(f"have a key that is not read: {meant}", []).append(number)
        except ValidationError as error:
            raise ValueError(f"{path}, line {number}: {describe_error(error, row)}") from None
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        if record.id in records:
            raise ValueError(f"{path}, line {number}: duplicate id")
        records[record.id] = record
    if not records:
        raise ValueError(f"{path}: no row in it")
    for doubt, lines in doubts.items():
        log.warning("%s: %d rows %s; the first is line %d", path, len(lines), doubt, lines[0])
    return records


def _regions(entities: Sequence[EntityRecord]) -> list[Region]:
    return [entity.region for entity in entities]


def _prepared(
    row: dict[str, Any], kind: type[PredictionRecord] | type[TruthRecord], truth: Mapping[str, TruthRecord] | None
) -> dict[str, Any]:
    """A row with its id as text, and spellings of `task` and `kind` as RefRad has them."""
    if type(row.get("id", "")) not in (str, int):
        raise ValueError("id: a text or a whole number, in quotes if it has a fraction")
    if isinstance(answer := row.get("answer"), float) and not isfinite(answer):
        raise ValueError("answer: not a number; null if there is none")
    if "id" in row:
        row["id"] = str(row["id"])
    if row.get("entities", ()) is None:  # as if left out: it does not state that there is no region
        row = {key: value for key, value in row.items() if key != "entities"}
    if kind is TruthRecord:
        for key in ("task", "kind"):
            if isinstance(word := row.get(key), str) and word not in KINDS:
                row[key] = SPELLINGS.get(word := word.strip().lower().replace("-", " "), word)
        for key in REPEATED:
            if type(word := row.get(key)) is str:
                row[key] = sys.intern(word)
        needed: Sequence[str] = ("id", "task")
    else:
        question = truth.get(row.get("id", "")) if truth else None
        if question:
            row["id"] = question.id  # not held twice
        needed = ("id", *(NEEDED[question.task] if question else ()))
    if (suggestion := suggest_key(row, needed)) is not None:
        raise ValueError(suggestion)
    if isinstance(entities := row.get("entities"), list):
        for entity in entities:
            if isinstance(entity, dict) and type(text := entity.get("text")) is str:
                entity["text"] = sys.intern(text)
    return row


def _fitted(prediction: PredictionRecord, true: TruthRecord) -> tuple[PredictionRecord, bool]:
    """A prediction with its polygons drawn, and False if the unit of its boxes is not clear.

    Raises:
        ValueError: if its regions cannot be compared with those of the question.
    """
    if true.task not in REGION_TASKS or not prediction.entities:
        return prediction, True
    entities = _drawn(prediction.entities, true.size)
    prediction = prediction if entities is prediction.entities else replace(prediction, entities=entities)
    is_clear = check_comparable(_regions(entities), _regions(true.entities), true.size)
    return prediction, is_clear


def _drawn(entities: tuple[EntityRecord, ...], size: Sequence[float] | None) -> tuple[EntityRecord, ...]:
    """The entities with polygons drawn in an image of `size` [width, height], px; as they are if there is none."""
    if not any(isinstance(entity.mask, list) for entity in entities):
        return entities
    if size is None or any(side < 1 or side != int(side) for side in size):
        raise ValueError(
            'a polygon needs the width and height of its image in pixels, as "size" of the truth; or give run lengths'
        )
    width, height = int(size[0]), int(size[1])
    return tuple(
        replace(entity, mask=draw_polygons(entity.mask, height, width)) if isinstance(entity.mask, list) else entity
        for entity in entities
    )
