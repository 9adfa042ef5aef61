"""Tables of public sets: lenient reading, words in cells, and counts that add up."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.nifti.volume_entry import VolumeEntry
from refrad.public_sets.table_reading import (
    age_of,
    date_of,
    joined_sections,
    official_split,
    read_table,
    sex_of,
    sort_out,
    volume_entries,
)

COLUMNS = {"study": ("study id", "study"), "text": ("Findings",)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("header", ["study id%sFindings", "STUDY_ID%sfindings ", '"Study Id"%s"FINDINGS"'])
def test_table_is_read_in_any_delimiter_charset_and_spelling(tmp_path, delimiter, charset, header):
    rows = [header % delimiter, f'A1{delimiter}"Größe ""12"" mm\nnext line"', "", f"A2{delimiter}"]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding=charset)
    assert read_table(tmp_path / "t.csv", COLUMNS).rows() == [("A1", 'Größe "12" mm\nnext line'), ("A2", "")]


def test_line_that_names_the_delimiter_is_no_header(tmp_path):
    (tmp_path / "t.csv").write_text("sep=;\nstudy;Findings\nA1;Liver, spleen, aorta\n")
    assert read_table(tmp_path / "t.csv", COLUMNS).rows() == [("A1", "Liver, spleen, aorta")]


def test_first_spelling_of_a_column_counts(tmp_path):
    (tmp_path / "t.csv").write_text("study,Findings,study id\nwrong,f,A1\n")
    assert read_table(tmp_path / "t.csv", COLUMNS)["study"].to_list() == ["A1"]


def test_optional_column_is_empty_where_the_table_has_none(tmp_path):
    (tmp_path / "t.csv").write_text("study\nA1\n")
    assert read_table(tmp_path / "t.csv", COLUMNS, optional={"text"}).rows() == [("A1", "")]
    with pytest.raises(ValueError, match=r't.csv: line 1: has no column "Findings"; columns are study id, Findings'):
        read_table(tmp_path / "t.csv", COLUMNS)


def test_table_with_wrong_quotes_is_mended_or_named_by_line_only(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('study_uid,text\n1.2.3,"node "A, 5" mm"\n1.2.4,none\n')
    columns = {"study": ("study_uid",), "text": ("text",)}
    assert read_table(path, columns).rows() == [("1.2.3", 'node "A, 5" mm'), ("1.2.4", "none")]
    path.write_text('name,note\nMUELLER,"secret "A, 5" mm"\nx,y\n')
    with pytest.raises(ValueError, match=r"^t\.csv: line \d") as refusal:
        read_table(path, {"study": ("name",), "text": ("note",)})
    assert "MUELLER" not in str(refusal.value) and "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_empty_table_is_refused_and_header_alone_is_no_row(tmp_path):
    (tmp_path / "t.csv").write_text(" \n")
    with pytest.raises(ValueError, match="line 1: the table is empty"):
        read_table(tmp_path / "t.csv", COLUMNS)
    (tmp_path / "t.csv").write_text("study,findings\n")
    assert read_table(tmp_path / "t.csv", COLUMNS).rows() == []


def test_words_of_splits_sexes_ages_and_dates_are_understood():
    cells = pl.DataFrame({"c": ["Train", "valid", "val ", "TEST", "holdout", ""]})
    assert cells.select(official_split(pl.col("c"))).to_series().to_list() == [
        "train",
        "validation",
        "validation",
        "test",
        "",
        "",
    ]
    cells = pl.DataFrame({"c": ["m", "Female", "F", "unknown", ""]})
    assert cells.select(sex_of(pl.col("c"))).to_series().to_list() == ["M", "F", "F", "", ""]
    cells = pl.DataFrame({"c": ["63", "92.263", "7", "063Y", "nan", ""]})
    assert cells.select(age_of(pl.col("c"))).to_series().to_list() == ["063Y", "092Y", "007Y", "063Y", "", ""]
    cells = pl.DataFrame({"c": ["2012-01-31", "20120131", "2012-01-31 00:00:00", "31.01.2012", "120131", ""]})
    assert cells.select(date_of(pl.col("c"))).to_series().to_list() == ["20120131"] * 3 + [""] * 3


def test_sections_are_joined_without_the_empty_ones():
    frame = pl.DataFrame({"f": ["Liver normal.", "", ""], "i": ["Normal.", "None.", ""]})
    texts = frame.select(joined_sections({"f": "Findings", "i": "Impression"})).to_series().to_list()
    assert texts == ["Findings:\nLiver normal.\nImpression:\nNormal.", "Impression:\nNone.", ""]


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_counts_of_what_is_left_out_add_up(rows):
    frame = pl.DataFrame(rows, schema={"a": pl.Boolean, "b": pl.Boolean}, orient="row")
    used, counts = sort_out(frame, {"first": pl.col("a"), "second": pl.col("b")})
    assert used.rows() == [row for row in rows if row == (False, False)]
    assert counts["delivered"] == len(rows) == sum(counts.values()) - counts["delivered"]
    assert counts["used"] == used.height and counts.get("first", 0) == sum(a for a, _ in rows)
    assert counts.get("second", 0) == sum(b and not a for a, b in rows)


def test_entries_take_the_columns_that_are_their_fields():
    frame = pl.DataFrame(
        {"path": ["a.nii"], "patient": ["p"], "study": ["s"], "series": ["1"], "size": [3], "series_number": [4]}
    )
    assert volume_entries(frame) == [VolumeEntry("a.nii", "p", "s", "1", series_number=4)]
