import pytest

from refrad.evaluation.metrics.grounding import NamedRegion
from refrad.evaluation.metrics.localization import mean_iou_by_key, score_locations, summarise_locations

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def region(class_id, box):
    return NamedRegion(box, class_id=class_id)


def test_box_of_the_wrong_class_is_a_missing_box():
    (score,) = score_locations([region(1, LEFT)], [region(2, LEFT)])
    assert (score.iou, score.dice, score.is_named, score.hit) == (0, 0, False, False)


def test_first_box_of_a_class_counts():
    (score,) = score_locations([region(1, LEFT)], [region(1, RIGHT), region(1, LEFT)])
    assert score.iou == 0 and score.is_named


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
