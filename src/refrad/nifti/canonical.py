"""The canonical array of a NIfTI file: [column, row, slice] as a scanner stores its images, without resampling.

Axes are exchanged and reversed, nothing else: each value stays at its place in the patient. docs/nifti.md has the rules as a table.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refrad.dicom.geometry import SAME_POSITION, Array
from refrad.dicom.reasons import QuarantineError

__all__ = ["CanonicalGrid", "canonical_grid"]

COARSER = 1.5  # ratio of the widest voxel axis to the next one, from which on it may be the slice axis
LARGEST_COSINE = 0.01  # between columns and rows, as `is_plausible` of refrad.dicom.geometry allows for DICOM
WIDEST = 100.0  # mm; no voxel of a patient is as large, so the unit is wrong
# Directions of columns and rows by the body axis that is nearest to the normal of the slices, RAS+
TO_LEFT, TO_BACK, TO_FEET = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)
IN_PLANE = ((TO_BACK, TO_FEET), (TO_LEFT, TO_FEET), (TO_LEFT, TO_BACK))  # sagittal, coronal, axial


class CanonicalGrid(NamedTuple):
    """The canonical grid of a file.

    Attributes:
        axes: file axis of columns, rows and slices.
        flips: whether each of these is reversed.
        shape: numbers of columns, rows and slices.
        affine: float64 [4, 4], RAS+ mm, of the array [column, row, slice].
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    affine: Array

    @property
    def position(self) -> tuple[float, ...]:
        """Position of the first slice as in DICOM: LPS+ mm."""
        return _lps(self.affine[:3, 3])

    @property
    def orientation(self) -> tuple[float, ...]:
        """Directions of a row, along which columns count, and of a column as in DICOM: LPS+ unit vectors."""
        columns, rows = (self.affine[:3, axis] / np.linalg.norm(self.affine[:3, axis]) for axis in (0, 1))
        return (*_lps(columns), *_lps(rows))

    @property
    def spacing(self) -> tuple[float, float]:
        """Distances between rows and between columns as in DICOM: mm."""
        between_columns, between_rows = np.linalg.norm(self.affine[:3, :2], axis=0)
        return float(between_rows), float(between_columns)

    @property
    def step(self) -> tuple[float, ...]:
        """From one slice to the next: LPS+ mm."""
        return _lps(self.affine[:3, 2])

    def view(self, values: NDArray[Any]) -> NDArray[Any]:
        """The canonical view of values in the order of the file's axes."""
        turned = values.transpose(self.axes)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]


def _lps(vector: Array) -> tuple[float, ...]:
    return float(-vector[0]), float(-vector[1]), float(vector[2])


def canonical_grid(
    shape: Sequence[int], affine: NDArray[np.float64], modality: str, slice_axis: int | None
) -> CanonicalGrid:
    """The canonical grid of a file.

    Slices lie across the axis that the header names, else across a distinctly coarser one, else across the one nearest to
    head and feet (CT) or the third (MR). In axial slices columns count to the left and rows to the back, in coronal ones to the
    left and to the feet, in sagittal ones to the back and to the feet. Slices count along the normal, columns x rows in LPS+:
    to the head, to the back, from left to right.

    Args:
        shape: sizes of the file's three axes.
        affine: [4, 4], RAS+ mm, regular.
        modality: "CT" or "MR".
        slice_axis: file axis across slices, by the header's dim_info.

    Raises:
        QuarantineError: "no_geometry" for voxels of impossible size, "sheared_in_plane" if columns and rows are at no
            right angle.
    """
    widths = np.linalg.norm(affine[:3, :3], axis=0)
    if widths.min() < SAME_POSITION or widths.max() > WIDEST:
        raise QuarantineError("no_geometry")
    directions = (affine[:3, :3] / widths).T
    across = _slice_axis(directions, widths, modality) if slice_axis is None else slice_axis
    first, second = (axis for axis in range(3) if axis != across)
    if abs(directions[first] @ directions[second]) > LARGEST_COSINE:
        raise QuarantineError("sheared_in_plane")
    axes, flips = _directed(directions, first, second, across)
    return CanonicalGrid(axes, flips, *_turned(shape, affine, axes, flips))


def _slice_axis(directions: Array, widths: Array, modality: str) -> int:
    """The file axis across the slices where the header does not name it."""
    narrowest, second, widest = np.argsort(widths, kind="stable")
    ratio = widths[widest] / widths[second]
    if ratio >= COARSER and ratio > widths[second] / widths[narrowest]:  # else pixels may be oblong, and slices thin
        return int(widest)
    return int(np.argmax(np.abs(directions[:, 2]))) if modality == "CT" else 2


def _directed(
    directions: Array, first: int, second: int, across: int
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """File axes of columns, rows and slices, and which are reversed: of the four turns in the plane, the one nearest to a scanner's."""
    normal = np.cross(directions[first], directions[second])
    to_columns, to_rows = np.array(IN_PLANE[int(np.argmax(np.abs(normal)))])
    outward = np.cross(to_columns, to_rows)  # the same vector in RAS+ as in LPS+, since x and y are both reversed
    sign = 1 if normal @ outward > 0 else -1  # of the second axis, so that columns x rows points outward
    turns = (
        ((first, 1), (second, sign)),
        ((first, -1), (second, -sign)),
        ((second, 1), (first, -sign)),
        ((second, -1), (first, sign)),
    )
    (columns, of_columns), (rows, of_rows) = max(
        turns,
        key=lambda turn: (
            turn[0][1] * directions[turn[0][0]] @ to_columns + turn[1][1] * directions[turn[1][0]] @ to_rows
        ),
    )
    outward_normal = np.cross(of_columns * directions[columns], of_rows * directions[rows])
    return (columns, rows, across), (of_columns < 0, of_rows < 0, bool(directions[across] @ outward_normal < 0))


def _turned(
    shape: Sequence[int],
    affine: NDArray[np.float64],
    axes: tuple[int, int, int],
    flips: tuple[bool, bool, bool],
) -> tuple[tuple[int, int, int], Array]:
    """Shape and affine after axes are exchanged and reversed."""
    turned = affine.copy()
    turned[:3, :3] = affine[:3, list(axes)]
    columns, rows, slices = (int(shape[axis]) for axis in axes)
    for axis, (size, flip) in enumerate(zip((columns, rows, slices), flips, strict=True)):
        if flip:
            turned[:3, 3] += turned[:3, axis] * (size - 1)
            turned[:3, axis] *= -1
    return (columns, rows, slices), turned + 0.0  # no negative zeros
