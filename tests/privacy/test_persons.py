"""Patients that may be one person, by keyed digests of name and birth date."""

import polars as pl
import pytest

from refrad.privacy.persons import MOST_IDS, count_persons, find_same_persons, identify_persons, person_key
from refrad.privacy.pseudonyms import Pseudonyms

PSEUDONYMS = Pseudonyms(bytes(32))
SAME = [
    ("Söllner^Adalrike", "19481103"),
    ("SOELLNER^ADALRIKE", "1948-11-03"),
    ("Söllner^Adalrike^Maria^Dr.", "1948.11.03"),
    ("Söllner, Adalrike", " 19481103 "),
    ("Adalrike Söllner", "19481103"),
    ("Söllner^Adalrike=絵^文", "19481103"),
]
NOBODY = [
    ("Söllner^Adalrike", ""),
    ("", "19481103"),
    ("Söllner", "19481103"),
    ("Söllner^Adalrike", "19000101"),
    ("Söllner^Adalrike", "1948"),
    ("Anonymous^Patient", "19481103"),
    ("4711^0815", "19481103"),
]


@pytest.mark.parametrize(("name", "date"), SAME)
def test_spellings_of_one_name_and_date_are_one_person(name, date):
    assert person_key(name, date) == person_key(*SAME[0]) is not None


@pytest.mark.parametrize(("name", "date"), NOBODY)
def test_incomplete_or_substitute_headers_are_nobody(name, date):
    assert person_key(name, date) is None


def test_other_names_or_dates_are_other_persons():
    headers = [("Söllner^Adalrike", "19481104"), ("Söllner^Adalwin", "19481103"), SAME[0]]
    assert len({person_key(*header) for header in headers}) == 3


def persons_of(*rows):
    """The table for rows (patient, split, name, birth date, issuer)."""
    names = ["patient", "split", "patient_name", "birth_date", "issuer"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return identify_persons(frame.drop("split"), frame.select("patient", "split"), PSEUDONYMS)


def test_one_person_under_ids_of_two_splits_is_counted():
    persons = persons_of(
        ("a", "train", *SAME[0], ""), ("b", "test", *SAME[1], ""), ("c", "test", "Ode^Sylvain", "19500102", "")
    )
    assert find_same_persons(persons).select("patients", "splits").rows() == [(["a", "b"], 2)]
    assert list(count_persons(persons).values()) == [1, 1, 0]
    assert "llner" not in str(persons.to_dicts()).lower() and "1948" not in str(persons["person"].to_list())


def test_one_person_under_ids_of_one_split_crosses_nothing():
    persons = persons_of(("a", "train", *SAME[0], ""), ("b", "train", *SAME[0], ""))
    assert list(count_persons(persons).values()) == [1, 0, 0]


def test_one_id_of_two_issuers_is_counted():
    persons = persons_of(
        ("a", "train", *SAME[0], "A"),
        ("a", "train", *SAME[0], "B"),
        ("b", "train", "", "", " a "),
        ("b", "train", "", "", "A"),
    )
    assert list(count_persons(persons).values()) == [0, 0, 1]


def test_name_and_date_of_many_ids_are_a_substitute():
    persons = persons_of(*((str(n), ("train", "test")[n % 2], *SAME[0], "") for n in range(MOST_IDS + 1)))
    assert find_same_persons(persons).is_empty()


def test_patients_without_used_images_are_left_out():
    headers = pl.DataFrame(
        {"patient": ["a", None], "patient_name": ["x", ""], "birth_date": ["", ""], "issuer": ["", ""]}
    )
    splits = pl.DataFrame(schema={"patient": pl.String, "split": pl.String})
    assert identify_persons(headers, splits, PSEUDONYMS).is_empty()
