import numpy as np
import pytest
from pydantic import ValidationError

from refrad.evaluation.metrics.finding_scores import FINDING_METRICS, score_findings
from refrad.evaluation.metrics.paired_scores import compare
from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord
from refrad.evaluation.metrics.scoring import METRICS, score_items
from refrad.evaluation.metrics.summary import summarise


def pixels(*rows):
    """A mask drawn as text: x is a pixel of the region; as plain COCO run lengths, which go down the columns."""
    mask = np.array([[character == "x" for character in row] for row in rows])
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    counts = np.diff(edges, prepend=0, append=len(flat)).tolist()
    return {"mask": {"size": list(mask.shape), "counts": counts}}


def box(*corners):
    return {"box": list(corners)}


def named(*regions, text="nodule"):
    return [{"text": text, **region} for region in regions]


def values(true, predicted, answered=True, **row):
    """Mean of each metric for one image, whose regions are named nodule unless they have a name."""
    truth = TruthRecord.model_validate({"id": "a", "task": "locate", "entities": true, **row})
    answer = PredictionRecord.model_validate({"id": "a"} | ({"entities": predicted} if answered else {}))
    means = {}
    for finding in score_findings(truth, answer):
        for metric, value in finding.values:
            means.setdefault(metric, []).append(value)
    return {metric: sum(scores) / len(scores) for metric, scores in means.items()}


def test_overlap_of_a_mask_is_worked_out_by_hand():
    # True: 4 px. Answer: 6 px, of which 2 are true. Dice = 2 x 2 / (4 + 6) = 0.4, so the finding is hit (0.1) and its instance matched (0.2).
    scores = values(named(pixels("xx..", "xx..", "....", "....")), named(pixels("....", "xx..", "xx..", "xx..")))
    assert scores["finding_dice"] == pytest.approx(0.4)
    assert scores["hit10"] == scores["instance_f1"] == 1
    # Deepest pixels of the answer (2 x 3 px): the middle row, which is not in the true region of rows 0 and 1.
    assert scores["pointing"] == 0
    assert scores["side_accuracy"] == 1  # both are in the left two of four columns


def test_hit_begins_at_a_dice_of_exactly_a_tenth():
    # Dice = 2 x 1 / (10 + 10) = 0.1 in boxes of ten and ten square px that share one.
    assert values(named(box(0, 0, 10, 1)), named(box(9, 0, 19, 1)), size=[20, 20])["hit10"] == 1
    # 2 x 1 / (10 + 11) = 0.095
    missed = values(named(box(0, 0, 10, 1)), named(box(9, 0, 20, 1)), size=[20, 20])
    assert missed["hit10"] == 0 and missed["finding_dice"] == pytest.approx(2 / 21)


def test_instance_matches_from_a_dice_of_exactly_a_fifth():
    # 2 x 2 / (10 + 10) = 0.2; one px less shared: 0.1
    assert values(named(box(0, 0, 10, 1)), named(box(8, 0, 18, 1)), size=[20, 20])["instance_f1"] == 1
    assert values(named(box(0, 0, 10, 1)), named(box(9, 0, 19, 1)), size=[20, 20])["instance_f1"] == 0


def test_instances_are_matched_one_to_one_in_any_order():
    # Three nodules; the answer has two of them, in the other order, and two false ones: 2 matched of 3 true and of 4 answered.
    true = named(box(0, 0, 4, 4), box(8, 8, 10, 10), box(20, 0, 24, 4))
    answer = named(box(20, 0, 24, 4), box(0, 0, 4, 4), box(0, 20, 4, 24), box(30, 20, 34, 24))
    scores = values(true, answer, size=[40, 40])
    assert scores["instance_recall"] == pytest.approx(2 / 3)
    assert scores["instance_precision"] == pytest.approx(2 / 4)
    assert scores["instance_f1"] == pytest.approx(2 * 2 / (3 + 4))
    # Areas: 16 + 4 + 16 true, 4 x 16 answered, 32 shared: Dice = 2 x 32 / (36 + 64)
    assert scores["finding_dice"] == pytest.approx(0.64)


def test_as_many_instances_as_possible_are_matched():
    # The first answer overlaps both true boxes, the second only the left one: taking the best pair first would match one alone.
    # Dice of (left, first) = 2 x 8 / (10 + 12), (right, first) = 2 x 4 / (10 + 12), (left, second) = 2 x 3 / (10 + 5).
    true = named(box(0, 0, 10, 1), box(10, 0, 20, 1))
    answer = named(box(2, 0, 14, 1), box(-2, 0, 3, 1))
    assert values(true, answer, size=[20, 20])["instance_recall"] == 1


def test_box_repeated_by_the_answer_matches_once():
    scores = values(named(box(0, 0, 4, 4)), named(box(0, 0, 4, 4), box(0, 0, 4, 4)), size=[8, 8])
    assert scores["instance_precision"] == 0.5 and scores["finding_dice"] == 1


def test_parts_of_the_only_mask_are_instances():
    # Two true masks; the answer draws both, and a third part, in one mask: 2 matched of 2 true and of 3 answered.
    scores = values(
        named(pixels("x...", "x...", "....", "...."), pixels("...x", "...x", "....", "....")),
        named(pixels("x..x", "x..x", "....", "x...")),
    )
    assert scores["instance_recall"] == 1 and scores["instance_precision"] == pytest.approx(2 / 3)


def test_pointing_game_takes_the_first_region():
    true = named(box(0, 0, 4, 4), box(20, 20, 30, 30))
    assert values(true, named(box(21, 21, 27, 27), box(50, 50, 60, 60)), size=[64, 64])["pointing"] == 1
    assert values(true, named(box(50, 50, 60, 60), box(21, 21, 27, 27)), size=[64, 64])["pointing"] == 0
    # A box around the whole image points at its middle, where nothing is.
    assert values(named(box(0, 0, 4, 4)), named(box(0, 0, 64, 64)), size=[64, 64])["pointing"] == 0


def test_side_is_that_of_the_midline():
    left, right = box(10, 10, 20, 20), box(80, 10, 90, 20)
    assert values(named(left), named(left), size=[100, 100])["side_accuracy"] == 1
    assert values(named(left), named(right), size=[100, 100])["side_accuracy"] == 0
    # The patient lies off centre: with the midline at 15, half of the answer is on either side, which is not more than half.
    assert values(named(box(0, 0, 10, 10)), named(left), size=[100, 100], midline=15)["side_accuracy"] == 0
    assert values(named(box(0, 0, 10, 10)), named(left), size=[100, 100], midline=16)["side_accuracy"] == 1


def test_finding_on_both_sides_has_no_side():
    # 10 of 40 columns of the true box are left of the midline.
    assert "side_accuracy" not in values(named(box(40, 0, 80, 10)), named(box(40, 0, 80, 10)), size=[100, 100])
    # 4 of 40 are: exactly nine tenths on one side.
    assert values(named(box(46, 0, 86, 10)), named(box(60, 0, 80, 10)), size=[100, 100])["side_accuracy"] == 1
    # Boxes in pixels without the size of the image have no midline; shares have one.
    assert "side_accuracy" not in values(named(box(10, 0, 20, 10)), [])
    assert values(named(box(0.1, 0, 0.2, 0.1)), named(box(0.6, 0, 0.7, 0.1)))["side_accuracy"] == 0


def test_side_of_masks_follows_their_columns():
    left, right = pixels("x...", "x...", "x...", "x..."), pixels("...x", "...x", "...x", "...x")
    assert values(named(right), named(left))["side_accuracy"] == 0
    assert values(named(right), named(right))["side_accuracy"] == 1


def test_finding_without_a_region_in_the_answer_scores_zero():
    scores = values(named(box(0, 0, 4, 4)), [], size=[8, 8])
    assert scores == dict.fromkeys(
        ("finding_dice", "hit10", "instance_recall", "instance_f1", "pointing", "side_accuracy"), 0
    )
    assert values(named(box(0, 0, 4, 4)), named(box(0, 0, 4, 4), text="cyst"), size=[8, 8]) == scores


def test_no_region_is_due_for_an_absent_finding():
    nothing = {"entities": [], "question": "Pleural effusion"}
    assert values([], [], **nothing) == {"specificity": 1}
    assert values([], named(box(0, 0, 4, 4)), **nothing) == {"specificity": 0}
    # The answer draws nothing: an empty mask, or a box without area.
    assert values([], named(pixels("....", "....")), **nothing) == {"specificity": 1}
    assert values([], named(box(3, 3, 3, 5)), **nothing) == {"specificity": 1}


def test_true_mask_without_a_pixel_is_an_absent_finding():
    empty = named(pixels("....", "...."))
    assert values(empty, empty) == {"specificity": 1}
    assert values(empty, named(pixels("x...", "...."))) == {"specificity": 0}


def test_unanswered_question_is_not_specific():
    assert values([], [], answered=False) == {"specificity": 0}


def test_absent_findings_stand_beside_present_ones():
    # The present nodule is found; of the two absent findings one is drawn all the same.
    true, effusion = named(box(0, 0, 4, 4)), named(box(8, 8, 9, 9), text="Effusion ")
    scores = values(true, true + effusion, absent=["effusion", "pneumothorax"], size=[16, 16])
    assert scores["finding_dice"] == 1 and scores["specificity"] == 0.5


def test_truth_states_findings_in_one_way():
    def truth(**row):
        return TruthRecord.model_validate({"id": "a", "task": "locate", **row})

    assert truth(entities=[]).no_region_due and not truth(absent=["cyst"]).no_region_due
    with pytest.raises(ValidationError, match="empty list if no region is due"):
        truth()
    with pytest.raises(ValidationError, match="absent or has entities"):
        truth(entities=named(box(0, 0, 1, 1), text="Cyst"), absent=["cyst"])
    with pytest.raises(ValidationError, match="has a name"):
        truth(absent=[" "])
    with pytest.raises(ValidationError, match="locate and detect"):
        TruthRecord(id="a", task="caption", answer="x", absent=("cyst",))


def truths(*rows):
    return {row["id"]: TruthRecord.model_validate({"task": "locate", "size": [40, 40], **row}) for row in rows}


def answers(**entities):
    return {key: PredictionRecord.model_validate({"id": key, "entities": given}) for key, given in entities.items()}


def test_instances_are_pooled_over_images_by_category_and_size():
    # Image a: 1 of 3 true instances matched, by 1 of 1 answered. Image b: 1 of 1 true, by 1 of 3 answered. Pooled: 2 of 4 and 2 of 4.
    three = named(box(0, 0, 4, 4), box(10, 0, 14, 4), box(20, 0, 24, 4))
    asked = truths(
        {"id": "a", "group": "p", "category": "2d", "entities": three},
        {"id": "b", "group": "q", "entities": [{"category": "2e", **entity} for entity in three[:1]]},
        {"id": "c", "group": "q", "category": "2e", "entities": []},
    )
    items, counts = score_items(asked, answers(a=three[:1], b=three, c=[]))
    rows = {(row["metric"], row["by"], row["value"]): row for row in summarise(items, 200)}
    assert rows["instance_recall", None, None]["mean"] == rows["instance_precision", None, None]["mean"] == 0.5
    assert rows["instance_f1", None, None]["mean"] == pytest.approx(2 * 2 / (4 + 4))
    assert rows["instance_recall", "category", "2d"]["mean"] == pytest.approx(1 / 3)
    assert rows["specificity", "category", "2e"]["mean"] == 1
    assert rows["instance_f1", None, None]["low"] is not None and rows["instance_f1", None, None]["groups"] == 2
    # 3 x 16 of 1600 square px are 3 %, 16 are 1 %
    assert rows["finding_dice", "size", "1 to 5 %"]["items"] == 2
    assert counts["findings without a side"] == 1  # the three nodules of image a lie on both sides of x = 20


def test_detected_findings_are_scored_like_located_ones():
    asked = truths({"id": "a", "task": "detect", "answer": "Nodule.", "entities": named(box(0, 0, 4, 4))})
    items, _ = score_items(asked, answers(a=named(box(0, 0, 4, 4))))
    assert set(FINDING_METRICS) - {"specificity"} <= set(items["metric"]) <= set(METRICS)


def test_instances_of_two_models_are_paired_by_question():
    """One true box in each of two images; ours draws it once, theirs draws it and a further box in the first image.

    Precision: 2 of 2 against 2 of 3. F1: 4 / 4 against 4 / 5.
    """
    asked = truths(*({"id": name, "group": name, "entities": named(box(0, 0, 4, 4))} for name in "ab"))
    drawn, further = named(box(0, 0, 4, 4)), named(box(0, 0, 4, 4), box(8, 8, 9, 9))
    ours, theirs = (score_items(asked, answers(a=first, b=named(box(0, 0, 4, 4))))[0] for first in (drawn, further))
    compared = {row["metric"]: row for row in compare(ours, theirs, 100)}
    assert compared["instance_precision"]["difference"] == pytest.approx(1 - 2 / 3)
    assert compared["instance_f1"]["difference"] == pytest.approx(1 - 4 / 5)
    assert (compared["instance_f1"]["ours"], compared["instance_f1"]["theirs"]) == (1, 0.8)
    assert (compared["instance_f1"]["items"], compared["instance_f1"]["groups"]) == (2, 2)
    assert compared["instance_recall"]["difference"] == 0


def test_model_without_instances_has_no_difference_of_precision():
    asked = truths({"id": "a", "entities": named(box(0, 0, 4, 4))})
    ours, theirs = (score_items(asked, answers(a=regions))[0] for regions in (named(box(0, 0, 4, 4)), []))
    compared = {row["metric"]: row for row in compare(ours, theirs, 100)}
    assert "instance_precision" not in compared and compared["instance_f1"]["difference"] == 1


@pytest.mark.parametrize(("scale", "size"), [(1, None), (1, [1, 1]), (200, [200, 200])])
def test_size_and_side_are_the_same_in_shares_and_pixels(scale, size):
    # 0.4 x 0.5 of the image is a fifth of it; 0.1 to 0.5 ends at the midline, and 0.3 to 0.7 is on both sides.
    one_sided, both_sided = ([part * scale for part in corners] for corners in ((0.1, 0, 0.5, 0.5), (0.3, 0, 0.7, 0.5)))
    for corners, lacks_side in ((one_sided, False), (both_sided, True)):
        entities = named(box(*corners))
        row = {"id": "a", "task": "locate", "entities": entities} | ({"size": size} if size else {})
        answer = PredictionRecord.model_validate({"id": "a", "entities": entities})
        (finding,) = score_findings(TruthRecord.model_validate(row), answer)
        assert finding.share == pytest.approx(0.2) and finding.lacks_side is lacks_side
