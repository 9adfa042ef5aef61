"""Label every voxel of the accepted volumes, by TotalSegmentator or from label volumes that exist already."""

import logging
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.config import MasksOptions
from refrad.core.contracts import InstanceTable, MaskTable, VolumeTable
from refrad.core.files import digest_bytes
from refrad.core.tables import frame_of, read_table, scan_table, write_table
from refrad.core.types import TASK_OF
from refrad.dicom.slices import stack_name
from refrad.dicom.volume_store import read_volume, store_name
from refrad.segmentation.labels import load_labels, save_labels, summarize_labels
from refrad.segmentation.runner import SegmentationJob, SegmentationResult, SegmenterLimits, label_volumes
from refrad.segmentation.totalsegmentator import TotalSegmentator, UnsegmentableError, resample_labels
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 1

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
    instances: Path | None = None,
    files: Path | None = None,
) -> None:
    """Label the volumes of one shard; what the store already holds is not computed again."""
    options = MasksOptions.model_validate(fingerprint.options)
    tally = Tally("volumes")
    accepted = read_table(volumes, VolumeTable).filter(pl.col("reason").is_null()).to_dicts()
    segmenter: TotalSegmentator | None = None
    given: dict[str, Path] = {}
    if options.segmenter == "precomputed":
        if precomputed is None or instances is None or files is None:
            raise ValueError("masks.segmenter is precomputed, but the delivery names no folder of masks")
        given = _given(precomputed, _paths([one["volume"] for one in accepted], instances, files))
    else:
        if options.weights is None:
            raise ValueError("masks.weights names no folder of TotalSegmentator weights")
        segmenter = TotalSegmentator(Path(options.weights), options.variant, options.device, options.rois)
    keys = {one["volume"]: _key(one, segmenter, given.get(one["volume"]), options) for one in accepted}
    with tally.timed("look into the store"):
        outcomes = {key: found for key in keys.values() if key and (found := _stored(key, store))}
    tally.make("labels from the store", len(outcomes))
    orders = {  # two volumes of the same voxels are one order
        key: SegmentationJob(key, volume_store / one["file"], store / store_name(key), TASK_OF[one["modality"]])
        for one in accepted
        if (key := keys[one["volume"]]) and key not in outcomes
    }
    with tally.timed("labels"):
        limits = SegmenterLimits(options.minutes, options.memory_gb, options.at_once)
        scratch = masks.parent / ".scratch"
        made = (
            label_volumes(segmenter, orders.values(), limits, scratch) if segmenter else _brought(orders, keys, given)
        )
        for outcome in _told(made, len(orders)):
            outcomes[outcome.key] = outcome
            tally.make("labels made", int(outcome.reason is None))
            tally.add("seconds per volume", _duration(outcome.seconds))
    own = {
        name: outcomes[key] if key else SegmentationResult("", 0, reason="no_precomputed_mask")
        for name, key in keys.items()
    }
    with tally.timed("borrowing"):
        borrowed = _borrowed(accepted, own, volume_store, store) if options.borrow else {}
    tally.make("labels borrowed", len(borrowed))
    rows = []
    for one in accepted:
        tally.take()
        task = TASK_OF[one["modality"]]
        outcome = borrowed.get(one["volume"]) or own[one["volume"]]
        name = segmenter.name if segmenter else "precomputed"
        rows.append(
            {
                "volume": one["volume"],
                "task": task,
                "segmenter": f"{name}, of another series" if one["volume"] in borrowed else name,
                "weights": segmenter.weights(task) if segmenter and not outcome.reason else None,
                "digest": outcome.digest,
                "file": store_name(outcome.key) if not outcome.reason else None,
                "labels": outcome.labels,
                "reason": outcome.reason,
            }
        )
        if outcome.reason:
            tally.put_aside(outcome.reason)
        else:
            tally.use()
            tally.add("labels per volume", str(outcome.labels))
    write_table(masks, frame_of(rows, MaskTable), MaskTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d volumes labelled, %d put aside", tally.used, sum(tally.aside.values()))


def _key(
    volume: dict[str, Any], segmenter: TotalSegmentator | None, given: Path | None, options: MasksOptions
) -> str | None:
    """What a volume's labels are stored under: a digest of all that determines them. None if nothing would make them."""
    task = TASK_OF[volume["modality"]]
    if segmenter is None and given is None:
        return None
    source = segmenter.weights(task) if segmenter else digest_bytes(given.read_bytes()) if given else ""
    parts = [volume["digest"], task, source, options.segmenter, options.variant, *(options.rois or [])]
    return digest_bytes(*(part.encode() for part in parts))


def _stored(key: str, store: Path) -> SegmentationResult | None:
    """The outcome that the store holds; None if it holds none, or a file that cannot be read and is made again."""
    path = store / store_name(key)
    if not path.exists():
        return None
    try:
        return SegmentationResult(key, 0.0, *summarize_labels(load_labels(path)))
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError):
        logger.warning("an entry of the store cannot be read and is made again")
        return None


def _borrowed(
    accepted: Sequence[dict[str, Any]], own: Mapping[str, SegmentationResult], volume_store: Path, store: Path
) -> dict[str, SegmentationResult]:
    """Labels for volumes without, from the finest series of the same study, modality and frame of reference that covers them."""
    found = {}
    for one in accepted:
        if own[one["volume"]].reason is None or one["frame"] is None:
            continue
        same = [
            other
            for other in accepted
            if own[other["volume"]].reason is None
            and all(other[what] == one[what] for what in ("study", "modality", "frame"))
        ]
        for donor in sorted(same, key=lambda other: other["spacing_x"] * other["spacing_y"] * other["spacing_z"]):
            key = digest_bytes(own[donor["volume"]].key.encode(), b"borrowed", one["digest"].encode())
            outcome = _stored(key, store)
            if outcome is None:
                image: Any = nib.load(volume_store / one["file"])  # type: ignore[attr-defined]
                labels, affine = read_volume(store / store_name(own[donor["volume"]].key))
                try:
                    moved = resample_labels(labels, affine, image.affine, image.shape)
                except UnsegmentableError:  # it lies elsewhere
                    continue
                save_labels(store / store_name(key), moved, image.affine)
                outcome = SegmentationResult(key, 0.0, *summarize_labels(moved))
            found[one["volume"]] = outcome
            break
    return found


def _told(outcomes: Iterator[SegmentationResult], count: int) -> Iterator[SegmentationResult]:
    """The outcomes, with a line in the log now and then."""
    start = told = time.monotonic()
    for number, outcome in enumerate(outcomes, 1):
        yield outcome
        now = time.monotonic()
        if now - told > 10:
            told = now
            logger.info("%d of %d volumes, %.1f s each", number, count, (now - start) / number)


def _duration(seconds: float) -> str:
    """A row of the table of times, such as "2 to 4 s"."""
    upper = max(1, 2 ** int(np.ceil(np.log2(max(seconds, 1)))))
    return f"{upper // 2} to {upper} s"


def _brought(
    orders: Mapping[str, SegmentationJob], keys: Mapping[str, str | None], given: Mapping[str, Path]
) -> Iterator[SegmentationResult]:
    """The site's own masks, brought onto the grids of the volumes."""
    masks = {key: given[volume] for volume, key in keys.items() if key}
    for key, order in orders.items():
        start = time.monotonic()
        try:
            image: Any = nib.load(order.volume)  # type: ignore[attr-defined]
            mask: Any = nib.load(masks[key])  # type: ignore[attr-defined]
            labels = resample_labels(_whole_numbers(mask), mask.affine, image.affine, image.shape)
            save_labels(order.labels, labels, image.affine)
            yield SegmentationResult(key, time.monotonic() - start, *summarize_labels(labels))
        except UnsegmentableError as reason:
            yield SegmentationResult(key, time.monotonic() - start, reason=str(reason))


def _whole_numbers(mask: Any) -> NDArray[np.uint8]:
    values = np.asarray(mask.dataobj)
    if values.min() < 0 or values.max() > 255 or (values != np.round(values)).any():
        raise UnsegmentableError("mask_not_labels")
    return values.astype(np.uint8)


def _paths(volumes: list[str], instances: Path, files: Path) -> pl.DataFrame:
    """The paths inside the delivery of the files of each volume."""
    stacks = {"made": volumes, "volume": [stack_name(volume) for volume in volumes]}
    made_of = pl.LazyFrame(stacks, schema={"made": pl.String, "volume": pl.String})
    of_volumes = scan_table(instances, InstanceTable).join(made_of, on="volume").select("file", volume="made")
    return of_volumes.join(pl.scan_parquet(files).select("file", "path"), on="file").collect()


def _given(folder: Path, paths: pl.DataFrame) -> dict[str, Path]:
    """Volume to label file, by masks.csv: `dicom` is a file or folder inside the delivery, `mask` a file beside the table.

    Raises:
        ValueError: if the table or a mask it names is not there.
    """
    table = folder / "masks.csv"
    if not table.exists():
        raise ValueError(f"{folder}: holds no masks.csv (columns dicom and mask)")
    given: dict[str, Path] = {}
    for number, row in enumerate(pl.read_csv(table, infer_schema=False).iter_rows(named=True), 2):
        mask = folder / row["mask"]
        if not mask.exists():
            raise ValueError(f"{table}, line {number}: the mask is not there")
        place = row["dicom"].strip("/")
        here = (
            pl.lit(True)
            if place in ("", ".")
            else (pl.col("path") == place) | pl.col("path").str.starts_with(place + "/")
        )
        for volume in paths.filter(here)["volume"].unique():
            given[volume] = mask
    return given
