"""Areas, sides and points of the regions of one finding, on one grid for boxes and masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from scipy import ndimage

from refrad.evaluation.metrics.grounding import Region, is_mask

__all__ = [
    "RegionGrid",
    "as_box",
    "as_mask",
    "components",
    "contains",
    "deepest_point",
    "has_area",
    "region_grid",
    "within",
]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
EIGHT_NEIGHBOURS = np.ones((3, 3), int)


@dataclass(frozen=True)
class RegionGrid:
    """Regions of one image on common cells: pixels of masks, or the rectangles that the edges of boxes cut the image into.

    Attributes:
        true: the cells of each true region, bool [true, cells].
        predicted: the cells of each predicted region, bool [predicted, cells].
        areas: of the cells, float [cells], in squared units of the regions.
        columns: x from which and to which each cell reaches, float [2, cells], in units of the regions.
    """

    true: Bools
    predicted: Bools
    areas: Floats
    columns: Floats

    def dices(self) -> Floats:
        """Dice of each true with each predicted region, float [true, predicted]."""
        shared = (self.true * self.areas) @ self.predicted.T
        return np.asarray(2 * shared / ((self.true @ self.areas)[:, None] + self.predicted @ self.areas))

    def dice(self) -> float:
        """Dice of the union of the true with the union of the predicted regions."""
        true, predicted = self.true.any(0), self.predicted.any(0)
        return float(2 * (self.areas @ (true & predicted)) / (self.areas @ true + self.areas @ predicted))

    def true_area(self) -> float:
        """Area of the union of the true regions."""
        return float(self.areas @ self.true.any(0))

    def shares_below(self, x: float) -> tuple[float, float]:
        """The share of the area at smaller x, of the union of the true and of the predicted regions; NaN without any area."""
        start, stop = self.columns
        below = np.clip((x - start) / (stop - start), 0, 1)
        unions = np.stack([self.true.any(0), self.predicted.any(0)]) * self.areas
        with np.errstate(invalid="ignore"):
            true, predicted = (unions @ below) / unions.sum(1)
        return float(true), float(predicted)


@dataclass(frozen=True)
class BoxPair:
    """One true and at most one predicted box, with the measures of `RegionGrid`: the most common case, at a tenth of the time."""

    true: Sequence[Sequence[float]]
    predicted: Sequence[Sequence[float]]

    def dices(self) -> Floats:
        """Dice of the boxes, float [1, predicted]."""
        return np.array([[self.dice()]] if self.predicted else np.zeros((1, 0)))

    def dice(self) -> float:
        """Dice of the boxes; 0 without a predicted one."""
        if not self.predicted:
            return 0.0
        a, b = self.true[0], self.predicted[0]
        shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
        return 2 * shared / (_area(a) + _area(b))

    def true_area(self) -> float:
        """Area of the true box."""
        return _area(self.true[0])

    def shares_below(self, x: float) -> tuple[float, float]:
        """The share of each box at smaller x; NaN without a predicted one."""
        true, predicted = (
            [min(max((x - box[0]) / (box[2] - box[0]), 0.0), 1.0) for box in boxes]
            for boxes in (self.true, self.predicted)
        )
        return true[0], predicted[0] if predicted else float("nan")


def _area(box: Sequence[float]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def region_grid(true: Sequence[Region], predicted: Sequence[Region]) -> RegionGrid | BoxPair:
    """The measures of the regions of one finding; all are boxes in one unit, or masks of one size, each with some area.

    Args:
        true: the true regions, at least one.
        predicted: those of the answer.

    Raises:
        ValueError: if boxes are compared with masks, or masks differ in size.
    """
    regions = [*true, *predicted]
    if len({is_mask(region) for region in regions}) > 1:
        raise ValueError("a box cannot be compared with a mask: give both sides as boxes or both as masks")
    if len(true) == 1 and len(predicted) <= 1 and not is_mask(true[0]):
        return BoxPair([as_box(region) for region in true], [as_box(region) for region in predicted])
    if is_mask(regions[0]):
        cells, x, areas = _mask_cells([as_mask(region) for region in regions])
    else:
        cells, x, areas = _box_cells(np.array(regions, np.float64))
    columns = np.broadcast_to(np.stack([x[:-1], x[1:]])[:, None], (2, *areas.shape)).reshape(2, -1)
    cells = cells.reshape(len(regions), -1)
    return RegionGrid(cells[: len(true)], cells[len(true) :], areas.ravel(), columns)


def _mask_cells(masks: Sequence[Bools]) -> tuple[Bools, Floats, Floats]:
    """Cells bool [masks, rows, columns], edges of the columns and areas of the cells: the pixels."""
    cells = np.stack(masks)
    return cells, np.arange(cells.shape[2] + 1, dtype=np.float64), np.ones(cells.shape[1:])


def crop(masks: Sequence[Bools]) -> tuple[list[Bools], int]:
    """The masks, cropped to the smallest rectangle with all their pixels, and the x of its first column.

    Raises:
        ValueError: if the masks differ in size, or all are empty.
    """
    if len({mask.shape for mask in masks}) > 1:
        raise ValueError("masks of different size cannot be compared")
    rows, columns = _span(masks, 1), _span(masks, 0)
    return [mask[rows, columns] for mask in masks], columns.start


def _span(masks: Sequence[Bools], axis: int) -> slice:
    """From the first to the last row (column) that has a pixel of any mask; `axis` is the other axis."""
    used: Bools = np.any([mask.any(axis) for mask in masks], axis=0)
    indices = np.flatnonzero(used)
    if not len(indices):
        raise ValueError("the masks have no pixel")
    return slice(int(indices[0]), int(indices[-1]) + 1)


def _box_cells(boxes: Floats) -> tuple[Bools, Floats, Floats]:
    """Cells bool [boxes, rows, columns], edges of the columns and areas of the cells between all edges of the boxes."""
    x, y = np.unique(boxes[:, 0::2]), np.unique(boxes[:, 1::2])
    across = (x[:-1] >= boxes[:, 0, None]) & (x[1:] <= boxes[:, 2, None])
    down = (y[:-1] >= boxes[:, 1, None]) & (y[1:] <= boxes[:, 3, None])
    return down[:, :, None] & across[:, None, :], x, np.outer(np.diff(y), np.diff(x))


def as_box(region: Region) -> Sequence[float]:
    """A region that is a box."""
    return cast(Sequence[float], region)


def as_mask(region: Any) -> Bools:
    """A mask in any form as bool [height, width]."""
    if isinstance(region, np.ndarray):
        return np.asarray(region, bool)
    counts = region["counts"]
    if isinstance(counts, list):
        encoded = coco.frPyObjects(dict(region), *region["size"])
    else:
        encoded = dict(region) | {"counts": counts.encode("ascii") if isinstance(counts, str) else counts}
    return np.asarray(coco.decode(encoded), bool)


def has_area(region: Region) -> bool:
    """True if a region covers anything."""
    if is_mask(region):
        return bool(as_mask(region).any())
    x_min, y_min, x_max, y_max = as_box(region)
    return bool(x_min < x_max and y_min < y_max)


def within(box: Sequence[float], size: tuple[float, float]) -> Sequence[float]:
    """The part of a box that lies in an image of some width and height, from 0 on; without area if none does."""
    width, height = size
    return [min(max(side, 0.0), end) for side, end in zip(box, (width, height, width, height), strict=True)]


def components(mask: Bools) -> list[Bools]:
    """The connected parts of a mask, bool [height, width] each; pixels that touch at a corner are connected."""
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    return [labels == number for number in range(1, count + 1)]


def deepest_point(region: Region) -> tuple[float, float]:
    """The point (x, y) that represents a region: the centre of a box, or of the pixel of a mask that is farthest from its edge.

    Of several such pixels it is the one closest to the centroid of the mask, then the first row by row. The pixel is in the mask
    whatever its shape; a centroid may not be.

    Raises:
        ValueError: if the mask is empty.
    """
    if not is_mask(region):
        x_min, y_min, x_max, y_max = as_box(region)
        return (x_min + x_max) / 2, (y_min + y_max) / 2
    mask = as_mask(region)
    rows, columns = _span([mask], 1), _span([mask], 0)
    depth = ndimage.distance_transform_edt(np.pad(mask[rows, columns], 1))[1:-1, 1:-1]
    deepest = np.argwhere(depth >= depth.max() - 1e-9)
    centroid = np.argwhere(mask[rows, columns]).mean(0)
    row, column = deepest[((deepest - centroid) ** 2).sum(1).round(9).argmin()]
    return float(column + columns.start + 0.5), float(row + rows.start + 0.5)


def contains(region: Region, x: float, y: float) -> bool:
    """True if a point is in a region; the edge of a box belongs to it."""
    if is_mask(region):
        return bool(as_mask(region)[int(y), int(x)])
    x_min, y_min, x_max, y_max = as_box(region)
    return bool(x_min <= x <= x_max and y_min <= y <= y_max)
