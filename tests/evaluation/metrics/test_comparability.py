import pytest

from refrad.evaluation.metrics.comparability import (
    check_comparable,
    check_midline,
    image_size,
    is_beyond_image,
    kind_of_regions,
)

PIXELS, SHARES, CORNER = [10, 10, 20, 20], [0.1, 0.1, 0.2, 0.2], [0, 0, 1, 1]
MASK, WIDE = {"size": [4, 4], "counts": "0d0"}, {"size": [4, 5], "counts": "0d0"}


@pytest.mark.parametrize(
    ("predicted", "true"), [(SHARES, PIXELS), (PIXELS, SHARES), (MASK, PIXELS), (CORNER, MASK), (MASK, WIDE)]
)
@pytest.mark.parametrize("size", [None, [100, 100]])
def test_regions_of_two_kinds_cannot_be_compared(predicted, true, size):
    with pytest.raises(ValueError, match="same form"):
        check_comparable([predicted], [true], size)


@pytest.mark.parametrize(
    ("predicted", "true"), [(SHARES, SHARES), (PIXELS, PIXELS), (MASK, MASK), ([-0.1, 0, 1.2, 1], SHARES)]
)
def test_regions_of_one_kind_can_be_compared(predicted, true):
    assert check_comparable([predicted], [true], None)


@pytest.mark.parametrize(("predicted", "true"), [(CORNER, PIXELS), (PIXELS, CORNER)])
def test_unit_of_the_first_pixel_is_unclear(predicted, true):
    assert not check_comparable([predicted], [true], None)


def test_unit_of_boxes_is_clear_with_a_second_box_or_the_size():
    assert check_comparable([CORNER, PIXELS], [PIXELS], None) and check_comparable([PIXELS], [CORNER], [100, 100])
    assert check_comparable([CORNER], [CORNER], None) and check_comparable([CORNER], [SHARES], None)
    assert check_comparable([[0, 0, 0, 0]], [PIXELS], None)  # an empty box, in any unit


def test_answer_without_regions_can_be_compared():
    assert check_comparable([], [PIXELS], None) and check_comparable([PIXELS], [], None)


@pytest.mark.parametrize("regions", [[PIXELS, SHARES], [PIXELS, MASK], [CORNER, MASK], [MASK, WIDE]])
def test_regions_of_one_row_are_of_one_kind(regions):
    with pytest.raises(ValueError, match="several kinds"):
        kind_of_regions(regions)


def test_box_beside_its_image_is_refused():
    with pytest.raises(ValueError, match="outside of the image"):
        kind_of_regions([[300, 10, 320, 20]], [256, 512])
    assert kind_of_regions([[300, 10, 320, 20]], [512, 256]) == "boxes in pixels"


@pytest.mark.parametrize(("size", "unit"), [([1, 1], "shares of the image"), ([2, 1], "pixels"), ([1, 2], "pixels")])
def test_size_tells_the_unit_of_a_box_in_the_first_pixel(size, unit):
    assert kind_of_regions([CORNER], size) == f"boxes in {unit}"


def test_image_has_the_unit_of_its_regions():
    assert image_size([MASK], [100, 50]) == (4, 4) and image_size([WIDE], None) == (5, 4)
    assert image_size([PIXELS], [100, 50]) == (100, 50) and image_size([PIXELS], None) is None
    assert image_size([SHARES], None) == image_size([SHARES], [100, 50]) == (1, 1)


@pytest.mark.parametrize(
    ("midline", "region", "size"),
    [
        (-1, PIXELS, None),
        (0.5, PIXELS, None),
        (101, PIXELS, [100, 50]),
        (20, SHARES, [100, 50]),
        (5, MASK, None),
        (0.5, MASK, None),
    ],
)
def test_midline_in_another_unit_is_refused(midline, region, size):
    with pytest.raises(ValueError, match="midline"):
        check_midline(midline, [region], size)


@pytest.mark.parametrize(("midline", "region"), [(40, PIXELS), (0.4, SHARES), (2, MASK), (0.5, CORNER)])
def test_midline_in_the_unit_of_the_regions_is_accepted(midline, region):
    check_midline(midline, [region], None)


def test_box_far_beyond_its_image_is_told_from_one_at_its_edge():
    assert is_beyond_image([[10, 10, 120, 20]], [100, 100]) and not is_beyond_image([[10, 10, 105, 20]], [100, 100])
    assert is_beyond_image([[0.5, 0.5, 1.3, 1]], None) and not is_beyond_image([[0.5, 0.5, 1.05, 1]], None)
    assert not is_beyond_image([[10, 10, 120, 20]], None) and is_beyond_image([[0, 0, 1e300, 1]], None)
    assert not is_beyond_image([MASK], None) and not is_beyond_image([], None)
