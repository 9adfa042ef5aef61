"""How two pictures lie over each other: the best mirror, size and shift of their sketches, many pairs at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from refrad.dataset.copy_search import resize_about_centre, resizing
from refrad.dataset.image_codec import SKETCH

__all__ = ["Alignment", "align_sketches", "lay_over", "placement"]

OVERLAP = 0.45  # smallest share of the picture that both show
REACH = SKETCH // 4  # px of a sketch that a copy may be shifted by
_PADDED = (SKETCH + 2 * REACH,) * 2  # px
STEPS = (0.93, 1.0, 1.075)  # of the size of a candidate
WAYS = [(rows, columns) for rows in (1, -1) for columns in (1, -1)]  # order of rows and columns
LEAST_ENERGY = 1e3  # of a sketch's squares, below which a place shows nothing


@dataclass(frozen=True)
class Alignment:
    """How the second picture lies over the first: mirrored, resized about its centre, then shifted.

    Attributes:
        correlation: of both sketches, -1 to 1.
        upside_down, mirrored: order of rows, of columns.
        height, width: factors of both sides.
        down, right: shift, as a share of the side.
    """

    correlation: float
    upside_down: bool
    mirrored: bool
    height: float
    width: float
    down: float
    right: float

    @property
    def way(self) -> str:
        """How the copy is turned: as it is, mirrored, upside down (its rows), or turned (by 180 degrees)."""
        names = {(False, False): "as it is", (False, True): "mirrored", (True, False): "upside down"}
        return names.get((self.upside_down, self.mirrored), "turned")


def align_sketches(first: NDArray[np.int8], second: NDArray[np.int8], size: float) -> list[list[Alignment]]:
    """For each pair the best of all shifts and of a few sizes about `size` for each mirror of the second, the best two of them.

    Heads and trunks look much like their own mirror pictures, so that the best one of sketches need not be the right one.

    Args:
        first: int8 [pair, row, column].
        second: int8 [pair, row, column].
        size: factor of the second.
    """
    sizes = [size * step for step in STEPS]
    correlation = np.stack(_correlations(first.astype(np.float32), second.astype(np.float32), sizes), 2)
    shape = correlation.shape
    flat = correlation.reshape(*shape[:2], -1)  # [pair, way, size and shifts]
    places = flat.argmax(2)
    values = np.take_along_axis(flat, places[..., None], 2)[..., 0]
    alignments = []
    for pair, ways in enumerate(np.argsort(-values, axis=1, kind="stable")[:, :2]):
        best = []
        for way in ways:
            number, down, right = np.unravel_index(places[pair, way], shape[2:])
            shift = ((int(down) - REACH) / SKETCH, (int(right) - REACH) / SKETCH)
            turned = WAYS[way][0] < 0, WAYS[way][1] < 0
            best.append(Alignment(float(values[pair, way]), *turned, sizes[number], sizes[number], *shift))
        alignments.append(best)
    return alignments


def _correlations(
    first: NDArray[np.float32], second: NDArray[np.float32], sizes: Sequence[float]
) -> list[NDArray[np.float32]]:
    """For each size the normalized correlation [pair, way, shift down, shift right], where both pictures show something.

    Padfield, Masked object registration in the Fourier domain, IEEE TIP 2012, for pictures whose mean is 0 everywhere. A mirrored
    second picture at a shift is the second one over the mirrored first at the mirrored shift, which takes fewer transforms.
    """
    mirrored = fft.rfft2(np.stack([first[:, ::rows, ::columns] for rows, columns in WAYS], 1), _PADDED)
    of_sizes = []
    for size in sizes:
        coverage, overlap = _coverage(size)
        moved = resize_about_centre(second, size, size)
        both = _near(fft.irfft2(mirrored * fft.rfft2(moved, _PADDED).conj()[:, None], _PADDED))
        inverse = 1 / np.sqrt(np.maximum(coverage @ first**2 @ coverage.T, LEAST_ENERGY))
        inverse[:, overlap < OVERLAP * SKETCH**2] = 0
        scaled = both / np.sqrt(np.maximum(_KEPT @ moved**2 @ _KEPT.T, LEAST_ENERGY))[:, None]
        turned = [scaled[:, way, ::rows, ::columns] * inverse for way, (rows, columns) in enumerate(WAYS)]
        of_sizes.append(np.stack(turned, 1).astype(np.float32, copy=False))
    return of_sizes


_KEPT = np.stack(  # [shift, px]: which px of a line are still seen after it was shifted
    [(np.arange(SKETCH) + shift >= 0) & (np.arange(SKETCH) + shift < SKETCH) for shift in range(-REACH, REACH + 1)]
).astype(np.float32)


@lru_cache(16)
def _coverage(size: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How much of each px of a line a shifted one of this size covers, [shift, px], and the px [down, right] that both pictures show."""
    covered = resizing(SKETCH, size).sum(1)
    padded = np.pad(covered, REACH)
    coverage = np.stack([padded[REACH - shift : REACH - shift + SKETCH] for shift in range(-REACH, REACH + 1)])
    return coverage, np.outer(coverage.sum(1), coverage.sum(1))


def _near(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values [..., down, right] at the shifts from -REACH to REACH."""
    shifts = np.arange(-REACH, REACH + 1)
    return values[..., shifts[:, None], shifts[None]]


@lru_cache(512)
def placement(side: int, size: float, shift: float, backwards: bool) -> NDArray[np.float32]:
    """The matrix [side, side] that puts a line of pixels in reverse order, resizes and shifts it; 0 where nothing is left."""
    matrix = np.zeros((side, side), np.float32)
    pixels = round(shift * side)
    resized = resizing(side, size)[:, :: -1 if backwards else 1]
    start, end = max(0, pixels), max(0, side + min(0, pixels))
    matrix[start:end] = resized[start - pixels : end - pixels]
    return matrix


def lay_over(
    pictures: NDArray[np.float32], alignments: Sequence[Alignment]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Second pictures laid over the first by their alignments, and where they show something: both [pair, row, column].

    Args:
        pictures: float32 [pair, row, column], second ones.
        alignments: of each pair.
    """
    side = pictures.shape[-1]
    rows = np.stack([placement(side, way.height, way.down, way.upside_down) for way in alignments])
    columns = np.stack([placement(side, way.width, way.right, way.mirrored) for way in alignments])
    visible = rows.sum(2)[:, :, None] * columns.sum(2)[:, None] > 0.99
    return (rows @ pictures @ columns.swapaxes(1, 2)).astype(np.float32, copy=False), visible
