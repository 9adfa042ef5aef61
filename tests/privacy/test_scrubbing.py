import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.privacy.known_identifiers import Identifiers, collect_identifiers
from refrad.privacy.scrubbing import PLACEHOLDERS, scrub

PATIENT = collect_identifiers(
    [
        {
            **{
                "patient_name": "Müller^Anna Sophie",
                "names": "Weber^Klaus^^Dr.",
                "patient_id": "P4711X",
                "accession_number": "A998877",
            },
            **{"study_uid": "1.2.840.1.5", "birth_date": "19540321", "institution": "Klinikum Nordheim"},
        }
    ]
)


def anatomy(word: str) -> bool:
    return word.lower() in {"leber", "niere", "milz"}


def clean(text: str, known: Identifiers = PATIENT) -> str:
    return scrub(text, known, anatomy)[0]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Befund besprochen mit Frau Müller.", "Müller"),
        ("Befund besprochen mit Frau Mueller.", "Mueller"),
        ("MÜLLER, Anna: Leber unauffällig.", "Anna"),
        ("Müllers Leber ist groß.", "Müller"),
        ("Pat.-ID P4711X, CT Abdomen.", "P4711X"),
        ("Untersuchung vom 03.04.2021.", "2021"),
        ("Voruntersuchung vom 3.4.21.", "3.4.21"),
        ("Compared to 2021-04-03.", "2021"),
        ("Compared to April 3, 2021.", "2021"),
        ("Rückfragen: Tel. 0711/123456-78.", "123456"),
        ("Call (555) 123-4567.", "123-4567"),
        ("Gez. OA Dr. med. Habermann", "Habermann"),
        ("Signed by Dr. Jane Smith.", "Smith"),
        ("Siehe 1.2.840.113619.2.55.3.", "113619"),
        ("Verlegt aus dem Klinikum Nordheim.", "Nordheim"),
        ("anna.mueller@example.org", "example"),
    ],
)
def test_identifiers_are_scrubbed(text, secret):
    assert secret not in clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "Leber 15,3 cm, homogen.",
        "Liver lesion in segment 4/5 measuring 12 x 14 mm.",
        "Bandscheibenvorfall LWK 4/5.",
        "HWK 3-7 unauffällig.",
        "Zyste 1.2 cm, 15 HE.",
        "Milz und linke Niere regelrecht.",
    ],
)
def test_descriptive_text_stays_word_for_word(text):
    assert clean(text) == text


def test_organ_is_no_surname_but_behind_a_title():
    known = Identifiers(names=frozenset({"Leber"}))
    assert clean("Die Leber ist groß.", known) == "Die Leber ist groß."
    assert "Leber" not in clean("Dr. Leber, Radiologie", known)


def test_placeholder_is_counted():
    text, counts = scrub("Frau Müller, 03.04.2021, P4711X", PATIENT, anatomy)
    assert sum(counts.values()) >= 3 and set(counts) <= set(PLACEHOLDERS)
    assert set(re.findall(r"\[(\w+)\]", text)) == set(counts)


@given(
    st.lists(
        st.sampled_from(["Müller", "Anna", "Sophie", "P4711X", "Leber", "ist", "groß", ",", "."]), max_size=12
    ).map(" ".join)
)
def test_known_names_never_survive_and_scrubbing_is_idempotent(text):
    once = clean(text)
    assert not re.search(r"(?<!\w)(?:Müller|Sophie|P4711X)(?!\w)", once)
    assert clean(once) == once


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Mit kollegialen Grüßen\nWolfram Tiedge\nOberarzt", "Mit kollegialen Grüßen\n[NAME]\nOberarzt"),
        ("Rücksprache mit Dr. med.\nTiedge erfolgte.", "Rücksprache mit Dr. med.\n[NAME] erfolgte."),
        ("Vergleich mit CT vom 3.4.\nMilz normal.", "Vergleich mit CT vom [DATE].\nMilz normal."),
        ("Vergleich mit CT vom 3.4. Milz normal.", "Vergleich mit CT vom [DATE]. Milz normal."),
        ("Vergleich mit CT vom 3.4. möglich.", "Vergleich mit CT vom [DATE] möglich."),
        ("Herr Tiedge\nBefund:\nMilz normal.", "Herr [NAME]\nBefund:\nMilz normal."),
        ("Tel. 0711 123456\n5. Rippe normal.", "[PHONE]\n5. Rippe normal."),
    ],
)
def test_line_breaks_stay_and_neighbouring_lines_count(text, kept):
    assert clean(text) == kept


@pytest.mark.parametrize("last", ["Herrn", "der Kollegin", "Oberarzt", "Dr. med.", "dem Ehemann"])
def test_wrapped_line_goes_on_in_the_next(last):
    line = f"Der Befund wurde am selben Tag telefonisch und in Ruhe mit {last}\nTiedge besprochen."
    assert "Tiedge" not in clean(line)
