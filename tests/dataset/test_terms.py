from collections import Counter

from refrad.dataset.columns import COLUMNS
from refrad.dataset.statistics import DatasetSummary
from refrad.dataset.terms import terms_of_columns


def terms(**backends):
    summary = DatasetSummary(backends={key: Counter([value]) for key, value in backends.items()})
    return terms_of_columns(summary, "ask the hospital")


def test_columns_have_the_terms_of_the_site():
    assert set(terms()) == {one.name for one in COLUMNS}
    assert all(text.startswith("site: ask the hospital") for text in terms().values())


def test_only_output_of_a_model_has_its_terms():
    found = terms(translator="source + llm: gemma-3-27b-it", vqa="templates", segmenter="totalsegmentator total")
    assert "Gemma Terms of Use" in found["captions"] and "Gemma" not in found["questions"]
    assert "TotalSegmentator" in found["structures"] and "TotalSegmentator" not in found["image"]


def test_unknown_model_is_named_with_advice():
    assert "made by llm: house-model: look up the terms" in terms(vqa="llm: house-model")["questions"]
