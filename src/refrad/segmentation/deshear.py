"""Tilted stacks, resampled to upright ones for programs that support no others, such as segmenters.

The volume in the store keeps the slices as the scanner made them. It is segmented on the upright grid made here, and the labels
are resampled to its own grid through the affines.
"""

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

__all__ = ["deshear", "is_sheared"]

# Between axes, about half a degree; a smaller tilt is ignored, as segmenters ignore it. refrad.dicom.volume_store has a lower limit
# with another meaning: which affines the qform of a NIfTI header can hold.
MAX_COSINE = 0.01


def is_sheared(affine: NDArray[np.float64]) -> bool:
    """Whether the slices of a volume are stacked at a slant.

    Args:
        affine: [4, 4], RAS+ mm, of an array [column, row, slice].
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.max(np.abs(directions[:, :2].T @ directions[:, 2])) > MAX_COSINE)


def deshear(volume: NDArray[np.int16], affine: NDArray[np.float64]) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The volume on a grid whose slices are stacked along their normal, and the affine of that grid.

    Each slice is moved in its plane (linear interpolation); slices are not mixed. The grid grows by the distance that the slices
    move; voxels that no slice covers get the smallest value of the volume.

    Args:
        volume: int16 [column, row, slice].
        affine: RAS+ mm, [4, 4], with columns and rows at a right angle.

    Returns:
        Volume int16 [column, row, slice] and RAS+ affine [4, 4].
    """
    axes = affine[:3, :2]
    per_slice = np.linalg.solve(axes.T @ axes, axes.T @ affine[:3, 2])  # columns, rows that a slice is shifted by
    last_shift = per_slice * (volume.shape[2] - 1)
    first = np.floor(np.minimum(last_shift, 0)).astype(int)
    size = np.array(volume.shape[:2]) + np.ceil(np.abs(last_shift)).astype(int) + 1
    upright_affine = affine.copy()
    upright_affine[:3, 2] -= axes @ per_slice
    upright_affine[:3, 3] += axes @ first
    itk: Any = SimpleITK
    # From indices of the upright grid to those of the volume
    shear = itk.AffineTransform([1, 0, -per_slice[0], 0, 1, -per_slice[1], 0, 0, 1], [*map(float, first), 0.0])
    resampled = SimpleITK.Resample(
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
    return np.asarray(SimpleITK.GetArrayFromImage(resampled).T, np.int16), upright_affine
