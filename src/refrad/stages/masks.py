"""Label every voxel of the accepted volumes, by TotalSegmentator or from label volumes that exist already."""

import logging
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.config import MasksOptions
from refrad.files import digest_bytes
from refrad.fingerprint import Fingerprint
from refrad.imaging.labels import load_labels, save_labels, store_name
from refrad.imaging.segmenters import TASK_OF, Segmenter, TotalSegmentator, Unsegmentable, onto_grid
from refrad.tables import InstanceTable, MaskTable, VolumeTable, frame_of, read_table, write_table
from refrad.tally import Tally

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
    segmenter: TotalSegmentator | None = None
    given: dict[str, Path] = {}
    if options.segmenter == "precomputed":
        if precomputed is None or instances is None or files is None:
            raise ValueError("masks.segmenter is precomputed, but the delivery names no folder of masks")
        given = _given(precomputed, read_table(instances, InstanceTable), pl.read_parquet(files))
    else:
        if options.weights is None:
            raise ValueError("masks.weights names no folder of TotalSegmentator weights")
        segmenter = TotalSegmentator(Path(options.weights), options.variant, options.device)
    rows = []
    told = time.monotonic()
    accepted = read_table(volumes, VolumeTable).filter(pl.col("reason").is_null())
    for number, volume in enumerate(accepted.iter_rows(named=True), 1):
        tally.take()
        task = TASK_OF[volume["modality"]]
        row: dict[str, Any] = {"volume": volume["volume"], "task": task, "weights": None, "digest": None}
        row |= {
            "segmenter": segmenter.name if segmenter else "precomputed",
            "file": None,
            "labels": None,
            "reason": None,
        }
        try:
            with tally.timed("labels"):
                row |= _labels(
                    volume, volume_store, store, segmenter, given.get(volume["volume"]), task, options, tally
                )
            tally.use()
            tally.add("labels per volume", str(row["labels"]))
        except Unsegmentable as reason:
            row["reason"] = str(reason)
            tally.put_aside(str(reason))
        rows.append(row)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            logger.info("%d of %d volumes, %.1f s each", number, len(accepted), tally.seconds["labels"] / number)
    write_table(masks, frame_of(rows, MaskTable), MaskTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d volumes labelled, %d put aside", tally.used, sum(tally.aside.values()))


def _labels(
    volume: dict[str, Any],
    volume_store: Path,
    store: Path,
    segmenter: Segmenter | None,
    given: Path | None,
    task: str,
    options: MasksOptions,
    tally: Tally,
) -> dict[str, Any]:
    """Digest, file and class count of a volume's labels, from the store or made now."""
    weights = segmenter.weights(task) if segmenter else None
    if segmenter is None and given is None:
        raise Unsegmentable("no_precomputed_mask")
    source = weights if weights else digest_bytes(given.read_bytes()) if given else ""
    key = digest_bytes(
        *(part.encode() for part in (volume["digest"], task, source, options.segmenter, options.variant))
    )
    path = store / store_name(key)
    if path.exists():
        tally.make("labels from the store")
        labels = load_labels(path)
    else:
        image: Any = nib.load(volume_store / volume["file"])  # type: ignore[attr-defined]
        if segmenter:
            labels = segmenter.segment(np.asarray(image.dataobj, np.int16), image.affine, task)
        else:
            mask: Any = nib.load(given)  # type: ignore[attr-defined,arg-type]
            labels = onto_grid(_whole_numbers(mask), mask.affine, image.affine, image.shape)
        save_labels(path, labels, image.affine)
        tally.make("labels made")
    present = int(np.count_nonzero(np.bincount(labels.ravel(), minlength=256)[1:]))
    return {"weights": weights, "digest": digest_bytes(labels.tobytes()), "file": store_name(key), "labels": present}


def _whole_numbers(mask: Any) -> NDArray[np.uint8]:
    values = np.asarray(mask.dataobj)
    if values.min() < 0 or values.max() > 255 or (values != np.round(values)).any():
        raise Unsegmentable("mask_not_labels")
    return values.astype(np.uint8)


def _given(folder: Path, instances: pl.DataFrame, files: pl.DataFrame) -> dict[str, Path]:
    """Volume to label file, by masks.csv: `dicom` is a file or folder inside the delivery, `mask` a file beside the table.

    Raises:
        ValueError: if the table or a mask it names is not there.
    """
    table = folder / "masks.csv"
    if not table.exists():
        raise ValueError(f"{folder}: holds no masks.csv (columns dicom and mask)")
    paths = instances.filter(pl.col("volume").is_not_null()).join(files.select("file", "path"), on="file")
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
