"""Lists of what a site uses and leaves out: CSV as people save it, wrong lines by number and without their values."""

import re

import pytest

from refrad.privacy.choice_lists import KINDS, LISTS, ChoiceEntry, digests_of_choice, read_choice_list

KEY = bytes(range(32))


def read(tmp_path, text, charset="utf-8"):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(charset))
    return read_choice_list(path)


def refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"^list\.csv") as caught:
        read(tmp_path, text)
    return str(caught.value)


ONE_OF_EACH = """kind,value
patient,P-0012
study,1.2.840.1
series,1.2.840.1.7
modality,ct
body_part,c-spine
date,2019-01-31
"""


def test_each_kind_is_read_with_its_line(tmp_path):
    entries = read(tmp_path, ONE_OF_EACH)
    assert entries == (
        (2, "patient", "P-0012"), (3, "study", "1.2.840.1"), (4, "series", "1.2.840.1.7"), (5, "modality", "CT"),
        (6, "body_part", "CSPINE"), (7, "date", "2019-01-31..2019-01-31"),
    )  # fmt: skip
    assert [entry.kind for entry in entries] == list(KINDS)


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("kind;value\npatient;Müller7\n", "cp1252"),
        ("\ufeffkind,value\r\npatient,Müller7\r\n", "utf-8"),
        ("kind\tvalue\npatient\tMüller7\n", "utf-16"),
        ("sep=;\nkind;value\npatient;Müller7", "utf-8"),
        ("Kind , VALUE\n\nPatient, Müller7 \n,\n", "utf-8"),
        ('"kind","value"\n"patient","Müller7"\n', "utf-8"),
        ("comment;kind;value\nwithdrawn 2020, by letter;patient;Müller7\n", "utf-8"),
        ("kind,value,comment\npatient,Müller7,\n", "utf-8"),
        ("value,kind\nMu\u0308ller7\u200b,patient\n", "utf-8"),
        ("kind,value\npatient,Müller7\0\0\n", "utf-8"),
    ],
)
def test_list_is_read_as_people_save_it(tmp_path, text, charset):
    (entry,) = read(tmp_path, text, charset)
    assert entry[1:] == ("patient", "Müller7")


@pytest.mark.parametrize("kind", ["body_part", "Body Part", "body-part", "BODY_PART"])
def test_kind_is_read_in_any_spelling(tmp_path, kind):
    assert read(tmp_path, f"kind,value\n{kind},Head Neck\n") == ((2, "body_part", "HEADNECK"),)


@pytest.mark.parametrize(
    ("value", "days"),
    [
        ("2019-01-31", "2019-01-31..2019-01-31"),
        ("20190131", "2019-01-31..2019-01-31"),
        ("31.1.2019", "2019-01-31..2019-01-31"),
        ("2019-01-31 00:00:00", "2019-01-31..2019-01-31"),
        ("2019-01-01..2019-12-31", "2019-01-01..2019-12-31"),
        ("01.01.2019 .. 31.12.2019", "2019-01-01..2019-12-31"),
        ("20190101..20191231", "2019-01-01..2019-12-31"),
        ("2019-01-01..", "2019-01-01.."),
        ("..2018-12-31", "..2018-12-31"),
        ("2020-02-29", "2020-02-29..2020-02-29"),
    ],
)
def test_date_and_range_are_read(tmp_path, value, days):
    assert read(tmp_path, f"kind,value\ndate,{value}\n") == ((2, "date", days),)


WRONG = [
    ("patients,SECRET7", "the kind must be patient, study"),
    ("instance,SECRET7", "the kind must be patient, study"),
    ("patient,", "needs a kind and a value"),
    (",SECRET7", "needs a kind and a value"),
    ("SECRET7", "needs a kind and a value"),
    ("patient,SECRET7,SECRET8", "needs a kind and a value"),
    ("patient,1.23457E+11", "a spreadsheet has rounded"),
    ('study,"1,23E+11"', "a spreadsheet has rounded"),
    ("modality,MRT", "write CT or MR"),
    ("modality,*", "write CT or MR"),
    ("body_part,--", "BodyPartExamined"),
    ("date,2019", "a date is written"),
    ("date,2019-02-30", "a date is written"),
    ("date,1/2/2019", "a date is written"),
    ("date,2019-01-01-2019-12-31", "a date is written"),
    ("date,2019-12-31..2019-01-01", "the earlier day first"),
    ("date,..", "a date is written"),
    ("date,2019-01-01...2019-12-31", "a date is written"),
    ("date,today", "a date is written"),
]


@pytest.mark.parametrize(("row", "remedy"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_wrong_line_is_named_with_its_remedy_and_without_its_value(tmp_path, row, remedy):
    message = refused(tmp_path, f"kind,value\npatient,P1\nmodality,MR\n{row}\n")
    assert message.startswith("list.csv, line 4: ") and remedy in message
    assert not {"SECRET", "23E+11", "23457", "MRT", "02-30", "1/2", "today"} & set(re.findall(r"[\w/+-]+", message))
    assert "SECRET" not in message and "\n" not in message


def test_all_wrong_lines_are_named_up_to_ten(tmp_path):
    lines = refused(tmp_path, "kind,value\n" + "modality,KT\n" * 25).splitlines()
    assert [line.split(":")[0] for line in lines[:10]] == [f"list.csv, line {number}" for number in range(2, 12)]
    assert lines[10:] == ["list.csv: 15 more lines are wrong"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: the table is empty"),
        ("patient,SECRET7\nstudy,1.2\n", "columns must be kind and value"),
        ("patient_id\nSECRET7\n", "columns must be kind and value"),
        ("kind\npatient\n", "columns must be kind and value"),
        ("PK\x03\x04rest", "is a workbook: save it as CSV"),
    ],
)
def test_file_that_is_no_list_is_refused(tmp_path, text, words):
    message = refused(tmp_path, text)
    assert words in message and "SECRET" not in message


def test_list_without_entries_is_read(tmp_path):
    assert read(tmp_path, "kind,value\n") == ()
    assert digests_of_choice({"exclude": ()}, KEY) == {}


def test_digest_follows_the_entries_alone(tmp_path):
    entries = read(tmp_path, ONE_OF_EACH)
    head, *rows = ONE_OF_EACH.splitlines()
    other_layout = read(tmp_path, "\r\n".join([head, "", *reversed(rows), rows[0]]).replace(",", ";"), "utf-16")
    digests = digests_of_choice({"include": entries}, KEY)
    assert digests == digests_of_choice({"include": other_layout}, KEY) and set(digests) == {"index.include"}
    shorter = digests_of_choice({"include": entries[1:]}, KEY)
    swapped = digests_of_choice({"exclude": entries}, KEY)
    assert len({digests["index.include"], shorter["index.include"], swapped["index.exclude"]}) == 3


def test_digest_needs_the_key():
    entries = (ChoiceEntry(2, "patient", "4711"),)
    digests = {digests_of_choice({LISTS[0]: entries}, key)["index.include"] for key in (KEY, KEY[::-1])}
    assert len(digests) == 2


def test_entries_that_read_alike_have_digests_of_their_own():
    one = (ChoiceEntry(2, "patient", "1"), ChoiceEntry(3, "patient", "2"))
    other = (ChoiceEntry(2, "patient", "12"),)
    assert digests_of_choice({"include": one}, KEY) != digests_of_choice({"include": other}, KEY)
