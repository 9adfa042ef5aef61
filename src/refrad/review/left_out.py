"""The table of what left the dataset because of verdicts, written by stage shards for each shard."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from refrad.core.contracts import PLANES, Table
from refrad.core.schemas import pa
from refrad.core.tables import read_table
from refrad.core.types import LANGUAGES, MODALITIES, SPLITS
from refrad.dataset.file_list import shard_folder
from refrad.dataset.shard_rows import ImageIdentity

__all__ = ["FOLLOWS", "LeftOutRow", "LeftOutTable", "left_out_tables", "read_left_out"]

FOLLOWS = "follows"  # verdict of an item that leaves because of another one of its image


class LeftOutTable(Table):
    """Stage shards: one row per caption or question that left the dataset because of verdicts of reviewers.

    A caption that stays without one of its phrases is here as it was before.
    """

    image_id: str = pa.Field(
        description="pseudonym of the image: a SOP instance (and frame), or a slice of a NIfTI volume"
    )
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
        isin=["reject", "wrong_span", "wrong_box", "wrong_side", FOLLOWS],
        description="verdict on the item, or follows if the verdict is on another item of the image",
    )


class LeftOutRow(ImageIdentity):
    """A row of `LeftOutTable`."""

    modality: str
    plane: str | None
    item: str
    item_id: str
    digest: str
    language: str
    text: str
    classes: list[int]
    verdict: str


def left_out_tables(results: Path, files: Sequence[Path]) -> list[Path]:
    """The tables of the shards that are the dataset; tables of deliveries that have left the config stay out.

    Args:
        results: folder of the results.
        files: of the dataset, <delivery>/<shard>/<split>.parquet.
    """
    shards = dict.fromkeys(map(shard_folder, files))
    paths = [results / "review" / shard / "left_out.parquet" for shard in shards]
    return [path for path in paths if path.exists()]


def read_left_out(paths: Iterable[Path]) -> pl.DataFrame:
    """The rows of these tables, one after the other."""
    schema = {name: column.dtype.type for name, column in LeftOutTable.to_schema().columns.items()}
    return pl.concat([pl.DataFrame(schema=schema), *(read_table(path, LeftOutTable) for path in paths)])
