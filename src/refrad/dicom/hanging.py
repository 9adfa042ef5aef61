"""How a slice is hung: as its file stores it, or turned as a radiologist reads it.

Radiological: axial with the patient's right at the left edge and the front at the top; coronal with the right at the left and the head at
the top; sagittal with the front at the left and the head at the top. The turn follows from directions in the patient, so prone and
feet-first examinations and mirrored storage need no special case. Pixels only change places.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from refrad.dicom.side_marks import EdgeLetters, edge_letters

__all__ = ["PLANES", "TURNS", "Turn", "axis_across", "plane_of", "radiological_turn", "turned_letters"]

T = TypeVar("T", int, float)


class Turn(NamedTuple):
    """A turn of a picture [row, column]: first rows and columns change places, then columns or rows are reversed."""

    transpose: bool = False
    flip_columns: bool = False
    flip_rows: bool = False

    @property
    def name(self) -> str:
        """Its name in `TURNS`."""
        return next(name for name, turn in TURNS.items() if turn == self)

    @property
    def inverse(self) -> "Turn":
        """The turn that undoes this one."""
        return Turn(True, self.flip_rows, self.flip_columns) if self.transpose else self

    def image(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The turned picture, a view. Args: picture: [row, column] or [row, column, channel], of any type."""
        turned = picture.swapaxes(0, 1) if self.transpose else picture
        turned = turned[:, ::-1] if self.flip_columns else turned
        return turned[::-1] if self.flip_rows else turned

    def size(self, width: T, height: T) -> tuple[T, T]:
        """Width and height of the turned picture, also spacing between columns and between rows."""
        return (height, width) if self.transpose else (width, height)

    def box(self, box: tuple[T, T, T, T], width: int, height: int) -> tuple[T, T, T, T]:
        """A box x_min, y_min, x_max, y_max (half-open, px) of a picture of this width and height, in the turned picture."""
        x_min, y_min, x_max, y_max = (box[1], box[0], box[3], box[2]) if self.transpose else box
        width, height = self.size(width, height)
        if self.flip_columns:
            x_min, x_max = width - x_max, width - x_min
        if self.flip_rows:
            y_min, y_max = height - y_max, height - y_min
        return x_min, y_min, x_max, y_max


TURNS: Mapping[str, Turn] = {
    "none": Turn(),
    "mirror": Turn(flip_columns=True),
    "flip": Turn(flip_rows=True),
    "rotate_180": Turn(flip_columns=True, flip_rows=True),
    "transpose": Turn(transpose=True),
    "rotate_90": Turn(transpose=True, flip_columns=True),  # clockwise
    "rotate_270": Turn(transpose=True, flip_rows=True),
    "transpose_180": Turn(transpose=True, flip_columns=True, flip_rows=True),
}
# Plane to the directions, LPS+, to the right and down in a picture that a radiologist reads; in the order of the axes across.
RADIOLOGICAL = {
    "sagittal": ((0, 1, 0), (0, 0, -1)),  # back at the right, feet at the bottom
    "coronal": ((1, 0, 0), (0, 0, -1)),  # left at the right
    "axial": ((1, 0, 0), (0, 1, 0)),  # left at the right, back at the bottom
}
PLANES = ("axial", "coronal", "sagittal")  # in the order in which views are shown


def radiological_turn(row_direction: ArrayLike, column_direction: ArrayLike, plane: str | None = None) -> Turn:
    """The turn after which a slice hangs as a radiologist reads its plane.

    Args:
        row_direction: [3], LPS+, to the right in the stored picture.
        column_direction: [3], LPS+, down in the stored picture.
        plane: axial, coronal or sagittal; None: the one that the slice is nearest to.

    Raises:
        ValueError: if the directions have no length, hold NaN or infinity, or are parallel.
    """
    hung = np.array(RADIOLOGICAL[plane or plane_of(row_direction, column_direction)])
    right, down = (np.asarray(direction, dtype=float) for direction in (row_direction, column_direction))
    right, down = right / np.linalg.norm(right), down / np.linalg.norm(down)
    return max(
        TURNS.values(), key=lambda turn: round(float((np.array(_directions(right, down, turn)) * hung).sum()), 6)
    )


def plane_of(row_direction: ArrayLike, column_direction: ArrayLike) -> str:
    """The plane that a slice is nearest to: axial, coronal or sagittal. Args and Raises: those of `radiological_turn`."""
    right, down = (np.asarray(direction, dtype=float) for direction in (row_direction, column_direction))
    normal = np.abs(np.cross(right / np.linalg.norm(right), down / np.linalg.norm(down)))
    if not np.isfinite(normal).all() or normal.max() < 0.1:
        raise ValueError("the directions of the slice span no plane")
    # Rounded, so that a slice between two planes hangs the same whatever the last digits are.
    return list(RADIOLOGICAL)[int(np.argmax(np.round(normal, 6)))]


def axis_across(affine: ArrayLike, plane: str) -> int:
    """The array axis across the slices of a volume that are nearest to a plane of the body; each plane has another one.

    Args:
        affine: [4, 4], RAS+ mm.
        plane: axial, coronal or sagittal.
    """
    body_axes = nib.io_orientation(np.asarray(affine, dtype=float))[:, 0]  # type: ignore[no-untyped-call]
    return int(np.flatnonzero(body_axes == list(RADIOLOGICAL).index(plane))[0])


def turned_letters(row_direction: ArrayLike, column_direction: ArrayLike, turn: Turn) -> EdgeLetters:
    """The letters at the edges of a turned picture. Args: as `radiological_turn`; turn: of the picture."""
    right, down = (np.asarray(direction, dtype=float) for direction in (row_direction, column_direction))
    return edge_letters(*_directions(right, down, turn))


def _directions(
    right: NDArray[np.float64], down: NDArray[np.float64], turn: Turn
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The directions to the right and down after a turn."""
    if turn.transpose:
        right, down = down, right
    return (-right if turn.flip_columns else right), (-down if turn.flip_rows else down)
