import importlib.util
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord
from refrad.evaluation.metrics.scoring import METRICS, score_items
from refrad.evaluation.metrics.text_metrics import NOT_OFFERED, TEXT_METRICS, load_text_metrics, rouge_l


def bleu4(answer, true):
    return load_text_metrics(["bleu4"])["bleu4"]([answer], [true])[0]


def test_rouge_l_is_worked_out_by_hand():
    # "the liver is normal" (4 words) is the longest common subsequence of 5 and 6 words less one that is out of order:
    # answer: the liver size is normal; truth: the liver is normal in size. L = 4, F1 = 2 x 4 / (5 + 6)
    assert rouge_l("The liver size is normal.", "the liver is normal in size") == pytest.approx(8 / 11)
    # Words in another order: "effusion small cyst" against "small cyst effusion" share "small cyst": 2 x 2 / 6
    assert rouge_l("effusion, small cyst", "small cyst effusion") == pytest.approx(4 / 6)
    assert rouge_l("", "liver") == rouge_l("liver", "") == rouge_l("liver", "spleen") == 0


def test_rouge_l_of_rouge_score_in_english():
    # rouge-score 0.1.2, rougeL without stemming: fmeasure 0.4444 for these texts
    assert rouge_l("small cyst, no effusion", "No pleural effusion. Small cyst.") == pytest.approx(0.4444444444444445)


def test_german_words_are_not_cut_at_umlauts():
    # Cut at umlauts, "Ödem" and "Gefäß" would share "dem" and "gef" with other words.
    assert rouge_l("Ödem", "dem") == 0 and rouge_l("ÖDEM", "Ödem") == 1
    assert rouge_l("Gefäß links", "Gefäß rechts") == pytest.approx(2 / 4)


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=8), st.lists(st.sampled_from("abcd"), min_size=1, max_size=8)
)
def test_rouge_l_is_symmetric_and_at_most_the_words_in_common(ours, theirs):
    a, b = " ".join(ours), " ".join(theirs)
    common = sum(min(ours.count(word), theirs.count(word)) for word in "abcd")
    assert rouge_l(a, b) == rouge_l(b, a) <= 2 * common / (len(ours) + len(theirs))
    assert rouge_l(a, a) == 1


def test_bleu4_is_worked_out_by_hand():
    # Answer: the liver is normal in size (6 words), truth: the liver is normal. N-grams of the answer in the truth: 4 of 6, 3 of 5,
    # 2 of 4, 1 of 3; it is longer than the truth, so there is no penalty: (4/6 x 3/5 x 2/4 x 1/3) ** (1/4)
    assert bleu4("the liver is normal in size", "The liver is normal") == pytest.approx(
        (4 / 6 * 3 / 5 * 2 / 4 / 3) ** 0.25
    )
    # The other way round all n-grams are in the truth; 4 words for 6: the penalty is exp(1 - 6/4)
    assert bleu4("the liver is normal", "the liver is normal in size") == pytest.approx(exp(-0.5))


def test_bleu4_of_short_texts_uses_the_words_that_there_are():
    # Two words have no three in a row: one- and two-grams alone, both right.
    assert bleu4("left kidney", "Left kidney") == pytest.approx(1)
    assert bleu4("left kidney", "right kidney") < 1
    assert bleu4("", "left kidney") == 0


def test_bleu4_is_that_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    for answer, true in (
        ("Kein Pleuraerguss, Leber normal.", "Kein Erguss. Leber normal."),
        ("no", "no mass"),
        ("a b", "c"),
    ):
        expected = sacrebleu.sentence_bleu(answer, [true], lowercase=True).score / 100
        assert bleu4(answer, true) == pytest.approx(expected)


def test_missing_package_and_folder_are_named(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"--bertscore-model or evaluate\.bertscore_model"):
        load_text_metrics(["bertscore"])
    with pytest.raises(ValueError, match=r"no config\.json there"):
        load_text_metrics(["bertscore"], tmp_path)
    with pytest.raises(ValueError, match="do not include bertscore"):
        load_text_metrics(["rougel"], tmp_path)
    with pytest.raises(ValueError, match="there are bleu4, rougel, bertscore"):
        load_text_metrics(["meteor"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"needs sacrebleu: pip install 'refrad\[text\]'"):
        load_text_metrics(["bleu4"])
    assert list(load_text_metrics(["rougel"])) == ["rougel"]


@pytest.mark.parametrize("name", sorted(NOT_OFFERED))
def test_refused_metrics_say_why(name):
    with pytest.raises(ValueError, match=f"{name} is not offered: ") as refusal:
        load_text_metrics([name])
    assert "\n" not in str(refusal.value)


def test_captions_and_open_answers_have_text_metrics():
    rows = [
        {"id": "c", "task": "caption", "answer": "The liver is normal."},
        {"id": "o", "task": "vqa", "kind": "open", "answer": "left kidney"},
        {"id": "y", "task": "vqa", "kind": "yesno", "answer": "yes"},
        {"id": "e", "task": "vqa", "kind": "open", "answer": " "},
    ]
    truth = {row["id"]: TruthRecord.model_validate(row) for row in rows}
    answers = {name: PredictionRecord(id=name, answer=text) for name, text in (("c", "liver"), ("o", "left kidney"))}
    items, _ = score_items(truth, answers, text_metrics=load_text_metrics(["rougel", "bleu4"]))
    rouge = items.filter(metric="rougel")
    assert dict(rouge.select("id", "value").iter_rows()) == {"c": pytest.approx(2 / 5), "o": 1}
    assert items.filter(metric="bleu4")["id"].to_list() == ["c", "o"]
    assert set(TEXT_METRICS) <= set(METRICS)
