"""Whether a picture is a copy of another: both are aligned, then their fine structure is compared."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter

from refrad.dataset.copy_search import resize_about_centre
from refrad.dataset.image_codec import SKETCH, draw_sketch, quantize_sketch

__all__ = ["Alignment", "align_sketches", "correlate_structures", "draw_fine_structure"]

FINE = 96  # px of the side at which pictures are compared
OVERLAP = 0.45  # smallest share of the picture that both show
REACH = SKETCH // 4  # px of a sketch that a copy may be shifted by
_PADDED = (SKETCH + 2 * REACH,) * 2  # px
STEPS = (0.93, 1.0, 1.075)  # of the size of a candidate
REFINEMENTS = (0.035, 0.035, 0.015)  # steps of height or width
FINE_REACH = 5  # px, by which a shift of sketches may be wrong
_FINE_PADDED = (FINE + 2 * FINE_REACH + 2,) * 2  # px
PLACES = 30.0  # blocks of 8 px with structure that a picture needs, for its alignment to mean something; slices have 40 to 130
CORNER = 3.0  # px, of the structures that tell pictures apart


@dataclass(frozen=True)
class Alignment:
    """How the second picture lies over the first: mirrored, resized about its centre, then shifted.

    Attributes:
        correlation: of both sketches, -1 to 1.
        upside_down, mirrored: order of rows, of columns.
        size: factor of both sides.
        down, right: shift, px of the sketch.
    """

    correlation: float
    upside_down: bool
    mirrored: bool
    size: float
    down: int
    right: int

    @property
    def way(self) -> str:
        """How the copy is turned: as it is, mirrored, upside down (its rows), or turned (by 180 degrees)."""
        names = {(False, False): "as it is", (False, True): "mirrored", (True, False): "upside down"}
        return names.get((self.upside_down, self.mirrored), "turned")


def align_sketches(first: NDArray[np.int8], second: NDArray[np.int8], size: float) -> list[Alignment]:
    """The best of all shifts and of a few sizes about `size` for each mirror of the second sketch, the best two of them.

    Heads and trunks look much like their own mirror pictures, so that the best one of sketches need not be the right one.

    Args:
        first: int8 [row, column].
        second: int8 [row, column].
        size: factor of the second.
    """
    ways = [(rows, columns) for rows in (1, -1) for columns in (1, -1)]
    turned = np.stack([second[::rows, ::columns] for rows, columns in ways]).astype(np.float32)
    sizes = [size * step for step in STEPS]
    correlation = np.stack(
        [_correlations(first.astype(np.float32), resize_about_centre(turned, side, side), side) for side in sizes], 1
    )
    alignments = []
    for (rows, columns), values in zip(ways, correlation, strict=True):
        number, down, right = np.unravel_index(values.argmax(), values.shape)
        value, shift = float(values[number, down, right]), (int(down) - REACH, int(right) - REACH)
        alignments.append(Alignment(value, rows < 0, columns < 0, sizes[number], *shift))
    return sorted(alignments, key=lambda alignment: -alignment.correlation)[:2]


def _correlations(first: NDArray[np.float32], moved: NDArray[np.float32], size: float) -> NDArray[np.float32]:
    """Normalized correlation [picture, shift down, shift right] of a picture with resized ones, where both show something.

    Padfield, Masked object registration in the Fourier domain, IEEE TIP 2012, for pictures whose mean is 0 everywhere.
    """
    footprint, overlap = _footprint(size)
    still = fft.rfft2(np.stack([first, first**2]), _PADDED)
    resized = fft.rfft2(np.concatenate([moved, moved**2]), _PADDED).conj()
    everywhere = fft.rfft2(np.ones_like(first), _PADDED)
    products = [still[:1] * resized[: len(moved)], still[1:] * footprint, everywhere * resized[len(moved) :]]
    values = _near(fft.irfft2(np.concatenate(products), _PADDED))
    both, energy, energy_moved = np.split(values, [len(moved), len(moved) + 1])
    correlation: NDArray[np.float32] = both / np.sqrt(np.maximum(energy, 1e3) * np.maximum(energy_moved, 1e3))
    correlation[:, overlap < OVERLAP * SKETCH**2] = -1
    return correlation


@lru_cache(16)
def _footprint(size: float) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """The spectrum of what a picture of this size shows, and the px [down, right] that it shares with another at each shift."""
    whole = np.ones((SKETCH, SKETCH), np.float32)
    footprint = fft.rfft2(resize_about_centre(whole, size, size), _PADDED).conj()
    return footprint, _near(fft.irfft2(fft.rfft2(whole, _PADDED) * footprint, _PADDED))


def _near(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values [..., down, right] at the shifts from -REACH to REACH."""
    shifts = np.arange(-REACH, REACH + 1) % _PADDED[0]
    return values[..., shifts[:, None], shifts[None]]


def draw_fine_structure(channels: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The structure of a picture uint8 [channel, row, column] in which copies are confirmed: int8 [96, 96]."""
    return quantize_sketch(draw_sketch(channels, FINE, 0.7, 2.5))


def correlate_structures(first: NDArray[np.int8], second: NDArray[np.int8], alignment: Alignment) -> float:
    """Correlation, -1 to 1, of the fine structure of two pictures after a finer alignment.

    Outlines and ribs of different people fit each other along their edges. So a place counts by the contrast that it has in
    its least direction: only what looks like a corner, an end or a spot. Pictures with few such places fit many others
    when they may be moved, so they are compared as they lie.

    Args:
        first: of `draw_fine_structure`.
        second: of `draw_fine_structure`.
        alignment: of their sketches.
    """
    still, moved = first.astype(np.float32), second.astype(np.float32)
    moved = moved[:: -1 if alignment.upside_down else 1, :: -1 if alignment.mirrored else 1]
    down, right = (round(shift * FINE / SKETCH) for shift in (alignment.down, alignment.right))
    best, (height, width) = (-1.0, down, right), (alignment.size, alignment.size)
    spectrum = fft.rfft2(still, _FINE_PADDED)
    for step in REFINEMENTS:
        about = best[1:]
        for rows, columns in ((0, 0), (step, 0), (-step, 0), (0, step), (0, -step)):
            factors = (height * (1 + rows), width * (1 + columns))
            shifted = _best_shift(spectrum, resize_about_centre(moved, *factors), about)
            if shifted[0] > best[0]:
                best, (height, width) = shifted, factors
    over = _shift(resize_about_centre(moved, height, width), *best[1:])
    overlap = _shift(resize_about_centre(np.ones_like(moved), height, width), *best[1:]) > 0.99
    if overlap.mean() < OVERLAP:
        return 0.0
    weight = (_corners(still) + _corners(over)) * overlap
    if _places(weight) < PLACES:
        return _correlation(still, moved, np.ones_like(still))
    return _correlation(still, over, weight)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32], weight: NDArray[np.float32]) -> float:
    energy = float((weight * first**2).sum()) * float((weight * second**2).sum())
    return float((weight * first * second).sum()) / energy**0.5 if energy > 0 else 0.0


def _places(weight: NDArray[np.float32]) -> float:
    """The effective number of blocks of 8 px that count: (sum of weights)^2 / sum of squares, as Kish's size of a sample."""
    blocks = weight.reshape(FINE // 8, 8, FINE // 8, 8).sum((1, 3))
    return float(blocks.sum() ** 2 / max(float((blocks**2).sum()), 1e-12))


def _best_shift(
    spectrum: NDArray[np.complex64], moved: NDArray[np.float32], about: tuple[int, int]
) -> tuple[float, int, int]:
    """The best correlation within a few px of a shift, and the shift down and right."""
    product = fft.irfft2(spectrum * fft.rfft2(_shift(moved, *about), _FINE_PADDED).conj(), _FINE_PADDED)
    near = np.arange(-FINE_REACH, FINE_REACH + 1)
    values = product[(near % _FINE_PADDED[0])[:, None], (near % _FINE_PADDED[1])[None]]
    row, column = divmod(int(values.argmax()), len(near))
    value = float(values[row, column] / max(float(np.linalg.norm(moved)), 1e-6))
    return value, about[0] + int(near[row]), about[1] + int(near[column])


def _shift(picture: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """The picture shifted, 0 where nothing is left."""
    padded = np.pad(picture, FINE)
    return padded[FINE - down : 2 * FINE - down, FINE - right : 2 * FINE - right]


def _corners(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smaller eigenvalue of the structure tensor."""
    down, right = np.gradient(picture)
    a, b, c = (gaussian_filter(product, CORNER) for product in (right**2, down**2, right * down))
    corners: NDArray[np.float32] = np.maximum((a + b) / 2 - np.sqrt(((a - b) / 2) ** 2 + c**2), 0)
    return corners
