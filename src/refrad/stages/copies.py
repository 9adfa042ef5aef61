"""Find the copies of volumes, within a delivery and of earlier deliveries, so that each volume is used once."""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import polars as pl

from refrad.config import CopiesOptions
from refrad.core.contracts import CaptionTable, CopyTable, VolumeTable
from refrad.core.table_rows import CopyRow, rows_of
from refrad.core.tables import scan_table, write_table
from refrad.dicom.altered_copies import Grid, unshared_noise
from refrad.dicom.copied_volumes import HEADER, find_altered_volumes, find_copied_volumes, first_of_voxels, rank_volumes
from refrad.dicom.volume_store import read_grid, read_volume
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 1
COLUMNS = ("volume", "series", "study", "patient", "modality", *HEADER, "digest", "file", "reason")
READERS = 8  # files whose heads are read at once
REASONS = {"same_voxels": "duplicate", "altered": "altered_copy"}  # by the kind of a copy
ORIGINALS = {
    "study": "in the same study",
    "patient": "in another study of the patient",
    "another_patient": "of another patient",
    "earlier_delivery": "in an earlier delivery",
}
COUNTED = {"same_voxels": "same voxels as another volume", "altered": "altered copy of another volume"}

log = logging.getLogger(__name__)


def run(
    *,
    volumes: list[Path],
    captions: list[Path],
    shards: int,
    volume_store: Path,
    copies: Path,
    metrics: Path,
    fingerprint: Fingerprint,
) -> None:
    """Find the copies in a delivery: the last `shards` tables of `volumes` and of `captions`, after those of earlier deliveries."""
    options = CopiesOptions.model_validate(fingerprint.options)
    tally = Tally("volumes")
    with tally.timed("reading"):
        ranked = rank_volumes(
            pl.concat([_volumes(*tables, number) for number, tables in enumerate(zip(volumes, captions, strict=True))])
        )
    first_table = len(volumes) - shards
    with tally.timed("altered copies"):
        altered = _altered(ranked, first_table, volume_store, tally)
    found = find_copied_volumes(ranked, altered, first_table)
    left_out = [kind for kind in REASONS if getattr(options, kind) == "keep_one"]
    reason = pl.when(pl.col("kind").is_in(left_out)).then(pl.col("kind").replace_strict(REASONS))
    table = found.with_columns(reason=reason)
    tally.take(ranked.filter(pl.col("table") >= first_table).height)
    for code, count in table["reason"].drop_nulls().value_counts().rows():
        tally.quarantine(code, count)
    tally.use(tally.taken - sum(tally.aside.values()))
    for row in rows_of(table, CopyRow):
        tally.add("copies", COUNTED[row["kind"]])
        tally.add("original of a copy", ORIGINALS[row["relation"]])
    write_table(copies, table, CopyTable, fingerprint)
    tally.write(metrics, fingerprint)
    log.info("%d volumes, %d copies", tally.taken, len(table))


def _volumes(volumes: Path, captions: Path, number: int) -> pl.DataFrame:
    """The volumes of a shard, with its number and whether their study has a report."""
    with_report = scan_table(captions, CaptionTable).select(pl.col("study").unique())
    frame = scan_table(volumes, VolumeTable).select(COLUMNS)
    return (
        frame.join(with_report.with_columns(has_report=pl.lit(True)), on="study", how="left")
        .with_columns(pl.col("has_report").fill_null(False), table=pl.lit(number))
        .collect()
    )


def _altered(ranked: pl.DataFrame, first_table: int, store: Path, tally: Tally) -> dict[int, int]:
    """The rank of each altered copy to that of its original."""
    volumes = ranked.filter(pl.col("rank") == first_of_voxels(ranked))
    with ThreadPoolExecutor(READERS) as pool:
        grids = [Grid(*grid) for grid in pool.map(lambda file: read_grid(store / file), volumes["file"])]
    read = lru_cache(maxsize=2)(lambda file: read_volume(store / file))

    def unshared(original: str, copy: str, flat: float) -> float:
        tally.make("pairs of volumes compared")
        (second, second_affine), (first, first_affine) = read(copy), read(original)
        return unshared_noise(first, second, (first_affine, second_affine), flat)

    return find_altered_volumes(volumes, grids, first_table, unshared)
