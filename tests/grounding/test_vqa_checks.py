import dataclasses
from pathlib import Path

import pytest

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.grounding.vqa_checks import REASONS, ImageFacts, VqaChecks, VqaPair
from refrad.reporting.wording import REASONS as WORDS

ANATOMY = Path(__file__).resolve().parents[2] / "workflow" / "anatomy"
CHECKS = VqaChecks(load_schema(ANATOMY / "classes.yaml"), load_lexicon(ANATOMY / "lexicon.yaml"))
TEXTS = {"en": ["1.2 cm cyst of the left kidney."], "de": ["1,2 cm große Zyste der linken Niere."]}
IMAGE = ImageFacts("i", "CT", "axial", None, {3: 500, 5: 900}, {"en": [3], "de": [3]}, {3: 60.0}, TEXTS)
OPEN = VqaPair(
    "en", "findings", "open", "What is seen in the left kidney?", (), "a cyst", "model", "cyst of the left kidney"
)
SIDES = ("the left one", "the right one", "both", "neither")
CHOICE = dataclasses.replace(
    OPEN, kind="multiple", question="Which kidney has a cyst?", choices=SIDES, answer="the left one"
)
YES_NO = dataclasses.replace(OPEN, kind="yesno", question="Is there a cyst in the left kidney?", answer="yes")


def problem(one, **changes):
    return CHECKS.check_pair(dataclasses.replace(one, **changes), IMAGE)


@pytest.mark.parametrize("one", [OPEN, CHOICE, YES_NO], ids=["open", "multiple", "yesno"])
def test_good_pair_passes(one):
    assert problem(one) is None


def test_good_german_pair_passes():
    question = "Wie groß ist die Zyste der linken Niere?"
    assert problem(OPEN, language="de", question=question, answer="1,2 cm", evidence="1,2 cm große Zyste") is None


@pytest.mark.parametrize(
    ("one", "change", "reason"),
    [
        (OPEN, {"answer": " "}, "empty"),
        (OPEN, {"answer": "a cyst " * 80}, "too_long"),
        (OPEN, {"choices": ("a cyst", "b")}, "choices_without_need"),
        (OPEN, {"answer": "the left kidney"}, "given_away"),
        (YES_NO, {"answer": "maybe"}, "answer_not_yes_or_no"),
        (YES_NO, {"answer": "ja"}, "answer_not_yes_or_no"),
        (CHOICE, {"choices": ("the left one", "The left one ")}, "choices_not_distinct"),
        (CHOICE, {"choices": ("the left one",)}, "choices_not_distinct"),
        (CHOICE, {"answer": "the upper one"}, "not_one_right_choice"),
        (OPEN, {"question": "Was ist in der linken Niere zu sehen?", "answer": "eine Zyste"}, "wrong_language"),
        (OPEN, {"question": "What was seen by Dr. Miller in the kidney?"}, "identifier"),
        (OPEN, {"question": "What was seen on 12.03.2019 in the kidney?"}, "identifier"),
        (OPEN, {"question": "What did [NAME] see in the kidney?"}, "identifier"),
        (OPEN, {"question": "What is new compared to the prior study?"}, "other_examination"),
        (OPEN, {"answer": "unchanged cyst"}, "other_examination"),
        (OPEN, {"evidence": "stone in the left kidney"}, "no_evidence"),
        (OPEN, {"evidence": " "}, "no_evidence"),
        (OPEN, {"answer": "a cyst of 2.1 cm"}, "number_not_in_row"),
        (OPEN, {"question": "What is seen beside the spleen?"}, "anatomy_not_in_row"),
        (OPEN, {"answer": "a cyst of the right kidney"}, "anatomy_not_in_row"),
        (YES_NO, {"question": "Is there a cyst in the right kidney?"}, "anatomy_not_in_row"),
    ],
)
def test_bad_pair_is_quarantined_with_its_reason(one, change, reason):
    assert problem(one, **change) == reason


def test_question_with_answer_no_may_name_absent_anatomy():
    assert problem(YES_NO, question="Is there a cyst in the right kidney?", answer="no") is None


def test_question_may_use_numbers_of_captions_and_measurements():
    assert (
        problem(OPEN, question="How large is the cyst of the left kidney?", answer="1.2 cm", evidence=TEXTS["en"][0])
        is None
    )
    assert problem(OPEN, question="How wide is the left kidney?", answer="6.0 cm", evidence=None) is None


def test_reason_is_explained_on_the_pages():
    assert set(REASONS) <= set(WORDS)
