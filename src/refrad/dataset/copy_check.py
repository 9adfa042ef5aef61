"""Whether a picture is a copy of another: both are aligned, then their structure is compared, first roughly, then finely."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from refrad.dataset.copy_alignment import OVERLAP, Alignment, lay_over
from refrad.dataset.image_codec import draw_sketch, quantize_sketch

__all__ = [
    "FINE",
    "PROMISING",
    "correlate_sketches",
    "correlate_structures",
    "draw_fine_structure",
    "find_corners",
    "refine_shifts",
]

FINE = 96  # px of the side at which pictures are compared
REFINEMENTS = (0.035, 0.035, 0.015)  # steps of height or width
REACH = 1 / 19  # of the side, by which a shift of sketches may be wrong
PROMISING = 0.6  # least correlation after the first refinement, for the next ones; 199 of 200 copies have 0.7 and more
PLACES = 30.0  # blocks of 8 px with structure that a picture needs, for its alignment to mean something; slices have 40 to 130
CORNER = 1 / 32  # of the side, of the structures that tell pictures apart


def draw_fine_structure(channels: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The structure of a picture uint8 [channel, row, column] in which copies are confirmed: int8 [96, 96]."""
    return quantize_sketch(draw_sketch(channels, FINE, 0.7, 2.5))


def find_corners(structures: NDArray[np.int8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of a corner, an end or a spot each place is: the smaller eigenvalue of the structure tensor, [..., row, column].

    Outlines and ribs of different people fit each other along their edges. So a place counts by the contrast that it has in
    its least direction.

    Args:
        structures: [..., row, column], sketches or of `draw_fine_structure`.
    """
    down, right = np.gradient(structures.astype(np.float32), axis=(-2, -1))
    blur = _blur(structures.shape[-1])
    a, b, c = (blur @ product @ blur.T for product in (right**2, down**2, right * down))
    corners: NDArray[np.float32] = np.maximum((a + b) / 2 - np.sqrt(((a - b) / 2) ** 2 + c**2), 0)
    return corners


@cache
def _blur(side: int) -> NDArray[np.float32]:
    """The matrix [side, side] of a Gaussian filter of the size of a corner."""
    return gaussian_filter1d(np.eye(side, dtype=np.float32), CORNER * side, axis=0)  # type: ignore[no-any-return]


def correlate_sketches(
    first: NDArray[np.int8], second: NDArray[np.int8], alignments: Sequence[Alignment]
) -> NDArray[np.float32]:
    """Correlation [pair], -1 to 1, of the corners of aligned sketches int8 [pair, row, column]."""
    return _correlate_corners(first, second, (find_corners(first), find_corners(second)), alignments)


def refine_shifts(
    first: NDArray[np.int8],
    second: NDArray[np.int8],
    corners: tuple[NDArray[np.float32], NDArray[np.float32]],
    alignments: Sequence[Alignment],
) -> tuple[list[Alignment], NDArray[np.float32]]:
    """The alignments with the best shift of the structure nearby, and the correlation of its corners: [pair], -1 to 1.

    Args:
        first: int8 [pair, row, column], of `draw_fine_structure`, or smaller.
        second: int8 [pair, row, column].
        corners: of both, float32 [pair, row, column], of `find_corners`.
        alignments: of the sketches of each pair.
    """
    refined = [shifted for _, shifted in _best_shifts(_spectra(first), second.astype(np.float32), alignments)]
    return refined, _correlate_corners(first, second, corners, refined)


def correlate_structures(
    first: NDArray[np.int8], second: NDArray[np.int8], alignment: Alignment, promising: float = PROMISING
) -> float:
    """Correlation, -1 to 1, of the corners in the fine structure of two pictures after a finer alignment.

    Pictures with few such places fit many others when they may be moved, so they are compared as they lie.

    Args:
        first: int8 [96, 96], of `draw_fine_structure`.
        second: int8 [96, 96].
        alignment: of `refine_shifts`.
        promising: least correlation after the first step, without which the next ones are not taken.
    """
    still, moved = first[None], second[None].astype(np.float32)
    spectrum = _spectra(still)
    best = _best_shifts(spectrum, moved, [alignment])[0]
    for step in REFINEMENTS:
        about = best[1]
        sizes = [(1 + step, 1.0), (1 - step, 1.0), (1.0, 1 + step), (1.0, 1 - step)]
        tried = [replace(about, height=about.height * height, width=about.width * width) for height, width in sizes]
        nearby = _best_shifts(spectrum, np.broadcast_to(moved, (4, FINE, FINE)), tried)
        best = max(best, *nearby, key=lambda shifted: shifted[0])
        over, visible = lay_over(moved, [best[1]])
        if visible.mean() < OVERLAP:
            return 0.0
        weight = np.where(visible, find_corners(still) + find_corners(over), 0)
        correlation = float(_correlation(still, over, weight)[0])
        if correlation < promising:
            break
    enlarged = max(1.0, best[1].height * best[1].width)  # what is enlarged fills more blocks, but shows no more places
    if _places(weight[0]) < PLACES * enlarged:
        in_place, _ = lay_over(moved, [replace(alignment, height=1.0, width=1.0, down=0.0, right=0.0)])
        return float(_correlation(still, in_place, np.ones_like(in_place))[0])
    return correlation


def _correlate_corners(
    first: NDArray[np.int8],
    second: NDArray[np.int8],
    corners: tuple[NDArray[np.float32], NDArray[np.float32]],
    alignments: Sequence[Alignment],
) -> NDArray[np.float32]:
    over, visible = lay_over(second.astype(np.float32), alignments)
    return _correlation(first, over, (corners[0] + lay_over(corners[1], alignments)[0]) * visible)


def _correlation(
    first: NDArray[np.int8], second: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Weighted correlation [pair] of pictures [pair, row, column] whose mean is 0 everywhere; 0 where one is empty."""
    still = first.astype(np.float32)
    weighted = weight * second
    both = np.einsum("pij,pij->p", weighted, still)
    energy = np.einsum("pij,pij->p", weighted, second) * np.einsum("pij,pij->p", weight, still**2)
    return np.where(energy > 0, both / np.sqrt(np.maximum(energy, 1e-12)), 0).astype(np.float32)


def _places(weight: NDArray[np.float32]) -> float:
    """The effective number of blocks of 8 px that count: (sum of weights)^2 / sum of squares, as Kish's size of a sample."""
    blocks = weight.reshape(FINE // 8, 8, FINE // 8, 8).sum((1, 3))
    return float(blocks.sum() ** 2 / max(float((blocks**2).sum()), 1e-12))


def _spectra(pictures: NDArray[np.float32] | NDArray[np.int8]) -> NDArray[np.complex64]:
    """Spectra [pair, frequency, frequency] of pictures [pair, row, column], padded for shifts of `REACH`."""
    side = pictures.shape[-1]
    padded = fft.next_fast_len(side + 2 * round(REACH * side), real=True)
    return fft.rfft2(pictures.astype(np.float32, copy=False), (padded, padded))  # type: ignore[no-any-return]


def _best_shifts(
    spectra: NDArray[np.complex64], seconds: NDArray[np.float32], alignments: Sequence[Alignment]
) -> list[tuple[float, Alignment]]:
    """For each pair the best correlation within `REACH` of its shift, with norm 1 of the second, and the alignment there."""
    side = seconds.shape[-1]
    reach = round(REACH * side)
    over, _ = lay_over(seconds, alignments)
    product = fft.irfft2(spectra * _spectra(over).conj(), (spectra.shape[1],) * 2)
    shifts = np.arange(-reach, reach + 1)
    near = product[:, shifts[:, None], shifts[None]].reshape(len(over), -1)
    numbers = near.argmax(1)
    values = near[np.arange(len(over)), numbers] / np.maximum(np.linalg.norm(over, axis=(1, 2)), 1e-6)
    refined = []
    for alignment, value, number in zip(alignments, values, numbers, strict=True):
        down, right = divmod(int(number), len(shifts))
        down += round(alignment.down * side) - reach
        right += round(alignment.right * side) - reach
        refined.append((float(value), replace(alignment, down=down / side, right=right / side)))
    return refined
