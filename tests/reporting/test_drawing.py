import base64
import io

import numpy as np
import pytest
from PIL import Image

from refrad.reporting.drawing import draw_outlines, jpeg_uri, overlay_labels


def pixels_of(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))))


def test_outline_is_inside_its_mask():
    mask = np.zeros((20, 30), bool)
    mask[5:12, 8:20] = True
    edge = np.asarray(draw_outlines([(5, mask)], mask.shape))[..., 3] > 0
    fine = mask.repeat(8, axis=0).repeat(8, axis=1)  # 240 px, so that the outline is sharp
    assert edge.shape == fine.shape and edge.sum() == 2 * 8 * (7 + 12) - 4 and not (edge & ~fine).any()


def test_outline_of_a_small_organ_leaves_its_inside_free():
    """A 13-px adrenal gland on a slice of 512 px."""
    mask = np.zeros((512, 512), bool)
    mask[200:213, 100:113] = True
    edge = np.asarray(draw_outlines([(8, mask)], mask.shape))[..., 3] > 0
    assert edge.sum() == 4 * 12 and not edge[202:211, 102:111].any()


def test_background_keeps_its_grey():
    coloured = overlay_labels(np.full((2, 2), 100, np.uint8), np.array([[0, 5], [0, 0]], np.uint8))
    assert (coloured[0, 0] == 100).all() and not (coloured[0, 1] == 100).all()


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3)])
def test_jpeg_keeps_each_channel_apart(shape):
    """Three windows are unrelated pictures: an edge in one must not be seen in another."""
    values = np.full(shape, 128, np.uint8)
    values[10:20, 10:20, ...] = (255, 128, 128) if len(shape) == 3 else 255
    decoded = pixels_of(jpeg_uri(values))
    assert decoded.shape == shape and np.abs(decoded.astype(int) - values)[..., 1:].max() <= (
        4 if len(shape) == 3 else 60
    )
    if len(shape) == 3:
        assert np.ptp(decoded[..., 1]) <= 2
