"""Find the classes in every slice, with area and box, from label volumes that look like those of a human being."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.anatomy.schema import load_schema
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
PAIRS = 40  # of classes, told of each shard

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
    """Find the structures of one shard, one volume in memory at a time."""
    options = StructuresOptions.model_validate(fingerprint.options)
    rule = OutlierRule(options.minimum_area_mm2, options.minimum_share)
    anatomy = load_schema(schema)
    luts = {task: anatomy.native_lut(task) for task in TASK_OF.values()}
    tally = Tally("slices")
    labelled = read_table(masks, MaskTable).join(
        read_table(volumes, VolumeTable).drop("digest", "file", "reason"), on="volume"
    )
    places = read_table(slices, SliceTable).partition_by("volume", as_dict=True)
    frames = [frame_of([], StructureTable)]
    flagged: list[dict[str, Any]] = []
    bounds = load_norms(norms)
    pairs: dict[tuple[int, int], int] = {}
    for volume in labelled.iter_rows(named=True):
        instances = places.pop((volume["volume"],)).select("index", "instance")
        tally.take(len(instances))
        if volume["reason"]:
            tally.put_aside("no_mask", len(instances))
            continue
        spacing = (volume["spacing_x"], volume["spacing_y"])
        lut = luts[volume["task"]]
        with tally.timed("reading"):
            labels, affine = read_volume(mask_store / volume["file"])
            labels = labels.astype(np.uint8, copy=False)
        with tally.timed("plausibility"):
            seen = find_flags(lut[labels], affine, anatomy, bounds, volume["age"], volume["body_part"])
        actions = {one.flag: getattr(options.implausible, one.flag) for one in seen}
        flagged += [vars(one) | {"volume": volume["volume"], "action": actions[one.flag]} for one in seen]
        for flag in actions or ["none"]:
            tally.add(f"volumes with a flag, {volume['modality']}", flag)
        if "quarantine" in actions.values():
            tally.put_aside("implausible", len(instances))
            continue
        with tally.timed("structures"):
            found = find_structures(labels, lut, spacing, rule)
        frame = _rows(found, instances, volume["volume"], spacing[0] * spacing[1])
        frames.append(frame)
        filled = frame["index"].n_unique()
        tally.use(filled)
        for pair, count in _together(frame):
            pairs[pair] = pairs.get(pair, 0) + count
        tally.put_aside("no_structure", len(instances) - filled)
        for class_id, count in frame["class_id"].value_counts().rows():
            tally.add(f"slices with a class, {volume['modality']}", anatomy.by_id[class_id].name, count)
    for left in places.values():  # slices of volumes that masks knows nothing of
        tally.take(len(left))
        tally.put_aside("no_mask", len(left))
    for (one, other), count in sorted(pairs.items(), key=lambda item: -item[1])[:PAIRS]:
        names = f"{anatomy.by_id[one].english}, {anatomy.by_id[other].english}"
        tally.add("classes together in a slice, the most frequent pairs of each shard", names, count)
    frame = pl.concat(frames)
    tally.make("structures", len(frame))
    write_table(structures, frame.sort("volume", "index", "class_id"), StructureTable, fingerprint)
    told = frame_of(flagged, FlagTable).sort("volume", "flag", "class_id")
    write_table(flags, told, FlagTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d structures in %d slices", len(frame), tally.used)


def _together(frame: pl.DataFrame) -> Iterator[tuple[tuple[int, int], int]]:
    """Pairs of classes (the smaller id first), and in how many slices both are."""
    if frame.is_empty():
        return
    index = frame["index"].to_numpy()
    there = np.zeros((index.max() + 1, 256), np.float32)
    there[index, frame["class_id"].to_numpy()] = 1
    both = np.triu(there.T @ there, 1)
    for one, other in np.argwhere(both).tolist():
        yield (one, other), int(both[one, other])


def _rows(found: dict[str, NDArray[np.int32]], instances: pl.DataFrame, volume: str, pixel_mm2: float) -> pl.DataFrame:
    """Rows of the table for one volume; `instances` says which instance each slice shows."""
    rows = pl.DataFrame(found).join(instances, on="index", how="inner", validate="m:1")
    rows = rows.with_columns(volume=pl.lit(volume), area_mm2=pl.col("area") * pixel_mm2)
    return rows.select(pl.col(name).cast(kind) for name, kind in frame_of([], StructureTable).schema.items())
