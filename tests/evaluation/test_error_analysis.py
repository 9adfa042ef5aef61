import pytest

from refrad.evaluation.error_analysis import confused_classes, confused_sides, example_answers, overlap_histogram
from refrad.evaluation.headline import location_scores
from refrad.evaluation.metrics.grounding import NamedRegion
from refrad.evaluation.questions import EvalQuestion, Target

LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def kidneys(schema):
    return schema.by_name["kidney_left"].id, schema.by_name["kidney_right"].id


def question(number, *targets):
    targets = tuple(Target(box, class_id=class_id, classes=(class_id,)) for class_id, box in targets)
    return EvalQuestion(f"i{number}", f"p{number}", "locate", "en", f"q{number}", targets)


def answers(*lists):
    return [[NamedRegion(box, class_id=class_id) for class_id, box in regions] for regions in lists]


def test_sides_are_confused_by_name_or_by_region(schema, kidneys):
    left, right = kidneys
    questions = [question(n, (left, RIGHT)) for n in range(4)]
    given = answers([(left, RIGHT)], [(right, RIGHT)], [(left, LEFT)], [])
    regions = {question.image_id: {left: RIGHT, right: LEFT} for question in questions}
    result = confused_sides(questions, given, regions, schema, 200)
    assert (result["asked"], result["named"], result["placed"], result["rate"]) == (4, 1, 1, 0.5)
    assert result["interval"][0] < 0.5 < result["interval"][1]


def test_sides_both_asked_for_are_no_confusion(schema, kidneys):
    left, right = kidneys
    questions = [question(0, (left, RIGHT), (right, LEFT))]
    result = confused_sides(questions, answers([(right, LEFT)]), {}, schema, 200)
    assert result["asked"] == 2 and result["rate"] == 0 and result["interval"] is None


def test_sides_need_a_twin(schema):
    liver = schema.by_name["liver"].id
    assert confused_sides([question(0, (liver, LEFT))], [[]], {}, schema, 200) == {"asked": 0}


def test_classes_are_confused_with_the_first_unasked_class(schema, kidneys):
    left, right = kidneys
    questions = [question(n, (left, RIGHT)) for n in range(3)]
    assert confused_classes(questions, answers([(right, LEFT)], [(right, LEFT)], []), schema) == [
        {"asked": "kidney_left", "given": "kidney_right", "count": 2, "of": 3},
        {"asked": "kidney_left", "given": "nothing", "count": 1, "of": 3},
    ]
    assert confused_classes(questions, answers(*[[(left, RIGHT)]] * 3), schema) == []


def test_second_of_two_targets_of_one_class_can_be_missed(schema, kidneys):
    left, right = kidneys
    questions = [question(0, (left, LEFT), (left, RIGHT))]
    assert confused_classes(questions, answers([(left, LEFT)]), schema) == [
        {"asked": "kidney_left", "given": "nothing", "count": 1, "of": 2}
    ]
    assert confused_classes(questions, answers([(left, LEFT), (left, LEFT)]), schema) == []
    assert confused_classes(questions, answers([(right, LEFT)]), schema)[0]["count"] == 2


def test_histogram_counts_misses_separately_and_every_overlap():
    rows = {row["overlap"]: row["count"] for row in overlap_histogram([0.0, 0.0, 0.05, 0.1, 0.95, 1.0])}
    assert rows["none"] == 2 and rows["0.0 to 0.1"] == 1 and rows["0.1 to 0.2"] == 1 and rows["0.9 to 1.0"] == 2
    assert sum(rows.values()) == 6


def test_examples_are_not_both_worst_and_best():
    questions = [question(n, (5, LEFT)) for n in range(3)]
    scores = location_scores(questions, answers([(5, LEFT)], [], [(5, (0.0, 0.0, 0.2, 1.0))]))
    examples = example_answers(questions, scores, 2)
    assert [example["iou"] for example in examples["best"]] == pytest.approx([1, 0.5])
    assert [example["image_id"] for example in examples["worst"]] == ["i1"]
