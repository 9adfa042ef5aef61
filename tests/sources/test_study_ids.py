import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.sources.reports import Report
from refrad.sources.study_ids import StudyIds, form_of

PATIENTS = {"004711": {"a"}, "812": {"b"}, "K77": {"c", "d"}, "09": {"e"}, "9": {"f"}}
STUDIES = {
    "study_uid": {"1.2.30": {"a"}, "1.2.3": {"b"}},
    "accession_number": {"AbC 10": {"a"}, "0020": {"b"}, "X1": {"c"}, "X2": {"d"}},
    "patient_id": PATIENTS,
}


def report(**ids):
    return Report(
        **({"report_id": "R", "patient_id": "", "accession_number": "", "study_uid": ""} | ids), language="", text=""
    )


def match(*others, **ids):
    studies = StudyIds(STUDIES, [("x/1", "a"), ("x/2", "b")])
    for other in [*others, ids]:
        studies.learn(report(**other))
    return studies.match(report(**ids))


@pytest.mark.parametrize(
    ("patient", "study"),
    [("A", "a1"), ("b", "b1"), ("C", None), ("", None)],
    ids=["first", "second", "third", "nobody"],
)
def test_key_of_a_study_is_that_of_the_patient_of_the_report(patient, study):
    # A and B have a study 1 each; those of C were not delivered, and its report must not go to A or B.
    studies = StudyIds(
        {"study_uid": {"1": {"a1", "b1"}, "2": {"b2"}}, "patient_id": {"A": {"a1"}, "B": {"b1", "b2"}}}, []
    )
    assert studies.match(report(study_uid="1", patient_id=patient))[0] == study
    assert studies.match(report(study_uid="2", patient_id="C"))[0] is None
    assert studies.match(report(study_uid="2"))[0] == "b2"


@pytest.mark.parametrize(
    ("ids", "study"),
    [
        ({}, "first"),
        ({"study_uid": "ses-1"}, "first"),
        ({"accession_number": "A1"}, "first"),
        ({"dicom": "P/ses-1"}, "first"),
        ({"study_uid": "ses-2"}, None),
        ({"accession_number": "A2"}, None),
        ({"dicom": "P/ses-2"}, None),
        ({"study_uid": "ses-2", "accession_number": "A1"}, "first"),
    ],
)
def test_report_of_a_visit_that_is_not_there_is_of_no_other(ids, study):
    # Patient P has one study of NIfTI files, that of the first visit; a report of the second must not go to it.
    known = {"study_uid": {"ses-1": {"first"}}, "accession_number": {"A1": {"first"}}, "patient_id": {"P": {"first"}}}
    folders = [("P/ses-1", "first")]
    assert StudyIds(known, folders, has_keys=True).match(report(patient_id="P", **ids))[0] == study
    unnumbered = StudyIds(known | {"accession_number": {}}, folders, has_keys=True)
    assert unnumbered.match(report(patient_id="P", accession_number="A2"))[0] == "first"


@pytest.mark.parametrize(
    ("ids", "study"),
    [
        ({"study_uid": "1.2.30"}, "a"),
        ({"accession_number": "abc10"}, "a"),
        ({"accession_number": "ABC 10"}, "a"),
        ({"accession_number": "20"}, "b"),
        ({"accession_number": "00020.0"}, "b"),
        ({"patient_id": "4711"}, "a"),
        ({"patient_id": "4711.0"}, "a"),
        ({"patient_id": "812,0"}, "b"),
        ({"patient_id": "812.000"}, "b"),
        ({"patient_id": "0000812"}, "b"),
        ({"patient_id": "9"}, "f"),
        ({"patient_id": "09"}, "e"),
        ({"dicom": "x/1"}, "a"),
        ({"accession_number": "20", "patient_id": "0812"}, "b"),
        ({"accession_number": "20", "patient_id": "unbekannt"}, "b"),
        ({"accession_number": "fehlt", "patient_id": "812"}, "b"),
    ],
)
def test_study_is_found_by_other_spellings(ids, study):
    assert match(**ids) == (study, "")


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ({"study_uid": "1.2.300"}, "no_study"),
        ({"study_uid": "1.2.3.0"}, "no_study"),
        ({"study_uid": "01.2.3"}, "no_study"),
        ({"patient_id": "4712"}, "no_study"),
        ({"patient_id": "47110"}, "no_study"),
        ({"patient_id": "812.5"}, "no_study"),
        ({}, "no_study"),
        ({"patient_id": "K77"}, "ambiguous_study"),
        ({"patient_id": "k77"}, "ambiguous_study"),
        ({"patient_id": "009"}, "ambiguous_study"),
        ({"dicom": "x"}, "ambiguous_study"),
        ({"accession_number": "20", "patient_id": "4711"}, "ambiguous_study"),
    ],
)
def test_unclear_ids_find_no_study(ids, reason):
    if ids.get("accession_number"):
        ids = ids | {"patient_id": "K77"}
    assert match(**ids) == (None, reason)


@pytest.mark.parametrize("given", ["0812", "812", "00812"])
def test_two_spellings_in_the_table_are_two_patients(given):
    study = match({"patient_id": "812"}, {"patient_id": "00812"}, patient_id=given)
    assert study == (("b", "") if given == "812" else (None, "ambiguous_study"))


def test_decimals_make_no_other_patient():
    assert match({"patient_id": "4711.0"}, patient_id="4711") == ("a", "")


@given(st.lists(st.text("0aA1 .", min_size=1, max_size=4).map(str.strip), min_size=1, max_size=6, unique=True))
def test_no_two_ids_of_the_table_become_one_study(names):
    studies = StudyIds({"patient_id": {name: {name} for name in names[:3] if name}}, [])
    for name in names:
        studies.learn(report(patient_id=name))
    named = {}
    for name in names:
        study, _ = studies.match(report(patient_id=name))
        number = re.sub(r"^(\d+)\.0+$", r"\1", name)  # decimals make no other id
        assert study is None or named.setdefault(study, number) == number


@pytest.mark.parametrize(
    ("name", "form"),
    [("58124944.0", "99999999.9"), ("KR-00ä7", "AA-99A9"), ("", ""), ("1" * 60, "9" * 40 + "...")],
)
def test_form_hides_digits_and_letters(name, form):
    assert form_of(name) == form
