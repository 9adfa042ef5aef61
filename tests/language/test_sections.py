import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.language.sections import detect_language, split_parts, split_sections


def test_sections_by_their_headings_in_both_languages():
    german = "Klinische Angaben:\nSturz.\n\nBefund:\nLeber normal.\n\nBeurteilung:\nNormal.\n\nMit freundlichen Grüßen\nDr. X"
    assert split_sections(german) == [
        ("indication", "Sturz."),
        ("findings", "Leber normal."),
        ("impression", "Normal."),
    ]
    english = "HISTORY: Pain.\nFINDINGS: Liver normal.\nIMPRESSION: Normal."
    assert [name for name, _ in split_sections(english)] == ["indication", "findings", "impression"]


@pytest.mark.parametrize(("text", "language"), [("Die Leber ist normal.", "de"), ("The liver is normal.", "en")])
def test_language_by_its_small_words(text, language):
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("Befund:", "findings"),
        ("BEFUND", "findings"),
        ("**Befund:**", "findings"),
        ("CT-Befund:", "findings"),
        ("Befund vom 12.03.2021:", "findings"),
        ("Technik und Befund:", "findings"),
        ("Beurteilung:", "impression"),
        ("Beurteilung / Empfehlung:", "impression"),
        ("3. Beurteilung:", "impression"),
        ("Zusammenfassende Beurteilung:", "impression"),
        ("Klinische Angaben:", "indication"),
        ("Klin. Angaben:", "indication"),
        ("Rechtfertigende Indikation:", "indication"),
        ("Klinik und Fragestellung:", "indication"),
        ("Indikation/Fragestellung:", "indication"),
        ("Fragestellung:", "question"),
        ("Technik:", "technique"),
        ("Untersuchungstechnik (MRT):", "technique"),
        ("FINDINGS:", "findings"),
        ("Impression:", "impression"),
        ("IMPRESSION AND RECOMMENDATION:", "impression"),
        ("CLINICAL HISTORY:", "indication"),
        ("REASON FOR EXAM:", "question"),
        ("TECHNIQUE:", "technique"),
    ],
)
def test_heading_spellings(heading, section):
    text = f"Vorweg etwas.\n{heading}\nDer Text der Sektion.\nBefund:\nLeber normal.\nBeurteilung:\nNormal."
    assert (section, "Der Text der Sektion.") in split_sections(text)


def test_report_without_line_breaks_has_its_sections():
    text = "Klinische Angaben: Sturz. Fragestellung: Fraktur? Befund: Leber: normal. Beurteilung: Kein Nachweis."
    assert split_sections(text) == [
        ("indication", "Sturz."),
        ("question", "Fraktur?"),
        ("findings", "Leber: normal."),
        ("impression", "Kein Nachweis."),
    ]


def test_examination_heading_opens_findings_where_no_other_does():
    text = "TECHNIQUE:\nAxial images.\nCT ABDOMEN:\nLiver normal.\nIMPRESSION:\nNormal."
    assert split_sections(text) == [
        ("technique", "Axial images."),
        ("findings", "Liver normal."),
        ("impression", "Normal."),
    ]


def test_organ_is_no_heading():
    assert split_sections("Befund:\nLeber: normal.\nMilz: normal.") == [("findings", "Leber: normal.\nMilz: normal.")]


LINES = [
    "Befund:",
    "Beurteilung: Normal.",
    "Leber: normal.",
    "",
    "Klinische Angaben",
    "Dr. X",
    "Mit freundlichen Grüßen",
    "Kein Erguss. Befund: Zyste.",
    "CT ABDOMEN:",
]


@given(st.lists(st.sampled_from(LINES), max_size=10).map("\n".join))
def test_parts_of_a_report_are_all_of_it(text):
    parts = split_parts(text)
    assert "".join(text[part.start : part.end] for part in parts) == text
    assert all(part.start <= part.body <= part.end for part in parts)


def test_real_reports_have_findings_and_an_impression(shared):
    for path in sorted((shared / "reports" / "en_mtsamples").glob("*.txt")):
        found = {section for section, _ in split_sections(path.read_text(encoding="utf-8"))}
        assert "findings" in found, path.name
