"""The fine check of two pictures that may be copies."""

import numpy as np
import pytest
from scipy import ndimage

from refrad.dataset.copy_alignment import Alignment
from refrad.dataset.copy_check import FINE, correlate_structures

SMALLER = 0.85


def spots(count, seed):
    """The structure of a picture that shows a few spots, and the same spots closer together."""
    r = np.random.default_rng(seed)
    structure = np.zeros((FINE, FINE), np.float32)
    structure[tuple(r.integers(18, 78, (2, count)))] = r.choice([-1, 1], count)
    structure = ndimage.gaussian_filter(structure, 2)
    structure *= 100 / np.abs(structure).max()
    offset = (FINE - 1) / 2 * (1 - 1 / SMALLER)
    return np.int8(structure), np.int8(ndimage.affine_transform(structure, np.eye(2) / SMALLER, offset, order=1))


@pytest.mark.parametrize(
    ("count", "seed", "is_copy"), [(14, 0, False), (18, 0, False), (18, 1, False), (20, 0, True), (28, 0, True)]
)
def test_few_spots_fit_by_chance_whichever_picture_is_enlarged(count, seed, is_copy):
    large, small = spots(count, seed)
    for first, second, size in [(large, small, 1 / SMALLER), (small, large, SMALLER)]:
        value = correlate_structures(first, second, Alignment(1.0, False, False, size, size, 0.0, 0.0))
        assert value > 0.9 if is_copy else value < 0.6
