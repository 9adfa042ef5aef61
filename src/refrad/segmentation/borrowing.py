"""Labels for volumes without, taken from another series of the same study."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from refrad.core.files import digest_bytes
from refrad.core.table_rows import AcceptedVolumeRow
from refrad.dicom.volume_store import read_volume, store_name
from refrad.segmentation.base import SegmentationResult, SegmentedVolume
from refrad.segmentation.labels import coverage, read_stored_labels, resample_labels, save_labels, stored_result

__all__ = ["borrow_labels"]


def borrow_labels(
    volumes: Sequence[AcceptedVolumeRow],
    results: Mapping[str, SegmentationResult],
    volume_store: Path,
    mask_store: Path,
    minimum_coverage: float,
) -> dict[str, SegmentedVolume]:
    """Results for the volumes without labels, by name.

    Each takes the labels of the finest series of the same study, modality and frame of reference that covers it.

    Args:
        volumes: accepted rows of the volume table.
        results: name of each volume to its own result.
        volume_store: folder of the volumes.
        mask_store: folder of the labels; borrowed ones are written into it.
        minimum_coverage: share of a volume that must be inside of the other's field of view.
    """
    segmented = {name: result for name, result in results.items() if isinstance(result, SegmentedVolume)}
    borrowed = {}
    for volume in volumes:
        if volume["volume"] in segmented:
            continue
        for donor in _donors(volume, volumes, segmented):
            result = _borrow(volume, segmented[donor["volume"]].key, volume_store, mask_store, minimum_coverage)
            if result:
                borrowed[volume["volume"]] = result
                break
    return borrowed


def _donors(
    volume: AcceptedVolumeRow, volumes: Sequence[AcceptedVolumeRow], segmented: Mapping[str, SegmentedVolume]
) -> list[AcceptedVolumeRow]:
    """The volumes whose labels may serve, smallest voxels first."""
    if volume["frame"] is None:
        return []
    origin = _origin(volume)
    donors = [donor for donor in volumes if donor["volume"] in segmented and _origin(donor) == origin]
    return sorted(donors, key=lambda donor: donor["spacing_x"] * donor["spacing_y"] * donor["spacing_z"])


def _origin(volume: AcceptedVolumeRow) -> tuple[str, str, str | None]:
    """Study, modality and frame of reference: series that share them show the same body at the same coordinates."""
    return volume["study"], volume["modality"], volume["frame"]


def _borrow(
    volume: AcceptedVolumeRow, donor_key: str, volume_store: Path, mask_store: Path, minimum_coverage: float
) -> SegmentedVolume | None:
    """The donor's labels on the grid of the volume, from the store if it holds them; None if they do not cover it."""
    key = digest_bytes(donor_key.encode(), b"borrowed", volume["digest"].encode(), str(minimum_coverage).encode())
    if stored := stored_result(key, mask_store):
        return stored
    values, grid = read_volume(volume_store / volume["file"])
    labels, affine = read_stored_labels(mask_store / store_name(donor_key))
    if coverage(labels.shape, affine, grid, values.shape) < minimum_coverage:
        return None
    resampled = resample_labels(labels, affine, grid, values.shape)
    return SegmentedVolume(key, 0.0, *save_labels(mask_store / store_name(key), resampled, grid))
