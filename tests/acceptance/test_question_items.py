"""Judging of questions and of scores by their labels."""

import pytest
from tests.acceptance.answer_sheet import labelled_items

from refrad.evaluation.metrics.judge import JudgeVerdict
from refrad.grounding.vqa_llm import GeneratedPairs


@pytest.fixture(scope="module")
def images(prompts, anatomy):
    return {
        caption: item
        for item in labelled_items("qa", prompts, anatomy)
        for caption in item.request.data["sentences"][:1]
    }


NODULE = "8 mm nodule in the right upper lobe."
CYST = "1,4 cm große Zyste der linken Niere."


@pytest.mark.parametrize(
    ("caption", "kind", "question", "answer", "evidence", "reasons"),
    [
        (NODULE, "open", "How large is the nodule?", "8 mm", "8 mm nodule", {""}),
        (
            NODULE,
            "open",
            "How large is the nodule?",
            "8 cm",
            "8 mm nodule",
            {"size of no caption", "number_not_in_row"},
        ),
        (
            NODULE,
            "open",
            "Where is the nodule?",
            "in the left upper lobe",
            "nodule in the right upper lobe",
            {"other side"},
        ),
        (NODULE, "yesno", "Is there a nodule in the right upper lobe?", "yes", "nodule in the right upper lobe", {""}),
        (
            NODULE,
            "yesno",
            "Is there a nodule in the left upper lobe?",
            "yes",
            "nodule in the right upper lobe",
            {"other side"},
        ),
        (NODULE, "yesno", "Is there a pneumothorax?", "no", "No pneumothorax", {""}),
        (NODULE, "yesno", "Is there a pneumothorax?", "yes", "No pneumothorax", {"denied finding affirmed"}),
        (CYST, "open", "Auf welcher Seite liegt die Zyste?", "links", "Zyste der linken Niere", {""}),
        (CYST, "open", "Auf welcher Seite liegt die Zyste?", "rechts", "Zyste der linken Niere", {"other side"}),
        (CYST, "open", "Wie groß ist die Zyste?", "14 mm", "1,4 cm große Zyste", {"", "number_not_in_row"}),
    ],
)
def test_question_is_judged_by_the_facts_of_its_image(images, caption, kind, question, answer, evidence, reasons):
    pair = {"kind": kind, "question": question, "choices": [], "answer": answer, "evidence": evidence}
    verdicts = images[caption].judge(GeneratedPairs.model_validate({"pairs": [pair]}))
    assert len(verdicts) == 1
    # The checks of the project may refuse a wrong pair before its label is looked at.
    assert verdicts[0].reason in reasons or (verdicts[0].outcome == "refused" and "" not in reasons)


def test_each_pair_of_an_answer_has_a_verdict(images):
    pairs = [*images[NODULE].right.pairs, *images[NODULE].wrong.pairs]
    outcomes = [verdict.outcome for verdict in images[NODULE].judge(GeneratedPairs(pairs=pairs))]
    assert outcomes[:3] == ["right"] * 3 and outcomes[3] != "right"


def test_score_outside_the_label_is_too_high_or_too_low(prompts, anatomy):
    for item in labelled_items("score", prompts, anatomy):
        reasons = [item.judge(JudgeVerdict(score=score))[0].reason for score in range(1, 6)]
        right = reasons.count("")
        assert right in (1, 2, 3)
        low = reasons.index("")
        assert reasons == ["score too low"] * low + [""] * right + ["score too high"] * (5 - low - right)
