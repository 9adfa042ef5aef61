"""Whether the slices of a stack form a regular grid, and the grids in it.

Coordinates and units are those of `refrad.dicom.geometry`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refrad.dicom.geometry import (
    SAME_POSITION,
    Array,
    angle_between,
    normal_of,
    plane_of,
    positions_along,
    stack_affine,
)
from refrad.dicom.reasons import QuarantineError

__all__ = ["Stack", "check_stack", "irregularity_of", "regular_runs"]

STEEPEST = 45  # degrees; no gantry tilts that far (30 is usual), so the positions are wrong
TINY = 1e-6  # mm; errors of floating point


@dataclass(frozen=True)
class Stack:
    """Slices in the order of a volume.

    Attributes:
        order: int64 [n], index in the input of each slice.
        affine: float64 [4, 4], RAS+ mm, of the array [column, row, slice].
        plane: name of the nearest plane of the body; see `plane_of`.
        tilt: degrees between the slices' normal and the direction in which they are stacked.
    """

    order: NDArray[np.int64]
    affine: Array
    plane: str
    tilt: float

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between columns, rows and slices; between slices, along their normal."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z * np.cos(np.radians(self.tilt)))


def check_stack(
    positions: ArrayLike,
    orientations: ArrayLike,
    spacing: ArrayLike,
    *,
    minimum_slices: int,
    spacing_tolerance: float,
    angle_tolerance: float,
    sheared: bool = False,
    decimals: ArrayLike | None = None,
) -> Stack:
    """The slices in the order of their normal, checked to be a regular grid.

    Args:
        positions: [n, 3], LPS+ mm, of the slices in any order.
        orientations: [n, 6], LPS+, direction of a row, then of a column.
        spacing: [2], mm between rows, between columns; the same for all slices.
        minimum_slices: fewer slices are no volume.
        spacing_tolerance: largest deviation of a distance between neighbours from the median, as a share of the median.
        angle_tolerance: degrees between slices, and between their normal and the direction of stacking.
        sheared: accept stacks of any direction: the affine of a slanted one is sheared, and exact.
        decimals: see `irregularity_of`.

    Raises:
        QuarantineError: with the reason why they are no regular grid.
    """
    positions, orientations = np.asarray(positions, dtype=float), np.asarray(orientations, dtype=float)
    if len(positions) < 2:
        raise QuarantineError("too_few_slices")
    for directions in (orientations[:, :3], orientations[:, 3:]):
        if np.max(angle_between(directions, directions[0])) > angle_tolerance:
            raise QuarantineError("orientation_inconsistent")
    normal = normal_of(orientations[0])
    heights = positions_along(positions, normal)
    order = np.argsort(heights, kind="stable")
    positions, distances = positions[order], np.diff(heights[order])
    if np.min(distances) < SAME_POSITION:
        raise QuarantineError("four_dimensional")
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    tilt = float(angle_between(normal, step))
    if tilt > STEEPEST or (tilt > angle_tolerance and not sheared):
        raise QuarantineError("gantry_tilt")
    axes = np.stack([orientations[0, :3], orientations[0, 3:], normal])
    if reason := _irregularity(positions @ axes.T, spacing, spacing_tolerance, _rounding(decimals, normal)):
        raise QuarantineError(reason)
    if len(positions) < minimum_slices:
        raise QuarantineError("too_few_slices")
    affine = stack_affine(positions[0], step, orientations[0], spacing)
    return Stack(order, affine, plane_of(orientations[0]), tilt)


def irregularity_of(
    positions: ArrayLike,
    orientation: ArrayLike,
    spacing: ArrayLike,
    *,
    spacing_tolerance: float,
    decimals: ArrayLike | None = None,
) -> str | None:
    """Why parallel slices are no regular grid: "slice_missing" or "spacing_irregular"; None if they are one.

    Args:
        positions: [n, 3], LPS+ mm, of at least two slices in any order.
        orientation: [6], LPS+, direction of a row, then of a column, of all slices.
        spacing: [2], mm between rows, between columns.
        spacing_tolerance: as for `check_stack`.
        decimals: [n, 3], of the numbers of `positions` as written. Distances may differ by more than the tolerance if the
            rounding to so many decimals explains it. None: the positions are exact.
    """
    normal = normal_of(orientation)
    coordinates = np.asarray(positions, dtype=float) @ np.stack([*np.reshape(orientation, (2, 3)), normal]).T
    order = np.argsort(coordinates[:, 2], kind="stable")
    return _irregularity(coordinates[order], spacing, spacing_tolerance, _rounding(decimals, normal))


def _rounding(decimals: ArrayLike | None, normal: Array) -> float:
    """The largest error of a height, mm, if each coordinate is rounded to the decimals that its axis has in any slice."""
    if decimals is None:
        return 0.0
    return float(np.abs(normal) @ 10.0 ** -np.max(np.asarray(decimals), axis=0)) / 2


def regular_runs(
    positions: ArrayLike,
    orientation: ArrayLike,
    spacing: ArrayLike,
    *,
    minimum_slices: int,
    spacing_tolerance: float,
    decimals: ArrayLike | None = None,
) -> list[NDArray[np.int64]]:
    """The regular runs of neighbouring slices in a stack with gaps or changing distances.

    A slice between two runs belongs to the longer one.

    Args:
        positions: [n, 3], LPS+ mm, all different, of parallel slices in any order.
        orientation: [6], LPS+, direction of a row, then of a column, of all slices.
        spacing: [2], mm between rows, between columns.
        minimum_slices: shorter runs are left out.
        spacing_tolerance: as for `check_stack`.
        decimals: see `irregularity_of`.

    Returns:
        For each run the indices of its slices, int64 [length of the run], in the order of the normal, as are the runs.
    """
    positions, directions = np.asarray(positions, dtype=float), np.reshape(np.asarray(orientation, dtype=float), (2, 3))
    axes = np.stack([*directions, normal_of(orientation)])
    order = np.argsort(positions @ axes[2], kind="stable")
    coordinates = positions[order] @ axes.T
    rounding = _rounding(decimals, axes[2])
    runs, start = [], 0
    for end in range(2, len(coordinates) + 1):
        next_run = coordinates[start : end + 1]
        if end == len(coordinates) or _irregularity(next_run, spacing, spacing_tolerance, rounding):
            runs.append((start, end))
            start = end - 1  # the slice at the border may start the next run
    free = np.ones(len(coordinates), bool)
    long_runs = []
    for start, end in sorted(runs, key=lambda run: run[0] - run[1]):
        run = np.flatnonzero(free[start:end]) + start
        free[start:end] = False
        if len(run) >= minimum_slices:
            long_runs.append(run)
    return [order[run] for run in sorted(long_runs, key=lambda run: int(run[0]))]


def _irregularity(coordinates: Array, spacing: ArrayLike, tolerance: float, rounding: float) -> str | None:
    """Why slices are no regular grid; see `irregularity_of`.

    Args:
        coordinates: [n, 3], mm along row, column and normal, in the order of the normal.
        spacing: between rows, between columns.
        tolerance: see `check_stack`.
        rounding: see `_rounding`.
    """
    distances = np.diff(coordinates[:, 2])
    ratios = distances / np.median(distances)
    if np.max(np.abs(ratios - 1)) > tolerance and not _is_rounded(coordinates[:, 2], rounding):
        return "slice_missing" if _is_missing(distances, tolerance, rounding) else "spacing_irregular"
    # Small differences may add up, and slices may shift in their plane: all must be within half a voxel of the grid.
    step = (coordinates[-1] - coordinates[0]) / (len(coordinates) - 1)
    offsets = coordinates - (coordinates[0] + np.arange(len(coordinates))[:, None] * step)
    between_rows, between_columns = np.asarray(spacing, dtype=float)
    inside = np.all(np.abs(offsets) <= np.array([between_columns, between_rows, step[2]]) / 2)
    return None if inside else "spacing_irregular"


def _is_missing(distances: Array, tolerance: float, rounding: float) -> bool:
    """Whether all distances are whole multiples (1, 2, 3, ...) of one, within the tolerance and the errors of rounding."""
    single = np.mean(distances[distances < 1.6 * np.median(distances)])  # between 1, however rounded, and 2
    multiples = np.round(distances / single)
    step = np.sum(distances) / np.sum(multiples)
    errors = np.abs(distances - multiples * step)
    allowed = tolerance * multiples * step + (2 * rounding if 4 * rounding < step else 0)
    return bool(multiples.min() >= 1 and multiples.max() >= 2 and np.all(errors <= allowed))


def _is_rounded(heights: Array, error: float) -> bool:
    """Whether heights, in order, are those of equal steps, each off by no more than `error` (mm)."""
    numbers = np.arange(len(heights))
    mean, largest = (heights[-1] - heights[0]) / numbers[-1], 2 * error + TINY
    # A lost slice puts one 1/2 - 1/n of a distance off the nearest grid, less the error of rounding: it must not be as small.
    if error >= mean * (1 / 4 - 1 / (2 * len(heights))) * (1 - 1 / len(heights)):
        return False
    if np.ptp(heights - mean * numbers) > 2 * largest:
        return False
    low, high = mean - largest / numbers[-1], mean + largest / numbers[-1]
    for _ in range(40):  # halve the range of the step that has the smallest spread of errors
        residuals = heights - (low + high) / 2 * numbers
        top, bottom = int(np.argmax(residuals)), int(np.argmin(residuals))
        if residuals[top] - residuals[bottom] <= largest:
            return True
        low, high = ((low + high) / 2, high) if top > bottom else (low, (low + high) / 2)
    return False
