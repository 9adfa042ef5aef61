import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refrad.evaluation.metrics.grounding import NamedRegion
from refrad.evaluation.metrics.localization import mean_iou_by_key, score_locations, summarise_locations

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def region(class_id, box):
    return NamedRegion(box, class_id=class_id)


tenths = st.integers(0, 5).map(lambda number: number / 5)
corners = st.tuples(tenths, tenths, tenths, tenths).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
regions = st.builds(region, st.integers(1, 2), corners)


def test_box_of_the_wrong_class_is_a_missing_box():
    (score,) = score_locations([region(1, LEFT)], [region(2, LEFT)])
    assert (score.iou, score.dice, score.is_named, score.hit) == (0, 0, False, False)


def test_surplus_box_of_a_class_is_ignored():
    (score,) = score_locations([region(1, LEFT)], [region(1, RIGHT), region(1, LEFT)])
    assert score.iou == 1 and score.is_named


def test_boxes_of_one_name_are_matched_one_to_one():
    true = [region(1, LEFT), region(1, RIGHT)]
    assert [score.iou for score in score_locations(true, true[::-1])] == [1, 1]
    # A single box serves a single one of two regions.
    assert [(score.iou, score.is_named) for score in score_locations(true, [region(1, RIGHT)])] == [
        (0, False),
        (1, True),
    ]


def test_boxes_are_matched_for_the_largest_sum_of_iou():
    # Tenths of the width. IoU of a with x: 4/6, with y: 2/6; of b with x: 3/6, with y: 0. Greedy: a-x, b-y: 4/6. Best: a-y, b-x: 5/6.
    box = {"a": (2, 7), "b": (5, 9), "x": (3, 8), "y": (1, 4)}
    a, b, x, y = (region(1, (low / 10, 0.0, high / 10, 1.0)) for low, high in box.values())
    scores = score_locations([a, b], [x, y])
    assert [score.iou for score in scores] == pytest.approx([2 / 6, 3 / 6])


@settings(max_examples=50)
@given(st.lists(regions, max_size=4), st.lists(regions, max_size=4), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order(true, predicted, random):
    pairs = list(zip(true, score_locations(true, predicted), strict=True))
    mixed = random.sample(true, len(true))
    scores = score_locations(mixed, random.sample(predicted, len(predicted)))
    assert sorted(pairs, key=str) == sorted(zip(mixed, scores, strict=True), key=str)


def test_decomposed_letters_are_the_same_name():
    (score,) = score_locations(
        [NamedRegion(LEFT, "Bauchspeicheldr\u00fcse")], [NamedRegion(LEFT, "bauchspeicheldru\u0308se")]
    )
    assert score.iou == 1


def test_dice_follows_from_the_iou():
    (score,) = score_locations([region(1, (0.0, 0.0, 1.0, 1.0))], [region(1, LEFT)])
    assert (score.iou, score.dice, score.hit) == (0.5, pytest.approx(2 / 3), True)


def test_means_are_over_regions_and_not_over_questions():
    scores = [
        score_locations([region(1, LEFT), region(2, RIGHT)], []),
        score_locations([region(1, LEFT)], [region(1, LEFT)]),
    ]
    summary = summarise_locations(["p", "q"], scores, 100)
    assert summary["mean_iou"] == summary["class_recall"] == summary["iou50"] == pytest.approx(1 / 3)
    assert mean_iou_by_key([[1, 2], [1]], scores) == {1: 0.5, 2: 0}


def test_no_region_has_no_score():
    with pytest.raises(ValueError, match="without any item"):
        summarise_locations([], [], 100)
