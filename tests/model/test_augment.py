import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from refrad.model.augment import WHOLE, View, box_in_view, random_view, see


@pytest.fixture(scope="module")
def picture():
    """A white rectangle on black: columns 40 to 60 and rows 20 to 50 of 100."""
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:50, 40:60] = 255
    return Image.fromarray(pixels)


@given(seed=st.integers(0, 10_000))
def test_the_box_follows_what_it_surrounds(picture, seed):
    view = random_view(np.random.default_rng(seed))
    view = View(view.window)  # intensity as it was
    box = box_in_view((0.4, 0.2, 0.6, 0.5), view)
    seen = see(picture, view, 200)[..., 0] > 127
    if box is None:
        return
    ys, xs = np.nonzero(seen)
    found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 200
    assert np.abs(found - box).max() < 0.02


def test_the_whole_view_changes_nothing(picture):
    assert np.array_equal(see(picture, WHOLE, 100), np.asarray(picture))
    assert box_in_view((0.1, 0.2, 0.3, 0.4), WHOLE) == pytest.approx((0.1, 0.2, 0.3, 0.4))


def test_a_box_that_is_mostly_outside_is_gone():
    assert box_in_view((0.0, 0.0, 0.3, 0.3), View((0.2, 0.2, 0.8, 0.8))) is None


def test_no_view_is_mirrored():
    for seed in range(200):
        left, top, right, bottom = random_view(np.random.default_rng(seed)).window
        assert left < right and top < bottom
