"""Pictures of volumes for the pages: three views of some as radiologists hang them, and middle slices of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import AcceptedVolumeRow, rows_of
from refrad.dicom.hanging import PLANES, Turn, axis_across, radiological_turn, turned_letters
from refrad.dicom.side_marks import letters_of_slice, slice_directions
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume
from refrad.dicom.windows import SOFT_TISSUE, DisplayWindow, display_grey, window_of_classes
from refrad.reporting.card_pictures import SlicePicture
from refrad.reporting.drawing import jpeg_uri, overlay_labels
from refrad.reporting.gallery import ClassChip, legend_of
from refrad.segmentation.labels import load_labels

__all__ = ["VolumeFigure", "three_views", "volume_figures", "volume_sheet"]

VIEWED = 4  # volumes on a stage page
SHEET = 24  # volumes among the middle slices
SHEET_SIDE = 192  # px of the longer side of a middle slice


@dataclass(frozen=True)
class VolumeFigure:
    """Pictures of a volume, what they are, and the classes in them with their colours."""

    pictures: Sequence[SlicePicture]
    caption: str
    legend: Sequence[ClassChip] = ()


def volume_figures(
    volumes: pl.DataFrame, masks: pl.DataFrame, volume_store: Path, mask_store: Path, schema: Schema
) -> dict[str, list[VolumeFigure]]:
    """Middle slices of one volume of each modality and plane, without (key volumes) and with (key masks) their classes."""
    labelled = masks.select("volume", "task", mask="file").drop_nulls("mask")
    candidates = volumes.join(labelled, on="volume").sort("volume")
    chosen = candidates.unique(["modality", "plane"], keep="first", maintain_order=True).head(VIEWED)
    figures: dict[str, list[VolumeFigure]] = {"volumes": [], "masks": []}
    for volume in chosen.iter_rows(named=True):
        values, affine = read_volume(volume_store / volume["file"])
        classes = schema.native_lut(volume["task"])[load_labels(mask_store / volume["mask"])]
        grid = (
            f"{volume['columns']} x {volume['rows']} x {volume['slices']}, {volume['spacing_z']:.1f} mm between slices"
        )
        caption = (
            f"{volume['modality']}, {volume['plane']}, {grid}; volume {volume['volume']}, patient {volume['patient']}"
        )
        views = Views(values, affine, volume["modality"], classes, schema)
        figures["volumes"].append(VolumeFigure(three_views(views, labels=False), caption))
        figures["masks"].append(VolumeFigure(three_views(views), caption, legend_of(views.visible_classes(), schema)))
    return figures


@dataclass(frozen=True)
class Views:
    """A volume to be viewed: voxels and class ids [column, row, slice], affine RAS+ mm, and the voxel where the views meet."""

    values: NDArray[np.int16]
    affine: NDArray[np.float64]
    modality: str
    classes: NDArray[np.uint8]
    schema: Schema
    at: Sequence[int] | None = None

    def visible_classes(self) -> list[int]:
        """The classes in the three views, the largest first."""
        counts = sum(np.bincount(self._slice(self.classes, plane).ravel(), minlength=256) for plane in PLANES)
        order = np.argsort(-np.asarray(counts), kind="stable")
        return [int(class_id) for class_id in order if class_id in self.schema.by_id and np.asarray(counts)[class_id]]

    def picture(self, plane: str, labels: bool) -> SlicePicture:
        """The view in a plane of the body, in the window of the organs that cover most of it."""
        turn, directions = self._turn(plane)
        classes = self._slice(self.classes, plane)
        grey = display_grey(self._slice(self.values, plane), self.modality, self._window(classes))
        spacing_x, spacing_y = turn.size(*(float(np.linalg.norm(direction)) for direction in directions))
        aspect = grey.shape[1] * spacing_x / (grey.shape[0] * spacing_y)
        uri = jpeg_uri(overlay_labels(grey, classes) if labels else grey)
        return SlicePicture(uri, aspect, edges=turned_letters(*directions, turn))

    def _turn(self, plane: str) -> tuple[Turn, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """The turn of the slices of a plane, and the directions of their rows and columns before it, mm a pixel."""
        directions = slice_directions(self.affine, axis_across(self.affine, plane))
        return radiological_turn(*directions, plane), directions

    def _slice(self, array: NDArray[Any], plane: str) -> NDArray[Any]:
        across = axis_across(self.affine, plane)
        index = self.at[across] if self.at else array.shape[across] // 2
        return self._turn(plane)[0].image(image_at(array, index, across))

    def _window(self, classes: NDArray[np.uint8]) -> DisplayWindow:
        """The window of the organs that cover most pixels."""
        pixels: dict[DisplayWindow, int] = {}
        for class_id, count in enumerate(np.bincount(classes.ravel())):
            if count and class_id in self.schema.by_id:
                window = window_of_classes([self.schema.by_id[class_id].name])
                pixels[window] = pixels.get(window, 0) + int(count)
        return max(pixels, key=lambda window: pixels[window], default=SOFT_TISSUE)


def three_views(views: Views, labels: bool = True) -> list[SlicePicture]:
    """The axial, coronal and sagittal view, with or without the classes in colour."""
    return [views.picture(plane, labels) for plane in PLANES]


def volume_sheet(volumes: pl.DataFrame, store: Path) -> VolumeFigure | None:
    """Middle slices of some volumes: modalities, planes and body parts in turn, so that rare ones are seen."""
    kinds = ["modality", "plane", "body_part"]
    accepted = volumes.filter(pl.col("file").is_not_null())
    if accepted.is_empty():
        return None
    accepted = accepted.sort("volume").with_columns(turn=pl.int_range(pl.len()).over(kinds))
    chosen = accepted.sort("turn", *kinds, "volume").head(SHEET)
    pictures = [_middle_slice(volume, store) for volume in rows_of(chosen, AcceptedVolumeRow)]
    caption = f"{len(chosen)} of {len(accepted)} volumes, as the scanner stored them: rows down, columns to the right."
    return VolumeFigure(pictures, caption)


def _middle_slice(volume: AcceptedVolumeRow, store: Path) -> SlicePicture:
    values, affine = read_volume(store / volume["file"])
    grey = display_grey(image_at(values, values.shape[2] // 2), volume["modality"])
    small = Image.fromarray(grey)
    small.thumbnail((SHEET_SIDE, SHEET_SIDE))
    aspect = volume["columns"] * volume["spacing_x"] / (volume["rows"] * volume["spacing_y"])
    return SlicePicture(jpeg_uri(np.asarray(small)), aspect, edges=letters_of_slice(affine), note=volume["volume"])
