"""From the images of slices to a volume: its values, and a NIfTI file in a content-addressed store."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refrad.files import atomic, digest_bytes

__all__ = ["assemble", "read_volume", "store_volume"]

Images = Sequence[NDArray[Any]]
LOWEST, HIGHEST = -32768, 32767
LEVEL = 1  # of gzip


def assemble(images: Images, slopes: Sequence[float], intercepts: Sequence[float], modality: str) -> NDArray[np.int16]:
    """A volume int16 [column, row, slice] from stored values [row, column] of its slices, in order.

    CT becomes Hounsfield units: slope x value + intercept of each slice, rounded. MR values have no unit and stay as
    they are stored, unless slices have different slopes or intercepts or the values do not fit: then all are brought
    onto one scale, from 0 (smallest) to 32767 (largest).
    """
    shape = (*images[0].shape[::-1], len(images))
    volume = np.empty(shape, dtype=np.int16, order="F")
    scales = list(zip(images, slopes, intercepts, strict=True))
    if modality == "CT":
        for index, (image, slope, intercept) in enumerate(scales):
            values = np.rint(image * np.float64(slope) + intercept)
            volume[:, :, index] = np.clip(values, LOWEST, HIGHEST).T
        return volume
    one_scale = len(set(zip(slopes, intercepts, strict=True))) == 1
    if one_scale and min(i.min() for i in images) >= LOWEST and max(i.max() for i in images) <= HIGHEST:
        for index, image in enumerate(images):
            volume[:, :, index] = image.T
        return volume
    ranges = np.array(
        [(image.min() * slope + intercept, image.max() * slope + intercept) for image, slope, intercept in scales]
    )
    low, high = ranges.min(), ranges.max()
    for index, (image, slope, intercept) in enumerate(scales):
        volume[:, :, index] = np.rint((image * slope + (intercept - low)) * (HIGHEST / ((high - low) or 1))).T
    return volume


def store_volume(volume: NDArray[np.int16], affine: NDArray[np.float64], store: Path) -> tuple[str, str]:
    """Write a volume [column, row, slice] with its RAS+ affine into `store`, unless it is there.

    Returns:
        The digest of shape, voxels and affine, and the file's name inside `store`: same content, same name, same bytes.
    """
    image: Any = nib.Nifti1Image(volume.astype("<i2", copy=False), None)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    raw = image.to_bytes()
    digest = digest_bytes(raw)
    name = f"{digest[:2]}/{digest}.nii.gz"
    if not (store / name).exists():
        with atomic(store / name) as temporary:
            temporary.write_bytes(gzip.compress(raw, LEVEL, mtime=0))
    return digest, name


def read_volume(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Voxels [column, row, slice], in the file's own type, and RAS+ affine [4, 4] of a NIfTI file of a store."""
    image = nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
    return np.asanyarray(image.dataobj), np.asarray(image.affine)
