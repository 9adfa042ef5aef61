import polars as pl
import pytest

from refrad.grounding.targets import BINS, detection_text, parse_detection
from refrad.model.evaluation import Asked, ask, entities_of, mean_boxes, score_boxes, summary
from refrad.model.rows import picture_of, read_images
from refrad.model.samples import Samples, wordings

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def pictures(images):
    return [picture_of(row) for row in read_images([images], {"test"}).iter_rows(named=True)]


def right_answer(one, order="yxyx"):
    if one.task == "vqa":
        return one.answer
    entities = [
        {"start": 0, "end": 1, "class_id": c} | dict(zip(("x_min", "y_min", "x_max", "y_max"), box, strict=True))
        for c, box in one.targets
    ]
    return detection_text("x", entities, 1, 1, order)


def asked(*targets):
    return Asked("i", "p", "locate", "en", "", targets)


def test_right_answers_score_nearly_one(pictures):
    questions = [one for picture in pictures for one in ask(picture)]
    result = summary(
        questions, [right_answer(one) for one in questions], {p.image_id: p.structures for p in pictures}, "yxyx"
    )
    assert result["mean_iou"] > 0.95
    assert result["class_recall"] == result["iou50"] == result["vqa"]["accuracy"] == 1
    assert result["free"]["g_iou"] > 0.95


def test_silence_scores_zero_and_is_not_left_out(pictures):
    questions = [one for picture in pictures for one in ask(picture)]
    result = summary(questions, [""] * len(questions), {p.image_id: p.structures for p in pictures}, "yxyx")
    assert result["mean_iou"] == result["class_recall"] == result["free"]["g_iou"] == result["vqa"]["accuracy"] == 0
    assert result["boxes"] == 12


def test_a_box_with_the_wrong_class_is_a_missing_box():
    assert score_boxes([asked((1, LEFT))], [[(2, LEFT)]])["mean_iou"] == 0


def test_the_first_of_two_boxes_of_a_class_counts():
    assert score_boxes([asked((1, LEFT))], [[(1, RIGHT), (1, LEFT)]])["mean_iou"] == 0


def test_nothing_asked_has_no_score():
    with pytest.raises(ValueError, match="without any item"):
        score_boxes([], [])


def test_the_mean_box_is_the_mean_of_each_side(pictures):
    boxes = [picture.structures[5] for picture in pictures]
    expected = [sum(values) / len(values) for values in zip(*boxes, strict=True)]
    assert mean_boxes(pictures)[5] == pytest.approx(expected)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_what_training_writes_is_read_back_as_boxes_of_the_image(images, schema, resize):
    """A model that has learned its targets by heart gives the true boxes, whatever the shape of the image."""
    rows = read_images([images], {"test"}).to_dicts()
    for number, row in enumerate(rows):  # wide and high images
        side, axis = ("width", "x") if number % 2 else ("height", "y")
        row[side] *= 3
        for one in [*row["structures"], *row["captions"][0]["entities"]]:
            one[f"{axis}_min"] *= 3
            one[f"{axis}_max"] *= 3
    frame = pl.DataFrame(rows)
    names = wordings([picture_of(row) for row in rows], schema)
    samples = Samples(frame, names, 64, "yxyx", {"locate": 0.0, "detect": 1.0, "vqa": 0.0}, 0, None, resize)
    for index, row in enumerate(rows):
        sample = samples[0, index]
        (one,) = (question for question in ask(picture_of(row), resize=resize) if question.task == "detect")
        found = dict(entities_of(sample.target, "yxyx", one.view))
        for class_id, box in one.targets:
            assert found[class_id] == pytest.approx(box, abs=(3 if resize == "pad" else 1) / BINS)
        liver = parse_detection(sample.target, "yxyx").entities[0].box
        x, y = (round(32 * (liver[i] + liver[i + 2])) for i in (0, 1))
        assert sample.image[y, x].min() > 200  # where the target says the liver is, the model sees it
