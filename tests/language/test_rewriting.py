import pytest

from refrad.language.rewriting import CUT, UNCHANGED, cut_comparisons


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Kleine Leberzyste, größer als in der Voruntersuchung.", "de", "Kleine Leberzyste."),
        ("Liver cyst, unchanged compared to the prior study.", "en", "Liver cyst."),
    ],
)
def test_a_pure_comparison_is_cut(sentence, language, expected):
    assert cut_comparisons(sentence, language) == (expected, CUT)


@pytest.mark.parametrize("sentence", ["Leber unauffällig.", "Die Leber ist größer als 18 cm."])
def test_all_else_is_left_alone(sentence):
    assert cut_comparisons(sentence, "de") == (sentence, UNCHANGED)
