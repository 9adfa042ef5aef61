import datetime

import pytest

from refrad.privacy.header_fields import age_of, body_part_of, contrast_of, date_of, modality_of, sex_of


@pytest.mark.parametrize(
    ("value", "birth", "study", "age"),
    [
        ("034Y", "", "", 34),
        ("018M", "", "", 1),
        ("006W", "", "", 0),
        ("400D", "", "", 1),
        ("089Y", "", "", 89),
        ("090Y", "", "", 90),
        ("104Y", "", "", 90),
        ("", "19500302", "20200301", 69),
        ("", "19500301", "20200301", 70),
        ("", "19000101", "20200101", 90),
        ("", "20200102", "20200101", None),
        ("unknown", "", "20200101", None),
        ("", "", "", None),
    ],
)
def test_ages_are_full_years_and_the_oldest_are_ninety(value, birth, study, age):
    assert age_of(value, birth, study) == age


@pytest.mark.parametrize(
    ("value", "term"),
    [
        ("CHEST", "CHEST"),
        ("Chest ", "CHEST"),
        ("C-SPINE", "CSPINE"),
        ("PARTIALBODY", None),
        ("Mrs Smith's knee", None),
        ("", None),
    ],
)
def test_body_part_is_a_defined_term_or_nothing(value, term):
    assert body_part_of(value) == term


@pytest.mark.parametrize(
    ("agent", "given"), [("ISOVUE300/100", True), ("APPLIED", True), ("NONE", False), ("kein", False), ("", None)]
)
def test_contrast_is_known_only_where_the_header_says_so(agent, given):
    assert contrast_of(agent) is given


@pytest.mark.parametrize(("value", "sex"), [("F", "F"), ("M", "M"), ("O", "O"), ("female", None), ("", None)])
def test_sex_is_one_of_the_standard(value, sex):
    assert sex_of(value) == sex


@pytest.mark.parametrize(("value", "known"), [("CT", "CT"), ("SEG", "SEG"), ("Meier", "other"), ("", None)])
def test_modality_is_one_of_the_standard(value, known):
    assert modality_of(value) == known


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("20240229", datetime.date(2024, 2, 29)),
        ("2024.02.29", datetime.date(2024, 2, 29)),
        ("20230229", None),
        ("", None),
    ],
)
def test_dates_are_read_in_both_spellings(value, date):
    assert date_of(value) == date
