import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from refrad.evaluation.metrics.text import accuracy, f1, measure_f1, measures, normalised, recall, token_scores

plain = st.text("abc the 12.,- cmx", max_size=30).filter(str.strip)


def test_f1_by_hand():
    # 3 of 4 predicted words are right (P = 3/4), 3 of 5 true ones found (R = 3/5): 2 PR / (P + R) = 2/3.
    assert f1("left upper lobe nodule", "nodule in left upper segment") == pytest.approx(2 / 3)
    assert recall("left upper lobe nodule", "nodule in left upper segment") == pytest.approx(3 / 5)


@given(*[st.lists(st.sampled_from(["left", "right", "lung", "node", "cyst", "mass"]), min_size=1, unique=True)] * 2)
def test_f1_and_recall_of_distinct_words_equal_scikit_learn(predicted, true):
    vocabulary = sorted({*predicted, *true})
    truth, guess = ([word in said for word in vocabulary] for said in (true, predicted))
    assert f1(" ".join(predicted), " ".join(true)) == pytest.approx(sklearn.metrics.f1_score(truth, guess))
    assert recall(" ".join(predicted), " ".join(true)) == pytest.approx(sklearn.metrics.recall_score(truth, guess))


def test_f1_counts_a_repeated_word_twice():
    assert f1("cyst cyst", "cyst") == pytest.approx(2 / 3)  # by hand: P = 1/2, R = 1


def test_normalisation_drops_articles_case_and_punctuation():
    assert normalised("The  Liver, a lobe.") == "liver lobe"
    assert accuracy("Yes.", "yes") == 1 and accuracy("no", "yes") == 0


def test_measure_f1_reads_decimals_and_f1_does_not():
    assert f1("1.2 cm", "12 cm") == 1
    assert measure_f1("1.2 cm", "12 cm") == 0
    assert measure_f1("1.2 cm", "12 mm") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12,5 mm", "1.25 cm"),
        ("2 x 3 cm", "20 x 30 mm"),
        ("3-4 mm", "0.3 to 0.4 cm"),
        ("-20 HU", "-20 HE"),
        ("0.5 l", "500 ml"),
        ("2 cm³", "2 ml"),
        ("a 5 mm nodule", "5mm nodule"),
        ("30 Prozent", "30%"),
    ],
)
def test_measures_in_two_wordings_are_equal(one, other):
    assert measure_f1(one, other) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("5 mm", "5"), ("5 mm", "5 ml"), ("20 HU", "-20 HU"), ("1.5", "15"), ("3 cm", "3 mm")]
)
def test_measures_of_different_size_differ(one, other):
    assert measure_f1(one, other) == 0


def test_measures_ignore_numbers_inside_words():
    assert measures("T2 hyperintense at L4: 3 lesions") == ["t2", "hyperintense", "at", "l4", "3", "lesions"]


@given(plain)
def test_text_metrics_of_equal_texts_are_one(text):
    assert f1(text, text) == recall(text, text) == accuracy(text, text) == measure_f1(text, text) == 1


def test_words_of_chinese_are_characters():
    assert f1("左肺", "右肺") == 0.5


def test_text_metrics_of_an_empty_answer_are_zero():
    assert f1("", "liver") == recall("", "liver") == measure_f1("", "liver") == accuracy("", "liver") == 0
    assert f1("", "") == recall("", "") == accuracy(" ", "") == 0


@pytest.mark.parametrize("answer", ["", " ", "The an", "?", "an", "the the", "B"])
def test_truth_that_is_an_article_is_met_by_itself_alone(answer):
    metrics = accuracy, f1, recall, measure_f1
    assert [metric(answer, "A") for metric in metrics] == [0] * 4
    assert [metric("a", "A") for metric in metrics] == [1] * 4


def test_truth_of_punctuation_is_compared_as_written():
    assert accuracy("+", "+") == 1 and accuracy("-", "+") == accuracy("", "+") == 0
    assert f1("+", "+") == 1 and f1("-", "+") == 0


def test_letter_of_an_option_is_no_article_of_a_multiple_choice():
    assert accuracy("Hepatitis A", "hepatitis", multiple=True) == 0
    assert accuracy("A cyst", "cyst") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nierengr\u00f6\u00dfe", "Nierengro\u0308\u00dfe"),
        ("\u201eZyste\u201c", "Zyste"),
        ("\u00bbZyste\u00ab", "Zyste"),
        ("Crohn\u2019s disease", "Crohn's disease"),
        ("yes\u2026", "yes"),
        ("Nieren\u00adzyste", "Nierenzyste"),  # a soft hyphen
        ("\u200bcyst", "cyst"),  # a blank without width
    ],
)
def test_spellings_of_one_text_are_equal_on_every_metric(one, other):
    for a, b in ((one, other), (other, one)):
        assert accuracy(a, b) == f1(a, b) == recall(a, b) == measure_f1(a, b) == 1


def test_hyphen_and_slash_separate_words_of_a_closed_answer():
    assert accuracy("contrast-enhanced", "contrast enhanced") == accuracy("left\u2013right", "left-right") == 1
    assert accuracy("L4/5", "L45") == 0
    assert f1("contrast-enhanced", "contrast enhanced") == 0  # SQuAD removes the hyphen


def test_control_tokens_are_no_words():
    assert f1("left kidney<eos>", "left kidney") == measure_f1("12 mm</s>", "1.2 cm") == 1
    assert accuracy("yes<eos>", "yes") == 0  # strict, as in the paper


def test_hyphen_is_a_blank_or_nothing_in_closed_answers():
    assert accuracy("x ray", "X-ray") == accuracy("xray", "X-ray") == accuracy("left/right", "left right") == 1
    assert accuracy("scan", "A-scan") == 0  # the letter is no article


@pytest.mark.parametrize(("answer", "true"), [("C", "A, C"), ("hepatitis", "hepatitis A"), ("The an", "A")])
def test_single_letters_of_multiple_choices_are_no_articles(answer, true):
    assert accuracy(answer, true, multiple=True) == 0
    assert accuracy(true.lower(), true, multiple=True) == 1


def test_article_before_a_word_is_dropped_in_multiple_choices():
    assert accuracy("cyst", "A cyst", multiple=True) == 1


def test_f1_of_multiple_choices_compares_letters_as_written():
    assert f1("hepatitis", "hepatitis A", multiple=True) == pytest.approx(2 / 3)  # by hand: P = 1, R = 1/2
    assert f1("C", "A, C", multiple=True) == pytest.approx(2 / 3)
    assert f1("A cyst", "cyst", multiple=True) == 1


@given(st.text("aTthe 12.,-−cmüÄ<eos>肝²_", max_size=30), st.text("aTthe 12.,-−cmüÄ<eos>肝²_", max_size=30))
def test_scores_of_words_read_once_are_those_of_each_metric(predicted, true):
    scores = token_scores(predicted, true)
    assert scores.f1 == f1(predicted, true) and scores.measure_f1 == measure_f1(predicted, true)


def test_all_numbers_of_a_text_are_read_with_their_signs():
    # A sign is that of a number after a blank, not between two numbers; the 2 of T2 is none.
    assert measures("T2 5-7 mm, Zyste -3,5 cm") == ["t2", "5mm", "7mm", "zyste", "-35mm"]
