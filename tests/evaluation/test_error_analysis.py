import pytest

from refrad.evaluation.error_analysis import confusions, examples, histogram, sides
from refrad.evaluation.questions import EvalQuestion

LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def kidneys(schema):
    return schema.by_name["kidney_left"].id, schema.by_name["kidney_right"].id


def question(number, *targets):
    classes = tuple((class_id,) for class_id, _ in targets)
    return EvalQuestion(f"i{number}", f"p{number}", "locate", "en", f"q{number}", targets, classes=classes)


def test_the_other_side_is_told_by_its_name_or_by_its_place(schema, kidneys):
    left, right = kidneys
    asked = [question(n, (left, RIGHT)) for n in range(4)]
    given = [[(left, RIGHT)], [(right, RIGHT)], [(left, LEFT)], []]
    visible = {one.image_id: {left: RIGHT, right: LEFT} for one in asked}
    found = sides(asked, given, visible, schema, 200)
    assert (found["asked"], found["named"], found["placed"], found["rate"]) == (4, 1, 1, 0.5)
    assert found["interval"][0] < 0.5 < found["interval"][1]


def test_both_sides_asked_for_are_no_confusion(schema, kidneys):
    left, right = kidneys
    found = sides([question(0, (left, RIGHT), (right, LEFT))], [[(right, LEFT)]], {}, schema, 200)
    assert found["asked"] == 2 and found["rate"] == 0 and found["interval"] is None


def test_structures_without_a_twin_have_no_side(schema):
    liver = schema.by_name["liver"].id
    assert sides([question(0, (liver, LEFT))], [[]], {}, schema, 200) == {"asked": 0}


def test_confusions_say_what_came_instead(schema, kidneys):
    left, right = kidneys
    asked = [question(n, (left, RIGHT)) for n in range(3)]
    found = confusions(asked, [[(right, LEFT)], [(right, LEFT)], []], schema)
    assert found == [
        {"asked": "kidney_left", "given": "kidney_right", "count": 2, "of": 3},
        {"asked": "kidney_left", "given": "nothing", "count": 1, "of": 3},
    ]
    assert confusions(asked, [[(left, RIGHT)]] * 3, schema) == []


def test_the_histogram_counts_misses_apart_and_loses_nothing():
    rows = {row["overlap"]: row["count"] for row in histogram([0.0, 0.0, 0.05, 0.1, 0.95, 1.0])}
    assert rows["none"] == 2 and rows["0.0 to 0.1"] == 1 and rows["0.1 to 0.2"] == 1 and rows["0.9 to 1.0"] == 2
    assert sum(rows.values()) == 6


def test_no_question_is_both_among_the_worst_and_the_best():
    asked = [question(n, (5, LEFT)) for n in range(3)]
    found = examples(asked, [[(5, LEFT)], [], [(5, (0.0, 0.0, 0.2, 1.0))]], 2)
    assert [one["iou"] for one in found["best"]] == pytest.approx([1, 0.5])
    assert [one["image_id"] for one in found["worst"]] == ["i1"]
