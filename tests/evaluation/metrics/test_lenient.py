import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.evaluation.metrics.lenient import accuracy_lenient
from refrad.evaluation.metrics.text import accuracy

LETTERED = "Which modality is this? A) CT B) MRI C) X-ray D) Ultrasound"
LISTED = "<image>\n\nWhich organ is the largest?\nliver\nleft kidney\nspleen\nAnswer: "


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    [
        ("Yes, there is a lesion.", "yes", 1),
        ("The answer is yes.", "yes", 1),
        ("yes<eos>", "yes", 1),
        ("No evidence of a mass.", "no", 1),
        ("There is no evidence of a mass.", "no", 1),
        ("Ja, im linken Lappen.", "ja", 1),
        ("Kein Nachweis einer Raumforderung.", "nein", 1),
        ("Ja.", "yes", 1),
        ("Yes, in the left lobe.", "no", 0),
        ("No, but yes on the other side", "yes", 0),
        ("normal", "no", 0),
        ("Nodule in the lung", "no", 0),
        ("Yesterday's scan shows it", "yes", 0),
        ("", "no", 0),
    ],
)
def test_first_yes_or_no_of_a_sentence_counts(answer, truth, score):
    assert accuracy_lenient(answer, truth) == score


@pytest.mark.parametrize(
    "answer", ["B", "b.", "(B)", "**B**", "B) MRI", "The answer is B.", "Option B", "Antwort: (B)"]
)
def test_letter_of_an_option_is_read(answer):
    assert accuracy_lenient(answer, "B", multiple=True) == 1
    assert accuracy_lenient(answer, "MRI", multiple=True, question=LETTERED) == 1
    assert accuracy_lenient(answer, "A", multiple=True) == 0
    assert accuracy_lenient(answer, "CT", multiple=True, question=LETTERED) == 0


@pytest.mark.parametrize(
    "answer", ["This is an MRI scan.", "Not a CT, but an MRI.", "MRI, since a CT would show more bone."]
)
def test_text_of_an_option_is_read(answer):
    assert accuracy_lenient(answer, "B", multiple=True, question=LETTERED) == 1
    assert accuracy_lenient(answer, "MRI", multiple=True, question=LETTERED) == 1
    assert accuracy_lenient(answer, "CT", multiple=True, question=LETTERED) == 0
    assert accuracy_lenient(answer, "D", multiple=True, question=LETTERED) == 0


def test_article_is_no_letter_of_an_option():
    assert accuracy_lenient("A scan of the abdomen", "A", multiple=True, question=LETTERED) == 0


def test_two_letters_are_no_answer():
    assert accuracy_lenient("The answer is A or the answer is B", "A", multiple=True) == 0


def test_options_without_letters_are_those_of_the_prompt():
    assert accuracy_lenient("It is the left kidney.", "left kidney", multiple=True, question=LISTED) == 1
    assert accuracy_lenient("It is the spleen, then the liver.", "liver", multiple=True, question=LISTED) == 0


def test_other_closed_answers_stand_in_the_sentence():
    assert accuracy_lenient("This is a sagittal view.", "sagittal") == 1
    assert accuracy_lenient("This is not a sagittal view.", "sagittal") == 0
    assert accuracy_lenient("abnormal", "normal") == 0


@given(st.text("yes no ja A(B).", max_size=20), st.sampled_from(["yes", "nein", "A", "B", "CT"]), st.booleans())
def test_lenient_accuracy_is_never_below_the_strict_one(answer, truth, multiple):
    lenient = accuracy_lenient(answer, truth, multiple=multiple, question=LETTERED)
    assert lenient >= accuracy(answer, truth, multiple=multiple)


@pytest.mark.parametrize(
    ("answer", "true"),
    [
        ("<think>no, maybe</think> Yes", "yes"),
        ("maybe no</think> Ja.", "ja"),
        ("There is no doubt: yes", "yes"),
        ("The mass is not visible.", "no"),
        ("Die Niere ist nicht abgrenzbar.", "nein"),
        (r"\boxed{no}", "no"),
    ],
)
def test_thinking_and_denials_are_read(answer, true):
    assert accuracy_lenient(answer, true) == 1


@pytest.mark.parametrize("answer", ["Not sure", "I have no idea", "normal", "Noch offen", "Nodule"])
def test_sentence_without_yes_or_no_answers_nothing(answer):
    assert accuracy_lenient(answer, "no") == accuracy_lenient(answer, "yes") == 0


def test_options_repeated_are_no_answer():
    options = "A) CT B) MRI C) X-ray"
    assert accuracy_lenient(options, "A", multiple=True, question=f"Which modality? {options}") == 0
    assert accuracy_lenient(r"\boxed{B}", "B", multiple=True, question=f"Which modality? {options}") == 1


@pytest.mark.parametrize("answer", ["yes or no", "Yes/No", "Yes and no", "neither yes nor no", "Weder ja noch nein"])
def test_yes_and_no_in_one_breath_answer_nothing(answer):
    assert accuracy_lenient(answer, "yes") == accuracy_lenient(answer, "no") == 0


def test_answer_behind_a_repeated_question_is_read():
    assert accuracy_lenient("Yes or no? No.", "no") == 1


@pytest.mark.parametrize("answer", ["B) CT", "CT (B)", "The answer is B, CT.", "B – CT", "Option B: CT scan"])
def test_letter_with_the_text_of_another_option_is_wrong(answer):
    assert accuracy_lenient(answer, "B", multiple=True, question=LETTERED) == 0
    assert accuracy_lenient(answer, "A", multiple=True, question=LETTERED) == 0


@pytest.mark.parametrize(
    "answer", ["B, since a CT would show bone", "MRI (B)", "B: MRI; not A: CT", "The answer is B (MRI)"]
)
def test_letter_with_its_own_text_is_right(answer):
    assert accuracy_lenient(answer, "B", multiple=True, question=LETTERED) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "A, B, C, D",
        "B, A",
        "B or A",
        "The answer is B or A.",
        "B/A",
        "A and B",
        "A) CT or B) MRI",
        "CT, MRI",
        "CT or MRI",
    ],
)
def test_several_options_are_wrong(answer):
    for truth in ("A", "B", "MRI"):
        assert accuracy_lenient(answer, truth, multiple=True, question=LETTERED) == 0


def test_letters_of_yes_and_no_are_read():
    question = "Is there a fracture? A) yes B) no"
    assert accuracy_lenient("B", "no", multiple=True, question=question) == 1
    assert accuracy_lenient("B", "yes", multiple=True, question=question) == 0
    assert accuracy_lenient("There is no fracture.", "B", question=question) == 1


def test_letter_within_the_text_of_an_option_is_no_letter():
    question = "Which cause? A) Hepatitis A B) Hepatitis B C) E. coli D) B-cell lymphoma"
    assert accuracy_lenient("B-cell lymphoma", "D", multiple=True, question=question) == 1
    assert accuracy_lenient("B-cell lymphoma", "B", multiple=True, question=question) == 0
    assert accuracy_lenient("It is E. coli", "E. coli", multiple=True, question=question) == 1
    assert accuracy_lenient("It is hepatitis B", "A", multiple=True, question=question) == 0
    assert accuracy_lenient("hepatitis", "A", multiple=True, question=question) == 0


def test_hyphen_is_a_blank_or_nothing_in_sentences():
    assert accuracy_lenient("It is an Xray.", "X-ray") == accuracy_lenient("an X ray of the chest", "X-ray") == 1
    assert accuracy_lenient("a T1-weighted image", "T1 weighted") == 1


def test_alternative_of_the_question_is_read():
    question = "Is the lesion on the left or the right side?"
    assert accuracy_lenient("On the right, the left is normal.", "left", question=question) == 0
    assert accuracy_lenient("On the right, the left is normal.", "right", question=question) == 1


@pytest.mark.parametrize("answer", ["B<eos>", "B</s>", "<answer>B</answer>", r"$\boxed{\text{B}}$", "**Answer: B**"])
def test_marks_around_a_letter_do_not_count(answer):
    assert accuracy_lenient(answer, "B", multiple=True, question=LETTERED) == 1


def test_range_of_numbers_states_neither_end():
    assert accuracy_lenient("2-3", "2") == accuracy_lenient("2 or 3 lesions", "3") == 0
    assert accuracy_lenient("There are 2 lesions.", "2") == 1


@pytest.mark.parametrize("part", ["A) ", "A, ", "is not CT ", "CT or ", "<think>", "answer: ", "A) CT B) MRI ", "\n"])
def test_endless_answer_is_read(part):
    """Also the expressions that search it must end."""
    assert accuracy_lenient(part * 20_000, "MRI", multiple=True, question=LETTERED) == 0
    assert accuracy_lenient("no " + part * 20_000, "CT", question=part * 20_000) == 0
