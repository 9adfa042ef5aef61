"""Volumes: their values from the images of slices, and their NIfTI files in a content-addressed store."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from refrad.core.entries import DamagedEntryError, read_entry, read_head, write_entry
from refrad.core.files import digest_bytes

__all__ = ["assemble", "read_grid", "read_volume", "store_name", "store_volume"]

log = logging.getLogger(__name__)

LOWEST, HIGHEST = -32768, 32767
LEVEL = 1  # of gzip
HEAD = 352  # bytes before the voxels
SHEARED = (
    1e-3  # cosine between axes of an affine; above it a qform would be wrong. Part of the stored bytes: never change it
)


def assemble(
    images: Iterable[NDArray[Any]], slopes: Sequence[float], intercepts: Sequence[float], modality: str
) -> NDArray[np.int16]:
    """A volume int16 [column, row, slice].

    CT becomes Hounsfield units: slope x value + intercept of each slice, rounded. MR values have no unit and stay as
    they are stored, unless slices have different slopes or intercepts, or values are fractions or do not fit into int16: then all are
    mapped to one scale, from 0 (smallest) to 32767 (largest).

    Args:
        images: stored values [row, column] of the slices, of any type, in order, read one at a time.
        slopes: rescale slope of each slice; for CT, HU per stored value.
        intercepts: rescale intercept of each slice; for CT, HU.
        modality: "CT" or "MR".
    """
    if modality == "CT":
        scales = zip(images, slopes, intercepts, strict=True)
        return _stacked((_hounsfield(image, slope, intercept) for image, slope, intercept in scales), len(slopes))
    if len(set(zip(slopes, intercepts, strict=True))) == 1:
        volume = _stacked(images, len(slopes))
        if volume.dtype == np.int16:
            return volume
        if volume.min() >= LOWEST and volume.max() <= HIGHEST and _is_whole(volume):
            return volume.view(np.int16) if volume.dtype == np.uint16 else volume.astype(np.int16, order="F")
        images = volume.transpose(2, 1, 0)
    return _on_one_scale(list(images), slopes, intercepts)


def _stacked(images: Iterable[NDArray[Any]], count: int) -> NDArray[Any]:
    """Images [row, column] as an array [column, row, slice] of the first one's type, or of one that holds all."""
    volume: NDArray[Any] | None = None
    for index, image in enumerate(images):
        if volume is None:
            volume = np.empty((*image.shape[::-1], count), image.dtype, order="F")
        if not np.can_cast(image.dtype, volume.dtype):
            volume = volume.astype(np.promote_types(image.dtype, volume.dtype), order="F")
        volume[:, :, index] = image.T
    assert volume is not None
    return volume


def _is_whole(volume: NDArray[Any]) -> bool:
    """Whether all values are whole numbers."""
    return volume.dtype.kind != "f" or all(np.array_equal(image, np.rint(image)) for image in volume.T)


def _hounsfield(image: NDArray[Any], slope: float, intercept: float) -> NDArray[np.int16]:
    """Slope x value + intercept, rounded and clipped to 16 bits."""
    if image.dtype.itemsize <= 2 and slope == int(slope) and intercept == int(intercept) and abs(slope) < 2**14:
        values = np.multiply(image, int(slope), dtype=np.int64 if abs(intercept) > 2**29 else np.int32)
        values += int(intercept)
    else:
        values = np.rint(image * np.float64(slope) + intercept)
    if values.min() < LOWEST or values.max() > HIGHEST:
        values = np.clip(values, LOWEST, HIGHEST)
    return np.asarray(values.astype(np.int16))


def _on_one_scale(
    images: Sequence[NDArray[Any]], slopes: Sequence[float], intercepts: Sequence[float]
) -> NDArray[np.int16]:
    """All slices from 0 (the smallest value of all) to 32767 (the largest)."""
    scales = list(zip(images, slopes, intercepts, strict=True))
    ends = [(image.min() * slope + intercept, image.max() * slope + intercept) for image, slope, intercept in scales]
    low, high = np.min(ends), np.max(ends)
    step = HIGHEST / ((high - low) or 1)
    scaled = (
        np.rint((image * slope + (intercept - low)) * step).astype(np.int16) for image, slope, intercept in scales
    )
    return _stacked(scaled, len(scales))


def store_name(key: str) -> str:
    """Path of the NIfTI file of an entry, relative to its content-addressed store."""
    return f"{key[:2]}/{key}.nii.gz"


def store_volume(volume: NDArray[np.int16], affine: NDArray[np.float64], store: Path) -> tuple[str, str]:
    """Write a volume into a store, unless it is there and sound.

    The affine is the file's sform, and also its qform unless it is sheared, which a qform cannot represent: programs that read
    qforms only find none instead of a wrong one.

    Args:
        volume: int16 [column, row, slice], HU (CT) or without a unit (MR).
        affine: [4, 4], RAS+ mm.
        store: folder of the store.

    Returns:
        The digest of shape, voxels and affine, and the file's name inside `store`: same content, same name, same bytes.
    """
    header: Any = nib.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype("<i2")
    header.set_data_shape(volume.shape)
    header.set_slope_inter(1, 0)
    header.set_xyzt_units("mm")
    header["vox_offset"] = HEAD
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    sheared = np.max(np.abs(directions.T @ directions - np.eye(3))) > SHEARED
    header.set_qform(affine, code=0 if sheared else 1)
    header.set_sform(affine, code=1)
    head = header.binaryblock + bytes(4)
    array: Any = np.ascontiguousarray(volume.T, "<i2")
    voxels = memoryview(array).cast("B")  # the first axis is the fastest in a file
    digest = digest_bytes(head, voxels)
    name = store_name(digest)
    if not (store / name).exists() or _is_damaged(store / name):
        write_entry(store / name, digest, (head, voxels), isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -15))
    return digest, name


def _is_damaged(path: Path) -> bool:
    try:
        _content(path)
    except DamagedEntryError:
        log.warning("%s was damaged and is made again", path)
        return True
    return False


def _content(path: Path) -> bytes:
    """The content of an entry, which its checksum and its seal vouch for; that of earlier releases is compared with the name."""
    digest = path.name.split(".")[0]
    try:
        seal, content = read_entry(path)
    except ValueError:
        raise DamagedEntryError.of(path, "volumes") from None
    view = memoryview(content)
    if (digest_bytes(view[:HEAD], view[HEAD:]) if seal is None else seal) != digest:
        raise DamagedEntryError.of(path, "volumes")
    return content


def read_volume(path: Path) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Voxels and affine of an entry of the volume store, verified to the end.

    Returns:
        Voxels int16 [column, row, slice], and affine float64 [4, 4], RAS+ mm.

    Raises:
        DamagedEntryError: if the content is not that of the name.
    """
    image = nib.Nifti1Image.from_bytes(_content(path))  # type: ignore[no-untyped-call]
    return np.asarray(image.dataobj, np.int16), np.asarray(image.affine)


def read_grid(path: Path) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Shape and affine [4, 4] (RAS+ mm) of an entry of the volume store, without its voxels and not verified.

    Raises:
        DamagedEntryError: if the file is cut or no entry.
    """
    try:
        header: Any = nib.Nifti1Header(read_head(path, HEAD - 4))  # type: ignore[no-untyped-call]
        columns, rows, slices = map(int, header.get_data_shape())
        return (columns, rows, slices), np.asarray(header.get_best_affine(), np.float64)
    except (ValueError, nib.spatialimages.HeaderDataError):
        raise DamagedEntryError.of(path, "volumes") from None
