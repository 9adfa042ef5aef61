"""The table of what left the dataset because of verdicts, written by stage shards for each shard."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import polars as pl

from refrad.core.contracts import PLANES, Table
from refrad.core.schemas import pa
from refrad.core.tables import read_table
from refrad.core.types import LANGUAGES, MODALITIES, SPLITS

__all__ = ["LeftOutRow", "LeftOutTable", "read_left_out"]


class LeftOutTable(Table):
    """Stage shards: one row per caption or question that left the dataset because of verdicts of reviewers.

    A caption that stays without one of its phrases is here as it was before.
    """

    image_id: str = pa.Field(description="pseudonym of the SOP instance (and frame)")
    volume: str = pa.Field(description="pseudonym of the volume")
    study: str = pa.Field(description="pseudonym of the study")
    patient: str = pa.Field(description="pseudonym of the patient")
    split: str = pa.Field(isin=SPLITS, description="split of the patient")
    modality: str = pa.Field(isin=MODALITIES, description="DICOM Modality")
    plane: str = pa.Field(nullable=True, isin=PLANES, description="plane of the slices, from the geometry")
    index: pl.Int32 = pa.Field(ge=0, description="position of the slice along the axis")
    item: str = pa.Field(isin=["caption", "question"], description="kind of the item")
    item_id: str = pa.Field(description="id of the caption, or digest of the question")
    digest: str = pa.Field(description="digest of the item as it was")
    language: str = pa.Field(isin=LANGUAGES, description="language of the text")
    text: str = pa.Field(description="text of the caption or question")
    classes: pl.List(pl.Int16) = pa.Field(description="classes of the phrases of a caption")  # type: ignore[valid-type]
    verdict: str = pa.Field(
        isin=["reject", "wrong_span", "wrong_box", "wrong_side", "follows"],
        description="verdict on the item, or follows if the verdict is on another item of the image",
    )


class LeftOutRow(TypedDict):
    """A row of `LeftOutTable`."""

    image_id: str
    volume: str
    study: str
    patient: str
    split: str
    modality: str
    plane: str | None
    index: int
    item: str
    item_id: str
    digest: str
    language: str
    text: str
    classes: list[int]
    verdict: str


def read_left_out(paths: Iterable[Path]) -> pl.DataFrame:
    """The rows of these tables, one after the other."""
    schema = {name: column.dtype.type for name, column in LeftOutTable.to_schema().columns.items()}
    return pl.concat([pl.DataFrame(schema=schema), *(read_table(path, LeftOutTable) for path in paths)])
