import numpy as np
import pytest

from refrad.evaluation.metrics.cider import NORMALISATIONS, cider

TRUE = [
    "The liver is normal in size.",
    "No focal lesion of the spleen.",
    "A cyst of 1.2 cm in the left kidney.",
    "The liver shows a small cyst.",
]
PREDICTED = ["the liver is normal", "No focal lesion of the liver.", "A cyst of 12 cm in the left kidney.", ""]


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_cider_equals_pycocoevalcap(normalisation):
    scorer = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    joined = [[" ".join(NORMALISATIONS[normalisation](text)) for text in texts] for texts in (PREDICTED, TRUE)]
    mean, each = scorer.compute_score(
        {i: [text] for i, text in enumerate(joined[1])}, {i: [text] for i, text in enumerate(joined[0])}
    )
    assert cider(PREDICTED, TRUE, normalisation) == pytest.approx(each)
    assert cider(PREDICTED, TRUE, normalisation).mean() == pytest.approx(mean)


def test_cider_of_the_reference_is_ten():
    assert cider(TRUE, TRUE, "classic") == pytest.approx([10.0] * 4)


def test_classic_words_are_lower_case_and_keep_decimals():
    assert NORMALISATIONS["classic"]("A cyst (1.2 cm), non-enhancing.") == [
        "a",
        "cyst",
        "1.2",
        "cm",
        "non",
        "enhancing",
    ]


def test_released_words_keep_case_and_full_stops():
    shouted = [text.upper().rstrip(".") for text in TRUE]
    assert cider(shouted, TRUE, "classic") == pytest.approx([10.0] * 4)
    assert cider(shouted, TRUE, "released").mean() < 5


def test_cider_reads_decimals():
    assert cider([*TRUE[:2], "A cyst of 12 cm in the left kidney.", TRUE[3]], TRUE, "classic")[2] < 9


def test_cider_of_a_single_caption_is_zero():
    assert cider(["the liver"], ["the liver"], "classic") == np.zeros(1)
