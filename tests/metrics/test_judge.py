import numpy as np
import pytest

from refrad.metrics.judge import Judge, llm_scores, load_judge, parse_score

JUDGE = """low: 1
high: 5
system: Judge.
user: "Q: {question} C: {candidate} R: {reference}"
examples:
  - {question: q, candidate: a, reference: b, score: 2, reason: r}
"""


@pytest.mark.parametrize(
    "reply",
    [
        *(
            "4",
            " 4.",
            "4.0",
            "**4**",
            "4/5",
            "4 / 5",
            "4 out of 5",
            "Score: 4",
            "score 4",
            "Score: **4**",
            "**Score:** 4/5",
        ),
        *("The score is 4.", "I would give a score of 4 because it is nearly right.", "Rating: 4", "Bewertung: 4"),
        *("4 - nearly right", "4: nearly right", "4\nNearly right, 3 cm is missing.", "Score (1-5): 4"),
        *('{"score": 4, "reason": "ok"}', '{"Score": "4"}', '```json\n{"score": 4}\n```', '{"score": 4.0}'),
        *('Here it is: {"reason": "2 of 3 found", "score": 4}', "On a scale of 1 to 5, score: 4"),
        "The candidate names 3 of 5 findings. Score: 4",
    ],
)
def test_a_score_is_read_from_any_sane_form(reply):
    assert parse_score(reply) == 4


@pytest.mark.parametrize(
    "reply",
    [
        *("", None, "good", "6", "0", "Score: 7", "-4", "3.5", "Score: 3.5", "4/10", "44", "Score: 12"),
        *('{"score": 9}', '{"score": 4.5}', '{"score": null}', '{"verdict": "good"}', "Score: 4. No, score: 2."),
        *("5 mm nodule in the left lung", "4 of the 5 findings are missing", "1-5", "The nodule measures 4 cm."),
    ],
)
def test_a_score_that_is_not_certain_is_none(reply):
    assert parse_score(reply) is None


def test_failures_are_no_number_and_never_a_score(tmp_path):
    (tmp_path / "judge.yaml").write_text(JUDGE)
    scores = llm_scores(["1", "Score: 5", "**3**", "I cannot tell", None], load_judge(tmp_path / "judge.yaml"))
    assert scores[:3].tolist() == [0, 1, 0.5] and np.isnan(scores[3:]).all()


def test_the_examples_come_before_the_question(tmp_path):
    (tmp_path / "judge.yaml").write_text(JUDGE)
    chat = load_judge(tmp_path / "judge.yaml").messages("which {organ}", "liver", "spleen")
    assert [one["role"] for one in chat] == ["system", "user", "assistant", "user"]
    assert chat[-1]["content"] == "Q: which {organ} C: liver R: spleen"
    assert parse_score(chat[2]["content"]) == 2


@pytest.mark.parametrize(("old", "new"), [("score: 2", "score: 6"), ("low: 1\n", ""), ("reason: r", "why: r")])
def test_a_prompt_file_that_is_wrong_is_refused(tmp_path, old, new):
    (tmp_path / "judge.yaml").write_text(JUDGE.replace(old, new))
    with pytest.raises(ValueError, match=r"judge\.yaml"):
        load_judge(tmp_path / "judge.yaml")


def test_a_scale_of_another_width_is_read_too():
    judge = Judge(0, 10, "s", "u", ())
    assert llm_scores(["5/10", "10", "4/5"], judge)[:2].tolist() == [0.5, 1]
