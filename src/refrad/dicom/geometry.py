"""Positions and directions of slices in the patient.

Positions, orientations and pixel spacings are as in DICOM (PS3.3 C.7.6.2.1.1): mm; x to the patient's left, y to the
back, z to the head (LPS+); orientation = direction of a row (along which columns count), then of a column; spacing = between
rows, then between columns. Affines are as in NIfTI: x to the right, y to the front, z to the head (RAS+).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "angle_between",
    "is_plausible",
    "normal_of",
    "plane_of",
    "positions_along",
    "stack_affine",
]

Array = NDArray[np.float64]

SAME_POSITION = 0.01  # mm; closer slices have the same position
OBLIQUE = 30  # degrees from the nearest axis of the body


def is_plausible(position: Sequence[float], orientation: Sequence[float], spacing: Sequence[float]) -> bool:
    """Whether all are present, the spacings are positive, and the directions are unit vectors at a right angle (within 1 %).

    Args:
        position: [3], LPS+ mm, or empty.
        orientation: [6], directions of a row and a column, LPS+, or empty.
        spacing: [2], mm between rows, between columns, or empty.
    """
    if not (position and orientation and spacing):
        return False
    return min(spacing) > 0 and _is_right_angle(tuple(orientation))


@lru_cache(maxsize=4096)  # the images of a series share it
def _is_right_angle(orientation: tuple[float, ...]) -> bool:
    directions = np.reshape(orientation, (2, 3))
    return bool(np.max(np.abs(directions @ directions.T - np.eye(2))) < 0.01)


def normal_of(orientation: ArrayLike) -> Array:
    """Unit vectors across images, float64 [..., 3], LPS+: row direction x column direction.

    Args:
        orientation: [..., 6], LPS+, direction of a row, then of a column.
    """
    directions = np.asarray(orientation, dtype=float)
    normal = np.cross(directions[..., :3], directions[..., 3:])
    return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True))


def positions_along(positions: ArrayLike, normal: ArrayLike) -> Array:
    """Position of each point along a direction, float64 [n], mm.

    Args:
        positions: [n, 3], LPS+ mm.
        normal: [3], LPS+, a unit vector.
    """
    return np.asarray(np.asarray(positions, dtype=float) @ np.asarray(normal, dtype=float))


def angle_between(first: ArrayLike, second: ArrayLike) -> Array:
    """Angles between vectors, float64 [...], degrees, 0 to 180. Accurate for small angles too, unlike arccos.

    Args:
        first: [..., 3], of any length but 0.
        second: [..., 3], of any length but 0.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    across, along = np.linalg.norm(np.cross(first, second), axis=-1), np.sum(first * second, axis=-1)
    return np.asarray(np.degrees(np.arctan2(across, along)))


def plane_of(orientation: ArrayLike) -> str:
    """Name of the nearest plane of the body, "oblique" if it is more than `OBLIQUE` degrees away.

    Args:
        orientation: [6], LPS+, direction of a row, then of a column.
    """
    normal = np.abs(normal_of(orientation))
    axis = int(np.argmax(normal))
    return ("sagittal", "coronal", "axial")[axis] if normal[axis] >= np.cos(np.radians(OBLIQUE)) else "oblique"


def stack_affine(first: ArrayLike, step: ArrayLike, orientation: ArrayLike, spacing: ArrayLike) -> Array:
    """Affine of an array [column, row, slice], float64 [4, 4], RAS+ mm.

    Equation C.7.6.2.1-1 of DICOM PS3.3, with columns as the first index, and x and y negated.

    Args:
        first: [3], LPS+ mm, position of the first slice.
        step: [3], LPS+ mm, from one slice to the next.
        orientation: [6], LPS+, direction of a row, then of a column, of all slices.
        spacing: [2], mm between rows, mm between columns.
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
