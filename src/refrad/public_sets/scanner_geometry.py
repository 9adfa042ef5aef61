"""Affines from the attributes of scanners that tables hold as text."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["affines_of"]

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
TOLERANCE = 1e-3  # of the lengths and the angle of direction cosines
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def affines_of(xy_spacing: pl.Series, z_spacing: pl.Series, position: pl.Series, orientation: pl.Series) -> pl.Series:
    """The affine of each row as `VolumeEntry.affine` has it, RAS+ mm; null where a value is missing or impossible.

    Voxel (0, 0, 0) is at the position. The first axis of the array goes along the rows of the image (first direction cosines, first
    spacing), the second along its columns, and the third along their cross product: DICOM PS3.3, C.7.6.2.1.1.

    Args:
        xy_spacing: such as "[0.7, 0.7]", mm.
        z_spacing: mm.
        position: of the centre of the first voxel, such as "[-180, -170, -300]", LPS+ mm.
        orientation: direction cosines of rows and columns, LPS+, such as "[1, 0, 0, 0, 1, 0]".
    """
    spacing = np.concatenate([_numbers(xy_spacing, 2), _numbers(z_spacing, 1)], axis=1)
    cosines = _numbers(orientation, 6)
    rows, columns = cosines[:, :3], cosines[:, 3:]
    lengths = np.stack([np.linalg.norm(rows, axis=1), np.linalg.norm(columns, axis=1)], axis=1)
    is_valid = (spacing > 0).all(axis=1) & (np.abs(lengths - 1) < TOLERANCE).all(axis=1)
    is_valid &= np.abs((rows * columns).sum(axis=1)) < TOLERANCE
    axes = np.stack([rows, columns, np.cross(rows, columns)], axis=2) * spacing[:, None, :]
    affines = np.concatenate([axes, _numbers(position, 3)[:, :, None]], axis=2) * LPS_TO_RAS[:, None]
    is_valid &= np.isfinite(affines).all(axis=(1, 2))
    texts = [
        " ".join(f"{number + 0.0:.10g}" for number in affine.ravel()) if valid else None
        for affine, valid in zip(affines, is_valid, strict=True)
    ]
    return pl.Series("affine", texts, pl.String)


def _numbers(texts: pl.Series, count: int) -> NDArray[np.float64]:
    """The numbers in each text, float64 [row, number]; NaN where there are not `count` of them."""
    numbers = texts.str.extract_all(NUMBER).list.eval(pl.element().cast(pl.Float64))
    filled = pl.select(pl.when(numbers.list.len() == count).then(numbers).otherwise([float("nan")] * count)).to_series()
    array = np.array(filled.to_list(), np.float64).reshape(-1, count)
    return np.where(np.isfinite(array), array, np.nan)
