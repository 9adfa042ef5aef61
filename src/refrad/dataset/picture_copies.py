"""Copies of a picture on two sides, such as two splits: candidates by their sketches, then a check of the aligned pictures."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.dataset.copy_alignment import Alignment, align_sketches
from refrad.dataset.copy_check import (
    FINE,
    PROMISING,
    correlate_sketches,
    correlate_structures,
    draw_fine_structure,
    find_corners,
    refine_shifts,
)
from refrad.dataset.copy_search import SIZES, NearestPictures, describe
from refrad.dataset.image_codec import SKETCH
from refrad.dataset.picture_files import PictureFiles

__all__ = ["Copies", "Copy", "find_copies"]

LIKENESS = (
    0.5  # of descriptions; copies with noise, gain or a small shift have 0.7 and more, crops of 80 % 0.5 and more
)
LIMIT = 1_000_000  # pairs that are compared, about
CANDIDATES = (2, 16)  # least and most pictures of the other sides for each picture, and volumes for each volume
PAIRS = 2  # pictures compared for each pair of volumes
NEIGHBOURS = 4  # pictures compared for each picture, of two volumes that share one
ALIGNED = 0.55  # least correlation of aligned sketches
CORNERS = 0.65  # least correlation of their corners; copies have 0.7 and more
COARSE = 48  # px of the side at which the structure of pairs is compared next
COARSE_CORNERS = 0.55  # least correlation there; copies have 0.65 and more
CHECKED = 2  # ways to align a pair whose pictures are compared
CHUNK = 8_000  # pairs whose pictures are in memory at once
BATCH = 64  # pairs that are aligned at once


_Aligned = tuple[tuple[int, int], Alignment]  # rows of a pair, and how the second lies over the first


@dataclass(frozen=True, order=True)
class Copy:
    """Two rows with nearly the same picture, their correlation, and how the second is turned."""

    first: int
    second: int
    correlation: float
    way: str


@dataclass(frozen=True)
class Copies:
    """The copies that were found, and the number of pairs whose pictures were aligned."""

    pairs: tuple[Copy, ...]
    compared: int


def find_copies(images: pl.DataFrame, pictures: PictureFiles, correlation: float) -> Copies:
    """Find the pictures of one side that are on another side too, though they differ in gain, offset, noise, shift, crop or mirror.

    Each picture is compared with those that look most like it, few enough that all pairs are about `LIMIT`. Where two
    volumes share one picture, all of their pictures are compared: copies come as series.

    Args:
        images: side (null: not looked at) and volume of each row of `pictures`.
        pictures: read twice, one block in memory at a time.
        correlation: least of the fine structure of a copy, 0 to 1.
    """
    images = images.with_columns(volume=pl.concat_str("side", "volume", separator="|"))
    described = np.zeros((images.height, describe(np.zeros((1, SKETCH, SKETCH), np.int8)).shape[1]), np.float16)
    for rows, sketches in pictures.sketches(images["side"].is_not_null().to_numpy()):
        described[rows] = describe(sketches)
    pairs = _candidates(images, pictures, described)
    copies = _confirmed(pairs, pictures, images.height, correlation)
    series = {
        (images["volume"][row], images["volume"][partner]) for pair in copies for row, partner in (pair, pair[::-1])
    }
    further = _all_of(series, copies, images, described).join(pairs, on=["first", "second", "size"], how="anti")
    for pair, copy in _confirmed(further, pictures, images.height, correlation).items():
        copies[pair] = max(copy, copies.get(pair, copy), key=lambda checked: checked.correlation)
    compared = {tuple(sorted(pair)) for pair in pl.concat([pairs, further]).select("first", "second").iter_rows()}
    return Copies(tuple(sorted(copies.values())), len(compared))


def _candidates(images: pl.DataFrame, pictures: PictureFiles, described: NDArray[np.float16]) -> pl.DataFrame:
    """Pairs of rows (first, second, size) that may be copies: of each pair of volumes those that are most alike."""
    sides = images["side"].drop_nulls().unique().sort().to_list()
    most = int(np.clip(LIMIT // max(1, images.height), *CANDIDATES))
    likely = []
    for side in sides if len(sides) > 1 else ():
        others = np.flatnonzero((images["side"].is_not_null() & (images["side"] != side)).to_numpy())
        nearest = NearestPictures(described[others])
        for rows, sketches in pictures.sketches((images["side"] == side).fill_null(False).to_numpy()):
            near = nearest.find(sketches, LIKENESS, most)
            first, second = others[near["member"].to_numpy()], rows[near["picture"].to_numpy()]
            likely.append(near.select("likeness", "size").with_columns(first=first, second=second))
    if not likely:
        return _NO_PAIRS
    volume = images["volume"]
    pairs = pl.concat(likely).with_columns(
        first_volume=volume.gather(pl.concat(likely)["first"]), second_volume=volume.gather(pl.concat(likely)["second"])
    )
    order = pairs.sort("likeness", "first", "second", descending=[True, False, False])
    once = order.unique(
        [pl.min_horizontal("first", "second"), pl.max_horizontal("first", "second")], keep="first", maintain_order=True
    )
    best = once.group_by("first_volume", "second_volume", maintain_order=True).head(PAIRS)
    volumes = best.unique(["first_volume", "second_volume"], keep="first", maintain_order=True)
    chosen = volumes.group_by("second_volume", maintain_order=True).head(most)
    return best.join(chosen, on=["first_volume", "second_volume"], how="semi").select(_NO_PAIRS.columns)


_NO_PAIRS = pl.DataFrame(schema={"first": pl.Int64, "second": pl.Int64, "size": pl.Float64})


def _all_of(
    series: set[tuple[str, str]],
    copies: Iterable[tuple[int, int]],
    images: pl.DataFrame,
    described: NDArray[np.float16],
) -> pl.DataFrame:
    """The pairs (first, second, size) of these pairs of volumes that look most alike, for pictures without a copy there."""
    numbered = images.with_row_index("row").filter(pl.col("side").is_not_null())
    rows_of = dict(numbered.group_by("volume").agg("row").iter_rows())
    volume = images["volume"]
    copied = {(row, volume[partner]) for pair in copies for row, partner in (pair, pair[::-1])}
    pairs = []
    for first, second in sorted(series):
        ours, theirs = (
            np.array(rows_of[first]),
            np.array([row for row in rows_of[second] if (row, first) not in copied]),
        )
        if len(theirs):
            likeness = described[theirs].astype(np.float32) @ described[ours].astype(np.float32).T
            near = np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]
            pairs += [
                (int(ours[number]), int(row), size)
                for row, numbers in zip(theirs, near, strict=True)
                for number in numbers
                for size in SIZES
            ]
    return pl.DataFrame(pairs, schema=_NO_PAIRS.schema, orient="row")


def _confirmed(
    pairs: pl.DataFrame, pictures: PictureFiles, count: int, correlation: float
) -> dict[tuple[int, int], Copy]:
    """The copies among pairs of rows (first, second, size), by their rows, the smaller one first.

    Each check takes ten times as long as the one before and leaves few pairs to the next; a correlation below the limits of the
    first checks lowers these.
    """
    copies: dict[tuple[int, int], Copy] = {}
    for chunk in pairs.sort("first", "second", "size").iter_slices(CHUNK):
        aligned = _aligned(chunk, pictures, count, min(CORNERS, correlation))
        mask = _mask([pair for pair, _ in aligned], count)
        structures = np.zeros((mask.sum(), FINE, FINE), np.int8)
        position = np.cumsum(mask) - 1  # of a row among the structures
        for row, picture in pictures.pictures(mask):
            structures[position[row]] = draw_fine_structure(picture)
        for (first, second), alignment in _likely(aligned, structures, position, min(COARSE_CORNERS, correlation)):
            still, moved = structures[position[first]], structures[position[second]]
            value = correlate_structures(still, moved, alignment, min(PROMISING, correlation))
            pair = (min(first, second), max(first, second))
            if value >= correlation and (pair not in copies or value > copies[pair].correlation):
                copies[pair] = Copy(*pair, value, alignment.way)
    return copies


def _aligned(pairs: pl.DataFrame, pictures: PictureFiles, count: int, least: float) -> list[_Aligned]:
    """The pairs of rows (first, second, size) whose sketches fit each other, with corners that correlate by `least`, and the best ways."""
    mask = _mask(pairs.select("first", "second").iter_rows(), count)
    position = np.cumsum(mask) - 1  # of a row among the sketches
    stored = np.concatenate([block for _, block in pictures.sketches(mask)])
    aligned: dict[tuple[int, int], list[Alignment]] = {}
    for (size,), group in pairs.group_by("size", maintain_order=True):
        for batch in group.iter_slices(BATCH):
            rows = batch.select("first", "second").rows()
            first, second = (stored[position[batch[column].to_numpy()]] for column in ("first", "second"))
            ways_of_pairs = align_sketches(first, second, float(size))  # type: ignore[arg-type]
            flat = [
                (number, way) for number, ways in enumerate(ways_of_pairs) for way in ways if way.correlation >= ALIGNED
            ]
            if flat:
                numbers = [number for number, _ in flat]
                values = correlate_sketches(first[numbers], second[numbers], [way for _, way in flat])
                for (number, way), value in zip(flat, values, strict=True):
                    if value >= least:
                        aligned.setdefault(rows[number], []).append(way)
    return [
        (pair, way)
        for pair, ways in sorted(aligned.items())
        for way in sorted(ways, key=lambda alignment: -alignment.correlation)[:CHECKED]
    ]


def _likely(
    aligned: Sequence[_Aligned], structures: NDArray[np.int8], position: NDArray[np.int64], least: float
) -> Iterator[_Aligned]:
    """The pairs whose structure fits too, after a shift of a few px: `structures` are those of rows at their `position`."""
    step = FINE // COARSE
    pooled = structures.reshape(-1, COARSE, step, COARSE, step).mean((2, 4)).round().astype(np.int8)
    for start in range(0, len(aligned), BATCH):
        batch = aligned[start : start + BATCH]
        first, second = pooled[position[np.array([pair for pair, _ in batch])].T]
        ways = [way for _, way in batch]
        refined, values = refine_shifts(first, second, (find_corners(first), find_corners(second)), ways)
        for (pair, _), way, value in zip(batch, refined, values, strict=True):
            if value >= least:
                yield pair, way


def _mask(pairs: Iterable[tuple[int, int]], count: int) -> NDArray[np.bool_]:
    """Which of `count` rows are in these pairs."""
    mask = np.zeros(count, bool)
    mask[[row for pair in pairs for row in pair]] = True
    return mask
