from collections import Counter

from refrad.dataset.columns import COLUMNS
from refrad.dataset.statistics import DatasetSummary
from refrad.dataset.terms import terms_of_columns


def terms(**backends):
    summary = DatasetSummary(backends={key: Counter([value]) for key, value in backends.items()})
    return terms_of_columns(summary, "ask the hospital")


def test_columns_have_the_terms_of_the_site():
    assert set(terms()) == {column.name for column in COLUMNS}
    assert all(text.startswith("site: ask the hospital") for text in terms().values())


def test_only_output_of_a_model_has_its_terms():
    texts = terms(translator="source + llm: gemma-3-27b-it", vqa="templates", segmenter="totalsegmentator total")
    assert "Gemma Terms of Use" in texts["captions"] and "Gemma" not in texts["questions"]
    assert "TotalSegmentator" in texts["structures"] and "TotalSegmentator" not in texts["image"]


def test_masks_of_demo_weights_are_no_work_of_totalsegmentator():
    text = terms(segmenter="totalsegmentator fastest, demo weights, of another series")["structures"]
    assert "made by RefRad's demo weights" in text and "made by TotalSegmentator" not in text


def test_unknown_model_is_named_with_advice():
    assert "made by llm: house-model: look up the terms" in terms(vqa="llm: house-model")["questions"]
