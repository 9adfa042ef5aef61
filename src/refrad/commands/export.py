"""The command `refrad export`: the dataset in a format of others."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refrad.core.contracts import VolumeTable
from refrad.core.tables import read_table
from refrad.core.types import SPLITS
from refrad.dataset.exports import authors, coco, hf, llava, webdataset
from refrad.dataset.leakage import find_leakage
from refrad.dataset.shard_io import list_shards, read_class_names, read_rows

__all__ = ["FORMATS", "main"]

FORMATS = ("hf", "coco", "llava", "webdataset", "authors")

logger = logging.getLogger(__name__)


def main(
    format: str,
    *,
    images: Path = Path("results/shards"),
    out: Path | None = None,
    volumes: Path = Path("results/volumes"),
    volume_store: Path = Path("stores/volumes"),
    difference: float = 2.0,
) -> None:
    """Write the dataset as hf, coco, llava, webdataset or authors; refuses if anything crosses the splits.

    Args:
        format: which one.
        images: a Parquet file of the dataset, or a folder of them.
        out: a folder; results/export/<format> if not given.
        volumes: only for authors: the tables of stage volumes.
        volume_store: only for authors: where the volumes are.
        difference: as `card.duplicate_difference` of the config.

    Raises:
        ValueError: for an unknown format, or if patients, studies or pictures are in more than one split.
        FileNotFoundError: if there is no dataset.
    """
    if format not in FORMATS:
        raise ValueError(
            f"no format {format}: there are {', '.join(FORMATS)}; DICOM SEG is made by refrad export-masks"
        )
    files = list_shards(images)
    leaks = find_leakage(files, difference)
    if leaks.total:
        raise ValueError(
            f"not exported: {len(leaks.patients)} patients, {len(leaks.studies)} studies and {len(leaks.pictures)} pairs of"
            " nearly the same picture are in more than one split; leakage.json beside the shards names them"
        )
    target = out or Path("results/export") / format
    names = read_class_names(files[0])
    there = {row["split"] for row in read_rows(files, ["split"])}
    splits = [split for split in SPLITS if split in there]
    if format == "hf":
        hf.export(files, splits, target)
    elif format == "authors":
        tables = [read_table(path, VolumeTable) for path in list_shards(volumes) if path.name == "volumes.parquet"]
        places = {
            name: volume_store / file
            for table in tables
            for name, file in table.select("volume", "file").rows()
            if file
        }
        authors.export(read_rows(files), names, places, target)
    else:
        for split in splits:
            rows = _of_split(files, split)
            if format == "coco":
                coco.export(rows, names, split, target)
            elif format == "llava":
                llava.export(rows, split, target)
            else:
                webdataset.export(rows, split, target)
    logger.info("%s: %d images, splits %s", target, leaks.images, ", ".join(splits))


def _of_split(files: list[Path], split: str) -> Iterator[dict[str, Any]]:
    return (row for row in read_rows(files) if row["split"] == split)
