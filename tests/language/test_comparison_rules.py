import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.language.comparison_rules import CUT, LEFT, UNCHANGED, cut_comparisons


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Kleine Leberzyste, größer als in der Voruntersuchung.", "de", "Kleine Leberzyste."),
        ("Leberzyste, unverändert zur Voruntersuchung vom 03.04.2021.", "de", "Leberzyste."),
        ("Rundherd im OL rechts von 8 mm (vormals 6 mm).", "de", "Rundherd im OL rechts von 8 mm."),
        ("Rundherd im OL rechts von 8 mm, zuvor 6 mm.", "de", "Rundherd im OL rechts von 8 mm."),
        ("Leberzyste (VU 10 mm) von 12 mm.", "de", "Leberzyste von 12 mm."),
        ("Milz normal groß, wie in der Voruntersuchung.", "de", "Milz normal groß."),
        ("Aorta 4,2 cm, vorbestehend.", "de", "Aorta 4,2 cm."),
        ("Liver cyst, unchanged compared to the prior study.", "en", "Liver cyst."),
        ("8 mm nodule in the right upper lobe (previously 6 mm).", "en", "8 mm nodule in the right upper lobe."),
        ("The spleen is normal, as before.", "en", "The spleen is normal."),
    ],
)
def test_pure_comparison_is_cut(sentence, language, expected):
    assert cut_comparisons(sentence, language) == (expected, CUT)


@pytest.mark.parametrize("sentence", ["Leber unauffällig.", "Die Leber ist größer als 18 cm."])
def test_other_sentences_are_unchanged(sentence):
    assert cut_comparisons(sentence, "de") == (sentence, UNCHANGED)


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("Im Vergleich zur Voruntersuchung unveränderte Leberzyste.", "de"),
        ("Die Leberzyste ist im Vergleich zur VU größenprogredient.", "de"),
        ("Neu aufgetretener Pleuraerguss rechts.", "de"),
        ("Compared to prior, the liver cyst is larger.", "en"),
        ("Interval increase in pleural effusion.", "en"),
    ],
)
def test_unsafe_comparison_stays_and_is_marked(sentence, language):
    assert cut_comparisons(sentence, language) == (sentence, LEFT)


FINDINGS = [
    "Kleine Leberzyste von 12 mm",
    "Milz 11,5 cm",
    "Keine Läsion der linken Niere",
    "Fraktur der 5. Rippe rechts",
]
CLAUSES = [
    ", größer als in der Voruntersuchung",
    " (vormals 6 mm)",
    ", unverändert zur Voruntersuchung vom 03.04.2021",
    "",
]


@given(st.sampled_from(FINDINGS), st.sampled_from(CLAUSES))
def test_finding_is_kept_word_for_word(finding, clause):
    assert cut_comparisons(f"{finding}{clause}.", "de")[0] == f"{finding}."


@given(st.text(max_size=60), st.sampled_from(["de", "en"]))
def test_cutting_never_adds_text(text, language):
    cut, word = cut_comparisons(text, language)
    assert word in (CUT, LEFT, UNCHANGED)
    assert len(cut) <= len(text)
