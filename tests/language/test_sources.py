import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.language.sources import charset_of, read_reports

ROW = {
    "report_id": "R1",
    "study_uid": "1.2.3",
    "language": "de",
    "text": "Größe der Milz: normal.\nÖsophagus und Gefäße zart.",
}


def write_csv(path, separator=",", encoding="utf-8"):
    lines = [separator.join(ROW), separator.join(f'"{value}"' for value in ROW.values())]
    path.write_bytes("\n".join(lines).encode(encoding))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "cp850", "mac_roman", "utf-16", "utf-16-le"])
def test_tables_come_as_spreadsheets_write_them(tmp_path, encoding, separator):
    write_csv(tmp_path / "reports.csv", separator, encoding)
    (report,) = read_reports(tmp_path / "reports.csv")
    assert (report.report_id, report.text, report.patient_id) == ("R1", ROW["text"], "")


def test_parquet_and_json_lines_say_the_same(tmp_path):
    pl.DataFrame([ROW | {"other": 7}]).write_parquet(tmp_path / "reports.parquet")
    (tmp_path / "reports.jsonl").write_text(json.dumps(ROW) + "\n\n", encoding="utf-8")
    write_csv(tmp_path / "reports.csv")
    (first,), (second,), (third,) = (
        read_reports(tmp_path / f"reports.{ending}") for ending in ("parquet", "jsonl", "csv")
    )
    assert first == second == third


def test_folder_of_texts_ties_by_accession_number(tmp_path):
    (tmp_path / "A77.txt").write_bytes("Milzvergrößerung.".encode("cp1252"))
    (report,) = read_reports(tmp_path)
    assert (report.report_id, report.accession_number, report.text) == ("A77", "A77", "Milzvergrößerung.")


def test_folder_with_a_table_ties_by_its_columns(tmp_path):
    (tmp_path / "one.txt").write_text("Leber normal.", encoding="utf-8")
    (tmp_path / "reports.csv").write_text("report_id,study_uid,file\nR1,1.2.3,one.txt\n", encoding="utf-8")
    (report,) = read_reports(tmp_path)
    assert (report.report_id, report.study_uid, report.text) == ("R1", "1.2.3", "Leber normal.")


@pytest.mark.parametrize("name", ["../secret.txt", "missing.txt"])
def test_file_outside_of_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / "reports"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("x")
    (folder / "reports.csv").write_text(f"report_id,study_uid,file\nR1,1,{name}\n")
    with pytest.raises(ValueError, match="line 2"):
        list(read_reports(folder))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("reports.csv", "report_id,language\nR1,de\n", "text"),
        ("reports.csv", "report_id,text\nR1,x\n", "study_uid"),
        ("reports.csv", "", "empty"),
        ("reports.jsonl", '{"report_id": "R1"\n', "line 1"),
        ("reports.jsonl", "[1]\n", "line 1"),
        ("reports.parquet", "no parquet", "no Parquet"),
    ],
)
def test_unreadable_source_is_reported_without_its_content(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=says) as error:
        list(read_reports(tmp_path / name))
    assert "R1" not in str(error.value)


def test_reports_are_streamed(tmp_path):
    with (tmp_path / "reports.jsonl").open("w", encoding="utf-8") as file:
        file.write(json.dumps(ROW) + "\n" + "broken\n")
    reports = read_reports(tmp_path / "reports.jsonl")
    assert next(reports).report_id == "R1"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=50))
def test_utf8_is_read_as_utf8(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(("." + text).encode())
    assert charset_of(path) == "utf-8"
