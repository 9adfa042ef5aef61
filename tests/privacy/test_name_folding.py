"""Names from headers and reports in one form, whatever became of their letters on the way."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.privacy.name_folding import LOST, fold_name, repair_spellings


@pytest.mark.parametrize(
    "spellings",
    [
        ("Grünwälder", "GRUENWAELDER", "Grunwalder", "grünwälder", unicodedata.normalize("NFD", "Grünwälder")),
        ("Höß", "HOESS", "Hoss"),
        ("Yıldırım", "YILDIRIM", "yildirim", "YİLDİRİM"),
        ("Łuczyńska", "Luczynska"),
        ("Bjørnstad", "Bjoernstad", "Björnstad"),
        ("Håkonsen", "Haakonsen", "Hakonsen"),
        ("Đorđević", "Dordevic"),
        ("Þórðarson", "Thordarson"),
        ("Sævar", "Saevar"),
        ("Lecœur", "Lecoeur"),
        ("Ħaġar", "Hagar"),
        ("Ţurcanu", "Turcanu"),
    ],
)
def test_spellings_of_a_name_are_folded_into_one(spellings):
    assert len({fold_name(spelling) for spelling in spellings}) == 1


LETTERS = st.text(st.sampled_from("aeiousßäöüåøæłşğıéèçñ-'"), max_size=12)


@given(LETTERS)
def test_folding_ignores_letter_case_and_normal_form(name):
    assert fold_name(name.upper()) == fold_name(unicodedata.normalize("NFD", name)) == fold_name(name)


@given(st.text(st.sampled_from("äöüßéèçñøåÄÖÜabcdefgh"), min_size=1, max_size=12))
def test_utf8_read_as_latin1_is_repaired(name):
    assert unicodedata.normalize("NFC", name) in repair_spellings(name.encode().decode("latin-1"))


@pytest.mark.parametrize("charset", ["cp850", "mac_roman", "cp1252"])
def test_bytes_of_another_character_set_are_repaired(charset):
    name = "Žižková" if charset == "cp1252" else "Schröckenfüx"
    assert name in repair_spellings(name.encode(charset).decode("latin-1"))


def test_question_mark_of_a_header_is_a_lost_letter():
    assert repair_spellings("L?mmle^J?rn") == {f"L{LOST}mmle^J{LOST}rn"}
