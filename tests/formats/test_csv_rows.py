import csv
import io
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.formats.csv_mending import RowLook
from refrad.formats.csv_rows import DELIMITERS, LONGEST_CELL, read_csv_rows

HEADER = ["report_id", "patient_id", "study_uid", "language", "text"]
TEXT = "Befund:\nMilz {0},{0} cm; normal groß.\n\nBeurteilung:\nPankreas, Leber, Nieren, Aorta, Herz frei.\n"
LAST = ["report_id", "text", "patient_id", "study_uid"]


def read(content, name="reports.csv"):
    return list(read_csv_rows(io.StringIO(content, newline=""), name))


def texts_of(content):
    """Id to text of the rows that can be used, and the lines of the others."""
    rows = read(content)
    return {row.cells["report_id"]: row.cells["text"] for row in rows if not row.problem}, [
        row.line for row in rows if row.problem
    ]


def table(count=12, end="\n", changed=()):
    """Lines of rows as strings; `changed` are (row, before, after)."""
    rows = [f'R{number:04d},00{number}7,1.2.{number},de,"{TEXT.format(number)}"' for number in range(count)]
    for number, before, after in changed:
        assert before in rows[number]
        rows[number] = rows[number].replace(before, after, 1)
    return end.join([",".join(HEADER), *rows]) + end


EXPECTED = {f"R{number:04d}": TEXT.format(number) for number in range(12)}

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(
    st.lists(st.tuples(st.text("abcR0123-", min_size=1, max_size=6), cells, cells), min_size=1, max_size=8),
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.permutations(["report_id", "patient_id", "text"]),
    st.booleans(),
)
def test_any_text_survives_writing_and_reading(rows, delimiter, newline, quoting, columns, is_named):
    file = io.StringIO(newline="")
    if is_named:
        file.write(f"sep={delimiter}{newline}")
    writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writeheader()
    if quoting == csv.QUOTE_MINIMAL:  # the csv module leaves other line breaks than its own unquoted
        rows = [[re.sub("[\r\n]", newline, cell) for cell in row] for row in rows]
    written = [dict(zip(("report_id", "patient_id", "text"), row, strict=True)) for row in rows]
    writer.writerows(written)
    made = read(file.getvalue())
    assert [dict(row.cells) for row in made] == written and not any(row.problem or row.is_mended for row in made)


FAULTS = {
    "quotes inside": ("normal groß", 'normal, wie ein "Stern", groß'),
    "one quote inside": ("normal groß", 'normal " groß'),
    "backslash quotes": ("normal groß", 'normal wie \\"oben\\" groß'),
    "closing quote missing": ('frei.\n"', "frei.\n"),
    "closing quote doubled": ('frei.\n"', 'frei.\n""'),
    "opening quote missing": ('de,"Befund', "de,Befund"),
    "opening quote doubled": ('de,"Befund', 'de,""Befund'),
    "text behind the quote": ('frei.\n"', 'frei.\n" Ende'),
    "no quotes at all": ('de,"Befund', "de,Befund"),
    "space before the quote": ('de,"Befund', 'de, "Befund'),
}


@pytest.mark.parametrize("place", [0, 1, 5, 11])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("count", [12, 40])
def test_wrong_quote_loses_no_report(fault, place, count):
    texts, broken = texts_of(table(count, changed=[(place, *FAULTS[fault])]))
    assert broken == [] and len(texts) == count
    for name, text in texts.items():
        expected = TEXT.format(int(name[1:]))
        if name != f"R{place:04d}":
            assert text == expected
        else:
            plain = text.replace('"', "").replace(" Ende", "").replace(", wie ein Stern,", "").replace(" wie oben", "")
            assert " ".join(plain.split()) == " ".join(expected.split())
            assert text.count('"') == {"quotes inside": 2, "backslash quotes": 2, "one quote inside": 1}.get(fault, 0)


@pytest.mark.parametrize("seed", range(20))
def test_many_wrong_quotes_lose_and_join_nothing(seed):
    chosen = random.Random(seed)
    places = chosen.sample(range(30), 6)
    changed = [(place, *FAULTS[chosen.choice(list(FAULTS))]) for place in places]
    rows = read(table(30, changed=changed))
    used = {row.cells["report_id"]: row.cells["text"] for row in rows if not row.problem}
    assert len(rows) >= 30
    for name, text in used.items():
        assert "R00" not in text and "Befund" in text and "frei." in text
        if int(name[1:]) not in places:
            assert text == TEXT.format(int(name[1:]))
    assert len(used) >= 29


def test_look_of_a_row_is_taken_once_however_many_faults_follow():
    class Cell(str):
        looks = 0

        def strip(self, *characters):
            Cell.looks += 1
            return str.strip(self, *characters)

    look = RowLook(HEADER[:1])
    for number in range(200):
        look.remember([Cell(f"R{number:04d}")])
        assert look.may_begin("R9999") and not look.may_begin("Milz")
    assert Cell.looks == 200


@pytest.mark.parametrize("fault", FAULTS)
def test_line_that_may_begin_a_row_makes_it_broken(fault):
    """A line of the text that looks like the next row: nobody can tell, so nothing is guessed."""
    content = table(30, changed=[(25, *FAULTS[fault])])
    content = content.replace("R0026,00267,1.2.26,de", "R0026,00267,de", 1)
    texts, broken = texts_of(content)
    assert broken and "R0026" not in texts and not any("R0026" in text for text in texts.values())
    assert len(texts) + len(broken) >= 30


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("report_id;accession_number;text\nr1;A1;Befund: OL links; rechts frei.\n", "Befund: OL links; rechts frei."),
        ('report_id,dicom,text\nr1,.,"Milz", Leber normal\n', "Milz, Leber normal"),
        ("report_id|dicom|text\nr1|.|Milz | Leber | Niere\n", "Milz | Leber | Niere"),
        ("sep=,\nreport_id,dicom,text\nr1,.,Milz; Leber; Niere\n", "Milz; Leber; Niere"),
        ("SEP=;\r\nreport_id;dicom;text\r\nr1;.;Milz, Leber\r\n", "Milz, Leber"),
        ("\n\nreport_id;dicom;text\n\nr1;.;Milz normal\n\n", "Milz normal"),
        ("report_id;dicom;text;;\nr1;.;Milz normal;;\n", "Milz normal"),
        ("report_id;dicom;text\nr1;.;Milz normal;;;\n", "Milz normal"),
        ("report_id;dicom;text\nr1;.;Milz\nNiere normal.\nLeber\n", "Milz\nNiere normal.\nLeber"),
        ("report_id;dicom;text\nr1;.;Milz\nreport_id;dicom;text\n", "Milz"),
    ],
)
def test_table_of_one_row_is_read(content, text):
    assert texts_of(content) == ({"r1": text}, [])


def test_surplus_before_a_column_that_is_not_the_text_breaks_the_row():
    rows = [",".join(LAST), "R1,Milz normal,1,1.2", "R2,Milz, Leber,2,1.3", 'R3,"Herz, Aorta",3,1.4']
    assert texts_of("\n".join(rows)) == ({"R1": "Milz normal", "R3": "Herz, Aorta"}, [3])


def test_wrong_quote_before_other_columns_is_mended():
    rows = [",".join(LAST), "R1,Milz,1,1.2", 'R2,"Ein "Stern", hier",2,"1.3"', "R3,Herz,3,1.4"]
    assert texts_of("\n".join(rows))[0]["R2"] == 'Ein "Stern", hier'
    rows[2] = 'R2,"Ein Stern, hier,2,1.3'
    assert texts_of("\n".join(rows)) == ({"R1": "Milz", "R3": "Herz"}, [3])


def test_cells_missing_at_the_end_are_empty():
    (first, second) = read("report_id,dicom,text,ward\nR1,.,Milz,A\nR2,.,Leber\n")
    assert (second.cells["text"], second.cells["ward"], second.problem) == ("Leber", "", "")
    assert first.cells["ward"] == "A"


def test_short_rows_are_broken_and_joined_with_none():
    content = table().replace("R0004,0047,1.2.4,de,", "R0004,0047,de,").replace("R0007,0077,1.2.7,de,", "R0007,")
    texts, broken = texts_of(content)
    assert texts == {name: text for name, text in EXPECTED.items() if name not in ("R0004", "R0007")}
    assert len(broken) == 2
    (_, broken) = texts_of("report_id,text\nR1,Milz\nR2\nR3,Leber\n")
    assert broken == [3]


@pytest.mark.parametrize(
    ("header", "widths"),
    [("report_id,ward,patient_id,study_uid,language,text", (6, 5)), ("report_id,patient_id,text", (3, 5))],
)
def test_header_of_another_width_is_named(header, widths):
    content = table().replace(",".join(HEADER), header)
    with pytest.raises(ValueError, match=rf"reports\.csv: line 1: the header has {widths[0]} .* rows have {widths[1]}"):
        read(content)


def test_wrong_quote_without_ids_before_the_text_is_named():
    rows = ["text,report_id,dicom", '"Milz",R1,.', '"Ein "Stern",R2,.', '"Leber",R3,.']
    with pytest.raises(ValueError, match=r"reports\.csv: line 3: a quote is wrong or missing"):
        read("\n".join(rows))
    rows[2] = "Milz, Leber,R2,."
    assert [row.problem for row in read("\n".join(rows))] == ["", "broken_row", ""]


def test_huge_cell_breaks_its_row_alone():
    rows = table().splitlines(keepends=True)
    huge = 'R9000,9,1.2.9,de,"Befund:\nMilz.\n' + "iVBORw0K" * (LONGEST_CELL // 8 + 9) + '"\n'
    texts, broken = texts_of("".join([*rows[:7], huge, *rows[7:]]))
    assert texts == EXPECTED and broken == [8]


@given(st.text('"\\,;\nR012 ab', max_size=80))
def test_hostile_rows_raise_nothing(content):
    rows = read("report_id,dicom,text\nR1,.,Milz\n" + content)
    assert all(row.problem or set(row.cells) == {"report_id", "dicom", "text"} for row in rows)
