"""Rows of the shards as typed examples for training and evaluation; boxes are shares of width and height."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from refrad.core.table_rows import BoxRow
from refrad.core.tables import read_frame
from refrad.core.types import Box
from refrad.dataset.image_codec import decode_image, decode_mask
from refrad.dataset.shard_io import read_schema
from refrad.dataset.shard_rows import CaptionStruct, PictureColumns, QuestionStruct, StructureStruct

__all__ = [
    "COLUMNS",
    "IMAGE_COLUMNS",
    "ExampleCaption",
    "ExampleColumns",
    "ExampleMention",
    "ExampleQuestion",
    "ExampleRow",
    "ImageExample",
    "example_of_row",
    "mention_count",
    "read_image_table",
    "relative_box",
]

COLUMNS = (
    "image_id",
    "patient",
    "split",
    "modality",
    "width",
    "height",
    "structures",
    "captions",
    "questions",
)
IMAGE_COLUMNS = ("pixels", "image")  # the first column that a file has is read


class ExampleColumns(TypedDict):
    """A row of `read_image_table` without its picture; modality is null for a benchmark that does not say it."""

    image_id: str
    patient: str
    split: str
    modality: str
    width: int
    height: int
    structures: list[StructureStruct] | None
    captions: list[CaptionStruct] | None
    questions: list[QuestionStruct] | None


class ExampleRow(ExampleColumns, PictureColumns):
    """A row of `read_image_table`; without pixels it has no picture."""


@dataclass(frozen=True)
class ExampleMention:
    """A verbatim span of a caption (code points, half-open) and the classes that it names, each with its box."""

    start: int
    end: int
    text: str
    targets: tuple[tuple[int, Box], ...]


@dataclass(frozen=True)
class ExampleCaption:
    """A report sentence of an image, with its grounded mentions in the order of their spans."""

    language: str
    text: str
    indication: str | None
    question: str | None
    mentions: tuple[ExampleMention, ...]


@dataclass(frozen=True)
class ExampleQuestion:
    """A question about an image; `kind` is open, yesno or multiple."""

    language: str
    topic: str
    kind: str
    question: str
    choices: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class ImageExample:
    """An image with its structures, captions and questions.

    Attributes:
        encoded: the compressed picture of the row.
        boxes: visible class to its box, shares of width and height.
        mask_rles: visible class to the run-length code of its mask.
        size: width and height of the DICOM image, px.
    """

    image_id: str
    patient: str
    modality: str
    encoded: PictureColumns
    boxes: Mapping[int, Box]
    captions: tuple[ExampleCaption, ...]
    questions: tuple[ExampleQuestion, ...]
    mask_rles: Mapping[int, str] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)

    def mask(self, class_ids: Iterable[int]) -> NDArray[np.bool_]:
        """Union of the masks of some visible classes, bool [height, width] in px of the DICOM image."""
        width, height = self.size
        union: NDArray[np.bool_] = np.zeros((height, width), bool)
        for class_id in class_ids:
            union |= decode_mask(self.mask_rles[class_id], height, width)
        return union

    def outline(self, class_id: int) -> NDArray[np.float64] | None:
        """Corners of the first and last pixel of each mask row, float64 [points, 2]: x and y as shares of width and height.

        After any rotation of the image, the bounding box of these points is the box of the class. None without a mask.
        """
        if class_id not in self.mask_rles:
            return None
        mask = self.mask([class_id])
        ys = np.flatnonzero(mask.any(1))
        first, last = mask[ys].argmax(1), self.size[0] - mask[ys, ::-1].argmax(1)
        xs = np.concatenate([first, last, first, last])
        return np.stack([xs, np.concatenate([ys, ys, ys + 1, ys + 1])], axis=1) / self.size

    def load_image(self) -> Image.Image:
        """The square image of the row, RGB, [side, side] px; side is `shards.image_size` of the config."""
        return Image.fromarray(np.ascontiguousarray(decode_image(self.encoded).transpose(1, 2, 0)))


def read_image_table(paths: Sequence[Path], splits: Collection[str] | None = None, pixels: bool = True) -> pl.DataFrame:
    """The rows of all shards whose split is among `splits`, sorted by image_id, independent of the order of the paths.

    Images stay compressed, or are left out if not `pixels`; a row becomes an ImageExample only when it is used.
    """
    frames = []
    for path in paths:
        image_column = [next(name for name in IMAGE_COLUMNS if name in read_schema(path).names)] if pixels else []
        frames.append(read_frame(path, [*COLUMNS, *image_column]))
    frame = pl.concat(frames, how="diagonal_relaxed")
    return (frame if splits is None else frame.filter(pl.col("split").is_in(list(splits)))).sort("image_id")


def mention_count() -> pl.Expr:
    """The number of grounded mentions in the captions of a row of `read_image_table`; null without captions."""
    return pl.col("captions").list.eval(pl.element().struct.field("entities").list.len()).list.sum()


def example_of_row(row: ExampleRow) -> ImageExample:
    """A row of `read_image_table` (a dictionary, as `frame.row(index, named=True)` returns it) as an ImageExample."""
    size = row["width"], row["height"]
    structures = row["structures"] or ()
    return ImageExample(
        image_id=row["image_id"],
        patient=row["patient"],
        modality=row["modality"],
        encoded=_picture(row),
        boxes={structure["class_id"]: relative_box(structure, *size) for structure in structures},
        captions=tuple(_caption(caption, *size) for caption in row["captions"] or ()),
        questions=tuple(_question(question) for question in row["questions"] or ()),
        mask_rles={structure["class_id"]: structure["rle"] for structure in structures},
        size=size,
    )


def _picture(row: PictureColumns) -> PictureColumns:
    """The first column of IMAGE_COLUMNS that is not null: of a table of several files, each row has one of them."""
    pixels, image = row.get("pixels"), row.get("image")
    if pixels is not None:
        return {"pixels": pixels}
    return {} if image is None else {"image": image}


def relative_box(box: BoxRow, width: int, height: int) -> Box:
    """A box in px as shares of the width and height (px) of its image, half-open."""
    return box["x_min"] / width, box["y_min"] / height, box["x_max"] / width, box["y_max"] / height


def _caption(caption: CaptionStruct, width: int, height: int) -> ExampleCaption:
    spans: dict[tuple[int, int, str], list[tuple[int, Box]]] = {}
    for entity in caption["entities"]:
        span = entity["start"], entity["end"], entity["text"]
        spans.setdefault(span, []).append((entity["class_id"], relative_box(entity, width, height)))
    mentions = tuple(ExampleMention(*span, tuple(targets)) for span, targets in sorted(spans.items()))
    return ExampleCaption(caption["language"], caption["text"], caption["indication"], caption["question"], mentions)


def _question(question: QuestionStruct) -> ExampleQuestion:
    return ExampleQuestion(
        language=question["language"],
        topic=question["topic"],
        kind=question["kind"],
        question=question["question"],
        choices=tuple(question["choices"] or ()),
        answer=question["answer"],
    )
