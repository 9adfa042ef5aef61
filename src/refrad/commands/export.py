"""The command `refrad export`: the dataset in the format of another tool."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from refrad.core.contracts import VolumeTable
from refrad.core.files import flushed_at_end
from refrad.core.tables import read_table
from refrad.core.types import SPLITS
from refrad.dataset.exports import EXPORTERS, ExportSource
from refrad.dataset.leakage import find_leakage
from refrad.dataset.shard_io import list_shards, read_class_names, read_rows

__all__ = ["main"]

logger = logging.getLogger(__name__)


class _SplitColumn(TypedDict):
    split: str


def main(
    format: str,
    *,
    images: Path = Path("results/shards"),
    out: Path | None = None,
    volumes: Path = Path("results/volumes"),
    volume_store: Path = Path("stores/volumes"),
    correlation: float = 0.75,
) -> None:
    """Write the dataset as hf, coco, llava, webdataset or authors; refuse if anything crosses the splits.

    Args:
        format: which one.
        images: a Parquet file of the dataset, or a folder of them.
        out: a folder; results/export/<format> if not given.
        volumes: only for authors: the tables of stage volumes.
        volume_store: only for authors: folder of the volumes.
        correlation: as `card.duplicate_correlation` of the config.

    Raises:
        ValueError: for an unknown format, or if patients, studies or pictures are in more than one split.
        FileNotFoundError: if there is no dataset.
    """
    if format not in EXPORTERS:
        raise ValueError(
            f"no format {format}: there are {', '.join(EXPORTERS)}; DICOM SEG is made by refrad export-masks"
        )
    files = list_shards(images)
    leakage = find_leakage(files, correlation)
    if leakage.total:
        raise ValueError(
            f"not exported: {len(leakage.patients)} patients, {len(leakage.studies)} studies and"
            f" {len(leakage.pictures)} pairs of copied pictures are in more than one split; leakage.json next to"
            " the shards names them"
        )
    present = {row["split"] for row in read_rows(files, _SplitColumn)}
    splits = [split for split in SPLITS if split in present]
    folder = out or Path("results/export") / format
    source = ExportSource(files, splits, read_class_names(files[0]), _volume_files(volumes, volume_store))
    with flushed_at_end(folder):
        EXPORTERS[format](source, folder)
    logger.info("%s: %d images, splits %s", folder, leakage.images, ", ".join(splits))


def _volume_files(volumes: Path, volume_store: Path) -> Mapping[str, Path]:
    """Volume to its NIfTI file, of the tables of stage volumes that exist."""
    tables = [volumes] if volumes.is_file() else sorted(volumes.rglob("volumes.parquet"))
    return {
        volume: volume_store / file
        for path in tables
        for volume, file in read_table(path, VolumeTable).select("volume", "file").rows()
        if file
    }
