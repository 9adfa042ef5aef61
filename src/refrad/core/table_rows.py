"""The rows of the Parquet tables as typed dictionaries: one for each contract of `refrad.core.contracts` that code reads by rows.

The keys and types follow the contract (a test compares them), and the contract has the meaning of each column. A nullable column is
`None` where the table has a null. Volumes and masks have a second type for their accepted rows.

    >>> for volume in rows_of(read_table(path, VolumeTable), VolumeRow):
    ...     print(volume["volume"], volume["reason"])
"""

from collections.abc import Iterator
from datetime import date
from typing import Any, TypedDict, TypeVar, cast

import polars as pl

__all__ = [
    "AcceptedMaskRow",
    "AcceptedVolumeRow",
    "BoxRow",
    "CaptionRow",
    "CopyRow",
    "EntityColumns",
    "EntityRow",
    "FlagRow",
    "InstanceRow",
    "MaskRow",
    "MentionRow",
    "QuestionColumns",
    "QuestionRow",
    "ReferenceRow",
    "SliceRow",
    "StackRow",
    "StructureRow",
    "TripletRow",
    "VolumeRow",
    "rows_of",
]

R = TypeVar("R")


def rows_of(frame: pl.DataFrame, row: type[R]) -> Iterator[R]:
    """The rows of a frame, in its order, with `row` as their type; values are as the contract of the table promises.

    Raises:
        KeyError: if the frame lacks a key of `row`. Further columns are allowed.
    """
    missing = sorted(getattr(row, "__required_keys__", frozenset[str]()) - set(frame.columns))
    if missing:
        raise KeyError(f"{row.__name__}: the frame lacks {', '.join(missing)}")
    return cast(Iterator[Any], frame.iter_rows(named=True))


class BoxRow(TypedDict):
    """A half-open box in px: `x_min <= x < x_max`, `y_min <= y < y_max`."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


class InstanceRow(TypedDict):
    """A row of `InstanceTable`: a file or frame of the delivery."""

    file: str
    frame: int
    slices: int
    instance: str | None
    series: str | None
    study: str | None
    patient: str | None
    volume: str | None
    modality: str | None
    series_number: int | None
    instance_number: int | None
    shard: int | None
    split: str | None
    burned_in: bool | None
    reason: str | None


class StackRow(TypedDict):
    """The columns that all images of a stack in `InstanceTable` share, and that its volumes have too."""

    volume: str
    series: str
    study: str
    patient: str
    split: str
    modality: str
    series_number: int | None


class _VolumeIdentity(StackRow):
    body_part: str | None
    contrast: bool | None
    sex: str | None
    age: int | None
    date: date | None
    slices: int
    treated: str | None
    burned_in: bool | None
    frame: str | None


class VolumeRow(_VolumeIdentity):
    """A row of `VolumeTable`: a volume, accepted or quarantined."""

    plane: str | None
    columns: int | None
    rows: int | None
    spacing_x: float | None
    spacing_y: float | None
    spacing_z: float | None
    tilt: float | None
    digest: str | None
    file: str | None
    reason: str | None


class AcceptedVolumeRow(_VolumeIdentity):
    """A row of `VolumeTable` whose `reason` is null: grid, digest and file are there."""

    plane: str
    columns: int
    rows: int
    spacing_x: float
    spacing_y: float
    spacing_z: float
    tilt: float
    digest: str
    file: str
    reason: None


class SliceRow(TypedDict):
    """A row of `SliceTable`: the position of a SOP instance in its volume."""

    instance: str
    volume: str
    axis: int
    index: int
    instance_number: int | None


class _MaskOrigin(TypedDict):
    volume: str
    task: str
    segmenter: str
    weights: str | None


class MaskRow(_MaskOrigin):
    """A row of `MaskTable`: the label volume of a volume, or the reason why there is none."""

    digest: str | None
    file: str | None
    labels: int | None
    reason: str | None


class AcceptedMaskRow(_MaskOrigin):
    """A row of `MaskTable` whose `reason` is null: there is a label volume."""

    digest: str
    file: str
    labels: int
    reason: None


class StructureRow(BoxRow):
    """A row of `StructureTable`: a class in a slice."""

    instance: str
    volume: str
    index: int
    class_id: int
    area: int
    area_mm2: float
    components: int


class FlagRow(TypedDict):
    """A row of `FlagTable`: an implausible finding in the labels of a volume."""

    volume: str
    flag: str
    class_id: int | None
    value: float | None
    low: float | None
    high: float | None
    action: str


class CaptionRow(TypedDict):
    """A row of `CaptionTable`: a report sentence in a language."""

    caption: str
    sentence: str
    report: str
    study: str
    patient: str
    section: str
    position: int
    language: str
    text: str
    indication: str | None
    question: str | None
    tie: str
    rewriter: str
    translator: str


class ReferenceRow(TypedDict):
    """A row of `ReferenceTable`: the images that a caption names."""

    caption: str
    instance: str | None
    series_number: int | None
    image_first: int | None
    image_last: int | None
    plane: str | None


class MentionRow(TypedDict):
    """A row of `MentionTable`: an anatomical span and a class of it."""

    caption: str
    start: int
    end: int
    text: str
    class_id: int
    assertion: str
    backend: str


class CopyRow(TypedDict):
    """A row of `CopyTable`: a volume that is a copy of another one."""

    volume: str
    original: str
    relation: str
    kind: str
    reason: str | None


class TripletRow(TypedDict):
    """A row of `TripletTable`: a pair of caption and image."""

    triplet: str
    instance: str
    volume: str
    index: int
    caption: str
    tie: str
    reason: str | None


class EntityColumns(BoxRow):
    """A grounded phrase: offsets in code points, text, class, relation to the class, and box in px of the DICOM image.

    `one_sided`: it names both sides, and the image shows this one only.
    """

    start: int
    end: int
    text: str
    class_id: int
    via: str
    one_sided: bool


class EntityRow(EntityColumns):
    """A row of `EntityTable`: a grounded mention of a kept triplet."""

    triplet: str


class QuestionColumns(TypedDict):
    """A question-answer pair."""

    language: str
    topic: str
    kind: str
    question: str
    choices: list[str]
    answer: str
    backend: str


class QuestionRow(QuestionColumns):
    """A row of `QuestionTable`: a question-answer pair of an image."""

    instance: str
    reason: str | None
