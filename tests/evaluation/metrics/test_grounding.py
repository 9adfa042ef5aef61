import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from sklearn.metrics import jaccard_score

from refrad.evaluation.metrics.grounding import g_iou, g_ious, iou, overlap, phrase_key, same

coordinates = st.floats(0, 1, allow_nan=False)
boxes = st.tuples(coordinates, coordinates, coordinates, coordinates).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
entities = st.lists(st.tuples(st.integers(1, 4), boxes), max_size=5)
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def of_table(table):
    """A similarity from a dictionary of pairs."""
    return lambda a, b: np.array([table[pair] for pair in zip(a, b, strict=True)])


def iou_by_hand(a, b):
    """IoU of two boxes as the definition says it."""
    width, height = (max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]), 0) for i in (0, 1))
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - width * height
    return width * height / union if union > 0 else 0


def one_by_one(predicted, true):
    """G-IoU of classes written down as the definition says it: the most similar pair first, of equal pairs that of the larger IoU.

    Pairs that are equal in both are taken in the order of the sorted regions.
    """
    left, right, total = sorted(predicted), sorted(true), 0.0

    def likeness(pair):
        (predicted_class, predicted_box), (true_class, true_box) = pair
        return float(predicted_class == true_class), iou_by_hand(predicted_box, true_box)

    while left and right:
        p, t = max(((p, t) for p in left for t in right), key=likeness)
        total += float(p[0] == t[0]) * iou_by_hand(p[1], t[1])
        left.remove(p)
        right.remove(t)
    return total / max(len(predicted), len(true))


def test_iou_of_half_a_box_is_a_half():
    assert iou((0, 0, 2, 2), (0, 0, 1, 2)) == 0.5


def test_iou_of_touching_boxes_is_zero():
    assert iou(LEFT, RIGHT) == 0


@given(boxes, boxes)
def test_iou_is_symmetric_and_between_0_and_1(a, b):
    assert iou(a, b) == iou(b, a) == iou_by_hand(a, b)
    assert 0 <= iou(a, b) <= 1 + 1e-9


def test_mask_iou_equals_jaccard_score_of_scikit_learn():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 20, 30)) < 0.4
    expected = jaccard_score(a.ravel(), b.ravel())
    assert overlap(a, b) == pytest.approx(expected)
    assert overlap(coco.encode(np.asfortranarray(a.astype(np.uint8))), b) == pytest.approx(expected)


def test_iou_of_empty_masks_is_zero():
    assert overlap(np.zeros((4, 4), bool), np.zeros((4, 4), bool)) == 0


def test_overlap_refuses_a_box_and_a_mask():
    with pytest.raises(ValueError, match="both sides as boxes or both as masks"):
        overlap(LEFT, np.ones((4, 4), bool))


def test_overlap_refuses_masks_of_different_size():
    with pytest.raises(ValueError, match="different size"):
        overlap(np.ones((4, 4), bool), np.ones((4, 5), bool))


def test_g_iou_of_masks_equals_that_of_boxes():
    def mask(box):
        grid = np.zeros((40, 40), bool)
        grid[int(box[1] * 40) : int(box[3] * 40), int(box[0] * 40) : int(box[2] * 40)] = True
        return grid

    predicted = [("liver", (0.0, 0.0, 0.5, 0.5)), ("spleen", (0.5, 0.25, 1.0, 0.75))]
    true = [("spleen", (0.5, 0.5, 1.0, 1.0)), ("liver", (0.0, 0.0, 0.25, 0.5))]
    as_masks = g_iou([(k, mask(b)) for k, b in predicted], [(k, mask(b)) for k, b in true])
    assert as_masks == pytest.approx(g_iou(predicted, true)) == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_g_iou_of_a_wrong_class_is_zero():
    assert g_iou([(1, LEFT)], [(2, LEFT)]) == 0


def test_g_iou_counts_surplus_and_missing_boxes():
    assert g_iou([(1, LEFT), (2, RIGHT)], [(1, LEFT)]) == 0.5
    assert g_iou([(1, LEFT)], [(1, LEFT), (2, RIGHT)]) == 0.5


def test_g_iou_matches_the_most_similar_pair_first():
    similarity = {("a", "x"): 0.5, ("a", "y"): 0.9, ("b", "x"): 0.4, ("b", "y"): 0.8}
    score = g_iou([("a", LEFT), ("b", LEFT)], [("x", LEFT), ("y", LEFT)], of_table(similarity))
    assert score == pytest.approx((0.9 + 0.4) / 2)


def test_g_iou_uses_the_box_of_the_matched_name():
    # By hand: the liver's box covers 0.277 of the true one, the spleen's 0.563, so G-IoU is their mean, 0.420. Who takes
    # names out after a match but leaves the boxes compares the first boxes twice and arrives at 0.277.
    true = [("liver", (0.0, 0.0, 1.0, 1.0)), ("spleen", (2.0, 0.0, 3.0, 1.0))]
    predicted = [("liver", (0.0, 0.0, 0.277, 1.0)), ("spleen", (2.0, 0.0, 2.563, 1.0))]
    assert g_iou(predicted, true) == pytest.approx(0.420)
    first = iou(predicted[0][1], true[0][1])
    assert (first + first) / 2 == pytest.approx(0.277)


def test_g_iou_of_no_prediction_is_zero():
    assert g_iou([], [(1, LEFT)]) == 0


def test_g_iou_needs_a_true_entity():
    with pytest.raises(ValueError, match="at least one true entity"):
        g_iou([(1, LEFT)], [])


@settings(max_examples=50)
@given(st.lists(st.tuples(entities, entities.filter(bool)), max_size=6))
def test_g_ious_equal_single_scores(samples):
    scores = g_ious([p for p, _ in samples], [t for _, t in samples], same)
    assert scores == pytest.approx([one_by_one(p, t) for p, t in samples])


@settings(max_examples=50)
@given(entities, entities.filter(bool), st.randoms(use_true_random=False))
def test_g_iou_does_not_depend_on_the_order(predicted, true, random):
    mixed = random.sample(predicted, len(predicted)), random.sample(true, len(true))
    assert g_iou(*mixed) == pytest.approx(g_iou(predicted, true))


def test_g_iou_matches_equal_names_by_overlap():
    # Two nodules in the other order: each pair has IoU 1, (1 + 1) / 2.
    assert g_iou([("nodule", RIGHT), ("nodule", LEFT)], [("nodule", LEFT), ("nodule", RIGHT)]) == 1
    # As masks, 2 x 2 px: the first column and the second.
    first, second = np.array([[1, 0], [1, 0]], bool), np.array([[0, 1], [0, 1]], bool)
    assert g_iou([("nodule", second), ("nodule", first)], [("nodule", first), ("nodule", second)]) == 1


def test_g_iou_prefers_a_similar_name_to_a_larger_overlap():
    # "cyst" is more similar to "cysts", though "mass" lies on its box: 0.9 x 0 + 0.1 x 0, over 2.
    table = of_table({("cyst", "cysts"): 0.9, ("cyst", "mass"): 0.2, ("mass", "cysts"): 0.2, ("mass", "mass"): 0.1})
    assert g_iou([("cyst", LEFT), ("mass", RIGHT)], [("cysts", RIGHT), ("mass", LEFT)], table) == 0


@settings(max_examples=50)
@given(entities.filter(bool))
def test_g_iou_of_the_truth_is_its_share_of_non_empty_boxes(true):
    held = sum(iou(box, box) for _, box in true)
    assert g_iou(true, true) == pytest.approx(held / len(true))


def test_similarities_that_differ_by_rounding_are_a_tie():
    similarity = {("a", "x"): 1.0, ("a", "y"): 1 - 1e-9, ("b", "x"): 1 - 1e-9, ("b", "y"): 1.0}
    score = g_iou([("a", LEFT), ("b", RIGHT)], [("x", RIGHT), ("y", LEFT)], of_table(similarity))
    assert score == pytest.approx(1)


@pytest.mark.parametrize("text", ["Left  kidney ", "left\u00a0kidney", "left kid\u00adney"])
def test_white_space_and_soft_hyphens_of_a_phrase_do_not_count(text):
    assert phrase_key(text) == "left kidney"
