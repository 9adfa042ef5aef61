"""Findings of a caption with their size, where the caption states them plainly."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.grounding.vqa_findings import (
    DENIALS,
    DISTANCES,
    FINDINGS,
    PARTS,
    CaptionFacts,
    Finding,
    plain_findings,
    read_finding,
)

KIDNEY = 3


@pytest.mark.parametrize(
    ("language", "text", "kind", "size"),
    [
        ("en", "2.4 cm cyst in the left kidney.", "cyst", "2.4 cm"),
        ("en", "Simple cyst of the left kidney measuring 14 mm.", "cyst", "14 mm"),
        ("en", "Left kidney: exophytic cyst, 3 cm.", "cyst", "3 cm"),
        ("en", "Heterogeneous mass of the left kidney, 6.3 x 5.8 x 5.0 cm.", "mass", "6.3 x 5.8 x 5.0 cm"),
        ("en", "4 mm calculus at the lower pole of the left kidney.", "stone", "4 mm"),
        ("en", "8 mm nodule in the left kidney.", "nodule", "8 mm"),
        ("en", "A 9 mm hypodense lesion in the left kidney.", "lesion", "9 mm"),
        ("en", "Metastasis in the left kidney (17 mm).", "metastasis", "17 mm"),
        ("en", "Haemangioma of the left kidney.", "hemangioma", None),
        ("en", "Aneurysm at the left kidney, 11 mm.", "aneurysm", "11 mm"),
        ("en", "Abscess of the left kidney.", "abscess", None),
        ("en", "Subcapsular hematoma of the left kidney, 2 cm.", "hematoma", "2 cm"),
        ("en", "Fracture of L4.", "fracture", None),
        ("de", "2,4 cm große Zyste der linken Niere.", "cyst", "2,4 cm"),
        ("de", "Nierenzyste links, 14 mm.", "cyst", "14 mm"),
        ("de", "Linke Niere: 8 mm messender, scharf begrenzter Rundherd.", "nodule", None),  # a comma in between
        ("de", "Lungenrundherd links apikal, 11 mm.", "nodule", "11 mm"),
        ("de", "Raumforderung der linken Niere von 4 x 3 cm.", "mass", "4 x 3 cm"),
        ("de", "9 mm messende hypodense Läsion der linken Niere.", "lesion", "9 mm"),
        ("de", "Konkrement von 6,5 mm in der linken Niere.", "stone", "6,5 mm"),
        ("de", "Nierenstein links.", "stone", None),
        ("de", "Nodulus der linken Niere.", "nodule", None),
        ("de", "Lebermetastase, 17 mm.", "metastasis", "17 mm"),
        ("de", "Leberhämangiom 2 cm.", "hemangioma", "2 cm"),
        ("de", "Aortenaneurysma, 5,1 cm.", "aneurysm", "5,1 cm"),
        ("de", "Leberabszess, 3 cm.", "abscess", "3 cm"),
        ("de", "Milzhämatom.", "hematoma", None),
        ("de", "Fraktur der linken Klavikula.", "fracture", None),
    ],
)
def test_plain_finding_is_read_with_its_size(language, text, kind, size):
    assert read_finding(text, language, {KIDNEY}) == Finding(KIDNEY, kind, size)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Cysts of the left kidney."),
        ("en", "Cyst and stone in the left kidney."),
        ("en", "No cyst of the left kidney."),
        ("en", "The cyst of the left kidney is not enhancing."),
        ("en", "Left kidney without mass."),
        ("en", "Status post drainage of an abscess of the left kidney."),
        ("en", "Resected metastasis of the left kidney."),
        ("en", "Previously known cyst of the left kidney."),
        ("en", "Cyst of the left kidney, 12 mm in the prior study."),
        ("en", "The hematoma of the left kidney has resolved."),
        ("en", "Cyst of the left kidney, another of 7 mm."),
        ("en", "Normal left kidney."),
        ("de", "Zysten der linken Niere."),
        ("de", "Zyste und Konkrement der linken Niere."),
        ("de", "Keine Raumforderung der linken Niere."),
        ("de", "Die Läsion der linken Niere nimmt nicht zu."),
        ("de", "Linke Niere ohne Konkrement."),
        ("de", "Weder Zyste noch Stauung der linken Niere."),
        ("de", "Zustand nach Drainage eines Abszesses der Niere, Hämatom."),
        ("de", "Z.n. Fraktur der linken Klavikula."),
        ("de", "Resezierte Metastase der linken Niere."),
        ("de", "Vorbeschriebene Zyste der linken Niere."),
        ("de", "Zyste der linken Niere, zuvor 12 mm."),
        ("de", "Zyste der linken Niere, eine weitere von 7 mm."),
    ],
)
def test_caption_that_is_not_plain_has_no_finding(language, text):
    assert read_finding(text, language, {KIDNEY}) is None


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Left kidney 11 cm with a cyst."),
        ("en", "Left kidney 11 cm and a cyst."),
        ("en", "Nodule of the left kidney at a distance of 15 mm."),
        ("en", "Nodule of the left kidney, 15 mm from the hilum."),
        ("en", "Cyst of the left kidney with a wall of 3 mm."),
        ("en", "Cyst of the left kidney, 12 mm, and 9 mm in depth."),
        ("en", "Cyst of the left kidney in segment 4, 12 mm."),
        ("en", "Enlarged left kidney of 14 cm, cyst."),
        ("de", "Linke Niere 11 cm mit Zyste."),
        ("de", "Linke Niere 11 cm groß und eine Zyste."),
        ("de", "Rundherd der linken Niere, Abstand zur Kapsel 15 mm."),
        ("de", "Rundherd der linken Niere, 15 mm von der Kapsel entfernt."),
        ("de", "Zyste der linken Niere. Die Niere misst 11 cm."),
        ("de", "Zyste der linken Niere, 12 mm (9 mm)."),
    ],
)
def test_size_of_something_else_is_not_taken(language, text):
    finding = read_finding(text, language, {KIDNEY})
    assert finding is not None and finding.size is None


@pytest.mark.parametrize("structures", [set(), {2, 3}])
def test_finding_needs_exactly_one_structure(structures):
    assert read_finding("2 cm cyst.", "en", structures) is None


def caption(text, structures=(KIDNEY,), is_plain=True, shows=(KIDNEY,)):
    return CaptionFacts(text, frozenset(structures), is_plain, frozenset(shows))


def test_image_has_the_finding_of_its_caption():
    assert plain_findings([caption("2 cm cyst."), caption("Liver normal.", [5])], "en") == [
        Finding(KIDNEY, "cyst", "2 cm")
    ]


@pytest.mark.parametrize(
    "captions",
    [
        [caption("2 cm cyst."), caption("Several cysts.")],
        [caption("2 cm cyst."), caption("4 mm stone.")],
        [caption("2 cm cyst.", is_plain=False)],
        [caption("2 cm cyst.", shows=())],
        [caption("2 cm cyst.", structures=(2, 3))],
    ],
)
def test_image_has_no_finding_that_it_may_not_show(captions):
    assert plain_findings(captions, "en") == []


@given(
    st.sampled_from(["de", "en"]), st.text("0123456789 ,.xcm-abz\nß", max_size=60), st.text(" ,.cmx19ab", max_size=60)
)
def test_size_stands_in_the_caption_as_written(language, before, after):
    word = "cyst" if language == "en" else "Zyste"
    finding = read_finding(f"{before} {word} {after}", language, {KIDNEY})
    assert finding is None or finding.size is None or finding.size in f"{before} {word} {after}"


def test_long_text_is_read_in_linear_time():
    for piece in ("1 mm ", "1 x ", "a-", "1.", "zyste", "ab cd ", "große "):
        text = piece * (20_000 // len(piece))
        read_finding(f"{text} Zyste {text}", "de", {KIDNEY})
        read_finding(f"3 mm {text} Zyste", "de", {KIDNEY})


def test_both_languages_have_the_same_kinds():
    assert FINDINGS["de"].keys() == FINDINGS["en"].keys()
    assert DENIALS.keys() == DISTANCES.keys() == PARTS.keys() == FINDINGS.keys()
    for nouns in FINDINGS.values():
        assert all(re.compile(noun.singular) and re.compile(noun.plural) for noun in nouns.values())
