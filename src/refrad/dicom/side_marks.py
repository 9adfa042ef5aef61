"""Letters at the edges of a picture: to which side of the patient each edge lies.

The letters are those of DICOM's Patient Orientation (PS3.3 C.7.6.1.1.1): R right, L left, A anterior, P posterior, H head, F foot. They
follow from directions in the patient, so a prone or feet-first examination needs no special case.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SECOND_LETTER", "EdgeLetters", "edge_letters", "letters_of_slice", "slice_directions"]

TOWARDS = ("L", "P", "H")  # along x, y and z of LPS+
AWAY = ("R", "A", "F")
SECOND_LETTER = 20  # degrees between a direction and its nearest axis of the body, from which a second letter stands


class EdgeLetters(NamedTuple):
    """Letters of the four edges of a picture: "R", or "RA" if the edge lies to the right and, less so, to the front."""

    left: str
    right: str
    top: str
    bottom: str


def edge_letters(row_direction: ArrayLike, column_direction: ArrayLike) -> EdgeLetters:
    """The letters at the edges of a picture [row, column].

    Args:
        row_direction: [3], LPS+, of any length but 0, along which columns count: from the left edge to the right edge.
        column_direction: [3], LPS+, of any length but 0, along which rows count: from the top edge to the bottom edge.

    Raises:
        ValueError: if a direction has no length or holds NaN or infinity.
    """
    right, bottom = np.asarray(row_direction, dtype=float), np.asarray(column_direction, dtype=float)
    return EdgeLetters(_letters(-right), _letters(right), _letters(-bottom), _letters(bottom))


def letters_of_slice(affine: ArrayLike, across: int = 2) -> EdgeLetters:
    """The letters of a slice as `refrad.dicom.slices.image_at` gives it: the lower of the two other axes counts columns.

    Args:
        affine: [4, 4], RAS+ mm, of an array [column, row, slice].
        across: array axis across the slice.
    """
    return edge_letters(*slice_directions(affine, across))


def slice_directions(affine: ArrayLike, across: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions [3], LPS+, to the right and down in a slice as `refrad.dicom.slices.image_at` gives it.

    Args:
        affine: [4, 4], RAS+ mm, of an array [column, row, slice].
        across: array axis across the slice.
    """
    row, column = (axis for axis in range(3) if axis != across)
    directions = np.asarray(affine, dtype=float)[:3, :3] * [[-1], [-1], [1]]
    return directions[:, row], directions[:, column]


def _letters(direction: NDArray[np.float64]) -> str:
    length = np.linalg.norm(direction)
    if not np.isfinite(length) or length == 0:
        raise ValueError("a direction of no length has no side of the patient")
    shares = direction / length
    order = np.argsort(-np.abs(shares), kind="stable")
    letters = [(TOWARDS if shares[axis] > 0 else AWAY)[axis] for axis in order]
    nearest = min(abs(shares[order[0]]), 1.0)
    return "".join(letters[: 1 if nearest > np.cos(np.radians(SECOND_LETTER)) else 2])
