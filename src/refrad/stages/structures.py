"""Find the classes in every slice, with area and box, from anatomically plausible label volumes."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import StructuresOptions
from refrad.core.contracts import FlagTable, MaskTable, SliceTable, StructureTable, VolumeTable
from refrad.core.tables import frame_of, read_table, write_table
from refrad.core.types import TASK_OF
from refrad.dicom.volume_store import read_volume
from refrad.segmentation.plausibility import find_flags, load_norms
from refrad.segmentation.structure_finder import OutlierRule, find_structures
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 2
PAIRS = 40  # most frequent pairs of classes counted in each shard

logger = logging.getLogger(__name__)


def run(
    *,
    slices: Path,
    volumes: Path,
    masks: Path,
    mask_store: Path,
    schema: Path,
    norms: Path,
    structures: Path,
    flags: Path,
    metrics: Path,
    fingerprint: Fingerprint,
) -> None:
    """Find the structures of one shard, with one volume in memory at a time."""
    options = StructuresOptions.model_validate(fingerprint.options)
    rule = OutlierRule(options.minimum_area_mm2, options.minimum_share)
    anatomy, plausible = load_schema(schema), load_norms(norms)
    luts = {task: anatomy.native_lut(task) for task in TASK_OF.values()}
    tally = Tally("slices")
    labelled = read_table(masks, MaskTable).join(
        read_table(volumes, VolumeTable).drop("digest", "file", "reason"), on="volume"
    )
    slices_of = read_table(slices, SliceTable).partition_by("volume", as_dict=True)
    frames = [frame_of([], StructureTable)]
    flag_rows: list[dict[str, Any]] = []
    pairs: dict[tuple[int, int], int] = {}
    for volume in labelled.iter_rows(named=True):
        instances = slices_of.pop((volume["volume"],)).select("index", "instance")
        tally.take(len(instances))
        if volume["reason"]:
            tally.quarantine("no_mask", len(instances))
            continue
        lut = luts[volume["task"]]
        with tally.timed("reading"):
            labels, affine = read_volume(mask_store / volume["file"])
            labels = labels.astype(np.uint8, copy=False)

        # Implausible volumes are flagged, or quarantined if the config sets it
        with tally.timed("plausibility"):
            found_flags = find_flags(lut[labels], affine, anatomy, plausible, volume["age"], volume["body_part"])
        actions = {flag.flag: getattr(options.implausible, flag.flag) for flag in found_flags}
        flag_rows += [vars(flag) | {"volume": volume["volume"], "action": actions[flag.flag]} for flag in found_flags]
        for name in actions or ["none"]:
            tally.add(f"volumes with a flag, {volume['modality']}", name)
        if "quarantine" in actions.values():
            tally.quarantine("implausible", len(instances))
            continue

        spacing = (volume["spacing_x"], volume["spacing_y"])
        with tally.timed("structures"):
            columns = find_structures(labels, lut, spacing, rule)
        frame = _rows(columns, instances, volume["volume"], spacing[0] * spacing[1])
        frames.append(frame)
        for pair, count in _pairs(frame):
            pairs[pair] = pairs.get(pair, 0) + count
        _count_classes(tally, frame, len(instances), volume["modality"], anatomy)
    unlabelled = sum(map(len, slices_of.values()))  # slices of volumes without a row in the mask table
    tally.take(unlabelled)
    tally.quarantine("no_mask", unlabelled)
    _count_pairs(tally, pairs, anatomy)
    table = pl.concat(frames)
    tally.make("structures", len(table))
    write_table(structures, table.sort("volume", "index", "class_id"), StructureTable, fingerprint)
    flag_table = frame_of(flag_rows, FlagTable).sort("volume", "flag", "class_id")
    write_table(flags, flag_table, FlagTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d structures in %d slices", len(table), tally.used)


def _rows(
    columns: dict[str, NDArray[np.int32]], instances: pl.DataFrame, volume: str, pixel_mm2: float
) -> pl.DataFrame:
    """Rows of the structure table for one volume; `instances` has the columns index (of the slice) and instance."""
    rows = pl.DataFrame(columns).join(instances, on="index", how="inner", validate="m:1")
    rows = rows.with_columns(volume=pl.lit(volume), area_mm2=pl.col("area") * pixel_mm2)
    return rows.select(pl.col(name).cast(kind) for name, kind in frame_of([], StructureTable).schema.items())


def _pairs(frame: pl.DataFrame) -> Iterator[tuple[tuple[int, int], int]]:
    """Pairs of classes (the smaller id first), and the number of slices that have both."""
    if frame.is_empty():
        return
    index = frame["index"].to_numpy()
    is_present = np.zeros((index.max() + 1, 256), np.float32)  # [slice, class id]
    is_present[index, frame["class_id"].to_numpy()] = 1
    shared_slices = np.triu(is_present.T @ is_present, 1)
    for first, second in np.argwhere(shared_slices).tolist():
        yield (first, second), int(shared_slices[first, second])


def _count_classes(tally: Tally, frame: pl.DataFrame, slices: int, modality: str, anatomy: Schema) -> None:
    """Count the slices of a volume by whether they have a structure, and by class."""
    filled = frame["index"].n_unique()
    tally.use(filled)
    tally.quarantine("no_structure", slices - filled)
    for class_id, count in frame["class_id"].value_counts().rows():
        tally.add(f"slices with a class, {modality}", anatomy.by_id[class_id].name, count)


def _count_pairs(tally: Tally, pairs: Mapping[tuple[int, int], int], anatomy: Schema) -> None:
    """Count the most frequent pairs of classes."""
    for (first, second), count in sorted(pairs.items(), key=lambda item: -item[1])[:PAIRS]:
        names = f"{anatomy.by_id[first].english}, {anatomy.by_id[second].english}"
        tally.add("classes together in a slice, the most frequent pairs of each shard", names, count)
