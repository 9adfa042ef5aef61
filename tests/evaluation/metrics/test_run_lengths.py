import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from refrad.evaluation.metrics.grounding import overlap
from refrad.evaluation.metrics.run_lengths import decode_counts, read_mask

shapes = st.one_of(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.just(1), st.integers(1, 300)),
    st.tuples(st.integers(1, 300), st.just(1)),
)
masks = shapes.flatmap(lambda shape: arrays.arrays(bool, shape))


def encoded(mask):
    """Pycocotools' own compressed text."""
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def plain(mask):
    """Run lengths down the columns, background first, as COCO defines them."""
    pixels = mask.ravel(order="F").tolist()
    runs, value = [0], False
    for pixel in pixels:
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


def drawn(record):
    return coco.decode({"size": record["size"], "counts": record["counts"].encode()}).astype(bool)


@given(masks)
def test_counts_of_pycocotools_decode_to_the_runs_of_the_mask(mask):
    assert decode_counts(encoded(mask)).tolist() == plain(mask)


@given(masks)
def test_mask_survives_each_form(mask):
    size = list(mask.shape)
    for counts in (encoded(mask), plain(mask)):
        assert np.array_equal(drawn(read_mask({"size": size, "counts": counts})), mask)


@pytest.mark.parametrize("mask", [np.zeros((1, 1), bool), np.ones((1, 1), bool), np.zeros((512, 512), bool)])
def test_mask_of_one_value_survives(mask):
    assert np.array_equal(drawn(read_mask({"size": list(mask.shape), "counts": plain(mask)})), mask)


@given(masks, st.data())
def test_empty_runs_change_no_overlap(mask, data):
    """Pycocotools ends its comparison where both masks have an empty run; by hand, IoU is |a & b| / |a | b|."""
    runs = plain(mask)
    split = []
    for run in runs:
        part = data.draw(st.integers(0, run))
        split += [part, 0, run - part]
    read = read_mask({"size": list(mask.shape), "counts": split})
    assert np.array_equal(drawn(read), mask)
    assert overlap(read, read) == float(mask.any())


@given(masks, st.integers(-4, 4).filter(bool))
def test_runs_that_do_not_fill_the_image_are_refused(mask, surplus):
    runs = plain(mask)
    runs[-1] += surplus
    with pytest.raises(ValueError, match="mask"):
        read_mask({"size": list(mask.shape), "counts": runs})
    with pytest.raises(ValueError, match="height x width"):
        read_mask({"size": [mask.shape[0], mask.shape[1] + 1], "counts": encoded(mask)})


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        assert decode_counts(read_mask({"size": [4, 4], "counts": text})["counts"]).sum() == 16


@pytest.mark.parametrize(
    "mask",
    [
        *({"size": [4, 4]}, {"counts": [16]}, {"size": [4, 4], "counts": None}, {"size": [4, 4], "counts": []}),
        *({"size": [4, 4], "counts": counts} for counts in ([20, -4], [16.0], ["16"], [True, 15], [2**40], {}, 16)),
        *({"size": [4, 4], "counts": counts} for counts in ("", "zzzz~~~", "0 4 12", "08h1", "o" * 50, "ö", "o")),
        *({"size": size, "counts": [16]} for size in ([4], [-4, -4], "4x4", [4.0, 4], [True, 16], [0, 4], [16, 1, 1])),
        *({"size": [2**20, 2**20], "counts": [2**40]}, 5, "52203", [], [[]], [[1, 1, 2, 2]], [[1, 1, 2, 1, 2, "2"]]),
        *([[1, 1, 2, 1, 2, float("nan")]], [1, 1, 2, 1, 2], [[1, 1, 2, 1, 2, 2], 5]),
        {"size": [4, 4], "polygons": [[0, 0, 1e9, 0, 1e9, 1e9]]},
        {"size": [512, 512], "polygons": [[0.1, 0.1, 0.2, 0.1, 0.2, 0.2]]},
    ],
)
def test_malformed_mask_is_refused(mask):
    with pytest.raises(ValueError, match=r"mask|polygon"):
        read_mask(mask)


def test_polygon_covers_its_pixels():
    """The square from (2, 1) to (6, 4) covers columns 2 to 5 and rows 1 to 3 of 8 x 10 px."""
    expected = np.zeros((8, 10), bool)
    expected[1:4, 2:6] = True
    square = [2, 1, 6, 1, 6, 4, 2, 4]
    record = read_mask({"size": [8, 10], "polygons": [square]})
    assert np.array_equal(drawn(record), expected)


def test_polygons_are_joined():
    left, right = [0, 0, 2, 0, 2, 8, 0, 8], [5, 0, 9, 0, 9, 8, 5, 8]
    record = read_mask({"size": [8, 10], "polygons": [left, right]})
    assert drawn(record).sum() == 8 * 2 + 8 * 4 and read_mask([left, right]) == [left, right]
    assert read_mask(left) == [left]
