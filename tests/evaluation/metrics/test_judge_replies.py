import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.evaluation.metrics.judge_replies import parse_score

# Replies of judges, as functions of the score. In every reason stand numbers that are no scores.
FORMS = [
    *(
        "{}",
        "{}.",
        "{}.0",
        "**{}**",
        "[{}]",
        "{}/5",
        "{} / 5",
        "{} out of 5",
        "{} von 5",
        "{} Punkte",
        "\\boxed{{{}}}",
        "${}$",
    ),
    *(
        "Score: {}",
        "score {}",
        "Score = {}",
        "**Score:** {}/5",
        "Score - {}",
        "Score → {}",
        "Final score: {}",
        "| Score | {} |",
    ),
    *(
        "# Score\n\n{}",
        "Rating: {} out of 5",
        "Bewertung: {}",
        "Note: {}",
        "Punktzahl: {}",
        "Gesamtbewertung: {} von 5",
        "Grade: {}",
    ),
    *("[[{}]]", "Rating: [[{}]]", "Insgesamt: {}/5", "Overall: {}", "Die Seite stimmt, daher {} Punkte."),
    *(
        "<score>{}</score>",
        "Score (1-5): {}",
        "Score (out of 5): {}",
        "final_score: {}",
        "The score is **{}**.",
        "{{'score': {}}}",
    ),
    *(
        "I would rate this a {}.",
        "I'd give it a {} out of 5",
        "I assign a score of {}.",
        "The answer deserves a {}.",
        "This is a {}.",
    ),
    *(
        "On a scale of 1-5, I give {}",
        "Ich vergebe {} Punkte.",
        "Ich bewerte mit {} von 5.",
        "Ich würde {} Punkte vergeben.",
    ),
    *('{{"score": {}}}', '{{"Score": "{}"}}', '{{"score": "{}/5"}}', '{{"score": {}.0}}', '[{{"score": {}}}]'),
    *('{{"result": {{"score": {}}}}}', '{{"reason": "{{3 mm}} of 2", "score": {}}}', '```json\n{{"score": {}}}\n```'),
]
# Of a number with the words of the reason after it
OPENINGS = [
    "{}/5 good",
    "{} nearly right",
    "{} fast richtig",
    "{} - nearly right",
    "{}: the side",
    "{}, since 12 mm differ",
    "{} (good)",
]
WRAPPERS = [
    *(
        "{}",
        " {} \n",
        "<think>Score: 2, or 3?</think>{}",
        "<think>\n4\n</think>\n\n{}",
        "score 3?</think> {}",
        "[THINK]1[/THINK]{}",
    ),
    "<|channel|>analysis<|message|>Score 3?<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
    "analysisScore: 3 or 2assistantfinal{}",
    "<reason>3 of 5 lesions, score 2</reason> {}",
    "{} <reason>names 3 of 5 lesions</reason>",
    "{}\n<reason>cut off after 3",
    "{}\n\nReason: Grade 3 hydronephrosis, 12 mm, 2 of 3 findings.",
    "{}\n1. The side is right.\n2. The size is wrong, 5 mm.",
    "The 3 cm lesion is in segment 4.\n{}",
]
NO_SCORE = [
    *(
        "",
        "good",
        "I cannot judge this.",
        "four",
        "score is four",
        "vier",
        "0",
        "6",
        "-4",
        "44",
        "4.5",
        "3,5",
        "3-4",
        "3 or 4",
        "80%",
    ),
    *(
        "8/10",
        "4/10",
        "10/10",
        "2/3",
        "4½",
        "Score: 4 1/2",
        "Score: 4.5/5",
        "Score: 4 or 5",
        "Scores: 4, 5",
        "Score: 3 bis 4",
    ),
    *(
        "Score: <3",
        "Score: >3",
        "Score: ~3",
        "Score: 40",
        "Score: 4%",
        "Score: none",
        "Score: 8/10",
        "Score: 1\nScore: 5",
    ),
    *(
        "Grade 3 tumour: correct",
        "Grad 3: richtig",
        "Tumour grade: 3.",
        "Stage 3: correct",
        "The grade is 3.",
        "MRC 3/5",
    ),
    *(
        "Gleason score 4 is right",
        "The Gleason score is 4",
        "Gleason score: 3+4",
        "PI-RADS-Score: 4",
        "calcium score of 3",
        "T-Score: 2",
    ),
    *(
        "The reference gives a score of 3 for the stenosis",
        "A score of 4 is too high.",
        "No score of 4",
        "I would not give this a 4",
    ),
    *(
        "1. wrong side\n2. wrong size",
        "1) wrong side",
        "1. Wrong side.",
        "1: wrong, 5: same",
        "Step 1: compare. Step 2: judge.",
    ),
    *(
        "2 errors were found",
        "3 lesions",
        "2 Fehler",
        "2 minor errors",
        "3 very small nodules are missed",
        "3 correct findings",
    ),
    *(
        "4 of the 5 findings are missing",
        "3/5 findings match",
        "3 cm is right.",
        "4mm",
        "4 x 5 mm",
        "L4/5",
        "The lesion is in segment 4.",
    ),
    *(
        "Strength is 3/5.",
        "The kidney receives 2 arteries.",
        "Note: 3 cm lesion missed",
        "Answer: 4 lesions",
        "Loses 2 points",
        "3:30",
    ),
    *(
        "<think>Score: 4",
        "<think>4\n",
        "<|channel|>analysis<|message|>Score: 4",
        "analysisThe score is 4",
        "1-5",
        "1 to 5",
    ),
    *(
        '{"score": true}',
        '{"score": null}',
        '{"score": NaN}',
        '{"score": Infinity}',
        '{"score": -Infinity}',
        '{"score": 1e400}',
    ),
    *(
        '{"score": 4.5}',
        '{"score": [4, 5]}',
        '{"score": "four"}',
        '{"score": 8, "max_score": 10}',
        '{"score": 4} {"score": 5}',
    ),
    *('{"score": ' + "4" * 5000 + "}", '{"score": ' + "[" * 100_000 + "}", "Score: " + "4" * 5000, "{" * 100_000),
]


@pytest.mark.parametrize("form", FORMS)
def test_score_is_read_from_each_form(form):
    for wrapper in WRAPPERS:
        for score in range(1, 6):
            assert parse_score(wrapper.replace("{}", form.format(score))) == score, wrapper


@pytest.mark.parametrize("form", OPENINGS)
@pytest.mark.parametrize("score", [1, 2, 3, 4, 5])
def test_reply_may_begin_with_its_score(form, score):
    assert parse_score(form.format(score)) == parse_score("<think>Score: 3</think>" + form.format(score)) == score


@pytest.mark.parametrize("reply", ["Note: 4 (gut)", "```4```", "On a scale from 1 to 5: 4", "Score\uff1a\uff14"])
def test_score_with_marks_around_it_is_read(reply):
    assert parse_score(reply) == 4


@pytest.mark.parametrize("reply", ["Score: 3, maybe 4", "Score: 3 (oder 4)", "Note: 4 (3 of 4 findings)"])
def test_score_with_a_second_one_is_not_certain(reply):
    assert parse_score(reply) is None


@pytest.mark.parametrize("reply", NO_SCORE)
def test_number_that_is_no_score_is_not_read(reply):
    assert parse_score(reply) is None


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize(
    "words",
    [
        *(
            "The {} mm cyst is missed.",
            "Grade {} hydronephrosis is right.",
            "Rib {} is fractured.",
            "{} of 7 lesions are named.",
        ),
        *(
            "It names {} lesions.",
            "Segment {}: right.",
            "Der Herd misst {} cm.",
            "Grad {} stimmt.",
            "In L{} richtig.",
            "Age {} years.",
        ),
        *(
            "BI-RADS {} is right.",
            "T{} N0 is right.",
            "The Fazekas score of {} is right.",
            "Lobes 2 to {} are right.",
            "+{} mm",
        ),
    ],
)
def test_numbers_of_findings_are_no_scores(words, number):
    text = words.format(number)
    assert parse_score(text) is None
    assert parse_score(f"{text}\nScore: 2") == parse_score(f'{{"score": 2, "reason": "{text}"}}') == 2


@pytest.mark.parametrize(
    "part", ["a ", "score ", "1 ", "<think>", "{", "I would ", "\n", "<reason>", "(on the scale ", "1-", " "]
)
def test_endless_reply_gives_no_score(part):
    """Also the expressions that search it must end."""
    assert parse_score(part * 100_000) is parse_score(part * 1000) is None
    assert parse_score(f"<think>{part * 10_000}</think>4") == 4


@given(st.integers(-20, 20), st.integers(0, 3), st.integers(1, 10))
def test_score_on_any_scale_is_read_or_refused(score, low, width):
    high = low + width
    expected = score if low <= score <= high else None
    assert parse_score(f"Score: {score}", low, high) == parse_score(json.dumps({"score": score}), low, high) == expected
    assert (
        parse_score(f"{score}/{high}", low, high) == expected and parse_score(f"{score}/{high + 1}", low, high) is None
    )


@given(st.one_of(st.text(max_size=80), st.text("{}[]\"'score:0123456789 .,/-\n<>think|", max_size=80)))
def test_any_text_gives_a_score_of_the_scale_or_none(text):
    assert parse_score(text) in {None, 1, 2, 3, 4, 5}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: (
        st.lists(parts, max_size=3) | st.dictionaries(st.sampled_from(["score", "rating", "max", "reason"]), parts)
    ),
)


@given(json_values)
def test_any_json_gives_a_score_of_the_scale_or_none(value):
    assert parse_score(json.dumps(value)) in {None, 1, 2, 3, 4, 5}
