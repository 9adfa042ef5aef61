import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.language.mention_finder import find_mentions


def classes(sentence, language, lexicon):
    return sorted({name for one in find_mentions(sentence, language, lexicon) for name in one.classes})


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Die Leber ist unauffällig.", "de", ["liver"]),
        ("Beide Nieren regelrecht.", "de", ["kidney_left", "kidney_right"]),
        ("Nieren regelrecht.", "de", ["kidney_left", "kidney_right"]),
        ("Linke Niere mit Konkrement.", "de", ["kidney_left"]),
        ("Niere li. unauffällig.", "de", ["kidney_left"]),
        ("Sinterung von LWK 4.", "de", ["vertebrae_L4"]),
        ("Fraktur der 5. Rippe rechts.", "de", ["rib_right_5"]),
        ("Rechtsseitige Nebennierenraumforderung.", "de", ["adrenal_gland_right"]),
        ("Right kidney and spleen are normal.", "en", ["kidney_right", "spleen"]),
        ("The kidneys are normal.", "en", ["kidney_left", "kidney_right"]),
        ("Compression fracture of T12.", "en", ["vertebrae_T12"]),
        ("No free fluid.", "en", []),
        ("Keine freie Flüssigkeit.", "de", []),
    ],
)
def test_classes_of_a_sentence(lexicon, sentence, language, expected):
    assert classes(sentence, language, lexicon) == expected


@pytest.mark.parametrize(
    ("sentence", "language", "assertion"),
    [
        ("Die Leber ist groß.", "de", "present"),
        ("Keine Läsion der Leber.", "de", "negated"),
        ("No lesion of the liver.", "en", "negated"),
        ("Z.n. Cholezystektomie.", "de", "absent"),
        ("Status post splenectomy.", "en", "absent"),
    ],
)
def test_assertion_of_a_mention(lexicon, sentence, language, assertion):
    assert {one.assertion for one in find_mentions(sentence, language, lexicon)} == {assertion}


WORDS = [
    "Leber",
    "linke",
    "Niere",
    "beide",
    "Nieren",
    "keine",
    "LWK",
    "4/5",
    "und",
    "Milz",
    ",",
    ".",
    "-",
    "5.",
    "Rippe",
    "Ödem",
    "≥3 cm",
]


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join), st.sampled_from(["de", "en"]))
def test_spans_are_verbatim_in_order_and_apart(lexicon, sentence, language):
    end = 0
    for one in find_mentions(sentence, language, lexicon):
        assert sentence[one.start : one.end] == one.text and one.classes
        assert one.start >= end
        end = one.end
