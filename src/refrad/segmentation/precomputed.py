"""Label volumes that a site has already, resampled to the grids of the volumes."""

import time
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.config.imaging import MasksOptions
from refrad.core.files import digest_bytes
from refrad.segmentation.base import (
    DeliveredMasks,
    FailedVolume,
    SegmentationJob,
    SegmentationResult,
    SegmentedVolume,
    SegmenterLimits,
    UnsegmentableError,
)
from refrad.segmentation.labels import resample_labels, save_labels, summarize_labels

__all__ = ["Precomputed", "create", "read_mask_table"]


class Precomputed:
    """A `refrad.segmentation.base.Segmenter` that reads label files.

    Args:
        masks: name of a volume to its label file (NIfTI, native ids).
    """

    def __init__(self, masks: Mapping[str, Path]) -> None:
        self.name = "precomputed"
        self._masks = masks
        self._digest = cache(lambda path: digest_bytes(path.read_bytes()))

    def source(self, volume: str, task: str) -> str | None:  # noqa: ARG002
        """Digest of the volume's label file; None if it has none."""
        return self._digest(self._masks[volume]) if volume in self._masks else None

    def weights(self, task: str) -> None:  # noqa: ARG002
        """None: no network is used."""
        return

    def label(
        self,
        jobs: Collection[SegmentationJob],
        limits: SegmenterLimits,  # noqa: ARG002
        scratch: Path,  # noqa: ARG002
    ) -> Iterator[SegmentationResult]:
        """Write the label files on the grids of the volumes, in this process."""
        for job in jobs:
            start = time.monotonic()
            try:
                image: Any = nib.load(job.volume)  # type: ignore[attr-defined]
                mask: Any = nib.load(self._masks[job.name])  # type: ignore[attr-defined]
                labels = resample_labels(_native_ids(mask), mask.affine, image.affine, image.shape)
                save_labels(job.labels, labels, image.affine)
                yield SegmentedVolume(job.key, time.monotonic() - start, *summarize_labels(labels))
            except UnsegmentableError as reason:
                yield FailedVolume(job.key, time.monotonic() - start, str(reason))


def create(options: MasksOptions, delivered: DeliveredMasks | None) -> Precomputed:  # noqa: ARG001
    """The segmenter for the label files of a delivery.

    Raises:
        ValueError: if the delivery names no folder of masks, or its table is wrong.
    """
    if delivered is None:
        raise ValueError("masks.segmenter is precomputed, but the delivery names no folder of masks")
    return Precomputed(read_mask_table(delivered.folder, delivered.file_paths()))


def read_mask_table(folder: Path, paths: pl.DataFrame) -> dict[str, Path]:
    """Name of a volume to its label file, by the table masks.csv.

    Args:
        folder: holds masks.csv, whose column `dicom` is a file or folder inside the delivery, and `mask` a file in `folder`.
        paths: columns volume and path (inside the delivery) of all files of the volumes.

    Raises:
        ValueError: if the table or a mask that it names does not exist.
    """
    table = folder / "masks.csv"
    if not table.exists():
        raise ValueError(f"{folder}: holds no masks.csv (columns dicom and mask)")
    masks: dict[str, Path] = {}
    for number, row in enumerate(pl.read_csv(table, infer_schema=False).iter_rows(named=True), 2):
        mask = folder / row["mask"]
        if not mask.exists():
            raise ValueError(f"{table}, line {number}: the mask is not there")
        prefix = row["dicom"].strip("/")
        is_below = (
            pl.lit(True)
            if prefix in ("", ".")
            else (pl.col("path") == prefix) | pl.col("path").str.starts_with(prefix + "/")
        )
        for volume in paths.filter(is_below)["volume"].unique():
            masks[volume] = mask
    return masks


def _native_ids(mask: Any) -> NDArray[np.uint8]:
    values = np.asarray(mask.dataobj)
    if values.min() < 0 or values.max() > 255 or (values != np.round(values)).any():
        raise UnsegmentableError("mask_not_labels")
    return values.astype(np.uint8)
