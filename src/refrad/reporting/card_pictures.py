"""Pictures of slices for the pages: in full resolution from the volume store, in several windows, with letters at their edges."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.dataset.image_codec import decode_image, window_image
from refrad.dataset.shard_rows import ImageRow
from refrad.dicom.hanging import TURNS, turned_letters
from refrad.dicom.side_marks import EdgeLetters, slice_directions
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume
from refrad.dicom.windows import (
    BONE,
    BRAIN,
    LUNG,
    MEDGEMMA_WINDOWS,
    SOFT_TISSUE,
    DisplayWindow,
    display_grey,
    window_of_classes,
)
from refrad.reporting.drawing import jpeg_uri

__all__ = ["CHANNELS", "PictureSources", "SlicePicture", "has_brain", "picture_of_slice", "pictures_of_rows"]

CHANNELS = ("lung; brain in heads", "soft tissue", "bone")  # of the pictures
BODY_WINDOWS, HEAD_WINDOWS = (LUNG, SOFT_TISSUE, BONE), (BRAIN, SOFT_TISSUE, BONE)
LARGEST = 1024  # px of a picture's longer side; larger ones are reduced
NO_STORE = "the volume is not in the store"
OTHER_VOLUME = "the volume in the store is not that of the dataset"


@dataclass(frozen=True)
class SlicePicture:
    """A slice for a page.

    Attributes:
        uri: a JPEG.
        aspect: width by height in mm.
        windows: of its three channels; none if it is no CT or is in one window.
        edges: letters of the edges; None if the orientation is unknown.
        note: what a reader must know about the picture, or nothing.
    """

    uri: str
    aspect: float
    windows: Sequence[DisplayWindow] = ()
    edges: EdgeLetters | None = None
    note: str = ""

    def channel_of(self, class_names: Iterable[str]) -> int:
        """The channel to show first for some classes: that of the window of most of them, else soft tissue."""
        window = window_of_classes(class_names)
        return self.windows.index(window if window in self.windows else SOFT_TISSUE) if self.windows else 1


@dataclass(frozen=True)
class PictureSources:
    """Where the slices of rows are.

    Attributes:
        volumes: VolumeTable rows, or their columns volume and file.
        store: folder of the volumes.
        windows: width and level of the channels of the shards, HU.
        size: side of the pictures in the shards, px.
    """

    volumes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"volume": pl.String, "file": pl.String}))
    store: Path = Path()
    windows: Sequence[Sequence[float]] = MEDGEMMA_WINDOWS
    size: int = 128

    def files_of(self, volumes: Iterable[str]) -> dict[str, Path]:
        """Volume to its file in the store; without those that are not there, or that deliveries have different files of."""
        rows = self.volumes.filter(pl.col("volume").is_in(list(volumes)), pl.col("file").is_not_null())
        unique = rows.select("volume", "file").unique().group_by("volume").agg(pl.col("file"))
        paths = {volume: self.store / files[0] for volume, files in unique.iter_rows() if len(files) == 1}
        return {volume: path for volume, path in paths.items() if path.exists()}


def picture_of_slice(
    image: NDArray[np.int16], modality: str, is_head: bool, aspect: float, edges: EdgeLetters | None
) -> SlicePicture:
    """A slice in three windows: those of `CHANNELS` if it is CT.

    Args:
        image: [row, column], HU for CT.
        modality: "CT" or "MR".
        is_head: whether a brain is in the image.
        aspect: width by height in mm.
        edges: letters of the edges.
    """
    if modality != "CT":
        return SlicePicture(jpeg_uri(_reduced(display_grey(image, modality))), aspect, (), edges)
    windows = HEAD_WINDOWS if is_head else BODY_WINDOWS
    channels = np.stack([display_grey(image, modality, window) for window in windows], axis=-1)
    return SlicePicture(jpeg_uri(_reduced(channels)), aspect, windows, edges)


def pictures_of_rows(rows: Iterable[ImageRow], sources: PictureSources, schema: Schema) -> dict[str, SlicePicture]:
    """Image id to its picture; each volume is read once.

    The slice of the volume store is used only if the picture of the dataset follows from it, else the latter, and the picture says so.

    Args:
        rows: of the dataset, with their pictures.
        sources: where the volumes are.
        schema: the class schema.
    """
    by_volume: dict[str, list[ImageRow]] = {}
    for row in rows:
        by_volume.setdefault(row["volume"], []).append(row)
    files = sources.files_of(by_volume)
    pictures = {}
    for volume, of_volume in by_volume.items():
        values, affine = read_volume(files[volume]) if volume in files else (None, np.eye(4))
        for row in of_volume:
            is_head = has_brain(schema.by_id[structure["class_id"]].name for structure in row["structures"])
            image = None if values is None else _slice_of_row(values, row, sources)
            if image is None:
                why = NO_STORE if values is None else OTHER_VOLUME
                picture = _stored_picture(row, is_head, why, sources.windows)
            else:
                edges = turned_letters(*slice_directions(affine), TURNS[row["turn"]])
                picture = picture_of_slice(image, row["modality"], is_head, _aspect(row), edges)
            pictures[row["image_id"]] = picture
    return pictures


def has_brain(class_names: Iterable[str]) -> bool:
    """Whether one of the classes is read in a brain window."""
    return any(window_of_classes([name]) == BRAIN for name in class_names)


def _stored_picture(row: ImageRow, is_head: bool, why: str, windows: Sequence[Sequence[float]]) -> SlicePicture:
    """The picture of the dataset, each channel from the stored one whose window is nearest."""
    stored = decode_image(row).transpose(1, 2, 0)
    note, edges = f"picture of the dataset, {stored.shape[0]} px: {why}", EdgeLetters(**row["edges"])
    if row["modality"] != "CT":
        return SlicePicture(jpeg_uri(stored[..., 1]), _aspect(row), (), edges, note)
    display = HEAD_WINDOWS if is_head else BODY_WINDOWS
    channels = stored[..., [_nearest(window, windows) for window in display]]
    return SlicePicture(jpeg_uri(channels), _aspect(row), display, edges, note)


def _slice_of_row(values: NDArray[np.int16], row: ImageRow, sources: PictureSources) -> NDArray[np.int16] | None:
    """The slice of a row, turned as the row is, or None if it does not give the picture of the row, such as after a rerun with other data."""
    turn = TURNS[row["turn"]]
    if turn.size(*values.shape[:2]) != (row["width"], row["height"]) or row["index"] >= values.shape[2]:
        return None
    image = turn.image(image_at(values, row["index"]))
    same = window_image(image, row["modality"], sources.windows, sources.size)
    return image if np.array_equal(same, decode_image(row)) else None


def _aspect(row: ImageRow) -> float:
    return row["width"] * row["spacing_x"] / (row["height"] * row["spacing_y"])


def _nearest(window: DisplayWindow, stored: Sequence[Sequence[float]]) -> int:
    """The stored window whose two ends are nearest to those of a window."""

    def ends(width: float, level: float) -> NDArray[np.float64]:
        return np.array([level - width / 2, level + width / 2])

    own = ends(window.width, window.level)
    return int(np.argmin([np.abs(ends(*stored_window) - own).sum() for stored_window in stored]))


def _reduced(picture: NDArray[np.uint8]) -> NDArray[Any]:
    """A picture [row, column, ...] whose longer side has at most `LARGEST` px."""
    height, width = picture.shape[:2]
    scale = LARGEST / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BOX))
