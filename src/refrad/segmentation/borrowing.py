"""Labels for volumes without, taken from another series of the same study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib

from refrad.core.files import digest_bytes
from refrad.dicom.volume_store import read_volume, store_name
from refrad.segmentation.base import SegmentationResult, UnsegmentableError
from refrad.segmentation.labels import resample_labels, save_labels, stored_result, summarize_labels

__all__ = ["borrow_labels"]

Row = Mapping[str, Any]  # of the volume table


def borrow_labels(
    volumes: Sequence[Row], results: Mapping[str, SegmentationResult], volume_store: Path, mask_store: Path
) -> dict[str, SegmentationResult]:
    """Results for the volumes without labels, by name.

    Each takes the labels of the finest series of the same study, modality and frame of reference that covers it.

    Args:
        volumes: accepted rows of the volume table.
        results: name of a volume to its own result.
        volume_store: folder of the volumes.
        mask_store: folder of the labels; borrowed ones are written into it.
    """
    borrowed = {}
    for volume in volumes:
        if results[volume["volume"]].reason is None:
            continue
        for donor in _donors(volume, volumes, results):
            result = _borrow(volume, results[donor["volume"]].key, volume_store, mask_store)
            if result:
                borrowed[volume["volume"]] = result
                break
    return borrowed


def _donors(volume: Row, volumes: Sequence[Row], results: Mapping[str, SegmentationResult]) -> list[Row]:
    """The volumes whose labels may serve, smallest voxels first."""
    if volume["frame"] is None:
        return []
    shared = ("study", "modality", "frame")
    donors = [
        donor
        for donor in volumes
        if results[donor["volume"]].reason is None and all(donor[column] == volume[column] for column in shared)
    ]
    return sorted(donors, key=lambda donor: donor["spacing_x"] * donor["spacing_y"] * donor["spacing_z"])


def _borrow(volume: Row, donor_key: str, volume_store: Path, mask_store: Path) -> SegmentationResult | None:
    """The donor's labels on the grid of the volume, from the store if it holds them; None if they do not cover it."""
    key = digest_bytes(donor_key.encode(), b"borrowed", volume["digest"].encode())
    if stored := stored_result(key, mask_store):
        return stored
    image: Any = nib.load(volume_store / volume["file"])  # type: ignore[attr-defined]
    labels, affine = read_volume(mask_store / store_name(donor_key))
    try:
        resampled = resample_labels(labels, affine, image.affine, image.shape)
    except UnsegmentableError:
        return None
    save_labels(mask_store / store_name(key), resampled, image.affine)
    return SegmentationResult(key, 0.0, *summarize_labels(resampled))
