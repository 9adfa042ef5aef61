from collections import Counter

import pytest

from refrad.config.public_sets import PUBLIC_SETS
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


CT_RATE, TOTALSEGMENTATOR = PUBLIC_SETS["ct-rate"], PUBLIC_SETS["totalsegmentator"]


def terms_of_sources(**sources):
    """Terms of a dataset with rows of these sources, each with its segmenter; "own" is the site's own data."""
    counts = {None if name == "own" else name.replace("_", "-"): Counter([made]) for name, made in sources.items()}
    backends = {"segmenter": sum(counts.values(), Counter())}
    return terms_of_columns(DatasetSummary(sources=counts, backends=backends), "ask the hospital")


def test_each_column_has_the_terms_of_each_source_with_rows():
    texts = terms_of_sources(own="totalsegmentator total", ct_rate="totalsegmentator total")
    assert all(text.startswith(f"site: ask the hospital; CT-RATE: {CT_RATE.images.text}") for text in texts.values())
    assert not any("Merlin" in text for text in texts.values())


def test_site_has_no_terms_for_data_of_public_sets_alone():
    assert not any("hospital" in text for text in terms_of_sources(ct_rate="totalsegmentator total").values())


def test_columns_have_the_terms_of_the_part_that_they_come_from():
    texts = terms_of_sources(totalsegmentator="totalsegmentator total")
    assert TOTALSEGMENTATOR.reports.text not in texts["image"] + texts["structures"] + texts["image_id"]
    assert TOTALSEGMENTATOR.reports.text in texts["captions"] and TOTALSEGMENTATOR.reports.text in texts["questions"]


@pytest.mark.parametrize(
    ("segmenter", "terms_of_masks"),
    [("precomputed", True), ("precomputed, of another series", True), ("totalsegmentator total", False)],
)
def test_masks_of_a_set_have_its_terms_where_they_are_used(segmenter, terms_of_masks):
    texts = terms_of_sources(merlin=segmenter)
    for column in ("structures", "captions", "questions"):  # "How wide is the liver?" is asked of its mask
        assert (PUBLIC_SETS["merlin"].masks.text in texts[column]) == terms_of_masks
    assert PUBLIC_SETS["merlin"].masks.text not in texts["image"]
    assert "the site's own segmentation" not in texts["structures"]


def test_masks_of_site_and_set_keep_their_owners():
    text = terms_of_sources(own="precomputed", merlin="precomputed")["structures"]
    assert "the site's own segmentation" in text and PUBLIC_SETS["merlin"].masks.text in text


def test_columns_with_report_text_say_where_it_was_made_from_masks():
    texts = terms_of_sources(abdomenatlas="precomputed")
    marked = {name for name, text in texts.items() if "reports generated from masks" in text}
    assert marked == {"captions", "questions"}


def test_set_of_a_later_release_is_refused():
    with pytest.raises(ValueError, match="data of later-set, which is no public set of this release"):
        terms_of_sources(later_set="precomputed")


def test_words_of_a_public_set_are_not_called_the_sites():
    counts = {"ct-rate": Counter(["totalsegmentator total"])}
    backends = {"rewriter": Counter(["rules: unchanged"]), "translator": Counter(["source"])}
    assert "site" not in terms_of_columns(DatasetSummary(sources=counts, backends=backends), "own")["captions"]
