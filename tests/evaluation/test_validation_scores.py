"""The metric that chooses the best weights: IoU of boxes, accuracy of answers, Dice of masks, in parts of several processes."""

import numpy as np
import pytest

from refrad.evaluation import validation_scores
from refrad.evaluation.validation_scores import ScoredAnswers
from refrad.inference.generate import GeneratedText, mask_dice
from refrad.model.collate import Sample
from refrad.model.radgrounder import add_head, tiny_model

IMAGE = np.zeros((64, 64, 3), np.uint8)


def tag(y_min, x_min, y_max, x_max, class_id=5):
    sides = "".join(f"<loc{side:04d}>" for side in (y_min, x_min, y_max, x_max))
    return f"<p bbox={sides} id=<seg{class_id:03d}>>liver</p>"


def sample(target, task="locate", masks=None):
    return Sample(task, "en", IMAGE, "<image>\n\nLocate: Liver ", target, masks)


@pytest.fixture(scope="module")
def model(processor):
    return tiny_model(processor, 0)


@pytest.fixture
def scored(model, processor, monkeypatch):
    def scored(metric, pairs, box_format="yxyx"):
        """Sum and number of the scores of answers; a pair is a true target and the answer."""
        samples = [sample(target) for target, _ in pairs]
        monkeypatch.setattr(
            validation_scores,
            "generate",
            lambda *_: [GeneratedText(answer, 1, False) for _, answer in pairs],
        )
        return ScoredAnswers(metric, model, processor, samples, box_format).of_part(0, 1)

    return scored


def test_iou_of_an_answer_is_that_of_the_box_of_its_class(scored):
    true = tag(0, 0, 100, 200)
    assert scored("iou", [(true, true)]) == (1.0, 1)
    assert scored("iou", [(true, tag(0, 0, 100, 100))]) == (pytest.approx(0.5), 1)  # the left half
    assert scored("iou", [(true, tag(0, 200, 100, 400))]) == (0.0, 1)  # the other side
    assert scored("iou", [(true, tag(0, 0, 100, 200, class_id=6))]) == (0.0, 1)  # another class
    assert scored("iou", [(true, "")]) == (0.0, 1)


def test_each_true_box_counts(scored):
    two = tag(0, 0, 100, 100) + tag(0, 300, 100, 400, class_id=6)
    # one of the two boxes is right, the answer's third is not counted
    assert scored("iou", [(two, tag(0, 0, 100, 100) + tag(9, 9, 20, 20, class_id=7))]) == (1.0, 2)


def test_order_of_coordinates_is_that_of_the_training(scored):
    true, turned = tag(0, 0, 100, 200), tag(0, 0, 200, 100)
    # overlap 100 x 100, union 2 * 100 * 200 - 100 * 100
    assert scored("iou", [(true, turned)], "xyxy") == (pytest.approx(1 / 3), 1)


def test_boxes_of_a_json_list_are_read_as_the_base_model_writes_them(scored):
    true, half = (f'liver\n[{{"bbox_2d": [0, 0, {x}, 100], "label": "liver", "class": 5}}]' for x in (200, 100))
    assert scored("iou", [(true, true), (true, half), (true, "liver")], "json") == (pytest.approx(1.5), 3)


def test_vqa_is_the_accuracy_of_the_answers(scored):
    assert scored("vqa", [("Left", "left."), ("right", "left")]) == (1.0, 2)


def test_parts_of_two_processes_add_up(model, processor):
    samples = [sample(tag(0, 0, 100, 10 * number + 10)) for number in range(5)]
    answers = ScoredAnswers("iou", model.train(), processor, samples, "yxyx")
    whole, parts = answers.of_part(0, 1), [answers.of_part(rank, 2) for rank in (0, 1)]
    assert sum(total for total, _ in parts) == pytest.approx(whole[0])
    assert [count for _, count in parts] == [3, 2] and whole[1] == 5
    assert answers.of_part(7, 8) == (0.0, 0)
    assert model.training  # training goes on


def test_dice_is_that_of_the_masks_of_true_phrases(processor):
    model = tiny_model(processor, 0)
    add_head(model, processor, 0)
    masks = [np.zeros((count, 64, 64), bool) for count in (1, 2)]
    masks[0][:, :32], masks[1][:, :, :32] = True, True
    samples = [sample("<seg>liver</seg>", masks=masks[0]), sample("<seg>liver</seg> <seg>spleen</seg>", masks=masks[1])]
    total, count = ScoredAnswers("dice", model, processor, samples, "yxyx").of_part(0, 1)
    assert count == 3 and total == pytest.approx(3 * mask_dice(model, processor, samples))
