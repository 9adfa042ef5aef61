import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refrad.dicom.windows import scale_mr, window_ct

HU = arrays(np.int16, (3, 4), elements=st.integers(-1500, 3500))


def test_window_spreads_its_width_around_its_level():
    hu = np.array([[-136, -135, 40, 215, 216]])
    assert window_ct(hu, [(350, 40)]).tolist() == [[[0, 0, 128, 255, 255]]]


def test_channels_are_the_three_windows():
    image = window_ct(np.array([[40]]), [(2250, -100), (350, 40), (80, 40)])
    assert image.dtype == np.uint8
    assert image[:, 0, 0].tolist() == [round(255 * (40 + 1225) / 2250), 128, 128]


@given(hu=HU)
def test_window_is_monotonic(hu):
    order = np.argsort(hu, axis=None)
    for channel in window_ct(hu):
        assert np.all(np.diff(channel.ravel()[order].astype(int)) >= 0)


@given(values=arrays(np.int16, (3, 4)), factor=st.integers(1, 5), offset=st.integers(-100, 100))
def test_mr_image_fills_the_range_at_any_scale(values, factor, offset):
    image = scale_mr(values)
    assert image.shape == (3, 3, 4)
    assert image.dtype == np.uint8
    if values.min() < values.max():
        assert (image.min(), image.max()) == (0, 255)
    rescaled = scale_mr(values.astype(np.float64) * factor + offset)
    assert np.max(np.abs(rescaled.astype(int) - image)) <= 1


@pytest.mark.parametrize("value", [0, 7, -3])
def test_constant_mr_image_is_black(value):
    assert scale_mr(np.full((2, 2), value)).max() == 0
