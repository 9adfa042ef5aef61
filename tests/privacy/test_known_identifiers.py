"""Identifiers that the headers of a study hold, and where they stand in a report."""

import pytest

from refrad.privacy.known_identifiers import Identifiers, collect_identifiers, scrub_known

EMPTY = dict.fromkeys(
    ("patient_name", "names", "patient_id", "accession_number", "study_uid", "birth_date", "institution"), ""
)


def clean(text: str, **header: str) -> str:
    return scrub_known(text, collect_identifiers([EMPTY | header]), lambda _: False, lambda kind: f"[{kind}]")


@pytest.mark.parametrize("text", ["0093318", "93318", "00093318", "Nr.93318."])
def test_number_is_found_without_its_leading_zeros(text):
    assert clean(text, patient_id="0093318") in ("[ID]", "Nr.[ID].")


@pytest.mark.parametrize("text", ["K-55-17-20", "K551720", "k 55 17 20", "K-55/17.20", "K_551720"])
def test_number_is_found_with_other_separators(text):
    assert clean(text, accession_number="K-55-17-20") == "[ID]"


@pytest.mark.parametrize("text", ["930184", "99301", "9301", "K9301", "1.2.840.5.60"])
def test_part_of_a_number_stays(text):
    assert clean(text, patient_id="93018", study_uid="1.2.840.5.6") == text


def test_few_digits_after_zeros_stay():
    assert clean("12 mm, 0012", patient_id="0012") == "12 mm, [ID]"


def test_number_without_digits_is_a_name():
    assert clean("Liebstöckel kam.", patient_id="LIEBSTOECKEL") == "[NAME] kam."


@pytest.mark.parametrize(
    "date", ["7.2.1961", "07.02.61", "07/02/1961", "02/07/1961", "1961-02-07", "19610207", "7-2-1961", "7. 2. 1961"]
)
def test_birth_date_is_found_in_all_forms(date):
    assert clean(f"geb. {date}, Leber", birth_date="19610207") == "geb. [DATE], Leber"


@pytest.mark.parametrize("text", ["17.2.1961", "7.2.19612", "7.2.62", "1.7.2.61", "7 x 2 cm"])
def test_other_numbers_than_the_birth_date_stay(text):
    assert clean(text, birth_date="19610207") == text


@pytest.mark.parametrize("date", ["1961", "unknown", "196102071"])
def test_birth_date_of_another_form_is_passed_over(date):
    assert clean("Milz normal", birth_date=date) == "Milz normal"


@pytest.mark.parametrize(
    "text", ["Klinikum Grünbach", "KLINIKUM GRUENBACH", "Klinikum\nGrünbach", "Klinikum Grünbach-Ost"]
)
def test_institution_is_found_folded(text):
    assert clean(text, institution="Klinikum Grünbach, Radiologie").startswith("[PLACE]")


@pytest.mark.parametrize("institution", ["Radiologie", "CT", "Klinik, MRT"])
def test_institution_of_common_words_hides_nothing(institution):
    assert clean("Radiologie und Klinik, CT", institution=institution) == "Radiologie und Klinik, CT"


def test_identifiers_of_all_rows_count():
    rows = [EMPTY | {"patient_name": "Tarnow^Ute"}, EMPTY | {"patient_name": "Voss^Ute", "names": "Grün^Kai | Lu^Bo"}]
    known = collect_identifiers(rows)
    assert scrub_known("Tarnow, Voss, Grün, Lu Bo", known, lambda _: False, lambda _: "~") == "~, ~, Grün, ~ ~"


def test_nothing_known_changes_nothing():
    assert scrub_known("Milz normal", Identifiers(), lambda _: False, lambda _: "~") == "Milz normal"


@pytest.mark.parametrize("key", ["1", "01", "S1", "12", "baseline", "CT"])
def test_short_keys_and_words_of_studies_eat_nothing_of_a_text(key):
    text = "Compared to baseline, 1 nodule of 12 mm in S1, image 01, CT."
    assert clean(text, study_uid=key) == text


def test_keys_of_nifti_files_are_hidden():
    text = clean("Scan sub-01_ses-2 of Sub 01.", patient_id="sub-01", study_uid="sub-01_ses-2")
    assert text == "Scan [ID] of [ID]."
