"""Leakage between splits: patients, studies, and pictures that are nearly the same."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.core.tables import read_frame
from refrad.dataset.image_codec import decode_image, mean_grey_difference, thumbnail
from refrad.dataset.shard_io import read_rows
from refrad.dataset.shard_rows import IdentifiedPicture

__all__ = ["DISTANCE", "Leakage", "find_leakage", "find_near_pairs"]

BANDS = 4  # of 16 bits: two hashes that differ in at most three bits agree in one band at least
DISTANCE = BANDS - 1
BLOCK = 2048  # hashes compared at once


@dataclass(frozen=True)
class Leakage:
    """The patients, studies and pictures in more than one split, and how much was compared; publishing needs `total` 0.

    pictures: pairs (image_id, image_id, mean absolute difference of their thumbnails, grey levels 0..255).
    """

    images: int
    compared: int
    patients: tuple[str, ...]
    studies: tuple[str, ...]
    pictures: tuple[tuple[str, str, float], ...]

    @property
    def total(self) -> int:
        """Number of leaks of any kind."""
        return len(self.patients) + len(self.studies) + len(self.pictures)


def find_leakage(files: Sequence[Path], difference: float) -> Leakage:
    """Look for leaks between the splits of a dataset.

    Pictures are nearly the same if their perceptual hashes differ in at most `DISTANCE` of 64 bits and their thumbnails
    (32 x 32 px, soft-tissue channel) by at most `difference` grey levels on average: the hash finds candidates, the pixels
    decide, since anatomy makes many hashes alike.
    """
    columns = ["image_id", "patient", "study", "split", "perceptual_hash"]
    frame = pl.concat([read_frame(path, columns) for path in files]).sort("image_id")
    near = list(find_near_pairs(frame))
    near_rows = {row for pair in near for row in pair}
    ids = frame["image_id"].to_list()
    small = _thumbnails(files, {ids[row] for row in near_rows})
    pictures = []
    for first, second in near:
        gap = mean_grey_difference(small[ids[first]], small[ids[second]])
        if gap <= difference:
            pictures.append((ids[first], ids[second], round(gap, 3)))
    return Leakage(
        len(frame),
        len(near),
        _in_many_splits(frame, "patient"),
        _in_many_splits(frame, "study"),
        tuple(sorted(pictures)),
    )


def _in_many_splits(frame: pl.DataFrame, column: str) -> tuple[str, ...]:
    splits = frame.group_by(column).agg(pl.col("split").n_unique())
    return tuple(sorted(splits.filter(pl.col("split") > 1)[column].to_list()))


def find_near_pairs(frame: pl.DataFrame) -> Iterator[tuple[int, int]]:
    """Rows (split, perceptual_hash) of different splits whose hashes differ in at most `DISTANCE` bits, each pair once."""
    hashed = frame.with_row_index("row").drop_nulls("perceptual_hash")
    rows = hashed["row"].to_numpy().astype(np.int64)
    hashes = np.array([int(digits, 16) for digits in hashed["perceptual_hash"]], np.uint64)
    splits = hashed["split"].cast(pl.Categorical).to_physical().to_numpy()
    near: set[tuple[int, int]] = set()
    for band in range(BANDS):
        values = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.argsort(values, kind="stable")
        edges = np.flatnonzero(np.diff(values[order], prepend=np.uint64(0xFFFFFF), append=np.uint64(0xFFFFFF)))
        for start, end in pairwise(edges):
            bucket = order[start:end]
            if len(np.unique(splits[bucket])) > 1:
                near.update(_within(bucket, hashes, splits))
    yield from sorted((int(rows[first]), int(rows[second])) for first, second in near)


def _within(bucket: NDArray[np.int64], hashes: NDArray[np.uint64], splits: Any) -> Iterator[tuple[int, int]]:
    """Near pairs of different splits among the positions of a bucket, smaller position first."""
    for start in range(0, len(bucket), BLOCK):
        part = bucket[start : start + BLOCK]
        apart = np.bitwise_count(hashes[part][:, None] ^ hashes[bucket][None])
        near = (apart <= DISTANCE) & (splits[part][:, None] != splits[bucket][None])
        for row, column in np.argwhere(near):
            first, second = int(part[row]), int(bucket[column])
            if first < second:
                yield first, second


def _thumbnails(files: Iterable[Path], image_ids: set[str]) -> dict[str, NDArray[np.uint8]]:
    """The thumbnails of these images; no other image is decoded."""
    if not image_ids:
        return {}
    rows = read_rows(files, IdentifiedPicture)
    return {row["image_id"]: thumbnail(decode_image(row)) for row in rows if row["image_id"] in image_ids}
