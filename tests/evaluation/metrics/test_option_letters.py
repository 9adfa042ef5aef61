import pytest

from refrad.evaluation.metrics.option_letters import letter_answer, options_in_lines, options_of

LETTERED = "Which modality is this? A) CT B) MRI C) X-ray D) Ultrasound"
LISTED = "<image>\n\nWhich organ is the largest?\nliver\nleft kidney\nspleen\nAnswer: "


def test_options_with_letters_are_read():
    assert options_of(LETTERED) == {"A": "CT", "B": "MRI", "C": "X-ray", "D": "Ultrasound"}
    assert options_of("Which? (a) CT, (b) MRI") == {"A": "CT", "B": "MRI"}
    assert options_of("Which?\nA. CT\nB. MRI") == {"A": "CT", "B": "MRI"}


def test_letters_out_of_order_are_no_options():
    assert options_of("Is it E. coli or C. difficile?") == options_of("Which organ is the largest?") == {}


def test_lines_behind_the_question_are_options():
    assert options_in_lines(LISTED) == {"A": "liver", "B": "left kidney", "C": "spleen"}
    assert options_in_lines("Which organ is the largest?") == {}


@pytest.mark.parametrize(
    "answer",
    [
        *("B", "b)", "**B**", "(B) MRI", "B is correct", "Answer B is correct", "Antwort B ist richtig", "I choose B."),
        *(
            "Therefore, B.",
            "It's B",
            "I would go with B",
            "It's B, not A",
            "B and not A",
            "The answer is b",
            "B\n\nA CT would show bone.",
            "Die richtige Antwort ist B.",
            "MRI (B)",
        ),
    ],
)
def test_forms_of_a_letter_are_read(answer):
    named = letter_answer(answer)
    assert named is not None and named.letters == {"B"}


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "The answer is not B",
            "It is not option B",
            "not B",
            "B is wrong",
            "B is not correct",
            "I would not go with B",
        ),
        *("A scan of the abdomen", "B-mode ultrasound", "It isn't B", "The answer is A mass"),
    ],
)
def test_denied_letters_and_articles_are_no_letters(answer):
    assert letter_answer(answer) is None


def test_all_letters_of_an_answer_are_named():
    named = letter_answer("The answer is B, C or D.")
    assert named is not None and named.letters == {"B", "C", "D"}


def test_words_next_to_a_letter_contradict_it_if_they_are_another_option():
    options = options_of(LETTERED)
    for answer, contradicts in (
        ("B) CT", True),
        ("B) an MRI", False),
        ("CT (B)", True),
        ("B, as a CT shows bone", False),
    ):
        named = letter_answer(answer)
        assert named is not None and named.contradicts("B", options) == contradicts
