"""Label volumes that a site has already, read in a sandbox and resampled to the grids of the volumes."""

import time
from collections.abc import Collection, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from refrad.config.imaging import MasksOptions
from refrad.core.files import digest_bytes, digest_file
from refrad.core.sandbox import Limits, run_sandboxed
from refrad.core.types import TASK_OF
from refrad.dicom.volume_store import read_volume
from refrad.segmentation.base import (
    DeliveredMasks,
    FailedVolume,
    SegmentationJob,
    SegmentationResult,
    SegmentedVolume,
    SegmenterLimits,
    UnsegmentableError,
)
from refrad.segmentation.label_files import files_of_mask, is_failing_storage, read_labels
from refrad.segmentation.labels import coverage, is_displaced, resample_labels, save_labels
from refrad.segmentation.mask_agreement import find_disagreement
from refrad.segmentation.mask_table import GivenMask, masks_of_volumes

__all__ = ["Precomputed", "create", "native_ids"]

DISAGREEING = "mask that does not fit its volume, and is kept"
READING = b"labels as of version 4"  # changed with each change of what a label file means


class Precomputed:
    """A `refrad.segmentation.base.Segmenter` that reads label files.

    Args:
        masks: name of a volume to its label file or folder.
        minimum_coverage: share of a volume that must be inside of its mask's field of view.
        keeps_disagreeing: whether masks that do not fit their volume are used, and only counted.
    """

    def __init__(self, masks: Mapping[str, GivenMask], minimum_coverage: float, *, keeps_disagreeing: bool) -> None:
        self.name = "precomputed"
        self._masks = masks
        self._minimum_coverage = minimum_coverage
        self._keeps_disagreeing = keeps_disagreeing
        self._read = cache(_read)

    def source(self, volume: str, task: str) -> str | None:  # noqa: ARG002
        """Digest of the volume's label files, or the reason why they cannot be used; None if the table names none."""
        if volume not in self._masks:
            return None
        files = self._files(volume)
        if not files.digest:
            return files.reason
        policy = f"{self._minimum_coverage} {self._keeps_disagreeing}"
        return digest_bytes(READING, files.digest.encode(), policy.encode())

    def weights(self, task: str) -> None:  # noqa: ARG002
        """None: no network is used."""
        return

    def label(
        self,
        jobs: Collection[SegmentationJob],
        limits: SegmenterLimits,
        scratch: Path,  # noqa: ARG002
    ) -> Iterator[SegmentationResult]:
        """Write the labels on the grids of the volumes, in a process with limited memory and time for each."""
        readable = []
        for job in jobs:
            path, files = self._masks[job.name].path, self._files(job.name)
            if path and files.digest:
                readable.append(_Task(job, path))
            else:
                yield FailedVolume(job.key, 0.0, files.reason, files.unread)
        write = partial(
            _write_labels, minimum_coverage=self._minimum_coverage, keeps_disagreeing=self._keeps_disagreeing
        )
        bounds = Limits.of_gib(limits.memory_gb, 60 * limits.minutes)
        for task, result in run_sandboxed(write, readable, bounds):
            yield result or FailedVolume(task.job.key, 0.0, "mask_beyond_limits")

    def _files(self, volume: str) -> "_Files":
        mask = self._masks[volume]
        return self._read(mask.path) if mask.path else _Files(None, mask.reason)


class _Files(NamedTuple):
    """Digest of the files of a mask, or the reason why they cannot be used, and the one for which the storage failed."""

    digest: str | None
    reason: str = ""
    unread: Path | None = None


class _Task(NamedTuple):
    job: SegmentationJob
    mask: Path


def create(options: MasksOptions, delivered: DeliveredMasks | None) -> Precomputed:
    """The segmenter for the label files of a delivery.

    Raises:
        ValueError: if the delivery names no folder of masks, or its table cannot be understood.
    """
    if delivered is None:
        raise ValueError(
            "masks.segmenter is precomputed, but the delivery names no folder of masks: add its `masks`, or choose totalsegmentator"
        )
    keeps_disagreeing = options.disagreeing == "keep"
    return Precomputed(masks_of_volumes(delivered), options.minimum_coverage, keeps_disagreeing=keeps_disagreeing)


def native_ids(task: str) -> dict[str, int]:
    """Name of each class of a TotalSegmentator task to its native id."""
    from totalsegmentator.map_to_binary import class_map

    return {name.lower(): label for label, name in class_map[task].items()}


def _write_labels(task: _Task, minimum_coverage: float, *, keeps_disagreeing: bool) -> SegmentationResult:
    """Write the labels of one volume; the result has the reason if they cannot be used."""
    start, job = time.monotonic(), task.job
    volume, grid = read_volume(job.volume)
    try:
        ids = native_ids(job.task)
        labels, affine, notes = read_labels(task.mask, ids)
        if coverage(labels.shape, affine, grid, volume.shape) < minimum_coverage:
            raise UnsegmentableError("mask_elsewhere")
        if is_displaced(labels.shape, affine, grid, volume.shape):
            raise UnsegmentableError("mask_shifted")
        if disagreement := find_disagreement(labels, affine, volume, grid, ids, is_ct=job.task == TASK_OF["CT"]):
            if not keeps_disagreeing:
                raise UnsegmentableError(disagreement)
            notes = {**notes, DISAGREEING: 1}
    except UnsegmentableError as reason:
        return FailedVolume(job.key, time.monotonic() - start, str(reason), reason.unread)
    resampled = resample_labels(labels, affine, grid, volume.shape)
    digest, count = save_labels(job.labels, resampled, grid)
    return SegmentedVolume(job.key, time.monotonic() - start, digest, count, notes)


def _read(path: Path) -> _Files:
    """The digest is that of the files' contents and, in a folder, of their names."""
    file, parts = path, list[bytes]()
    try:
        for file in files_of_mask(path):
            name = file.name.encode(errors="surrogateescape") if path.is_dir() else b""
            parts += [name, digest_file(file).encode()]
    except OSError as error:
        return _Files(None, "storage_error", file) if is_failing_storage(error) else _Files(None, "unreadable_mask")
    return _Files(digest_bytes(*parts))
