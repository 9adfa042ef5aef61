"""Which images the lists of a site leave out, by the headers of the archive."""

import pytest

from refrad.dicom.headers import Header
from refrad.dicom.image_choice import ImageChoice
from refrad.privacy.choice_lists import KINDS, ChoiceEntry

DEFAULTS = {
    "modality": "CT", "patient_id": "P1", "study_uid": "1.1", "series_uid": "1.1.1", "accession_number": "A1",
    "body_part": "ABDOMEN", "study_date": "20190615", "series_hint": "1|Abdomen|x|20190615|101500|20190616|0010",
}  # fmt: skip


def image(**changes):
    values = DEFAULTS | {"path": str(sorted(changes.items()))} | changes
    return Header(**values)


def entries(rows):
    return [ChoiceEntry(number, kind, KINDS[kind](value)) for number, (kind, value) in enumerate(rows, start=2)]


def choose(images, include=(), exclude=()):
    """The reasons of images, each of them a series of its own unless they are in a list."""
    choice = ImageChoice(entries(include), entries(exclude))
    series = [group if isinstance(group, list) else [group] for group in images]
    for group in series:
        for header in group:
            choice.learn(header)
    choice.settle()
    return [header.reason for group in series for header in choice.leave_out(group)], choice


def reasons(images, **lists):
    return choose(images, **lists)[0]


def test_all_images_are_used_without_lists():
    images = [image(), image(modality="")]
    assert reasons(images) == [None, None]


MATCHING = [
    ("patient", "P1"), ("study", "1.1"), ("study", "A1"), ("series", "1.1.1"), ("modality", "ct"),
    ("body_part", "Abdomen"), ("date", "2019-06-15"), ("date", "2019-01-01..2019-12-31"), ("date", "..2019-06-15"),
]  # fmt: skip
OTHER = [
    ("patient", "P2"), ("study", "1.2"), ("study", "A2"), ("series", "1.1"), ("modality", "MR"),
    ("body_part", "CHEST"), ("date", "2019-06-16"), ("date", "2019-06-16.."), ("date", "2018-01-01..2019-06-14"),
]  # fmt: skip


@pytest.mark.parametrize("entry", MATCHING)
def test_entry_of_each_kind_matches(entry):
    assert reasons([image()], include=[entry]) == [None]
    assert reasons([image()], exclude=[entry]) == ["excluded"]


@pytest.mark.parametrize("entry", OTHER)
def test_other_entry_of_each_kind_matches_not(entry):
    assert reasons([image()], include=[entry]) == ["not_chosen"]
    assert reasons([image()], exclude=[entry]) == [None]


def test_image_matches_an_entry_of_each_kind_and_any_of_one_kind():
    wanted = [("patient", "P1"), ("patient", "P2"), ("modality", "CT")]
    images = [
        image(),
        image(patient_id="P2", study_uid="2"),
        image(patient_id="P3", study_uid="3"),
        image(modality="MR"),
    ]
    assert reasons(images, include=wanted) == [None, None, "not_chosen", "not_chosen"]


def test_what_is_excluded_is_left_out_whatever_is_chosen():
    images = [image(), image(series_uid="1.1.2")]
    assert reasons(images, include=[("patient", "P1")], exclude=[("series", "1.1.2")]) == [None, "excluded"]
    assert reasons(images[:1], include=[("patient", "P9")], exclude=[("patient", "P1")]) == ["excluded"]


@pytest.mark.parametrize(
    ("header", "entry"),
    [
        ("00123", "123"), ("123", "00123"), ("P00123", "p123"), ("123", "123.0"), ("123 ", "123"), ("12 3", "123"),
        ("123^^^HOSP^MR", "123"), ("abc-1", "ABC-1"), ("１２３", "123"),
    ],
)  # fmt: skip
def test_identifier_in_another_spelling_is_the_same_if_there_is_only_one(header, entry):
    for image_of_it in (image(patient_id=header), image(accession_number=header)):
        kind = "patient" if image_of_it.patient_id == header else "study"
        assert reasons([image_of_it], include=[(kind, entry)]) == [None]
        assert reasons([image_of_it], exclude=[(kind, entry)]) == ["excluded"]


def test_spelling_of_the_entry_is_used_and_all_spellings_are_left_out():
    images = [image(patient_id=name, study_uid=name) for name in ("123", "00123", "1-23")]
    chosen, choice = choose(images, include=[("patient", "123")])
    assert chosen == [None, "not_chosen", "not_chosen"] and not choice.include.doubtful
    left_out, choice = choose(images, exclude=[("patient", "123")])
    assert left_out == ["excluded"] * 3 and choice.exclude.doubtful == {2}


def test_entry_that_may_mean_two_patients_chooses_neither():
    images = [image(patient_id=name, study_uid=name) for name in ("0123", "00123")]
    chosen, choice = choose(images, include=[("patient", "123")])
    assert chosen == ["not_chosen"] * 2 and choice.include.doubtful == {2} and not choice.include.matched


def test_separators_tell_patients_apart_where_they_are_chosen():
    assert reasons([image(patient_id="12-3")], include=[("patient", "1-23")]) == ["not_chosen"]


def test_uids_match_exactly():
    for uid in ("1.1", "1.1.10", "01.1.1", "1.11"):
        assert reasons([image(series_uid=uid)], include=[("series", "1.1.1")]) == ["not_chosen"]
    assert reasons([image(study_uid="1.23", accession_number="123")], exclude=[("study", "12.3")]) == [None]


def test_issuer_of_the_patient_id_does_not_count():
    images = [image(issuer=name) for name in ("", "A", "B")]
    assert reasons(images, exclude=[("patient", "P1")]) == ["excluded"] * 3


def test_study_is_whole_whichever_of_its_images_has_the_accession_number():
    images = [image(), image(series_uid="2", accession_number=""), image(series_uid="3", accession_number="A9")]
    assert reasons(images, include=[("study", "A1")]) == [None] * 3
    assert reasons(images, exclude=[("study", "a1")]) == ["excluded"] * 3


def test_image_without_patient_id_is_left_out_with_its_study():
    nameless = image(patient_id="", series_uid="2")
    images = [image(), nameless, nameless._replace(study_uid="9")]
    assert reasons(images, exclude=[("patient", "P1")]) == ["excluded", "excluded", None]
    assert reasons(images, include=[("patient", "P1")]) == [None, "not_chosen", "not_chosen"]


@pytest.mark.parametrize(("kind", "field"), [("body_part", "body_part"), ("date", "study_date")])
def test_image_without_the_attribute_has_that_of_its_series(kind, field):
    value = {"body_part": "ABDOMEN", "date": "2019-06-15"}[kind]
    bare = image(**{field: "", "series_hint": ""})
    assert reasons([[image(), bare]], include=[(kind, value)]) == [None, None]
    assert reasons([[image(), bare]], exclude=[(kind, value)]) == ["excluded"] * 2
    assert reasons([bare], include=[(kind, value)]) == ["not_chosen"]  # nobody knows
    assert reasons([bare], exclude=[(kind, value)]) == [None]
    other = image(**{field: {"body_part": "CHEST", "date": "20180101"}[kind]})
    assert reasons([[image(), other, bare]], include=[(kind, value)]) == [None, "not_chosen", "not_chosen"]


@pytest.mark.parametrize(
    ("study_date", "series_date", "is_june_15"),
    [("20190615", "20200101", True), ("2019.06.15", "", True), ("", "20190615", True), ("x", "20190615", True),
     ("20200101", "20190615", False), ("", "", False)],
)  # fmt: skip
def test_day_is_that_of_the_study_and_else_of_the_series(study_date, series_date, is_june_15):
    one = image(study_date=study_date, series_hint=f"1|a|b|{study_date}|1015|{series_date}|0010")
    assert reasons([one], exclude=[("date", "2019-06-15")]) == ["excluded" if is_june_15 else None]


@pytest.mark.parametrize("written", ["ABDOMEN", "abdomen", " Abdomen ", "AB_DOMEN"])
def test_body_part_counts_as_delivered_without_case_and_separators(written):
    assert reasons([image(body_part=written)], include=[("body_part", "abdomen")]) == [None]


def test_quarantined_image_of_a_patient_who_is_left_out_is_left_out():
    images = [image(reason="localizer"), Header("x", reason="not_dicom")]
    assert reasons(images, exclude=[("patient", "P1")]) == ["excluded", "not_dicom"]
    assert reasons(images, include=[("patient", "P9")]) == ["not_chosen", "not_dicom"]


def test_entries_that_match_nothing_are_known():
    rows = [("patient", "P1"), ("patient", "P9"), ("study", "A1"), ("series", "9"), ("date", "2001-01-01")]
    for name in ("include", "exclude"):
        _, choice = choose([image()], **{name: rows})
        assert set(getattr(choice, name).lines) - getattr(choice, name).matched == {3, 5, 6}


def test_same_entry_twice_matches_in_both_lines():
    _, choice = choose([image()], include=[("patient", "P1"), ("patient", "P1")])
    assert choice.include.matched == {2, 3}
