import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refrad.anatomy.schema import load_schema
from refrad.grounding.questions import ImageFacts, Question, problem_of, write_questions

ROOT = __import__("pathlib").Path(__file__).resolve().parents[2]
SCHEMA = load_schema(ROOT / "workflow" / "anatomy" / "classes.yaml")
FACTS = ImageFacts("abc", "CT", "axial", None, {5: 900, 2: 100, 1: 80}, {"en": [5, 2], "de": [5]})


@st.composite
def facts(draw):
    visible = draw(st.dictionaries(st.integers(1, 117), st.integers(1, 5000), min_size=1, max_size=12))
    named = draw(st.lists(st.sampled_from(sorted(visible)), min_size=1, max_size=4))
    contrast = draw(st.sampled_from([None, True, False]))
    plane = draw(st.sampled_from(["axial", "coronal", "oblique"]))
    return ImageFacts(
        draw(st.text("0123456789abcdef", min_size=4)), "CT", plane, contrast, visible, {"de": named, "en": named}
    )


@settings(max_examples=60)
@given(facts())
def test_every_pair_passes_its_checks_and_every_answer_is_true_of_the_image(image):
    for one in write_questions(image, SCHEMA, 5, 3):
        assert problem_of(one) is None
        name = {c.english if one.language == "en" else c.german: c.id for c in SCHEMA.classes}
        asked = one.question.rsplit(": ", 1)[-1].rstrip("?")
        if one.kind == "yesno" and asked in name:
            assert (name[asked] in image.areas) == (one.answer in ("yes", "ja"))
        if one.kind == "multiple" and set(one.choices) <= set(name) and len(one.choices) > 2:
            assert [choice for choice in one.choices if name[choice] in image.areas] == [one.answer]


def test_questions_are_a_function_of_the_image():
    assert write_questions(FACTS, SCHEMA, 5, 3) == write_questions(FACTS, SCHEMA, 5, 3)
    other = dataclasses.replace(FACTS, instance="abd")
    assert write_questions(FACTS, SCHEMA, 5, 3) != write_questions(other, SCHEMA, 5, 3)


def test_yes_and_no_are_balanced_and_no_asks_for_the_absent_twin():
    answers = []
    for number in range(200):
        image = dataclasses.replace(FACTS, instance=str(number), named={"en": [2]})
        asked = [q for q in write_questions(image, SCHEMA, 5, 0) if q.kind == "yesno"]
        answers += [q.answer for q in asked]
        assert all("left kidney" in q.question for q in asked if q.answer == "no")
    assert 0.4 < answers.count("yes") / len(answers) < 0.6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "yesno", "answer": "maybe"}, "answer_not_yes_or_no"),
        ({"kind": "multiple", "choices": ("a", "a"), "answer": "a"}, "choices_not_distinct"),
        ({"kind": "multiple", "choices": ("a", "b"), "answer": "c"}, "not_one_right_choice"),
        ({"answer": " "}, "empty"),
    ],
)
def test_a_bad_pair_is_found(change, reason):
    good = Question("en", "findings", "open", "Which?", (), "liver")
    assert problem_of(good) is None
    assert problem_of(dataclasses.replace(good, **change)) == reason
