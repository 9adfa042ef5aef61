import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco
from scipy import ndimage

from refrad.dataset.image_codec import (
    SKETCH,
    decode_image,
    decode_pixels,
    decode_sketch,
    encode_mask,
    encode_pixels,
    encode_png,
    encode_sketch,
    window_image,
)
from refrad.dicom.windows import window_ct

WINDOWS = [[2250, -100], [350, 40], [80, 40]]


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 40))
def test_masks_round_trip(seed, height, width):
    mask = np.random.default_rng(seed).random((height, width)) > 0.5
    back = coco.decode({"size": [height, width], "counts": encode_mask(mask).encode()})
    assert np.array_equal(back.astype(bool), mask)


def test_picture_has_a_window_in_each_channel():
    hu = np.full((10, 12), 40, np.int16)
    channels = window_image(hu, "CT", WINDOWS, 32)
    assert channels.shape == (3, 32, 32)
    assert channels[:, 0, 0].tolist() == [143, 128, 128]


def test_mr_is_scaled_by_its_own_range():
    values = np.arange(100, dtype=np.int16).reshape(10, 10)
    channels = window_image(values, "MR", WINDOWS, 10)
    assert (channels.min(), channels.max()) == (0, 255)


pictures = st.integers(1, 24).flatmap(lambda side: arrays(np.uint8, (3, side, side)))


@given(pictures)
def test_pictures_round_trip_in_either_format(channels):
    raw, image = encode_pixels(channels), {"bytes": encode_png(channels), "path": None}
    for row in ({"pixels": raw}, {"image": image}, {"pixels": raw, "image": image}, {"pixels": None, "image": image}):
        assert np.array_equal(decode_image(row), channels)


def test_pixels_of_no_square_picture_are_refused():
    with pytest.raises(ValueError, match="no square picture"):
        decode_pixels(zstandard.compress(bytes(10)))


def test_picture_in_full_resolution_is_not_resampled():
    hu = np.random.default_rng(0).integers(-1000, 1000, (20, 30)).astype(np.int16)
    assert np.array_equal(window_image(hu, "CT", WINDOWS, None), window_ct(hu, WINDOWS))


@given(st.integers(0, 99), st.integers(16, 80))
def test_sketch_round_trips_and_has_one_size(seed, side):
    channels = np.random.default_rng(seed).integers(0, 255, (3, side, side)).astype(np.uint8)
    sketch = decode_sketch(encode_sketch(channels))
    assert sketch.shape == (SKETCH, SKETCH) and sketch.dtype == np.int8 and np.abs(sketch).max() > 10


def test_sketch_ignores_gain_and_offset_and_is_empty_without_structure():
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).random((96, 96)), 4)
    grey = 60 + 80 * (smooth - smooth.min()) / np.ptp(smooth)
    first, second = (decode_sketch(encode_sketch(np.uint8([values] * 3))) for values in (grey, grey * 1.2 + 20))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.98
    assert not decode_sketch(encode_sketch(np.full((3, 64, 64), 90, np.uint8))).any()
