"""Label every voxel of the accepted volumes, by TotalSegmentator or from label volumes that exist already."""

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from refrad.config import MasksOptions
from refrad.core.contracts import InstanceTable, MaskTable, VolumeTable
from refrad.core.files import digest_bytes
from refrad.core.progress import log_progress
from refrad.core.table_rows import AcceptedVolumeRow, MaskRow, rows_of
from refrad.core.tables import frame_of, read_public_set, read_table, scan_table, write_table
from refrad.core.types import TASK_OF
from refrad.dicom.slices import files_of_volumes, stack_name
from refrad.dicom.volume_store import store_name
from refrad.privacy.pseudonyms import FileTable
from refrad.privacy.storage_errors import StorageErrors
from refrad.segmentation.base import (
    DeliveredMasks,
    FailedVolume,
    SegmentationJob,
    SegmentationResult,
    SegmentedVolume,
    Segmenter,
    SegmenterLimits,
    create_segmenter,
)
from refrad.segmentation.borrowing import borrow_labels
from refrad.segmentation.labels import stored_result
from refrad.segmentation.mask_table import TABLE
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 5

logger = logging.getLogger(__name__)


def run(
    *,
    volumes: Path,
    volume_store: Path,
    store: Path,
    masks: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    precomputed: Path | None = None,
    mask_table: Path | None = None,
    instances: Path | None = None,
    files: Path | None = None,
    shard: int = 0,
) -> None:
    """Label the volumes of one shard, but those whose labels the store holds already.

    `precomputed` is the folder of given masks, which `mask_table` names, or masks.csv in it; `shard` is in the name of the list of
    failing files.

    Raises:
        ValueError: if the storage fails for more given masks than the config allows.
    """
    options = MasksOptions.model_validate(fingerprint.options)
    tally = Tally("volumes")
    volume_table = read_table(volumes, VolumeTable)
    accepted = list(rows_of(volume_table.filter(pl.col("reason").is_null()), AcceptedVolumeRow))
    delivered = None
    if precomputed and instances and files:
        table = mask_table or precomputed / TABLE
        delivered = _delivered(precomputed, table, volume_table, scan_table(instances, InstanceTable), files, tally)
    segmenter = create_segmenter(options, delivered)
    keys = {volume["volume"]: _key(volume, segmenter, options) for volume in accepted}

    # Labels that the store holds, then those that it does not
    with tally.timed("look into the store"):
        results: dict[str, SegmentationResult] = {
            key: stored for key in keys.values() if key and (stored := stored_result(key, store))
        }
    tally.make("labels from the store", len(results))
    jobs = {  # volumes of the same voxels are one job
        key: SegmentationJob(
            key, volume_store / volume["file"], store / store_name(key), TASK_OF[volume["modality"]], volume["volume"]
        )
        for volume in accepted
        if (key := keys[volume["volume"]]) and key not in results
    }
    limits = SegmenterLimits(options.minutes, options.memory_gb, options.concurrent_volumes)
    with tally.timed("labels"):
        labelled = segmenter.label(jobs.values(), limits, masks.parent / ".scratch")
        if precomputed and files:
            storage_errors = StorageErrors(files.parent / f"storage_errors_masks_{shard}.txt", options.storage_errors)
            labelled = _name_unread(labelled, precomputed, storage_errors)
        for result in log_progress(labelled, logger, "volumes", len(jobs)):
            results[result.key] = result
            tally.make("labels made", int(isinstance(result, SegmentedVolume)))
            tally.add("seconds per volume", _duration(result.seconds))
            if isinstance(result, SegmentedVolume):
                _count_notes(result, tally)

    # Labels of other series for volumes that have none
    unlabelled = FailedVolume("", 0, "no_precomputed_mask")
    own: dict[str, SegmentationResult] = {name: results[key] if key else unlabelled for name, key in keys.items()}
    with tally.timed("borrowing"):
        borrowed = borrow_labels(accepted, own, volume_store, store, options.minimum_coverage) if options.borrow else {}
    tally.make("labels borrowed", len(borrowed))

    rows = [_row(volume, segmenter, own[volume["volume"]], borrowed.get(volume["volume"])) for volume in accepted]
    public_set = read_public_set(instances) if instances else None
    write_table(masks, frame_of(rows, MaskTable), MaskTable, fingerprint, public_set)
    _count(rows, tally)
    tally.write(metrics, fingerprint)
    logger.info("%d volumes labelled, %d quarantined", tally.used, sum(tally.aside.values()))


def _delivered(
    folder: Path, table: Path, volumes: pl.DataFrame, instances: pl.LazyFrame, files: Path, tally: Tally
) -> DeliveredMasks:
    """The given masks of a delivery. The rows of their table are counted by the first shard that has volumes, once for all."""
    accepted = volumes.filter(pl.col("reason").is_null())["volume"].to_list()
    stacks = [stack_name(volume) for volume in volumes["volume"]]
    file_table = scan_table(files, FileTable)
    used = instances.filter(pl.col("volume").is_not_null())
    first, own = (
        frame.select(pl.col("shard").min()).collect().item()
        for frame in (used, used.filter(pl.col("volume").is_in(stacks)))
    )
    count_rows = partial(tally.add, "rows of the table of masks") if first == own else None
    paths = partial(files_of_volumes, accepted, instances, file_table)
    return DeliveredMasks(folder, table, paths, file_table.select("path"), count_rows)


def _name_unread(
    labelled: Iterator[SegmentationResult], folder: Path, storage_errors: StorageErrors
) -> Iterator[SegmentationResult]:
    """The results, while the given masks for which the storage failed are named by their places in the folder."""
    for result in labelled:
        if isinstance(result, FailedVolume) and result.unread is not None:
            storage_errors.add(os.path.relpath(result.unread, folder))
        yield result
    if storage_errors.count:
        logger.warning("masks: the storage failed for %s", storage_errors)


def _count_notes(result: SegmentedVolume, tally: Tally) -> None:
    """Count what was not clear in given labels, and say it once a volume."""
    for note, number in result.notes.items():
        if number:
            tally.add("given masks that were read", note, number)
            logger.warning("a given mask: %d %s", number, note)


def _key(volume: AcceptedVolumeRow, segmenter: Segmenter, options: MasksOptions) -> str | None:
    """Key of a volume's labels in the store: a digest of all that determines them. None if it gets no labels."""
    task = TASK_OF[volume["modality"]]
    source = segmenter.source(volume["volume"], task)
    if source is None:
        return None
    parts = [volume["digest"], task, source, options.segmenter, options.variant, *(options.rois or [])]
    return digest_bytes(*(part.encode() for part in parts))


def _row(
    volume: AcceptedVolumeRow, segmenter: Segmenter, own: SegmentationResult, borrowed: SegmentedVolume | None
) -> MaskRow:
    """The row of the mask table for a volume, from its own result and the labels of another series, if it borrows them."""
    task, result = TASK_OF[volume["modality"]], borrowed or own
    source = f"{segmenter.name}, of another series" if borrowed else segmenter.name
    if isinstance(result, FailedVolume):
        return {
            "volume": volume["volume"],
            "task": task,
            "segmenter": source,
            "weights": None,
            "digest": None,
            "file": None,
            "labels": None,
            "reason": result.reason,
        }
    return {
        "volume": volume["volume"],
        "task": task,
        "segmenter": source,
        "weights": segmenter.weights(task),
        "digest": result.digest,
        "file": store_name(result.key),
        "labels": result.labels,
        "reason": None,
    }


def _count(rows: Sequence[MaskRow], tally: Tally) -> None:
    """Count the rows of the mask table."""
    for row in rows:
        tally.take()
        if row["reason"]:
            tally.quarantine(row["reason"])
        else:
            tally.use()
            tally.add("labels per volume", str(row["labels"]))


def _duration(seconds: float) -> str:
    """Row of the table of times, such as "2 to 4 s"."""
    upper = max(1, 2 ** int(np.ceil(np.log2(max(seconds, 1)))))
    return f"{upper // 2} to {upper} s"
