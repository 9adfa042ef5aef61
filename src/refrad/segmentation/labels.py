"""Label volumes: uint8 NIfTI files in a content-addressed store, and their resampling to other grids."""

import logging
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refrad.core.entries import DamagedEntryError, read_entry, write_entry
from refrad.core.files import digest_bytes
from refrad.dicom.volume_store import store_name
from refrad.segmentation.base import SegmentedVolume

__all__ = [
    "LARGEST_SHIFT",
    "coverage",
    "is_displaced",
    "load_labels",
    "read_stored_labels",
    "resample_labels",
    "save_labels",
    "stored_result",
    "summarize_labels",
]

SAMPLES = 32  # columns, rows and slices at which a field of view is tested
EDGE = 0.01  # voxels by which a grid may exceed it, for affines with few digits
LARGEST_SHIFT = 0.4  # voxels between two grids that are meant to be one: below half a voxel
SAME_VOXELS = 0.05  # difference of the size and direction of their voxels, as a share of these

log = logging.getLogger(__name__)


def save_labels(path: Path, labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> tuple[str, int]:
    """Write an entry of the mask store atomically; equal labels give equal bytes.

    Args:
        path: NIfTI file (.nii.gz), named by the entry's key.
        labels: native ids uint8 [column, row, slice].
        affine: RAS+ mm, [4, 4].

    Returns:
        Digest of the voxels and number of classes, see `summarize_labels`.
    """
    image: Any = nib.Nifti1Image(labels, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    digest, count = summarize_labels(labels)
    # Level 6 of gzip writes a third of the bytes of level 1 for labels, at little cost.
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    write_entry(path, f"{_key(path)} {digest}", [image.to_bytes()], compressor)
    return digest, count


def _key(path: Path) -> str:
    return path.name.split(".")[0]


def load_labels(path: Path, digest: str | None = None) -> NDArray[np.uint8]:
    """Native ids uint8 [column, row, slice] of an entry of the mask store; see `read_stored_labels`."""
    return read_stored_labels(path, digest)[0]


def read_stored_labels(path: Path, digest: str | None = None) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Native ids uint8 [column, row, slice] and affine float64 [4, 4] (RAS+ mm) of an entry of the mask store, verified to the end.

    Args:
        path: of the entry.
        digest: of the voxels, from the mask table; not compared if None.

    Raises:
        DamagedEntryError: if the content is not that of the entry, or has another digest than the table.
    """
    _, labels, affine = _read(path, digest)
    return labels, affine


def _read(path: Path, digest: str | None) -> tuple[str, NDArray[np.uint8], NDArray[np.float64]]:
    """Digest of the voxels, voxels and affine of an entry."""
    try:
        seal, content = read_entry(path)
        key, sealed = (seal or " ").split(" ")
    except ValueError:
        raise DamagedEntryError.of(path, "masks") from None
    if key != _key(path) or digest not in (None, sealed):
        raise DamagedEntryError.of(path, "masks")
    image: Any = nib.Nifti1Image.from_bytes(content)  # type: ignore[no-untyped-call]
    return sealed, np.asarray(image.dataobj, np.uint8), np.asarray(image.affine)


def summarize_labels(labels: NDArray[np.uint8]) -> tuple[str, int]:
    """Digest of the voxels, and number of different labels among them besides the background (0).

    Args:
        labels: native ids uint8 [...]; the digest does not depend on the shape.
    """
    return digest_bytes(labels.tobytes()), _count(labels)


def _count(labels: NDArray[np.uint8]) -> int:
    return int(np.count_nonzero(np.bincount(labels.ravel(order="K"), minlength=256)[1:]))


def stored_result(key: str, store: Path) -> SegmentedVolume | None:
    """The result for an entry of the mask store; None if it is missing, damaged, or of a release that did not seal entries."""
    path = store / store_name(key)
    if not path.exists():
        return None
    try:
        digest, labels, _ = _read(path, None)
    except DamagedEntryError:
        log.warning("%s cannot be verified and is made again", path)
        return None
    return SegmentedVolume(key, 0.0, digest, _count(labels))


def resample_labels(
    labels: NDArray[np.integer[Any]],
    labels_affine: NDArray[np.float64],
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.uint8]:
    """Labels on another grid, by nearest neighbour through the affines; exact where the voxels coincide.

    Args:
        labels: native ids, 0 to 255, of any integer type, [column, row, slice] of any grid.
        labels_affine: RAS+ mm, [4, 4], of `labels`.
        affine: RAS+ mm, [4, 4], of the target grid.
        shape: columns, rows and slices of the target grid.

    Returns:
        Native ids uint8 [column, row, slice] of the target grid; 0 outside of the labels' field of view.
    """
    from scipy import ndimage

    to_labels = np.linalg.inv(labels_affine) @ affine
    matrix, offset = to_labels[:3, :3], to_labels[:3, 3]
    rounded = np.round(matrix)
    if np.abs(matrix - rounded).max() < 1e-4:  # flips and permutations: no drift over many voxels
        matrix = rounded
    if np.abs(offset - np.round(offset)).max() < 1e-2:
        offset = np.round(offset)
    # The mode "constant" would end at the centres of the outer voxels, so that a slice 1e-9 voxels beyond them gets no label.
    resampled = ndimage.affine_transform(
        labels.astype(np.uint8), matrix, offset, output_shape=shape, order=0, mode="grid-constant"
    )
    return np.asarray(resampled, np.uint8)


def coverage(
    labels_shape: tuple[int, ...],
    labels_affine: NDArray[np.float64],
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
) -> float:
    """Share, 0 to 1, of the voxels of a grid that are inside of the labels' field of view.

    Up to `SAMPLES` columns, rows and slices are looked at.

    Args:
        labels_shape: columns, rows and slices of the labels.
        labels_affine: RAS+ mm, [4, 4], of the labels.
        affine: RAS+ mm, [4, 4], of the grid.
        shape: columns, rows and slices of the grid.
    """
    to_labels = np.linalg.inv(labels_affine) @ affine
    axes = [np.unique(np.linspace(0, size - 1, min(size, SAMPLES)).round()) for size in shape]
    points = np.array(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    positions = to_labels[:3, :3] @ points + to_labels[:3, 3:]
    limits = np.array(labels_shape)[:, None] - 0.5
    return float(((positions > -0.5 - EDGE) & (positions < limits + EDGE)).all(0).mean())


def is_displaced(
    labels_shape: tuple[int, ...],
    labels_affine: NDArray[np.float64],
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
) -> bool:
    """Whether labels have the voxels of a grid, but beside its places: as many, of the same size, their axes in any order and direction.

    Args:
        labels_shape: columns, rows and slices of the labels.
        labels_affine: RAS+ mm, [4, 4], of the labels.
        affine: RAS+ mm, [4, 4], of the grid.
        shape: columns, rows and slices of the grid.
    """
    to_labels = np.linalg.inv(labels_affine) @ affine
    order = np.round(to_labels[:3, :3])
    is_permutation = (np.abs(order).sum(0) == 1).all() and (np.abs(order).sum(1) == 1).all()
    if not is_permutation or np.abs(to_labels[:3, :3] - order).max() > SAME_VOXELS:
        return False
    last = np.abs(order) @ (np.array(shape) - 1)  # index of the grid's last voxel, in the order of the labels' axes
    if not np.array_equal(last + 1, labels_shape):
        return False
    start = np.where(order.sum(1) < 0, last, 0)
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape], [1], indexing="ij")).reshape(4, -1)
    shift = to_labels[:3] @ corners - (order @ corners[:3] + start[:, None])
    return bool(np.abs(shift).max() > LARGEST_SHIFT)
