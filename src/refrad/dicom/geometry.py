"""Where slices lie in the patient, and whether they form a volume.

Positions, orientations and pixel spacings are as in DICOM (PS3.3 C.7.6.2.1.1): mm; x to the patient's left, y to the
back, z to the head; orientation = direction of a row (along which columns count), then of a column; spacing = between
rows, then between columns. Affines are as in NIfTI: x to the right, y to the front, z to the head (RAS+).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refrad.dicom.reasons import QuarantineError

__all__ = [
    "Stack",
    "angle_between",
    "check_stack",
    "is_plausible",
    "normal_of",
    "plane_of",
    "positions_along",
    "regular_runs",
    "stack_affine",
]

Array = NDArray[np.float64]

SAME_POSITION = 0.01  # mm; closer slices show the same place
STEEPEST = 45  # degrees; no gantry tilts that far (30 is usual), so such positions are wrong
OBLIQUE = 30  # degrees from the nearest axis of the body


@dataclass(frozen=True)
class Stack:
    """Slices in the order of a volume: the given number of each slice, and the affine of array [column, row, slice].

    `tilt`: degrees between the slices' normal and the direction in which they are stacked.
    """

    order: NDArray[np.int64]
    affine: Array
    plane: str
    tilt: float

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm between columns, rows and slices; between slices, along their normal."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z * np.cos(np.radians(self.tilt)))


def is_plausible(position: Sequence[float], orientation: Sequence[float], spacing: Sequence[float]) -> bool:
    """All are there, the spacings are positive, and the directions are unit vectors at a right angle (within 1 %)."""
    if not (position and orientation and spacing):
        return False
    directions = np.reshape(orientation, (2, 3))
    return min(spacing) > 0 and bool(np.max(np.abs(directions @ directions.T - np.eye(2))) < 0.01)


def normal_of(orientation: ArrayLike) -> Array:
    """Unit vector across an image: row direction x column direction. [..., 6] -> [..., 3]."""
    directions = np.asarray(orientation, dtype=float)
    normal = np.cross(directions[..., :3], directions[..., 3:])
    return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True))


def positions_along(positions: ArrayLike, normal: ArrayLike) -> Array:
    """Mm along `normal` of each position. [n, 3], [3] -> [n]."""
    return np.asarray(np.asarray(positions, dtype=float) @ np.asarray(normal, dtype=float))


def angle_between(one: ArrayLike, other: ArrayLike) -> Array:
    """Degrees between vectors. [..., 3], [..., 3] -> [...]. Exact for small angles too, where arccos is not."""
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    across, along = np.linalg.norm(np.cross(one, other), axis=-1), np.sum(one * other, axis=-1)
    return np.asarray(np.degrees(np.arctan2(across, along)))


def plane_of(orientation: ArrayLike) -> str:
    """Name of the nearest plane of the body, "oblique" if it is more than `OBLIQUE` degrees away."""
    normal = np.abs(normal_of(orientation))
    axis = int(np.argmax(normal))
    return ("sagittal", "coronal", "axial")[axis] if normal[axis] >= np.cos(np.radians(OBLIQUE)) else "oblique"


def stack_affine(first: ArrayLike, step: ArrayLike, orientation: ArrayLike, spacing: ArrayLike) -> Array:
    """RAS+ affine [4, 4] of an array [column, row, slice].

    Args:
        first: position of the first slice.
        step: from one slice to the next, mm.
        orientation: of all slices.
        spacing: mm between rows, mm between columns.
    """
    directions = np.reshape(np.asarray(orientation, dtype=float), (2, 3))
    between_rows, between_columns = np.asarray(spacing, dtype=float)
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * between_columns
    affine[:3, 1] = directions[1] * between_rows
    affine[:3, 2] = step
    affine[:3, 3] = first
    affine[:2] *= -1
    return affine + 0.0  # no negative zeros


def check_stack(
    positions: ArrayLike,
    orientations: ArrayLike,
    spacing: ArrayLike,
    *,
    minimum_slices: int,
    spacing_tolerance: float,
    angle_tolerance: float,
    sheared: bool = False,
) -> Stack:
    """Order slices along their normal and make sure that they are the regular grid that an affine says they are.

    Args:
        positions: [n, 3], of the slices in any order.
        orientations: [n, 6].
        spacing: between rows, between columns; the same for all slices.
        minimum_slices: fewer make no volume.
        spacing_tolerance: how much a distance between neighbours may differ from the median, as a share of it.
        angle_tolerance: degrees between slices, and between their normal and the direction of stacking.
        sheared: take stacks of any direction: the affine of a slanted one is sheared, and exact.

    Raises:
        QuarantineError: with the reason why they are not.
    """
    positions, orientations = np.asarray(positions, dtype=float), np.asarray(orientations, dtype=float)
    if len(positions) < 2:
        raise QuarantineError("too_few_slices")
    for directions in (orientations[:, :3], orientations[:, 3:]):
        if np.max(angle_between(directions, directions[0])) > angle_tolerance:
            raise QuarantineError("orientation_inconsistent")
    normal = normal_of(orientations[0])
    places = positions_along(positions, normal)
    order = np.argsort(places, kind="stable")
    positions, distances = positions[order], np.diff(places[order])
    if np.min(distances) < SAME_POSITION:
        raise QuarantineError("four_dimensional")
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    tilt = float(angle_between(normal, step))
    if tilt > STEEPEST or (tilt > angle_tolerance and not sheared):
        raise QuarantineError("gantry_tilt")
    axes = np.stack([orientations[0, :3], orientations[0, 3:], normal])
    if reason := _irregularity(positions @ axes.T, spacing, spacing_tolerance):
        raise QuarantineError(reason)
    if len(positions) < minimum_slices:
        raise QuarantineError("too_few_slices")
    affine = stack_affine(positions[0], step, orientations[0], spacing)
    return Stack(order, affine, plane_of(orientations[0]), tilt)


def regular_runs(
    positions: ArrayLike, orientation: ArrayLike, spacing: ArrayLike, *, minimum_slices: int, spacing_tolerance: float
) -> list[NDArray[np.int64]]:
    """The runs of neighbouring slices that are regular each by itself, of a stack with gaps or changing distances.

    Arguments as of `check_stack`, for slices that are parallel and all at different places. A slice between two runs belongs to
    the longer one.

    Returns:
        Of each run with enough slices their numbers, along the normal; the runs are in this order too.
    """
    positions, directions = np.asarray(positions, dtype=float), np.reshape(np.asarray(orientation, dtype=float), (2, 3))
    axes = np.stack([*directions, normal_of(orientation)])
    order = np.argsort(positions @ axes[2], kind="stable")
    places = positions[order] @ axes.T
    runs, start = [], 0
    for end in range(2, len(places) + 1):
        if end == len(places) or _irregularity(places[start : end + 1], spacing, spacing_tolerance):
            runs.append((start, end))
            start = end - 1  # the slice at the border may start the next run
    free = np.ones(len(places), bool)
    kept = []
    for start, end in sorted(runs, key=lambda run: run[0] - run[1]):
        run = np.flatnonzero(free[start:end]) + start
        free[start:end] = False
        if len(run) >= minimum_slices:
            kept.append(run)
    return [order[run] for run in sorted(kept, key=lambda run: int(run[0]))]


def _irregularity(places: Array, spacing: ArrayLike, tolerance: float) -> str | None:
    """Why slices are no grid: "slice_missing", "spacing_irregular", or None if they are one.

    Args:
        places: [n, 3], mm along row, column and normal, in the order of the normal.
        spacing: between rows, between columns.
        tolerance: see `check_stack`.
    """
    distances = np.diff(places[:, 2])
    ratios = distances / np.median(distances)
    wrong = ratios[np.abs(ratios - 1) > tolerance]
    if len(wrong):  # a gap that is a whole multiple (2, 3, ...) of the median is a missing slice
        multiples = np.round(wrong)
        missing = np.all((multiples >= 2) & (np.abs(wrong - multiples) <= tolerance * multiples))
        return "slice_missing" if missing else "spacing_irregular"
    # Small differences may add up, and slices may shift in their plane: all must lie within half a voxel of the grid.
    step = (places[-1] - places[0]) / (len(places) - 1)
    off = places - (places[0] + np.arange(len(places))[:, None] * step)
    between_rows, between_columns = np.asarray(spacing, dtype=float)
    inside = np.all(np.abs(off) <= np.array([between_columns, between_rows, step[2]]) / 2)
    return None if inside else "spacing_irregular"
