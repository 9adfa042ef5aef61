import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from refrad.dataset.shards import encode_mask, picture

WINDOWS = [[2250, -100], [350, 40], [80, 40]]


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 40))
def test_masks_come_back_pixel_by_pixel(seed, height, width):
    mask = np.random.default_rng(seed).random((height, width)) > 0.5
    back = coco.decode({"size": [height, width], "counts": encode_mask(mask).encode()})
    assert np.array_equal(back.astype(bool), mask)


def test_a_picture_has_a_window_in_each_channel():
    hu = np.full((10, 12), 40, np.int16)
    seen = np.asarray(Image.open(io.BytesIO(picture(hu, "CT", WINDOWS, 32))))
    assert seen.shape == (32, 32, 3)
    assert seen[0, 0].tolist() == [143, 128, 128]


def test_mr_is_scaled_by_its_own_range():
    values = np.arange(100, dtype=np.int16).reshape(10, 10)
    seen = np.asarray(Image.open(io.BytesIO(picture(values, "MR", WINDOWS, 10))))
    assert (seen.min(), seen.max()) == (0, 255)
