import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refrad.evaluation.metrics.region_grid import components, contains, crop, deepest_point, region_grid

masks = arrays(bool, (5, 6)).filter(np.any)


def corners(draw_box):
    (x, y), (width, height) = draw_box
    return [x, y, x + width, y + height]


sides = st.tuples(st.integers(1, 6), st.integers(1, 6))
boxes = st.tuples(st.tuples(st.integers(0, 6), st.integers(0, 6)), sides).map(corners)


def drawn(box):
    mask = np.zeros((12, 12), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


@given(st.lists(boxes, min_size=1, max_size=3), st.lists(boxes, max_size=3), st.integers(0, 12))
def test_boxes_have_the_measures_of_the_masks_that_they_fill(true, predicted, midline):
    of_boxes = region_grid(true, predicted)
    of_masks = region_grid([drawn(box) for box in true], [drawn(box) for box in predicted])
    assert of_boxes.dice() == pytest.approx(of_masks.dice())
    assert of_boxes.true_area() == of_masks.true_area()
    np.testing.assert_allclose(of_boxes.dices(), of_masks.dices())
    np.testing.assert_allclose(of_boxes.shares_below(midline), of_masks.shares_below(midline))


@given(masks, masks)
def test_dice_of_masks_is_twice_the_shared_by_the_sum(true, predicted):
    expected = 2 * (true & predicted).sum() / (true.sum() + predicted.sum())
    assert region_grid([true], [predicted]).dice() == pytest.approx(expected)


@given(masks)
def test_deepest_point_is_in_its_mask(mask):
    assert contains(mask, *deepest_point(mask))


def test_deepest_point_of_a_ring_is_not_its_centre():
    # The centroid of a ring lies in its hole: a centre would count as a miss for a perfect answer.
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    assert deepest_point(ring) != (2.5, 2.5)
    assert not contains(ring, 2.5, 2.5)


def test_deepest_point_of_a_block_with_a_tail_is_in_the_block():
    # A block of 3 x 3 px at the left and a tail of one row: only the middle of the block, column 1 and row 1, is 2 px from the edge.
    mask = np.zeros((3, 8), bool)
    mask[:, :3] = True
    mask[1] = True
    assert deepest_point(mask) == (1.5, 1.5)


def test_parts_that_touch_at_a_corner_are_one():
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], bool)
    assert sorted(int(part.sum()) for part in components(mask)) == [1, 1, 2]


def test_cropped_masks_keep_their_pixels_and_column():
    true, predicted = np.zeros((2, 4, 6), bool)
    true[1, 2], predicted[2, 4] = True, True
    (a, b), column = crop([true, predicted])
    assert a.tolist() == [[True, False, False], [False, False, False]] and b.tolist() == [
        [False] * 3,
        [False, False, True],
    ]
    assert column == 2


def test_boxes_and_masks_are_not_compared():
    with pytest.raises(ValueError, match="both sides as boxes or both as masks"):
        region_grid([np.ones((2, 2), bool)], [[0, 0, 1, 1]])
    with pytest.raises(ValueError, match="different size"):
        crop([np.ones((2, 2), bool), np.ones((2, 3), bool)])
