"""Tilted stacks for programs that know only upright ones, such as segmenters: resampled with the true shear, and back.

The volume in the store keeps the slices as the scanner made them. Labels for it are found on the upright grid made here,
and brought onto its own grid through the affines.
"""

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

__all__ = ["deshear", "is_sheared"]

MAX_COSINE = 0.01  # between axes; about half a degree


def is_sheared(affine: NDArray[np.float64]) -> bool:
    """Whether the slices of a volume are stacked at a slant."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.max(np.abs(directions[:, :2].T @ directions[:, 2])) > MAX_COSINE)


def deshear(volume: NDArray[np.int16], affine: NDArray[np.float64]) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The same body on a grid whose slices are stacked along their normal.

    Each slice is moved in its plane (linear interpolation), none is mixed with another. The grid grows by as much as
    the slices move; voxels that no slice covers get the smallest value of the volume.

    Args:
        volume: int16 [column, row, slice].
        affine: RAS+ [4, 4], with columns and rows at a right angle.

    Returns:
        Volume and RAS+ affine [4, 4].
    """
    axes = affine[:3, :2]
    per_slice = np.linalg.solve(axes.T @ axes, axes.T @ affine[:3, 2])  # columns, rows that a slice is shifted by
    far = per_slice * (volume.shape[2] - 1)
    first = np.floor(np.minimum(far, 0)).astype(int)
    size = np.array(volume.shape[:2]) + np.ceil(np.abs(far)).astype(int) + 1
    straight = affine.copy()
    straight[:3, 2] -= axes @ per_slice
    straight[:3, 3] += axes @ first
    itk: Any = SimpleITK
    # From indices of the upright grid to those of the volume
    shear = itk.AffineTransform([1, 0, -per_slice[0], 0, 1, -per_slice[1], 0, 0, 1], [*map(float, first), 0.0])
    moved = SimpleITK.Resample(
        SimpleITK.GetImageFromArray(volume.T),
        [int(size[0]), int(size[1]), volume.shape[2]],
        shear,
        SimpleITK.sitkLinear,
        [0.0, 0.0, 0.0],
        [1.0, 1.0, 1.0],
        np.eye(3).ravel().tolist(),
        float(volume.min()),
        SimpleITK.sitkInt16,
    )
    return np.asarray(SimpleITK.GetArrayFromImage(moved).T, np.int16), straight
