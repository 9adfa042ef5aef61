import pytest

from refrad.evaluation.caption_baselines import caption_baselines
from refrad.evaluation.metrics.grounding import NamedRegion
from refrad.evaluation.questions import EvalQuestion, Target

BOX = (0.0, 0.0, 0.5, 0.5)
MENTIONS = {5: 100, 1: 40, 3: 40, 7: 1}


def caption(image, named):
    targets = tuple(Target(BOX, str(key), key, (key,)) for key in named)
    return EvalQuestion(image, "p", "detect", "en", "text", targets)


def answer(*keys):
    return [NamedRegion(BOX, str(key), key) for key in keys]


def test_baselines_of_two_captions():
    """By hand. Image a shows 5, 1, 3, 7, the sentence names 7 and 5, and the answer two classes: two random ones of four hit 2 x 2/4 = 1,
    and the most frequent, 5 and 1, hit one. Image b shows 1 and 3, the sentence names 3, and the answer one class: chance is 1/2; of
    the two equally frequent the lower id, 1, is named and misses. Of three names: chance (1 + 1/2) / 3, most_named 1/3.
    """
    captions = [(caption("a", [7, 5]), answer(5, 9)), (caption("b", [3]), answer(3))]
    baselines = caption_baselines(captions, {"a": {1, 3, 5, 7}, "b": {1, 3}}, MENTIONS)
    assert baselines["chance"] == pytest.approx(0.5) and baselines["most_named"] == pytest.approx(1 / 3)
    assert (baselines["named"], baselines["visible"], baselines["answered"]) == (3, 6, 3)


def test_answer_with_more_names_than_the_image_has_classes_finds_all():
    baselines = caption_baselines([(caption("a", [5]), answer(5, 1, 3, 7, 9))], {"a": {1, 5}}, MENTIONS)
    assert baselines["chance"] == baselines["most_named"] == 1


def test_several_regions_of_a_class_are_one_name():
    baselines = caption_baselines([(caption("a", [5, 1]), answer(5, 5, 5))], {"a": {5, 1}}, MENTIONS)
    assert baselines["answered"] == 1 and baselines["chance"] == baselines["most_named"] == 0.5


def test_answer_without_regions_recalls_nothing():
    baselines = caption_baselines([(caption("a", [5]), [])], {"a": {5}}, MENTIONS)
    assert baselines["chance"] == baselines["most_named"] == 0


def test_captions_without_a_named_class_have_no_baselines():
    assert caption_baselines([(caption("a", []), answer(5))], {"a": {5}}, MENTIONS) is None
    assert caption_baselines([], {}, MENTIONS) is None
