"""Judging of rewritten, translated and judged sentences by their labels."""

import pytest
from tests.acceptance.answer_sheet import labelled_items

from refrad.language.llm_rewriting import Sentence, SentenceVerdict


@pytest.fixture(scope="module")
def judge(prompts, anatomy):
    """The function from task, original and answer to the reason of the one verdict, "" if it is right."""
    by_sentence = {
        (role, item.request.data["sentence"]): item
        for role in ("rewrite", "translate")
        for item in labelled_items(role, prompts, anatomy)
    }

    def judge(role, sentence, answer):
        (verdict,) = by_sentence[role, sentence].judge(Sentence(sentence=answer))
        return verdict.reason

    return judge


GROWN = "Die Raumforderung im Pankreasschwanz ist von 17 auf 24 mm gewachsen."
CYSTS = "Nierenzysten beidseits, rechts 18 mm, links 42 mm, konstant zur Voruntersuchung."
RESOLVED = "The splenic laceration is no longer visible."
NOTHING = "No prior studies are available for comparison."


@pytest.mark.parametrize(
    ("sentence", "answer", "reason"),
    [
        (GROWN, "Raumforderung im Pankreasschwanz, 24 mm.", ""),
        (GROWN, "Die Raumforderung im Pankreasschwanz misst 24 mm.", ""),
        (GROWN, "24 mm große Raumforderung im  Pankreasschwanz.", ""),
        (GROWN, "Raumforderung im Pankreasschwanz.", "number changed"),
        (GROWN, "Raumforderung im Pankreasschwanz, 24 mm, gewachsen.", "comparison left"),
        (GROWN, "Raumforderung im Pankreas, 24 mm.", "word lost"),
        (GROWN, "Keine Raumforderung im Pankreasschwanz, 24 mm.", "denial changed"),
        (GROWN, "Raumforderung links im Pankreasschwanz, 24 mm.", "side changed"),
        (GROWN, "", "finding lost"),
        (CYSTS, "Nierenzysten bds., rechts 18 mm und links 42 mm.", ""),
        (CYSTS, "Nierenzysten beidseits, links 42 mm, rechts 18 mm.", "sides or numbers swapped"),
        (CYSTS, "Nierenzysten beidseits, rechts 42 mm, links 18 mm.", "sides or numbers swapped"),
        (RESOLVED, "", ""),
        (RESOLVED, "No splenic laceration.", ""),
        (RESOLVED, "Splenic laceration.", "denial changed"),
        (NOTHING, "", ""),
        (NOTHING, "No studies.", "text where nothing is left"),
    ],
)
def test_rewritten_sentence_is_judged_by_its_label(judge, sentence, answer, reason):
    assert judge("rewrite", sentence, answer) == reason


@pytest.mark.parametrize(
    ("sentence", "answer", "reason"),
    [
        ("Kein Pleuraerguss links.", "No left-sided pleural effusion.", ""),
        ("Kein Pleuraerguss links.", "There is no pleural fluid on the left.", ""),
        ("Kein Pleuraerguss links.", "Pleural effusion on the left.", "denial changed"),
        ("Kein Pleuraerguss links.", "No pleural effusion on the right.", "side changed"),
        ("Kein Pleuraerguss links.", "No pericardial effusion on the left.", "term missing"),
        ("Fracture of the right 8th rib.", "Fraktur der 8. Rippe rechts.", ""),
        ("Fracture of the right 8th rib.", "Fraktur der 9. Rippe rechts.", "number changed"),
        ("Aortic aneurysm with a diameter of 5.6 cm.", "5,6 cm großes Aneurysma der Aorta.", ""),
    ],
)
def test_translated_sentence_is_judged_by_its_label(judge, sentence, answer, reason):
    assert judge("translate", sentence, answer) == reason


def test_judge_must_find_errors_and_only_errors(prompts, anatomy):
    reasons = {(5, False): "", (4, False): "right sentence faulted", (2, True): "", (5, True): "error overlooked"}
    for item in labelled_items("judge", prompts, anatomy):
        is_wrong = bool(item.right.errors)
        for score in (2, 4, 5):
            errors = [] if score == 5 else ["bad_language"]
            (verdict,) = item.judge(SentenceVerdict(errors=errors, score=score))
            assert verdict.reason == reasons.get((score, is_wrong), verdict.reason)


def test_judged_sentences_are_half_right_and_of_both_tasks(prompts, anatomy):
    items = labelled_items("judge", prompts, anatomy)
    assert {item.request.data["kind"] for item in items} == {"rewrite", "translate"}
    for language in ("de", "en"):
        wrong = [bool(item.right.errors) for item in items if item.request.language == language]
        assert 0.4 <= sum(wrong) / len(wrong) <= 0.6
