"""Tables of all captions and questions of a dataset file without its pictures, made once for each file and kept."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import polars as pl

from refrad.core.checksums import TableError, table_digest
from refrad.core.files import digest_bytes
from refrad.core.private_files import only_for_the_owner
from refrad.core.tables import read_frame, write_frame
from refrad.dataset.shard_io import read_rows
from refrad.dataset.shard_rows import CaptionStruct, ProvenanceStruct, QuestionStruct, StructureStruct
from refrad.review.items import caption_digest, question_digest, question_id

__all__ = ["ITEM_COLUMNS", "ItemTables", "collect_tables", "tables_of_file"]

VERSION = 1  # of the kept tables; another one makes them again

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


class _ReviewedColumns(TypedDict):
    """The columns of a shard that are read: none with a picture."""

    image_id: str
    volume: str
    study: str
    patient: str
    split: str
    modality: str | None
    plane: str | None
    index: int
    width: int
    height: int
    spacing_x: float
    spacing_y: float
    structures: list[StructureStruct] | None
    captions: list[CaptionStruct] | None
    questions: list[QuestionStruct] | None
    provenance: ProvenanceStruct | None


def collect_tables(files: Sequence[Path], cache: Path) -> ItemTables:
    """The tables of all files, in their order; those of files that have not changed come from the folder `cache`.

    Tables of files that are not in the dataset any more are removed from it. Only the owner can read it: it holds sentences.

    Args:
        files: Parquet files of the dataset, <delivery>/<shard>/<split>.parquet.
        cache: folder of the kept tables.
    """
    tables, names = [], set()
    for path in files:
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


def tables_of_file(path: Path, images: Container[str] | None = None) -> ItemTables:
    """The tables of one file of the dataset, <delivery>/<shard>/<split>.parquet, one row group in memory at a time.

    Args:
        path: of the file.
        images: if given, only these are in the tables.
    """
    delivery, shard = path.parent.parent.name, path.parent.name
    origin = {"delivery": delivery, "shard": int(shard) if shard.isdigit() else 0, "file": str(path)}
    items: list[dict[str, Any]] = []
    phrases: list[dict[str, Any]] = []
    for row in read_rows([path], _ReviewedColumns):
        if images is not None and row["image_id"] not in images:
            continue
        shared = origin | {name: row[name] for name in ITEM_COLUMNS if name in row}  # type: ignore[literal-required]
        shared["finder"] = row["provenance"]["mentions"] if row["provenance"] else None
        items += [shared | _caption_item(row["image_id"], caption) for caption in row["captions"] or []]
        items += [shared | _question_item(row["image_id"], question) for question in row["questions"] or []]
        phrases += [phrase for caption in row["captions"] or [] for phrase in _phrases(row, caption)]
    return ItemTables(pl.DataFrame(items, schema=ITEM_COLUMNS), pl.DataFrame(phrases, schema=PHRASE_COLUMNS))


def _caption_item(image_id: str, caption: CaptionStruct) -> dict[str, Any]:
    return {
        "item": "caption",
        "item_id": caption["caption"],
        "digest": caption_digest(image_id, caption),
        "sentence": caption["sentence"],
        "language": caption["language"],
        "text": caption["text"],
        "search": caption["text"].lower(),
        "tie": caption["tie"],
        "classes": sorted({entity["class_id"] for entity in caption["entities"]}),
        "vias": sorted({entity["via"] for entity in caption["entities"]}),
    }


def _question_item(image_id: str, question: QuestionStruct) -> dict[str, Any]:
    words = (question["question"], *(question["choices"] or ()), question["answer"])
    return {
        "item": "question",
        "item_id": question_id(question),
        "digest": question_digest(image_id, question),
        "language": question["language"],
        "text": question["question"],
        "answer": question["answer"],
        "search": " ".join(words).lower(),
        "topic": question["topic"],
        "classes": [],
        "vias": [],
    }


def _phrases(row: _ReviewedColumns, caption: CaptionStruct) -> list[dict[str, Any]]:
    """The grounded phrases of a caption of an image."""
    pixel = (row["spacing_x"] or 1.0) * (row["spacing_y"] or 1.0)
    areas = {structure["class_id"]: structure["area"] for structure in row["structures"] or []}
    phrases: list[dict[str, Any]] = []
    for number, entity in enumerate(caption["entities"]):
        width, height = entity["x_max"] - entity["x_min"], entity["y_max"] - entity["y_min"]
        phrases.append(
            {
                **{name: row[name] for name in ("image_id", "volume", "modality", "plane")},  # type: ignore[literal-required]
                **{name: entity[name] for name in ("start", "end", "text", "class_id", "via")},  # type: ignore[literal-required]
                "item_id": caption["caption"],
                "language": caption["language"],
                "entity": number,
                "x": (entity["x_min"] + width / 2) / row["width"],
                "y": (entity["y_min"] + height / 2) / row["height"],
                "width": width,
                "height": height,
                "area_mm2": areas.get(entity["class_id"], width * height) * pixel,
            }
        )
    return phrases
