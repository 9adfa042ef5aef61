"""A box comes back from each unit within the bound that the unit states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.dataset.exports.box_units import PIXELS, SHARES, THOUSANDTHS


@st.composite
def boxes(draw):
    """An image's size, px, and a box in it, half-open, px."""
    width, height = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    x_min, y_min = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), (x_min, y_min, draw(st.integers(x_min + 1, width)), draw(st.integers(y_min + 1, height)))


@pytest.mark.parametrize("unit", [SHARES, THOUSANDTHS, PIXELS], ids=["shares", "thousandths", "pixels"])
@given(boxes(), st.sampled_from([56, 224, 896]))
def test_box_comes_back_within_a_step(unit, image, side):
    (width, height), box = image
    shares = box[0] / width, box[1] / height, box[2] / width, box[3] / height
    coordinates = [float(text) for text in unit.encode(shares, (side, side))]
    decoded = unit.decode(coordinates, (side, side))
    steps = side if unit is PIXELS else 1000
    for low, high in ((0, 2), (1, 3)):
        assert 0 <= decoded[low] < decoded[high] <= 1
        widened = shares[high] - shares[low] < 1 / steps
        bound = (1 if widened else 0.5) / steps + 1e-9
        assert abs(decoded[low] - shares[low]) <= bound and abs(decoded[high] - shares[high]) <= bound


@given(boxes())
def test_box_below_a_thousand_px_is_exact_in_thousandths(image):
    (width, height), box = image
    if max(width, height) >= 1000:
        return
    shares = box[0] / width, box[1] / height, box[2] / width, box[3] / height
    decoded = THOUSANDTHS.decode([int(text) for text in THOUSANDTHS.encode(shares, (1, 1))], (1, 1))
    px = [round(value * side) for value, side in zip(decoded, (width, height) * 2, strict=True)]
    assert tuple(px) == box


@given(boxes())
def test_box_in_px_of_its_own_picture_is_exact(image):
    (width, height), box = image
    shares = box[0] / width, box[1] / height, box[2] / width, box[3] / height
    assert [int(text) for text in PIXELS.encode(shares, (width, height))] == list(box)
