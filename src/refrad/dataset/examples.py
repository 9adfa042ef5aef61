"""The rows of the shards, as training and evaluation see them: boxes as shares of width and height."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from refrad.core.types import Box
from refrad.dataset.image_codec import decode_mask, stored

__all__ = ["Caption", "Mention", "Picture", "Question", "picture_of", "read_images"]

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
PICTURES = ("pixels", "image")  # the first that a file has is read


@dataclass(frozen=True)
class Mention:
    """A verbatim span of a caption and the classes it names, each with its box in the image."""

    start: int
    end: int
    text: str
    targets: tuple[tuple[int, Box], ...]


@dataclass(frozen=True)
class Caption:
    """A report sentence of an image, with its grounded mentions in the order of their spans."""

    language: str
    text: str
    indication: str | None
    question: str | None
    mentions: tuple[Mention, ...]


@dataclass(frozen=True)
class Question:
    """A question of an image; `kind` is open, yesno or multiple."""

    language: str
    topic: str
    kind: str
    question: str
    choices: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Picture:
    """An image with all that is known of it.

    `kept` is the picture as the row holds it, compressed; `structures` maps each visible class to its box, and `rles` to its
    run-length mask; `size` is width and height of the DICOM image, px.
    """

    image_id: str
    patient: str
    modality: str
    kept: Mapping[str, Any]
    structures: Mapping[int, Box]
    captions: tuple[Caption, ...]
    questions: tuple[Question, ...]
    rles: Mapping[int, str] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)

    def mask(self, classes: Iterable[int]) -> NDArray[np.bool_]:
        """Where any of some visible classes is, bool [height, width] in px of the DICOM image."""
        width, height = self.size
        joined: NDArray[np.bool_] = np.zeros((height, width), bool)
        for one in classes:
            joined |= decode_mask(self.rles[one], height, width)
        return joined

    def outline(self, class_id: int) -> NDArray[np.float64] | None:
        """The corners of the ends of each row of a class, float64 [points, 2]: x and y as shares of width and height.

        Whatever way the image is turned, its box is the box of these. None for a class without a mask.
        """
        if class_id not in self.rles:
            return None
        mask = self.mask([class_id])
        ys = np.flatnonzero(mask.any(1))
        first, last = mask[ys].argmax(1), self.size[0] - mask[ys, ::-1].argmax(1)
        xs = np.concatenate([first, last, first, last])
        return np.stack([xs, np.concatenate([ys, ys, ys + 1, ys + 1])], axis=1) / self.size

    def open(self) -> Image.Image:
        """The stored picture, RGB."""
        return Image.fromarray(np.ascontiguousarray(stored(self.kept).transpose(1, 2, 0)))


def read_images(paths: Sequence[Path], splits: Collection[str] | None = None, pixels: bool = True) -> pl.DataFrame:
    """The rows of all shards whose split is among `splits`, ordered by image whatever the order of the paths.

    Pictures stay compressed, or are left out without `pixels`; each row becomes a Picture only when it is used.
    """
    frames = []
    for path in paths:
        kept = [next(name for name in PICTURES if name in pl.read_parquet_schema(path))] if pixels else []
        frames.append(pl.read_parquet(path, columns=[*COLUMNS, *kept]))
    frame = pl.concat(frames, how="diagonal_relaxed")
    return (frame if splits is None else frame.filter(pl.col("split").is_in(list(splits)))).sort("image_id")


def picture_of(row: Mapping[str, Any]) -> Picture:
    """A row of `read_images` (as `frame.row(index, named=True)` gives it) as a Picture."""
    size = row["width"], row["height"]
    return Picture(
        row["image_id"],
        row["patient"],
        row["modality"],
        {name: row.get(name) for name in PICTURES},
        {one["class_id"]: _relative(one, *size) for one in row["structures"] or ()},
        tuple(_caption(one, *size) for one in row["captions"] or ()),
        tuple(_question(one) for one in row["questions"] or ()),
        {one["class_id"]: one["rle"] for one in row["structures"] or ()},
        size,
    )


def _relative(box: Mapping[str, Any], width: int, height: int) -> Box:
    return box["x_min"] / width, box["y_min"] / height, box["x_max"] / width, box["y_max"] / height


def _caption(row: Mapping[str, Any], width: int, height: int) -> Caption:
    spans: dict[tuple[int, int, str], list[tuple[int, Box]]] = {}
    for one in row["entities"]:
        key = one["start"], one["end"], one["text"]
        spans.setdefault(key, []).append((one["class_id"], _relative(one, width, height)))
    mentions = tuple(Mention(*span, tuple(targets)) for span, targets in sorted(spans.items()))
    return Caption(row["language"], row["text"], row["indication"], row["question"], mentions)


def _question(row: Mapping[str, Any]) -> Question:
    choices = tuple(row["choices"] or ())
    return Question(row["language"], row["topic"], row["kind"], row["question"], choices, row["answer"])
