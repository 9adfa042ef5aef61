"""Find the classes in every slice, with area and box, from anatomically plausible label volumes."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import StructuresOptions
from refrad.core.contracts import FlagTable, MaskTable, SliceTable, StructureTable, VolumeTable
from refrad.core.table_rows import AcceptedMaskRow, FlagRow, rows_of
from refrad.core.tables import frame_of, read_table, write_table
from refrad.segmentation.fragments import FragmentRule, find_fragments, reference_sections
from refrad.segmentation.labels import read_stored_labels
from refrad.segmentation.plausibility import Flag, find_flags, load_norms, unused_norms
from refrad.segmentation.structure_finder import OutlierRule, find_structures
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 4
PAIRS = 40  # most frequent pairs of classes counted in each shard

Columns = dict[str, NDArray[np.int32]]  # of `find_structures`

logger = logging.getLogger(__name__)


class LabelledVolumeRow(AcceptedMaskRow):
    """The label volume of a volume, with the columns of the volume table that its structures need."""

    modality: str
    age: int | None
    body_part: str | None
    spacing_x: float
    spacing_y: float


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
    anatomy, bounds = load_schema(schema), load_norms(norms)
    reference_mm2 = reference_sections(bounds, anatomy)
    if unused := unused_norms(bounds, anatomy):
        logger.warning("structures: norms of %s are not used: the class schema has no such class", ", ".join(unused))
    tally = Tally("slices")
    slice_table = read_table(slices, SliceTable)
    tally.take(len(slice_table))
    slices_of = slice_table.partition_by("volume", as_dict=True)
    tables, flag_rows = [frame_of([], StructureTable)], list[FlagRow]()
    pairs: Counter[tuple[int, int]] = Counter()
    for volume in _labelled_volumes(volumes, masks):
        instances = slices_of.pop((volume["volume"],)).select("index", "instance")
        with tally.timed("reading"):
            labels, affine = read_stored_labels(mask_store / volume["file"], volume["digest"])
        lut = anatomy.native_lut(volume["task"])

        # Implausible volumes are flagged, or quarantined if the config sets it
        with tally.timed("plausibility"):
            found_flags = find_flags(lut[labels], affine, anatomy, bounds, volume["age"], volume["body_part"])
        rows = [_flag_row(volume["volume"], flag, options) for flag in found_flags]
        flag_rows += rows
        _count_flags(tally, rows, volume["modality"])
        if any(row["action"] == "quarantine" for row in rows):
            tally.quarantine("implausible", len(instances))
            continue

        with tally.timed("structures"):
            columns = find_structures(labels, lut, (volume["spacing_x"], volume["spacing_y"]), rule)
        with tally.timed("fragments"):
            is_adult = volume["age"] is None or volume["age"] >= bounds.adult
            is_fragment = _fragments(columns, labels, lut, reference_mm2 * is_adult, volume, options)
        _count_fragments(tally, columns["class_id"][is_fragment], volume["modality"], options, anatomy)
        table = _structures(columns, instances, volume, ~is_fragment | (options.fragments == "keep"))
        tables.append(table)
        pairs.update(_pairs(table))
        _count_classes(tally, table, len(instances), volume["modality"], anatomy)
    tally.quarantine("no_mask", sum(map(len, slices_of.values())))
    _count_pairs(tally, pairs, anatomy)
    structure_table = pl.concat(tables).sort("volume", "index", "class_id")
    tally.make("structures", len(structure_table))
    write_table(structures, structure_table, StructureTable, fingerprint)
    write_table(flags, frame_of(flag_rows, FlagTable).sort("volume", "flag", "class_id"), FlagTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d structures in %d slices", len(structure_table), tally.used)


def _labelled_volumes(volumes: Path, masks: Path) -> Iterator[LabelledVolumeRow]:
    """The volumes that have labels, in the order of the mask table."""
    labelled = read_table(masks, MaskTable).filter(pl.col("reason").is_null())
    columns = ("volume", "modality", "age", "body_part", "spacing_x", "spacing_y")
    return rows_of(labelled.join(read_table(volumes, VolumeTable).select(columns), on="volume"), LabelledVolumeRow)


def _flag_row(volume: str, flag: Flag, options: StructuresOptions) -> FlagRow:
    """The row of the flag table for a flag, with the action that the config sets for it."""
    return {
        "volume": volume,
        "flag": flag.flag,
        "class_id": flag.class_id,
        "value": flag.value,
        "low": flag.low,
        "high": flag.high,
        "action": getattr(options.implausible, flag.flag),
    }


def _fragments(
    columns: Columns,
    labels: NDArray[np.uint8],
    lut: NDArray[np.uint8],
    reference_mm2: NDArray[np.float64],
    volume: LabelledVolumeRow,
    options: StructuresOptions,
) -> NDArray[np.bool_]:
    """Which structures of a volume are fragments, by the rule of the config."""
    rule = FragmentRule(options.fragment_px, options.fragment_share)
    return find_fragments(columns, labels, lut, reference_mm2 / (volume["spacing_x"] * volume["spacing_y"]), rule)


def _structures(
    columns: Columns, instances: pl.DataFrame, volume: LabelledVolumeRow, is_used: NDArray[np.bool_]
) -> pl.DataFrame:
    """Rows of the structure table for one volume; `instances` has the columns index (of the slice) and instance."""
    pixel_mm2 = volume["spacing_x"] * volume["spacing_y"]
    rows = pl.DataFrame(columns).filter(is_used).join(instances, on="index", how="inner", validate="m:1")
    rows = rows.with_columns(volume=pl.lit(volume["volume"]), area_mm2=pl.col("area") * pixel_mm2)
    return rows.select(pl.col(name).cast(kind) for name, kind in frame_of([], StructureTable).schema.items())


def _pairs(table: pl.DataFrame) -> dict[tuple[int, int], int]:
    """Pairs of classes (the smaller id first) to the number of slices that have both."""
    if table.is_empty():
        return {}
    index = table["index"].to_numpy()
    is_present = np.zeros((index.max() + 1, 256), np.float32)  # [slice, class id]
    is_present[index, table["class_id"].to_numpy()] = 1
    shared_slices = np.triu(is_present.T @ is_present, 1)
    return {(first, second): int(shared_slices[first, second]) for first, second in np.argwhere(shared_slices).tolist()}


def _count_flags(tally: Tally, rows: list[FlagRow], modality: str) -> None:
    """Count a volume once for each of its flags, or once as a volume without."""
    for name in {row["flag"] for row in rows} or {"none"}:
        tally.add(f"volumes with a flag, {modality}", name)


def _count_fragments(
    tally: Tally, classes: NDArray[np.int32], modality: str, options: StructuresOptions, anatomy: Schema
) -> None:
    """Count the fragments of a volume by class."""
    policy = {"leave_out": "left out", "keep": "kept"}[options.fragments]
    tally.make(f"fragments {policy}", len(classes))
    for class_id in classes.tolist():
        tally.add(f"fragments {policy}, {modality}", anatomy.by_id[class_id].name)


def _count_classes(tally: Tally, table: pl.DataFrame, slices: int, modality: str, anatomy: Schema) -> None:
    """Count the slices of a volume by whether they have a structure, and by class."""
    filled = table["index"].n_unique()
    tally.use(filled)
    tally.quarantine("no_structure", slices - filled)
    for class_id, count in table["class_id"].value_counts().rows():
        tally.add(f"slices with a class, {modality}", anatomy.by_id[class_id].name, count)


def _count_pairs(tally: Tally, pairs: Counter[tuple[int, int]], anatomy: Schema) -> None:
    """Count the most frequent pairs of classes."""
    for (first, second), count in pairs.most_common(PAIRS):
        names = f"{anatomy.by_id[first].english}, {anatomy.by_id[second].english}"
        tally.add("classes together in a slice, the most frequent pairs of each shard", names, count)
