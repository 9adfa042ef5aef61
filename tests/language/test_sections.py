import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.language.sections import split_parts, split_report, split_sections
from refrad.language.sentences import split_sentences

GERMAN = "Befund:\nLeber normal.\nBeurteilung:\nKein Tumor.\n\n"
ENGLISH = "FINDINGS:\nThe liver is normal.\nIMPRESSION:\nNo tumor.\n\n"
READ = {
    GERMAN: [("findings", "Leber normal."), ("impression", "Kein Tumor.")],
    ENGLISH: [("findings", "The liver is normal."), ("impression", "No tumor.")],
}


def captioned(text):
    """The sentences of a report that become captions, with their sections."""
    sections = ("findings", "impression", "addendum", "correction")
    return [
        (section, sentence)
        for section, body in split_report(text)
        if section in sections
        for sentence in split_sentences(body)
    ]


def test_sections_by_their_headings_in_both_languages():
    german = "Klinische Angaben:\nSturz.\n\nBefund:\nLeber normal.\n\nBeurteilung:\nNormal.\n\nMit freundlichen Grüßen\nDr. X"
    assert split_sections(german) == [
        ("indication", "Sturz."),
        ("findings", "Leber normal."),
        ("impression", "Normal."),
    ]
    english = "HISTORY: Pain.\nFINDINGS: Liver normal.\nIMPRESSION: Normal."
    assert [name for name, _ in split_sections(english)] == ["indication", "findings", "impression"]


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("Befund:", "findings"),
        ("BEFUND", "findings"),
        ("**Befund:**", "findings"),
        ("CT-Befund:", "findings"),
        ("Befund vom 12.03.2021:", "findings"),
        ("Befund vom [DATE], Frau [NAME]:", "findings"),
        ("Befund (Becken):", "findings"),
        ("Befund CT Thorax:", "findings"),
        ("Radiologischer Befund:", "findings"),
        ("Ergebnis:", "findings"),
        ("Technik und Befund:", "findings"),
        ("Beurteilung:", "impression"),
        ("Beurteilung / Empfehlung:", "impression"),
        ("3. Beurteilung:", "impression"),
        ("Zusammenfassende Beurteilung:", "impression"),
        ("ABSCHLIESSENDE BEURTEILUNG:", "impression"),
        ("Wertung:", "impression"),
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
        ("PRELIMINARY IMPRESSION:", "impression"),
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
    text = "Klinische Angaben: Sturz. Fragestellung: Fraktur? Befund (Arm): Leber: normal. Beurteilung: Kein Nachweis. MfG A. B."
    assert split_sections(text) == [
        ("indication", "Sturz."),
        ("question", "Fraktur?"),
        ("findings", "Leber: normal."),
        ("impression", "Kein Nachweis."),
    ]


def test_organ_is_no_heading():
    assert split_sections("Befund:\nLeber: normal.\nMilz: normal.") == [("findings", "Leber: normal.\nMilz: normal.")]


@pytest.mark.parametrize(
    "line",
    [
        "Technik schwierig, Leber normal.",
        "Befund wie oben, Milz normal.",
        "Befund der CT zeigt eine Zyste.",
        "Vergleich mit Voraufnahme, Milz normal.",
        "Untersuchung erschwert durch Atmung, Milz normal.",
        "Hinweis auf Zyste der Milz.",
        "Voraufnahme vom [DATE] liegt vor, Nieren normal.",
        "Nachtrag vom [DATE] ist bekannt, Milz normal.",
        "Klinik passend zu Pankreatitis.",
        "Arzt informiert, Milz normal.",
        "Mit freier Flüssigkeit im Becken.",
        "Befundet werden Leber und Milz.",
        "MRT Schädel unauffällig.",
        "T 12 normal.",
        "CT-gesteuerte Punktion der Leber.",
        "Study limited by motion, spleen normal.",
        "Comparison is made to the prior exam.",
        "Findings are consistent with cirrhosis.",
        "Attending physician was informed of the bleed.",
        "Note is made of a splenic cyst.",
        "Read from the top, spleen normal.",
        "Final length of the spleen 12 cm.",
    ],
)
def test_sentence_that_begins_like_a_heading_is_kept(line):
    assert captioned(f"Befund:\n{line}") == [("findings", line)]


@pytest.mark.parametrize(
    "closing",
    [
        "Mit freundlichen kollegialen Grüßen\nPeter Muster\nOberarzt",
        "Mit besten und kollegialen Grüßen aus der Radiologie\nPeter Muster",
        "MIT FREUNDLICHEN GRÜSSEN\nPETER MUSTER",
        "Mit freundlichem Gruß\nMuster",
        "mit freundlichen Gruessen\nMuster",
        "Viele Grüße\nMuster",
        "Hochachtungsvoll\nMuster",
        "MfG\nMuster",
        "M.f.G. Muster",
        "LG Anna",
        "Vielen Dank für die Zuweisung.",
        "Wir danken für die Überweisung.",
        "FA für Radiologie: Uwe Muster",
        "Fachärztin für Radiologie: Anna Muster",
        "OA Dr. Muster",
        "Radiologin: Anna Muster",
        "Visum: ABC",
        "gez. Peter Muster",
        "Freigabe: Anna Muster",
        "Elektronisch signiert durch Anna Muster",
        "Dieser Befund wurde elektronisch erstellt und ist ohne Unterschrift gültig.",
        "Diktat: AB/cd",
        "Schreibkraft: cd",
        "Validiert am [DATE]",
        "Dr. med. Anna Muster",
        "DR. MUSTER",
        "[NAME]\nOberarzt",
        "[NAME], Chefarzt der Klinik für Radiologie",
        "Verteiler: Hausarzt",
    ],
)
def test_german_closing_ends_the_report(closing):
    assert captioned(GERMAN + closing) == READ[GERMAN]


@pytest.mark.parametrize(
    "closing",
    [
        "Electronically signed by: A. Muster, MD",
        "ELECTRONICALLY SIGNED BY A. MUSTER",
        "Signed: A. Muster",
        "Dictated by A. Muster",
        "Dictated but not read",
        "Dictated on [DATE] by A. Muster",
        "Transcribed: qrs",
        "Reviewed and approved by A. Muster",
        "Interpreted by A. Muster",
        "Attending Radiologist: A. Muster",
        "Resident: A. Muster",
        "cc: B. Muster",
        "Sincerely,\nA. Muster",
        "Kind regards, A. Muster",
        "Thank you for referring this patient.",
        "I have personally reviewed the images and agree.",
        "This report was electronically signed.",
        "D: [DATE] T: [DATE]",
        "cc: A. Muster",
        "[NAME], M.D.",
        "NOTIFICATION: Dr. Muster was called.",
        "*** FINAL REPORT ***",
        "Preliminary report by A. Muster: no bleed",
        "WET READ: no bleed",
    ],
)
def test_english_closing_ends_the_report(closing):
    assert captioned(ENGLISH + closing) == READ[ENGLISH]


def test_letter_begins_with_a_salutation_and_thanks():
    assert (
        captioned("Sehr geehrte Kollegin,\nvielen Dank für die Zuweisung.\nLeber normal.\nMfG\nX") == READ[GERMAN][:1]
    )
    assert captioned("PRELIMINARY REPORT\nFINDINGS:\nThe liver is normal.") == READ[ENGLISH][:1]


@pytest.mark.parametrize(
    "heading",
    [
        "MfG\nMuster\n\nNachtrag:",
        "Nachtrag vom [DATE] (durch Dr. [NAME]):",
        "Nachtrag vom [DATE] durch Peter Muster:",
        "Nachtrag zum Befund vom [DATE]:",
        "NACHTRAG",
        "Nachtrag [DATE]",
        "Electronically signed by A. Muster\n\nADDENDUM:",
        "Addendum by Dr. [NAME] on [DATE]:",
        "ADDENDUM #1 [DATE] 10:15 AM:",
    ],
)
def test_addendum_is_read_wherever_it_stands(heading):
    assert captioned(f"{GERMAN}{heading} Zyste.\n") == [*READ[GERMAN], ("addendum", "Zyste.")] or captioned(
        f"{GERMAN}{heading}\nZyste.\n"
    ) == [*READ[GERMAN], ("addendum", "Zyste.")]


def test_addendum_inside_a_line_is_read():
    text = "Befund: Leber normal. Milz normal. Nachtrag vom 14.05.2024 durch Dr. Muster: Zyste."
    assert captioned(text)[-1] == ("addendum", "Zyste.")


def test_correction_is_a_section():
    assert captioned(f"{GERMAN}Korrektur vom [DATE]: Zyste.") == [*READ[GERMAN], ("correction", "Zyste.")]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("CT Thorax/Abdomen: Befund: Leber normal. Beurteilung: Kein Tumor.", READ[GERMAN]),
        (
            "CT Abdomen nativ und mit i.v. KM vom [DATE]: Befund: Leber normal.\nBeurteilung: Kein Tumor.",
            READ[GERMAN],
        ),
        ("Befund:\nCT Thorax: Lunge frei.\nCT Hals:\nFrei.", [("findings", "Lunge frei."), ("findings", "Frei.")]),
        (
            "CT Thorax vom [DATE]:\nLunge frei.\n\nMRT Schädel vom [DATE]:\nKein Infarkt.",
            [("findings", "Lunge frei."), ("findings", "Kein Infarkt.")],
        ),
        (
            "Befund: Lunge frei.\nBeurteilung: Kein Infiltrat.\nMRT Schädel vom [DATE]:\nKein Infarkt.",
            [("findings", "Lunge frei."), ("impression", "Kein Infiltrat."), ("findings", "Kein Infarkt.")],
        ),
        (
            "MRI BRAIN WITHOUT CONTRAST\nIMPRESSION: No bleed.\n\nMRI CERVICAL SPINE\nFINDINGS: Fine.",
            [("impression", "No bleed."), ("findings", "Fine.")],
        ),
        (
            "TECHNIQUE:\nAxial images.\nCT ABDOMEN:\nLiver normal.\nIMPRESSION:\nNormal.",
            [("findings", "Liver normal."), ("impression", "Normal.")],
        ),
    ],
)
def test_title_of_an_examination_is_no_sentence(text, sentences):
    assert captioned(text) == sentences


def test_label_belongs_to_the_items_that_need_it():
    text = "Befund:\nNieren:\no rechts: 4 mm Stein\no links: frei\n- Leber: normal"
    assert [sentence for _, sentence in captioned(text)] == [
        "Nieren: rechts: 4 mm Stein",
        "Nieren: links: frei",
        "Leber: normal",
    ]


def test_all_of_a_report_is_in_some_section():
    text = f"Institut am Wall\n{GERMAN}Vergleich:\nKeiner.\n{'QUJD' * 80}\nMfG\nMuster"
    assert {section for section, _ in split_report(text)} == {
        *("letterhead", "findings", "impression", "comparison", "data", "closing")
    }


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
    "CT Thorax vom [DATE]: Befund: frei.",
    "Nachtrag: Zyste. gez. Muster",
    "Sehr geehrte Kollegin,",
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
