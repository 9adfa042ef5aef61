"""Views of a volume as radiologists hang them, whichever way its array lies.

Axial: the patient's right at the left edge, front at the top. Coronal: right at the left edge, head at the top. Sagittal: front at the
left edge, head at the top. Which array axis is which follows from the affine, so prone and feet-first volumes are turned as well.
"""

from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from refrad.dicom.side_marks import EdgeLetters, edge_letters

__all__ = ["PLANES", "HungView", "hung_letters", "hung_slice", "radiological_view"]

# Plane to the axes of the body (0 left and right, 1 front and back, 2 head and foot) across it, down it and along its rows. All
# pictures count to the left, the back and the feet: against the axes of RAS+.
PLANES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}


class HungView(NamedTuple):
    """How slices of an array are hung: array axis across them, that along which rows count (down), that along which columns count."""

    across: int
    down: int
    right: int
    down_reversed: bool
    right_reversed: bool


def radiological_view(affine: ArrayLike, plane: str) -> HungView:
    """The view of an array in a plane of the body, by the array axes that are nearest to those of the body.

    Args:
        affine: [4, 4], RAS+ mm.
        plane: a key of `PLANES`.
    """
    axes = nib.io_orientation(np.asarray(affine, dtype=float))  # type: ignore[no-untyped-call]
    of_body = {int(body): (axis, bool(sign > 0)) for axis, (body, sign) in enumerate(axes)}
    (across, _), (down, is_up), (right, is_to_right) = (of_body[body] for body in PLANES[plane])
    return HungView(across, down, right, is_up, is_to_right)


def hung_slice(volume: NDArray[Any], view: HungView, index: int) -> NDArray[Any]:
    """The slice at an index of the axis across, hung: a view [row, column] of the array's type.

    Args:
        volume: three axes, voxels or labels.
        view: of `radiological_view`.
        index: along `view.across`.
    """
    picture = np.moveaxis(volume, (view.across, view.down, view.right), (0, 1, 2))[index]
    hung: NDArray[Any] = picture[:: -1 if view.down_reversed else 1, :: -1 if view.right_reversed else 1]
    return hung


def hung_letters(affine: ArrayLike, view: HungView) -> EdgeLetters:
    """The letters at the edges of a hung slice.

    Args:
        affine: [4, 4], RAS+ mm, of the array.
        view: of `radiological_view`.
    """
    directions = np.asarray(affine, dtype=float)[:3, :3] * [[-1], [-1], [1]]  # LPS+
    row = directions[:, view.right] * (-1 if view.right_reversed else 1)
    column = directions[:, view.down] * (-1 if view.down_reversed else 1)
    return edge_letters(row, column)
