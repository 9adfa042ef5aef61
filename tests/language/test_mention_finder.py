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


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("Läsion einer Rippe ventral links.", "de"),
        ("Herd in einer Rippe paravertebral rechts.", "de"),
        ("Sklerose einer Rippe dorsolateral beidseits.", "de"),
        ("A rib on the left is expanded.", "en"),
        ("A rib anteriorly has a lytic lesion.", "en"),
        ("Expansile lesion of a rib laterally on the left.", "en"),
    ],
)
def test_place_of_a_rib_does_not_make_it_many(lexicon, sentence, language):
    assert classes(sentence, language, lexicon) == []


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Hüftkopfzyste rechts 6 mm, linke Hüfte regelrecht.", "de", ["femur_right", "hip_left"]),
        ("Linke Hüfte frei, Hüftkopffraktur rechts.", "de", ["femur_right", "hip_left"]),
        ("Right hip normal, edema of the left femoral head.", "en", ["femur_left", "hip_right"]),
        ("Keine HWK-Fraktur, Leber normal.", "de", ["liver", "vertebrae"]),
        ("Alte BWK-Frakturen.", "de", ["vertebrae"]),
        ("No thoracic compression fractures.", "en", ["vertebrae"]),
        ("Old lumbar burst fracture.", "en", ["vertebrae"]),
        ("No cervical fracture.", "en", ["vertebrae"]),
    ],
)
def test_head_of_the_femur_and_levels_without_number(lexicon, sentence, language, expected):
    assert classes(sentence, language, lexicon) == expected


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Left-sided hydronephrosis.", "en", ["kidney_left"]),
        ("Renal calculus, right-sided.", "en", ["kidney_right"]),
        ("Adrenal nodule, left-sided, 2 cm.", "en", ["adrenal_gland_left"]),
        ("Linksseitiges Nierenkonkrement.", "de", ["kidney_left"]),
        ("Nebennierenknoten, rechtsseitig.", "de", ["adrenal_gland_right"]),
        ("Nieren: links Konkrement.", "de", ["kidney_left"]),
        ("Nieren: rechts Stau, links Stein.", "de", ["kidney_left", "kidney_right"]),
        ("Nieren: rechts Stein, kein Harnstau.", "de", ["kidney_left", "kidney_right"]),
        ("Adrenals: nodule on the left.", "en", ["adrenal_gland_left"]),
        ("Kidneys: stone on the right, no hydroureter.", "en", ["kidney_left", "kidney_right"]),
        ("Noduli in Ober- (rechts) und Unterlappen links.", "de", ["lung_lower_lobe_left", "lung_upper_lobe_right"]),
        (
            "Nodules in the upper (right) and lower lobe (left).",
            "en",
            ["lung_lower_lobe_left", "lung_upper_lobe_right"],
        ),
    ],
)
def test_side_in_an_adjective_a_heading_and_brackets(lexicon, sentence, language, expected):
    assert classes(sentence, language, lexicon) == expected


BOTH_CYSTS = ["kidney_cyst_left", "kidney_cyst_right"]


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Kleine Zysten der Milz und der Nieren.", "de", BOTH_CYSTS),
        ("Zysten in Leber, Pankreas und linker Niere.", "de", ["kidney_cyst_left"]),
        ("Cysts in the pancreas and both kidneys.", "en", BOTH_CYSTS),
        ("Cysts of the liver, spleen and right kidney, unchanged.", "en", ["kidney_cyst_right"]),
        ("Zyste der Leber, Nieren normal.", "de", []),
        ("Zyste der Leber und Nieren unauffällig.", "de", []),
        ("Cyst in the liver, kidneys unremarkable.", "en", []),
    ],
)
def test_cysts_of_a_list_are_of_its_kidneys(lexicon, sentence, language, expected):
    assert [name for name in classes(sentence, language, lexicon) if "cyst" in name] == expected
