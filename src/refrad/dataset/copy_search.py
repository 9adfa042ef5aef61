"""Candidates for copies of a picture among a million others, from small sketches of them.

A sketch is described by the strength of its spatial frequencies, which a shift or a mirror does not change; gain, offset and
window are gone from the sketch already. A picture is looked up at several sizes, since a crop of it is stretched.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import fft

from refrad.dataset.image_codec import SKETCH

__all__ = ["BLOCK", "SIZES", "NearestPictures", "describe", "resize_about_centre", "resizing"]

SIZES = (1.0, 1.11, 1.25)  # of the looked-up picture: crops are looked for, down to 80 %
PADDED = 2 * SKETCH  # px
RINGS = (2, 22)  # lowest and highest frequency, periods per PADDED px
PIVOTS = 1024  # cells that the described pictures are sorted into
SMALL = 20_000  # pictures up to which all are compared
PROBES = 8  # cells that are searched for a picture
BLOCK = 2048  # pictures described at once


def describe(sketches: NDArray[np.int8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Descriptions float32 [picture, number] of sketches [picture, row, column]: of length 1, or 0 for an empty sketch."""
    spectrum = np.abs(fft.rfft2(sketches.astype(np.float32), (PADDED, PADDED)))[:, :, :SKETCH]
    mirrored = spectrum[:, -np.arange(SKETCH)]  # frequency -k of each row frequency k
    strength = np.sqrt((spectrum[:, :SKETCH] + mirrored) / 2)
    pooled = strength.reshape(-1, SKETCH // 2, 2, SKETCH // 2, 2).mean((2, 4)).reshape(len(sketches), -1)
    described = pooled @ _contrast_of_rings()
    length = np.linalg.norm(described, axis=1, keepdims=True)
    return np.where(length > 1e-3, described / np.maximum(length, 1e-3), 0).astype(np.float32)


@cache
def _contrast_of_rings() -> NDArray[np.float32]:
    """The matrix that takes from each pooled frequency the mean of its ring, and keeps those of `RINGS`."""
    axis = np.arange(SKETCH // 2) * 2 + 0.5
    radius = np.hypot(axis[:, None], axis[None]).ravel()
    ring = (radius // 2).astype(int)
    same_ring = (ring[:, None] == ring[None]).astype(np.float32)
    contrast = np.eye(len(ring), dtype=np.float32) - same_ring / same_ring.sum(0)
    return np.ascontiguousarray(contrast[:, (radius >= RINGS[0]) & (radius < RINGS[1])])


@lru_cache(512)
def resizing(side: int, size: float) -> NDArray[np.float32]:
    """The matrix [side, side] that resizes a line of pixels about its centre, linear; 0 outside."""
    centre = (side - 1) / 2
    origin = (np.arange(side) - centre) / size + centre
    weights = np.maximum(0, 1 - np.abs(origin[:, None] - np.arange(side)[None]))
    return weights.astype(np.float32)  # type: ignore[no-any-return]


def resize_about_centre(pictures: NDArray[np.float32], height: float, width: float) -> NDArray[np.float32]:
    """Pictures [..., row, column] resized by factors about their centre, on the same grid, 0 outside."""
    side = pictures.shape[-1]
    resized = resizing(side, height) @ pictures @ resizing(side, width).T
    return resized.astype(np.float32, copy=False)  # type: ignore[no-any-return]


class NearestPictures:
    """Finds the described pictures that are most like others: in all of them, or in the cells nearest to the picture."""

    def __init__(self, described: NDArray[np.float16]) -> None:
        """`described`: float16 [picture, number], of `describe`."""
        self._described = described
        count = len(described) if len(described) <= SMALL else PIVOTS
        chosen = np.random.default_rng(0).choice(len(described), count, replace=False) if count == PIVOTS else None
        self._pivots = None if chosen is None else described[np.sort(chosen)].astype(np.float32)
        cells = self._cells()
        self._order = np.argsort(cells, kind="stable")
        self._edges = np.searchsorted(cells[self._order], np.arange(PIVOTS + 1))

    def _cells(self) -> NDArray[np.int64]:
        """The cell of each described picture."""
        if self._pivots is None:
            return np.zeros(len(self._described), np.int64)
        parts = np.array_split(self._described, max(1, len(self._described) // BLOCK))
        return np.concatenate([(part.astype(np.float32) @ self._pivots.T).argmax(1) for part in parts])

    def find(self, sketches: NDArray[np.int8], least: float, most: int) -> pl.DataFrame:
        """The described pictures that are most like these, best first: columns picture, member, likeness and size.

        Args:
            sketches: int8 [picture, row, column]; an empty one is like none.
            least: likeness, cosine of the descriptions; above 0.
            most: described pictures for each picture.
        """
        resized = [resize_about_centre(sketches.astype(np.float32), size, size) for size in SIZES]
        queries = np.concatenate([describe(part) for part in resized])
        likely = [np.empty((0, 3))]
        for cell, rows in self._searched(queries):
            members = self._order[self._edges[cell] : self._edges[cell + 1]]
            likeness = queries[rows] @ self._described[members].astype(np.float32).T
            count = min(most, len(members))
            best = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
            values = np.take_along_axis(likeness, best, 1)
            row, column = np.nonzero(values >= least)
            likely.append(np.stack([rows[row], members[best[row, column]], values[row, column]], 1))
        row, member, value = np.concatenate(likely).T
        columns = {
            "picture": row.astype(np.int64) % max(1, len(sketches)),
            "member": member.astype(np.int64),
            "likeness": value,
            "size": np.take(SIZES, row.astype(np.int64) // max(1, len(sketches))),
        }
        ranked = pl.DataFrame(columns).sort("picture", "likeness", "member", descending=[False, True, False])
        once = ranked.unique(["picture", "member"], keep="first", maintain_order=True)
        return once.group_by("picture", maintain_order=True).head(most)

    def _searched(self, queries: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Each cell that holds pictures, with the rows of `queries` that search it."""
        if self._pivots is None:
            if len(self._described):
                yield 0, np.arange(len(queries))
            return
        near = np.argpartition(-(queries @ self._pivots.T), PROBES, axis=1)[:, :PROBES]
        order = np.argsort(near.ravel(), kind="stable")
        cells = near.ravel()[order]
        edges = np.flatnonzero(np.diff(cells, prepend=-1, append=PIVOTS))
        for start, end in pairwise(edges):
            cell = int(cells[start])
            if self._edges[cell] < self._edges[cell + 1]:
                yield cell, np.sort(order[start:end] // PROBES)
