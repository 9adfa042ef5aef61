import numpy as np
import pytest

from refrad.dataset.examples import example_of_row, read_image_table
from refrad.evaluation.baselines import mean_boxes, mean_masks
from refrad.evaluation.headline import location_scores
from refrad.evaluation.metrics.localization import summarise_locations
from refrad.evaluation.questions import build_questions
from refrad.evaluation.regions import MaskCodec


@pytest.fixture(scope="module")
def examples(images):
    return [example_of_row(row) for row in read_image_table([images], {"test"}).iter_rows(named=True)]


def test_mean_box_is_the_mean_of_each_side(examples):
    boxes = [image.boxes[5] for image in examples]
    expected = [sum(values) / len(values) for values in zip(*boxes, strict=True)]
    assert mean_boxes(examples)[5] == pytest.approx(expected)


def test_mean_mask_has_the_mean_area_at_the_most_frequent_pixels(examples):
    mean = mean_masks(examples)[5]
    areas = [image.mask([5]).mean() for image in examples]
    frequency = np.mean([image.mask([5]) for image in examples], axis=0)
    assert mean.mean() == pytest.approx(np.mean(areas), rel=0.02)
    resized = np.kron(frequency, np.ones((2, 2)))  # from 64 to 128 px
    assert resized[mean].min() >= resized[~mean].max()


def test_baselines_answer_for_masks(examples):
    codec = MaskCodec(64, {image.image_id: image.size for image in examples}, {})
    located = [
        question for image in examples for question in build_questions(image, masks=True) if question.task == "locate"
    ]
    patients = [question.patient for question in located]
    for regions in codec.baselines(examples, located).values():
        result = summarise_locations(patients, location_scores(located, regions), 100)
        assert result["class_recall"] == 1 and 0.2 < result["mean_iou"] < 1
