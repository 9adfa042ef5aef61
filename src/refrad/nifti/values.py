"""The values of a canonical volume from those that a NIfTI file stores."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refrad.dicom.reasons import QuarantineError
from refrad.dicom.volume_store import assemble
from refrad.nifti.volume_entry import VolumeEntry

__all__ = ["scaling_of", "volume_of_values"]

LARGEST = 1e30  # no image has such values: they mark what is none, or are damaged
LOWEST_HU = -1500  # lower values pad an image: noise and artefacts reach no further below air at -1000
FAT = -100  # HU
LEAST_LIGHT = 1e-3  # share of voxels between LOWEST_HU and FAT; any body has fat, gas, or air around it
DISPLACED = -3000  # HU of the lowest air if the intercept of -1024 is subtracted twice, with a margin
TISSUE = -500  # HU, above lung
BONE = 800  # HU; without an intercept all soft tissue is above
LEAST_LIGHT_TO_BONE = 0.1  # ratio of voxels, padding not counted; any body has more fat, gas and air around it
OFFSET = 32768  # of int16 as an index


def scaling_of(file_header: Any, entry: VolumeEntry) -> tuple[float, float]:
    """Slope and intercept from stored values to HU (CT): those of the entry, else of the file; 1 and 0 if it has none.

    A slope of 0, or of no finite number, means none (NIfTI-1, scl_slope). MR has no unit: of its slope only the sign counts.

    Raises:
        QuarantineError: "no_rescale" if there is a slope, but no intercept.
    """
    if entry.slope is not None or entry.intercept is not None:
        slope, intercept = entry.slope if entry.slope is not None else 1.0, entry.intercept or 0.0
    else:
        slope, intercept = float(file_header["scl_slope"]), float(file_header["scl_inter"])
        if slope == 0 or not math.isfinite(slope):
            return 1.0, 0.0
    if entry.modality == "MR":
        return math.copysign(1.0, slope), 0.0
    if slope == 0 or not math.isfinite(slope) or not math.isfinite(intercept):
        raise QuarantineError("no_rescale")
    return slope, intercept


def volume_of_values(
    values: NDArray[Any], slope: float, intercept: float, modality: str, floor: int | None
) -> NDArray[np.int16]:
    """A volume int16 [column, row, slice] by the rules of `refrad.dicom.volume_store.assemble`.

    Args:
        values: stored values [column, row, slice] of any real type.
        slope: HU (CT) per stored value; -1 for MR whose stored values are negatives.
        intercept: HU (CT).
        modality: "CT" or "MR".
        floor: HU; lower values of CT, which pad an image, are raised to it. None keeps them.

    Raises:
        QuarantineError: "not_finite", "not_hounsfield" or "constant_volume".
    """
    slices = values.shape[2]
    images = _finite_images(values)
    if modality == "MR" and slope < 0:
        images, slope = (np.negative(image, dtype=np.float64) for image in images), 1.0
    volume = assemble(images, [slope] * slices, [intercept] * slices, modality)
    if modality == "CT":
        _check_hounsfield(volume)
        if floor is not None:
            np.maximum(volume, floor, out=volume)
    if volume.min() == volume.max():
        raise QuarantineError("constant_volume")
    return volume


def _finite_images(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The images [row, column] of the slices."""
    for index in range(values.shape[2]):
        image = values[:, :, index].T
        if image.dtype.kind == "f" and not (image.min() > -LARGEST and image.max() < LARGEST):  # also not a number
            raise QuarantineError("not_finite")
        yield image


def _check_hounsfield(volume: NDArray[np.int16]) -> None:
    """Raise QuarantineError for CT values that cannot be HU.

    Without an intercept air is about 0, soft tissue about 1000, and nothing is below but noise and the padding of the image, which is of one
    value. With one of -1024 that is subtracted twice, air and lung lie where only the padding may be, and only dense bone is left above -500.
    """
    if volume.min() == volume.max():
        return  # a better reason follows
    counts = np.zeros(2 * OFFSET, np.int64)
    for image in volume.T:
        counts += np.bincount(image.ravel().astype(np.int64) + OFFSET, minlength=2 * OFFSET)
    light = counts[LOWEST_HU + OFFSET : FAT + OFFSET]
    displaced = counts[DISPLACED + OFFSET : LOWEST_HU + OFFSET]
    if light.sum() < LEAST_LIGHT * volume.size:
        raise QuarantineError("not_hounsfield")
    if light.sum() - light.max() < LEAST_LIGHT_TO_BONE * counts[BONE + OFFSET :].sum():
        raise QuarantineError("not_hounsfield")
    if displaced.sum() - displaced.max() > counts[TISSUE + OFFSET :].sum():
        raise QuarantineError("not_hounsfield")
