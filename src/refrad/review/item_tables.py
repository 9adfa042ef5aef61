"""Tables of all captions and questions of a dataset file without its pictures, made once for each file and kept."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import polars as pl

from refrad.core.checksums import TableError, table_digest
from refrad.core.files import digest_bytes
from refrad.core.private_files import only_for_the_owner
from refrad.core.progress import log_progress
from refrad.core.tables import read_frame, write_frame
from refrad.dataset.file_list import shard_folder
from refrad.dataset.shard_io import read_columns
from refrad.dataset.shard_rows import QuestionStruct
from refrad.review.items import ASKED, caption_digest, question_digest, question_id

__all__ = ["ITEM_COLUMNS", "ItemTables", "collect_tables", "tables_of_file"]

VERSION = 2  # of the kept tables; another one makes them again

log = logging.getLogger(__name__)

ITEM_COLUMNS: Mapping[str, Any] = {
    "delivery": pl.String,
    "shard": pl.Int32,
    "file": pl.String,
    "image_id": pl.String,
    "volume": pl.String,
    "study": pl.String,
    "patient": pl.String,
    "split": pl.String,
    "modality": pl.String,
    "plane": pl.String,
    "index": pl.Int32,
    "item": pl.String,
    "item_id": pl.String,
    "digest": pl.String,
    "sentence": pl.String,
    "language": pl.String,
    "text": pl.String,
    "answer": pl.String,
    "search": pl.String,
    "tie": pl.String,
    "topic": pl.String,
    "classes": pl.List(pl.Int16),
    "vias": pl.List(pl.String),
    "finder": pl.String,
}
"""An item a row. `text` is the caption or the question, `answer` that of a question; `search` is all of the item's text in lower case.
`finder` is the backend of the mentions of the image."""

PHRASE_COLUMNS: Mapping[str, Any] = {
    "image_id": pl.String,
    "volume": pl.String,
    "modality": pl.String,
    "plane": pl.String,
    "item_id": pl.String,
    "language": pl.String,
    "entity": pl.Int32,
    "start": pl.Int32,
    "end": pl.Int32,
    "text": pl.String,
    "class_id": pl.Int16,
    "via": pl.String,
    "x": pl.Float32,
    "y": pl.Float32,
    "width": pl.Int32,
    "height": pl.Int32,
    "area_mm2": pl.Float32,
}
"""A grounded phrase of a caption a row. x and y: centre of the box as shares of the image; width and height of the box in px; `area_mm2`:
area of the mask, or of the box where there is no mask."""


@dataclass(frozen=True)
class ItemTables:
    """Items (`ITEM_COLUMNS`) and phrases (`PHRASE_COLUMNS`) of one file or of all."""

    items: pl.DataFrame
    phrases: pl.DataFrame


IDENTITY = ("image_id", "volume", "study", "patient", "split", "modality", "plane", "index")
CORNERS = ("x_min", "y_min", "x_max", "y_max")
# The columns of a file that are read, as Parquet names them: none with a picture or a mask.
READ = (
    *(*IDENTITY, "width", "height", "spacing_x", "spacing_y", "provenance.mentions"),
    *(f"structures.list.element.{name}" for name in ("class_id", "area")),
    *(f"captions.list.element.{name}" for name in ("caption", "sentence", "language", "text", "tie")),
    *(
        f"captions.list.element.entities.list.element.{name}"
        for name in ("start", "end", "text", "class_id", "via", *CORNERS)
    ),
    *(f"questions.list.element.{name}" for name in ("language", "topic", "kind", "question", "answer")),
    "questions.list.element.choices.list.element",
)


def collect_tables(files: Sequence[Path], cache: Path) -> ItemTables:
    """The tables of all files, in their order; those of files that have not changed come from the folder `cache`.

    Tables of files that are not in the dataset any more are removed from it. Only the owner can read it: it holds sentences.

    Args:
        files: Parquet files of the dataset, <delivery>/<shard>/<split>.parquet.
        cache: folder of the kept tables.
    """
    tables, names = [], set()
    for path in log_progress(files, log, "files of the list", len(files), every=2):
        name = digest_bytes(f"{VERSION} {path} {table_digest(path)}".encode())
        stored_items, stored_phrases = cache / f"{name}-items.parquet", cache / f"{name}-phrases.parquet"
        names |= {stored_items.name, stored_phrases.name}
        try:
            tables.append(ItemTables(read_frame(stored_items), read_frame(stored_phrases)))
        except (FileNotFoundError, TableError):
            tables_of_path = tables_of_file(path)
            with only_for_the_owner():
                write_frame(stored_items, tables_of_path.items)
                write_frame(stored_phrases, tables_of_path.phrases)
            tables.append(tables_of_path)
    for path in cache.glob("*-*.parquet"):
        if path.name not in names:
            path.unlink(missing_ok=True)
    return ItemTables(
        pl.concat([part.items for part in tables] or [pl.DataFrame(schema=ITEM_COLUMNS)]),
        pl.concat([part.phrases for part in tables] or [pl.DataFrame(schema=PHRASE_COLUMNS)]),
    )


def tables_of_file(path: Path, images: Collection[str] | None = None) -> ItemTables:
    """The tables of one file of the dataset, <delivery>/<shard>/<split>.parquet, whose pictures and masks are not read.

    Args:
        path: of the file.
        images: if given, only these are in the tables.
    """
    folder = shard_folder(path)
    rows = read_columns(path, READ)
    if images is not None:
        rows = rows.filter(pl.col("image_id").is_in(list(images)))
    rows = rows.with_columns(
        delivery=pl.lit(folder.parent.name),
        shard=pl.lit(int(folder.name) if folder.name.isdigit() else 0),
        file=pl.lit(str(path)),
        finder=pl.col("provenance").struct.field("mentions"),
    )
    return ItemTables(pl.concat([_caption_items(rows), _question_items(rows)]), _phrases(rows))


def _caption_items(rows: pl.DataFrame) -> pl.DataFrame:
    """A row of `ITEM_COLUMNS` for each caption of images."""
    captions = _exploded(rows, "captions")
    phrased = captions.select("language", "text", "entities").to_dicts()
    digests = [caption_digest(*caption) for caption in zip(captions["image_id"], cast(list[Any], phrased), strict=True)]
    items = captions.with_columns(
        item=pl.lit("caption"),
        item_id=pl.col("caption"),
        digest=pl.Series(digests, dtype=pl.String),
        search=pl.col("text").str.to_lowercase(),
        **{
            column: pl.col("entities").list.eval(pl.element().struct.field(name)).list.unique().list.sort()
            for column, name in (("classes", "class_id"), ("vias", "via"))
        },
    )
    return _conformed(items, ITEM_COLUMNS)


def _question_items(rows: pl.DataFrame) -> pl.DataFrame:
    """A row of `ITEM_COLUMNS` for each question of images."""
    questions = _exploded(rows, "questions")
    wordings = cast(list[QuestionStruct], questions.select(*ASKED).to_dicts())
    digests = list(map(question_digest, questions["image_id"], wordings))
    choices = pl.when(pl.col("choices").list.len() > 0).then(pl.col("choices").list.join(" "))
    items = questions.with_columns(
        item=pl.lit("question"),
        item_id=pl.Series(map(question_id, wordings), dtype=pl.String),
        digest=pl.Series(digests, dtype=pl.String),
        text=pl.col("question"),
        search=pl.concat_str("question", choices, "answer", separator=" ", ignore_nulls=True).str.to_lowercase(),
        classes=pl.lit([], pl.List(pl.Int16)),
        vias=pl.lit([], pl.List(pl.String)),
    )
    return _conformed(items, ITEM_COLUMNS)


def _phrases(rows: pl.DataFrame) -> pl.DataFrame:
    """A row of `PHRASE_COLUMNS` for each grounded phrase of the captions of images."""
    images = rows.with_columns(pixel=pl.col("spacing_x").fill_null(1.0) * pl.col("spacing_y").fill_null(1.0))
    areas = _exploded(rows, "structures").select("image_id", "class_id", "area")
    captions = _exploded(images, "captions").select(
        *("image_id", "volume", "modality", "plane", "language", "entities", "pixel"),
        *(pl.col(name).alias(f"image_{name}") for name in ("width", "height")),
        item_id="caption",
        entity=pl.int_ranges(pl.col("entities").list.len()),
    )
    phrases = captions.explode("entities", "entity", empty_as_null=False).unnest("entities")
    width, height = pl.col("x_max") - pl.col("x_min"), pl.col("y_max") - pl.col("y_min")
    phrases = phrases.join(
        areas.unique(["image_id", "class_id"], keep="last"),
        on=["image_id", "class_id"],
        how="left",
        maintain_order="left",
    ).with_columns(
        x=(pl.col("x_min") + width / 2) / pl.col("image_width"),
        y=(pl.col("y_min") + height / 2) / pl.col("image_height"),
        width=width,
        height=height,
        area_mm2=pl.coalesce("area", width * height) * pl.col("pixel"),
    )
    return _conformed(phrases, PHRASE_COLUMNS)


def _exploded(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """A row for each entry of a list of structs, with the fields as columns, in the order of the entries."""
    return rows.filter(pl.col(column).list.len() > 0).explode(column).unnest(column)


def _conformed(rows: pl.DataFrame, columns: Mapping[str, Any]) -> pl.DataFrame:
    """The columns of a table in its types, null where there are none."""
    return rows.select(
        pl.col(name).cast(kind) if name in rows.columns else pl.lit(None, kind).alias(name)
        for name, kind in columns.items()
    )
