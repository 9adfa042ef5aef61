import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from refrad.review.slice_pictures import WINDOWS, draw_slice, encode_grey, nearest_channel, outline_path

MASKS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def edges_of(path):
    """Edges of pixels in a path: (x, y, across or down) of each."""
    edges = []
    for part in path.split("M")[1:]:
        start, end = part.replace("V", " V").replace("H", " H").rsplit(" ", 1)
        x, y = map(int, start.split())
        if end[0] == "H":
            edges += [(column, y, "across") for column in range(x, int(end[1:]))]
        else:
            edges += [(x, row, "down") for row in range(y, int(end[1:]))]
    return edges


@given(mask=MASKS)
def test_outline_is_where_a_pixel_meets_one_outside(mask):
    edges = edges_of(outline_path(mask))
    padded = np.pad(mask, 1)
    expected = set()
    for row, column in np.argwhere(padded):
        x, y = int(column) - 1, int(row) - 1
        expected |= {(x, y, "across")} if not padded[row - 1, column] else set()
        expected |= {(x, y + 1, "across")} if not padded[row + 1, column] else set()
        expected |= {(x, y, "down")} if not padded[row, column - 1] else set()
        expected |= {(x + 1, y, "down")} if not padded[row, column + 1] else set()
    assert set(edges) == expected and len(edges) == len(expected)


def test_outline_of_a_box_is_four_lines():
    mask = np.zeros((10, 10), bool)
    mask[2:5, 3:9] = True
    assert outline_path(mask) == "M3 2H9M3 5H9M3 2V5M9 2V5"
    assert outline_path(np.zeros((4, 4), bool)) == ""


@given(values=arrays(np.int16, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_picture_has_one_pixel_a_voxel(values):
    for modality, windows in WINDOWS.items():
        for window in windows:
            grey = draw_slice(values, modality, window)
            assert grey.shape == values.shape and grey.dtype == np.uint8
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_grey(grey)))), grey)


@pytest.mark.parametrize(
    ("window", "black", "white"),
    [("soft tissue", -160, 240), ("lung", -1350, 150), ("bone", -500, 1300), ("brain", 0, 80), ("wide", -1225, 1025)],
)
def test_window_of_ct_runs_from_black_to_white(window, black, white):
    grey = draw_slice(np.array([[black - 1, black, white, white + 1]], np.int16), "CT", window)
    assert grey.tolist() == [[0, 0, 255, 255]]
    margin = (white - black) // 10
    inside = draw_slice(np.array([[black + margin, white - margin]], np.int16), "CT", window)
    assert 0 < inside[0, 0] < inside[0, 1] < 255


def test_unknown_window_is_that_of_the_modality():
    values = np.arange(64, dtype=np.int16).reshape(8, 8)
    assert np.array_equal(draw_slice(values, "CT", "x"), draw_slice(values, "CT", "soft tissue"))
    assert np.array_equal(draw_slice(values, "MR", "lung"), draw_slice(values, "MR", WINDOWS["MR"][0]))


@pytest.mark.parametrize(("window", "channel"), [("lung", 0), ("bone", 0), ("soft tissue", 1), ("brain", 2)])
def test_stored_channel_is_the_one_most_like_the_window(window, channel):
    assert nearest_channel(window, [(2250, -100), (350, 40), (80, 40)]) == channel
