import dataclasses
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.grounding.vqa_checks import ImageFacts, VqaChecks
from refrad.grounding.vqa_templates import write_questions

ANATOMY = __import__("pathlib").Path(__file__).resolve().parents[2] / "workflow" / "anatomy"
SCHEMA = load_schema(ANATOMY / "classes.yaml")
CHECKS = VqaChecks(SCHEMA, load_lexicon(ANATOMY / "lexicon.yaml"))
AREAS = {5: 900, 2: 100, 1: 80, 6: 300}
FACTS = ImageFacts("abc", "CT", "axial", True, AREAS, {"en": [5, 2], "de": [5]}, {5: 200.0, 2: 62.5, 1: 80.0, 6: 90.0})


@st.composite
def facts(draw):
    visible = draw(st.dictionaries(st.integers(1, 117), st.integers(1, 5000), min_size=1, max_size=12))
    named = draw(st.lists(st.sampled_from(sorted(visible)), min_size=1, max_size=4))
    widths = {class_id: draw(st.floats(1, 400)) for class_id in visible}
    contrast = draw(st.sampled_from([None, True, False]))
    plane = draw(st.sampled_from(["axial", "coronal", "oblique"]))
    name = draw(st.text("0123456789abcdef", min_size=4))
    return ImageFacts(name, "CT", plane, contrast, visible, {"de": named, "en": named}, widths)


@settings(max_examples=60, deadline=None)
@given(facts())
def test_every_pair_passes_its_checks_and_every_answer_is_true_of_the_image(image):
    for one in write_questions(image, SCHEMA, 5, 3):
        assert CHECKS.check_pair(one, image) is None, one
        name = {c.english if one.language == "en" else c.german: c.id for c in SCHEMA.classes}
        asked = one.question.rsplit(": ", 1)[-1].rstrip("?")
        if one.kind == "yesno" and asked in name:
            assert (name[asked] in image.areas) == (one.answer in ("yes", "ja"))
        if one.kind == "multiple" and asked in name and " cm" in one.answer:
            assert abs(float(one.answer[:-3].replace(",", ".")) - image.widths[name[asked]] / 10) <= 0.05 + 1e-9
        if one.kind == "multiple" and set(one.choices) <= set(name):
            visible = [choice for choice in one.choices if name[choice] in image.areas]
            assert one.answer in visible
            if len(visible) > 1:
                assert one.answer == max(visible, key=lambda choice: image.areas[name[choice]])


def test_questions_are_a_function_of_the_image():
    assert write_questions(FACTS, SCHEMA, 5, 3) == write_questions(FACTS, SCHEMA, 5, 3)
    other = dataclasses.replace(FACTS, instance="abd")
    assert write_questions(FACTS, SCHEMA, 5, 3) != write_questions(other, SCHEMA, 5, 3)


def test_image_gets_five_findings_and_three_metadata_pairs():
    counts = Counter((one.language, one.topic) for one in write_questions(FACTS, SCHEMA, 5, 3))
    assert counts == {
        (language, topic): n for language in ("de", "en") for topic, n in (("findings", 5), ("metadata", 3))
    }


def test_yes_and_no_are_balanced_and_no_asks_for_the_absent_twin():
    answers = []
    for number in range(200):
        image = dataclasses.replace(FACTS, instance=str(number), named={"en": [2]})
        asked = [q for q in write_questions(image, SCHEMA, 5, 0) if q.kind == "yesno"]
        answers += [q.answer for q in asked]
        assert all("left kidney" in q.question for q in asked if q.answer == "no")
    assert 0.4 < answers.count("yes") / len(answers) < 0.6


def test_negative_question_names_an_absent_neighbour():
    for number in range(30):
        image = dataclasses.replace(FACTS, instance=str(number), named={"en": [5]})
        for one in write_questions(image, SCHEMA, 5, 0):
            if one.answer == "no":
                (asked,) = [c for c in SCHEMA.classes if one.question.endswith(f": {c.english}?")]
                assert asked.region == "abdomen" and asked.id not in image.areas


@pytest.mark.parametrize("contrast", [True, False])
def test_contrast_is_no_question_of_yes_and_no(contrast):
    image = dataclasses.replace(FACTS, contrast=contrast, named={"en": [5]})
    asked = {
        q.question: q
        for n in range(9)
        for q in write_questions(dataclasses.replace(image, instance=str(n)), SCHEMA, 0, 6)
    }
    (one,) = [q for q in asked.values() if "contrast" in q.question]
    assert one.answer == ("with contrast agent" if contrast else "without contrast agent") and one.kind == "multiple"
