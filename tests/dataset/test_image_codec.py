import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco
from scipy import ndimage

from refrad.dataset.image_codec import (
    decode_image,
    decode_pixels,
    encode_mask,
    encode_pixels,
    encode_png,
    perceptual_hash,
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


def body(seed, noise=0.0):
    """Made-up anatomy: blobs of many sizes, with noise."""
    r = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(r.random((96, 96)), 5)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 200
    return np.repeat(
        np.uint8(np.clip(smooth + np.random.default_rng(9).normal(0, noise, (96, 96)), 0, 255))[None], 3, 0
    )


def distance(first, second):
    return (int(perceptual_hash(first), 16) ^ int(perceptual_hash(second), 16)).bit_count()


def test_hash_ignores_noise_and_differs_for_another_body():
    assert distance(body(1), body(1, noise=4)) <= 3
    assert min(distance(body(1), body(seed)) for seed in range(2, 30)) > 8
