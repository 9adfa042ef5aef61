"""Classes of every slice, with area and box, without the stray voxels that would enlarge boxes.

Masks and boxes of a slice come from the same rule, so they always agree.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

__all__ = ["Component", "OutlierRule", "class_mask", "classes_of_slice", "find_structures", "keep_components"]

Ints = NDArray[np.int64]
COLUMNS = ("index", "class_id", "x_min", "y_min", "x_max", "y_max", "area", "components")

CONNECTED = np.ones((3, 3), bool)  # pixels that touch at a corner are connected


@dataclass(frozen=True)
class OutlierRule:
    """Which connected components of a class in a slice are kept.

    A component is kept if it has at least `minimum_area_mm2` and at least `minimum_share` of the largest component's area.
    """

    minimum_area_mm2: float
    minimum_share: float


class Component(NamedTuple):
    """A connected component in an image of component numbers [column, row]: number, class, bounding slices, and area in px."""

    number: int
    class_id: int
    box: tuple[slice, slice]
    area: int


def keep_components(
    labels: NDArray[np.uint8], pixel_mm2: float, rule: OutlierRule
) -> tuple[NDArray[np.int32], list[Component]]:
    """Connected components of equal label in a slice, without outliers.

    Args:
        labels: class ids uint8 [column, row]; 0 is background.
        pixel_mm2: area of a pixel, mm².
        rule: which components to keep.

    Returns:
        An image int32 [column, row] of component numbers (0 elsewhere and for outliers), and the kept components by number.
    """
    components = np.zeros(labels.shape, np.int32)
    count = 0
    # Each class is labelled inside its own bounding box only: most classes cover a small part of the slice.
    for class_id, box in enumerate(ndimage.find_objects(labels), 1):
        if box is not None:
            numbers, n = ndimage.label(labels[box] == class_id, CONNECTED)
            components[box] += np.where(numbers > 0, numbers + count, 0)
            count += n
    if not count:
        return components, []
    areas = np.bincount(components.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(components)
    owner = np.zeros(count + 1, np.int64)
    owner[components] = labels
    largest = np.zeros(256, np.int64)
    np.maximum.at(largest, owner[1:], areas[1:])
    keep = (areas * pixel_mm2 >= rule.minimum_area_mm2) & (areas >= rule.minimum_share * largest[owner])
    keep[0] = False
    components[~keep[components]] = 0
    return components, [
        Component(n, int(owner[n]), boxes[n - 1], int(areas[n])) for n in range(1, count + 1) if keep[n]
    ]


def find_structures(
    labels: NDArray[np.uint8],
    lut: NDArray[np.uint8],
    spacing: tuple[float, float],
    rule: OutlierRule,
    slab: int = 64,
) -> dict[str, NDArray[np.int32]]:
    """All classes of all slices of a label volume.

    The volume is read once, a slab of slices at a time, as runs: stretches of one class along a line of pixels. Runs that
    touch in neighbouring lines are connected; boxes, areas and components follow from the runs.

    Args:
        labels: native ids uint8 [column, row, slice].
        lut: uint8 [256], native id to class id.
        spacing: mm between columns and between rows.
        rule: the outlier rule.
        slab: slices processed at once; no result depends on it.

    Returns:
        A row for each class in a slice, ordered by slice and class, as columns int32: index (of the slice), class_id, x_min,
        y_min, x_max, y_max (half-open box in px; x along the first array axis, DICOM columns, y along the second, rows), area
        (px) and components (number of kept connected components).
    """
    parts = []
    for first in range(0, labels.shape[2], slab):
        part = _structures_of_runs(_runs(labels[:, :, first : first + slab], lut), spacing[0] * spacing[1], rule)
        part["index"] += first
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]).astype(np.int32) for name in COLUMNS}


@dataclass(frozen=True)
class Runs:
    """Stretches of pixels of one class, in the order of the pixels, as columns int64 [run]: class, slice, line, first and last column + 1."""

    class_id: Ints
    index: Ints
    line: Ints
    start: Ints
    stop: Ints


def _runs(labels: NDArray[np.uint8], lut: NDArray[np.uint8]) -> Runs:
    """The runs of native labels [column, row, slice] whose class is not 0."""
    columns, rows, _ = labels.shape
    flat = labels.ravel(order="F")
    changes = np.empty(flat.size + 1, bool)
    np.not_equal(flat[1:], flat[:-1], out=changes[1:-1])
    changes[::columns] = True  # a run ends with its line
    bounds = np.flatnonzero(changes)
    classes = lut[flat[bounds[:-1]]]
    # Neighbours that the look-up table made equal are one run.
    same = (classes[1:] == classes[:-1]) & (bounds[1:-1] % columns != 0)
    first = np.flatnonzero(np.concatenate([[True], ~same]))
    starts, classes = bounds[:-1][first], classes[first]
    stops = np.append(starts[1:], flat.size)
    filled = np.flatnonzero(classes)
    starts, stops = starts[filled], stops[filled]
    line = starts // columns
    return Runs(classes[filled].astype(np.int64), line // rows, line % rows, starts % columns, stops - line * columns)


def _components(runs: Runs) -> Ints:
    """Number of the connected component of each run; pixels that touch at a corner are connected."""
    # One axis for all lines, with a gap between them and between slices, so that no run touches one of another line.
    width = int(runs.stop.max(initial=0)) + 2
    height = int(runs.line.max(initial=0)) + 2
    origin = (runs.index * height + runs.line) * width
    start, stop = origin + runs.start, origin + runs.stop
    # Runs of the line below that reach from the pixel left of a run's first to the pixel right of its last.
    low = np.searchsorted(stop, start + width)
    counts = np.maximum(np.searchsorted(start, stop + width, side="right") - low, 0)
    above = np.repeat(np.arange(len(start)), counts)
    below = np.arange(len(above)) + np.repeat(low - np.cumsum(counts) + counts, counts)
    touch = runs.class_id[above] == runs.class_id[below]
    edges = coo_matrix((np.ones(int(touch.sum()), bool), (above[touch], below[touch])), shape=(len(start), len(start)))
    return np.asarray(connected_components(edges, directed=False)[1])


def _structures_of_runs(runs: Runs, pixel_mm2: float, rule: OutlierRule) -> dict[str, Ints]:
    """One row for each slice and class that keeps a component."""
    component = _components(runs)
    count = int(component.max(initial=-1)) + 1
    area = np.bincount(component, runs.stop - runs.start, minlength=count)
    slice_and_class = np.zeros(count, np.int64)  # of a component
    slice_and_class[component] = runs.index * 256 + runs.class_id
    keys, group = np.unique(slice_and_class, return_inverse=True)
    largest = np.zeros(len(keys))
    np.maximum.at(largest, group, area)
    keep = (area * pixel_mm2 >= rule.minimum_area_mm2) & (area >= rule.minimum_share * largest[group])
    columns = {"index": keys // 256, "class_id": keys % 256}
    is_kept_run = keep[component]
    row = group[component][is_kept_run]
    for name, values, low in (
        ("x_min", runs.start, True),
        ("y_min", runs.line, True),
        ("x_max", runs.stop, False),
        ("y_max", runs.line + 1, False),
    ):
        columns[name] = np.full(len(keys), np.iinfo(np.int32).max if low else 0)
        (np.minimum if low else np.maximum).at(columns[name], row, values[is_kept_run])
    columns["area"] = np.bincount(group[keep], area[keep], minlength=len(keys)).astype(np.int64)
    columns["components"] = np.bincount(group[keep], minlength=len(keys))
    is_kept = columns["components"] > 0
    return {name: values[is_kept] for name, values in columns.items()}


def class_mask(
    labels: NDArray[np.uint8], lut: NDArray[np.uint8], class_id: int, spacing: tuple[float, float], rule: OutlierRule
) -> NDArray[np.bool_]:
    """Mask bool [row, column] of a class in one slice, oriented as the DICOM image, after the outlier rule.

    Args:
        labels: native ids uint8 [column, row] of the slice.
        lut: uint8 [256], native id to class id.
        class_id: of the mask.
        spacing: mm between columns and between rows.
        rule: the outlier rule.
    """
    classes = lut[labels]
    components, _ = keep_components(
        np.where(classes == class_id, classes, 0).astype(np.uint8), spacing[0] * spacing[1], rule
    )
    return (components > 0).T


def classes_of_slice(
    labels: NDArray[np.uint8], lut: NDArray[np.uint8], pixel_mm2: float, rule: OutlierRule
) -> NDArray[np.uint8]:
    """The classes of a slice uint8 [row, column], oriented as the DICOM image, without outliers; one pass for all classes.

    Args:
        labels: native labels [column, row].
        lut: uint8 [256], from native label to class id.
        pixel_mm2: area of a pixel, mm².
        rule: that of stage structures.
    """
    numbers, components = keep_components(lut[labels], pixel_mm2, rule)
    owner = np.zeros(max((number for number, *_ in components), default=0) + 1, np.uint8)
    for number, class_id, *_ in components:
        owner[number] = class_id
    return owner[numbers].T
