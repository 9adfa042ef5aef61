import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.metrics.grounding import g_iou, iou

coordinates = st.floats(0, 1, allow_nan=False)
boxes = st.tuples(coordinates, coordinates, coordinates, coordinates).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def test_half_of_a_box_is_an_iou_of_a_half():
    assert iou((0, 0, 2, 2), (0, 0, 1, 2)) == 0.5


def test_boxes_that_touch_share_nothing():
    assert iou(LEFT, RIGHT) == 0


@given(boxes, boxes)
def test_iou_is_symmetric_and_between_0_and_1(a, b):
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1 + 1e-9


def test_a_right_box_with_a_wrong_class_counts_nothing():
    assert g_iou([(1, LEFT)], [(2, LEFT)]) == 0


def test_boxes_too_many_lower_the_score_as_boxes_too_few_do():
    assert g_iou([(1, LEFT), (2, RIGHT)], [(1, LEFT)]) == 0.5
    assert g_iou([(1, LEFT)], [(1, LEFT), (2, RIGHT)]) == 0.5


def test_the_most_similar_pair_is_matched_first():
    similarity = {("a", "x"): 0.5, ("a", "y"): 0.9, ("b", "x"): 0.4, ("b", "y"): 0.8}
    score = g_iou([("a", LEFT), ("b", LEFT)], [("x", LEFT), ("y", LEFT)], lambda p, t: similarity[p, t])
    assert score == pytest.approx((0.9 + 0.4) / 2)


def test_without_a_true_entity_the_score_is_not_defined():
    with pytest.raises(ValueError, match="at least one true entity"):
        g_iou([(1, LEFT)], [])
