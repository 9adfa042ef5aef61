import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refrad.language.sections import is_heading
from refrad.sources.reports import LONGEST_TEXT, read_reports, read_rows
from refrad.sources.source_notes import SourceNotes

ROW = {
    "report_id": "R1",
    "study_uid": "1.2.3",
    "language": "de",
    "text": "Größe der Milz: normal.\nÖsophagus und Gefäße zart.",
}


def write_csv(path, separator=",", encoding="utf-8"):
    lines = [separator.join(ROW), separator.join(f'"{value}"' for value in ROW.values())]
    path.write_bytes("\n".join(lines).encode(encoding))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "cp850", "mac_roman", "utf-16", "utf-16-le"])
def test_tables_come_as_spreadsheets_write_them(tmp_path, encoding, separator):
    write_csv(tmp_path / "reports.csv", separator, encoding)
    (report,) = read_reports(tmp_path / "reports.csv", is_heading)
    assert (report.report_id, report.text, report.patient_id) == ("R1", ROW["text"], "")


def test_parquet_and_json_lines_say_the_same(tmp_path):
    pl.DataFrame([ROW | {"other": 7}]).write_parquet(tmp_path / "reports.parquet")
    (tmp_path / "reports.jsonl").write_text(json.dumps(ROW) + "\n\n", encoding="utf-8")
    write_csv(tmp_path / "reports.csv")
    (first,), (second,), (third,) = (
        read_reports(tmp_path / f"reports.{ending}", is_heading) for ending in ("parquet", "jsonl", "csv")
    )
    assert replace(second, line=2) == third and first == second


def test_json_array_is_a_table(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([ROW, ROW | {"report_id": "R2"}, "R3"], indent=1), encoding="utf-8-sig")
    reports, warnings = read_with_notes(tmp_path / "a.json")
    assert [(report.report_id, report.line, report.problem) for report in reports] == [
        ("R1", 1, ""),
        ("R2", 2, ""),
        ("", 3, "broken_row"),
    ]
    assert reports[0].text == ROW["text"]
    assert warnings == ["a.json: 1 rows cannot be used: broken_row; the first is in line 3"]


def write_files(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).write_text("Milz normal.", encoding="utf-8")
    return folder


def test_ignored_files_of_a_folder_are_counted_by_ending(tmp_path):
    names = ["A1.txt", "A2.docx", "A3.DOCX", "A4.pdf", "all.json", "A5.Quandtmeyer", ".DS_Store", "1.2.840.777"]
    reports, warnings = read_with_notes(write_files(tmp_path / "texts", *names))
    assert [report.report_id for report in reports] == ["A1"]
    assert warnings == ["texts: 7 files are ignored: 3 others, 2 .docx, 1 .json, 1 .pdf"]


def test_files_that_the_table_of_a_folder_does_not_list_are_counted(tmp_path):
    folder = write_files(tmp_path / "texts", "A1.txt", "A2.txt", "A3.pdf")
    (folder / "reports.csv").write_text("report_id,study_uid,file\nR1,1.2.3,A1.txt\n", encoding="utf-8")
    reports, warnings = read_with_notes(folder)
    assert [report.report_id for report in reports] == ["R1"]
    assert warnings == ["texts: 2 files are ignored: 1 .pdf, 1 .txt"]


def test_folder_without_texts_names_what_it_holds(tmp_path):
    folder = write_files(tmp_path / "texts", "A1.docx", "A2.docx")
    with pytest.raises(ValueError, match=r"^texts: holds neither .* 2 files are ignored: 2 \.docx$"):
        list(read_reports(folder, is_heading))


def test_folder_of_texts_ties_by_accession_number(tmp_path):
    (tmp_path / "A77.txt").write_bytes("Milzvergrößerung.".encode("cp1252"))
    (report,) = read_reports(tmp_path, is_heading)
    assert (report.report_id, report.accession_number, report.text) == ("A77", "A77", "Milzvergrößerung.")


def test_folder_with_a_table_ties_by_its_columns(tmp_path):
    (tmp_path / "one.txt").write_text("Leber normal.", encoding="utf-8")
    (tmp_path / "reports.csv").write_text("report_id,study_uid,file\nR1,1.2.3,one.txt\n", encoding="utf-8")
    (report,) = read_reports(tmp_path, is_heading)
    assert (report.report_id, report.study_uid, report.text) == ("R1", "1.2.3", "Leber normal.")


@pytest.mark.parametrize("name", ["../secret.txt", "missing.txt"])
def test_file_outside_of_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / "reports"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("x")
    (folder / "reports.csv").write_text(f"report_id,study_uid,file\nR1,1,{name}\n")
    with pytest.raises(ValueError, match="line 2"):
        list(read_reports(folder, is_heading))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("reports.csv", "report_id,language\nR1,de\n", "text"),
        ("reports.csv", "report_id,text\nR1,x\n", "study_uid"),
        ("reports.csv", "", "empty"),
        ("reports.jsonl", '{"report_id": "R1"\n', "line 1"),
        ("reports.jsonl", "[1]\n", "line 1"),
        ("reports.json", '[\n{"report_id": "R1"\n', "line 3: a .json file must hold one array"),
        ("reports.json", '{"report_id": "R1"}', "must hold one array of objects"),
        ("reports.json", "[" * 100_000, "nested too deeply"),
        ("reports.json", f'[{{"report_id": {"1" * 5000}}}]', "a number of thousands of digits"),
        ("reports.json", "[1]", "line 1"),
        ("reports.parquet", "no parquet", "no Parquet"),
    ],
)
def test_unreadable_source_is_reported_without_its_content(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=says) as error:
        list(read_reports(tmp_path / name, is_heading))
    assert "R1" not in str(error.value)


def test_reports_are_streamed(tmp_path):
    with (tmp_path / "reports.jsonl").open("w", encoding="utf-8") as file:
        file.write(json.dumps(ROW) + "\n" + "broken\n")
    reports = read_reports(tmp_path / "reports.jsonl", is_heading)
    assert next(reports).report_id == "R1"


def write_json(path, *rows):
    path.write_text("".join(json.dumps(ROW | row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_with_notes(path):
    notes = SourceNotes()
    return list(read_reports(path, is_heading, notes)), notes.warnings(path.name)


def test_bytes_in_parquet_are_decoded(tmp_path):
    texts = ["Größe normal.".encode(), "Größe normal.".encode("cp1252"), None]
    names = pa.array([b"R1", b"R2", b"R3"], pa.large_binary())
    pq.write_table(pa.table({"report_id": names, "study_uid": ["1"] * 3, "text": texts}), tmp_path / "a.parquet")
    reports, warnings = read_with_notes(tmp_path / "a.parquet")
    assert [report.report_id for report in reports] == ["R1", "R2", "R3"]
    assert [report.text for report in reports] == ["Größe normal.", "Größe normal.", ""]
    assert "2 wrong characters in 1 rows" in warnings[0] and warnings[0].endswith("line 2")


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (pa.array([4711.0]), "4711"),
        (pa.array([float(2**53)]), "9007199254740992.0"),
        (pa.array([4711.5]), "4711.5"),
        (pa.array([float("nan")]), ""),
        (pa.array([4711], pa.int32()), "4711"),
        (pa.array([None], pa.null()), ""),
        (pa.array(["4711"]).dictionary_encode(), "4711"),
        (pa.array(["e\u0301"]), "é"),
    ],
)
def test_numbers_in_parquet_are_whole(tmp_path, values, read):
    table = pa.table({"report_id": ["R1"], "patient_id": values, "text": ["Milz."]})
    pq.write_table(table, tmp_path / "a.parquet")
    (report,) = read_reports(tmp_path / "a.parquet", is_heading)
    assert report.patient_id == read


def test_lists_of_texts_are_lines(tmp_path):
    path = write_json(tmp_path / "a.jsonl", {"text": ["Befund:", "Milz normal.", None]})
    (report,) = read_reports(path, is_heading)
    assert report.text == "Befund:\nMilz normal."
    pq.write_table(
        pa.table({"report_id": ["R1"], "dicom": ["."], "text": [["Befund:", "Milz normal."]]}), tmp_path / "a.parquet"
    )
    (report,) = read_reports(tmp_path / "a.parquet", is_heading)
    assert report.text == "Befund:\nMilz normal."


@pytest.mark.parametrize("text", [{"a": "Milz"}, [["Milz"]], [1]])
def test_cell_of_another_type_is_refused_by_name(tmp_path, text):
    path = write_json(tmp_path / "a.jsonl", {}, {"text": text})
    with pytest.raises(ValueError, match=r"a\.jsonl: line 2: text holds a (dict|list), no text"):
        list(read_reports(path, is_heading))
    pq.write_table(pa.table({"report_id": ["R"], "dicom": ["."], "text": [{"a": "Milz"}]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: line 1: text holds a dict, no text"):
        list(read_reports(tmp_path / "a.parquet", is_heading))


def test_nested_cell_of_an_unused_column_is_ignored(tmp_path):
    (report,) = read_reports(write_json(tmp_path / "a.jsonl", {"codes": [{"a": 1}]}), is_heading)
    assert report.text == ROW["text"]


def test_broken_row_among_others_is_put_aside(tmp_path):
    path = write_json(tmp_path / "a.jsonl", {}, {"report_id": "R2"})
    path.write_text(path.read_text() + '{"report_id": "R3", "te\n' + "[" * 100_000 + f'\n{{"n": {"1" * 5000}}}\n')
    reports, warnings = read_with_notes(path)
    assert [(report.line, report.problem) for report in reports] == [
        (1, ""),
        (2, ""),
        (3, "broken_row"),
        (4, "broken_row"),
        (5, "broken_row"),
    ]
    assert warnings == ["a.jsonl: 3 rows cannot be used: broken_row; the first is in line 3"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"text": ""}, "no_text"),
        ({"text": None}, "no_text"),
        ({"report_id": " "}, "no_report_id"),
        ({"text": "Milz normal. " + "iVBORw0K" * (LONGEST_TEXT // 8)}, "too_long_report"),
        ({"text": "{\\rtf1{\\fonttbl Arial;}}"}, "unreadable_rtf"),
        ({"text": "%PDF-1.7"}, "unreadable_pdf"),
    ],
)
def test_report_that_cannot_be_used_keeps_its_ids(tmp_path, row, problem):
    (report,), warnings = read_with_notes(write_json(tmp_path / "a.jsonl", row))
    assert (report.problem, report.text, report.study_uid) == (problem, "", "1.2.3")
    assert warnings == [f"a.jsonl: 1 rows cannot be used: {problem}; the first is in line 1"]


def test_half_of_a_character_is_read_and_counted(tmp_path):
    path = write_json(tmp_path / "a.jsonl", {}, {"text": "Leber gro\udcdf, \ud83d halb"})
    reports, warnings = read_with_notes(path)
    assert reports[1].text == "Leber groß, \ufffd halb"
    assert warnings == [
        "a.jsonl: 2 wrong characters in 1 rows, read as Windows-1252 where they are letters; the first is in line 2"
    ]


def test_wrong_bytes_of_a_csv_are_read_and_counted(tmp_path):
    write_csv(tmp_path / "reports.csv")
    content = (tmp_path / "reports.csv").read_bytes()
    (tmp_path / "reports.csv").write_bytes(content + '\n"R2","1","de","Gefäße frei."\n'.encode("cp1252"))
    reports, warnings = read_with_notes(tmp_path / "reports.csv")
    assert [report.text for report in reports] == [ROW["text"], "Gefäße frei."]
    assert warnings[0].startswith("reports.csv: 2 wrong characters in 1 rows")


def test_folder_holds_documents_of_any_kind(tmp_path):
    (tmp_path / "A1.rtf").write_text(r"{\rtf1\ansi Milz gro\'df.}", encoding="ascii")
    (tmp_path / "A2.html").write_text("<p>Milz gro&szlig;.</p>", encoding="utf-8")
    (tmp_path / "A3.hl7").write_text("MSH|^~\\&|A\rOBX|1|TX|X^Y||Milz groß.", encoding="utf-8")
    (tmp_path / "A4.txt").write_bytes("Milz groß.".encode() + b" F\xfc\xdfe.")
    reports, warnings = read_with_notes(tmp_path)
    assert [report.text for report in reports] == ["Milz groß."] * 3 + ["Milz groß. Füße."]
    assert len(warnings) == 1


def test_broken_row_of_references_stops_with_its_line(tmp_path):
    (tmp_path / "references.csv").write_text('report_id,sentence\nR1,Milz\nR2,"Leber, "frei" so"\nR3,"Niere, frei"')
    assert [row["sentence"] for row in read_rows(tmp_path / "references.csv")][1] == 'Leber, "frei" so'
    (tmp_path / "references.csv").write_text("report_id,sentence\nR1,Milz\nR2\n")
    with pytest.raises(ValueError, match=r"references\.csv: line 3: the row cannot be read"):
        list(read_rows(tmp_path / "references.csv"))


@pytest.mark.parametrize("listed", [False, True])
def test_report_for_which_the_storage_fails_is_put_aside(tmp_path, monkeypatch, listed):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text(f"Befund: Leber {name}.")
    if listed:
        rows = [f"{name},{name},{name}.txt" for name in ("a", "b", "c")]
        (tmp_path / "reports.csv").write_text("\n".join(["report_id,accession_number,file", *rows]))
    fail_for(monkeypatch, "b.txt", errno.EIO)
    notes = SourceNotes()
    reports = list(read_reports(tmp_path, lambda _: False, notes))
    assert [(report.report_id, report.problem) for report in reports] == [("a", ""), ("b", "storage_error"), ("c", "")]
    assert reports[1].text == "" and notes.rows == {"storage_error": 1}


def test_full_machine_stops_the_reading_without_a_path(tmp_path, monkeypatch):
    (tmp_path / "Müller.txt").write_text("Befund: Leber.")
    fail_for(monkeypatch, "Müller.txt", errno.EMFILE)
    with pytest.raises(OSError, match="a report of the folder: Too many open files") as error:
        list(read_reports(tmp_path, lambda _: False))
    assert "Müller" not in str(error.value)


def fail_for(monkeypatch, name, number):
    """Let the storage fail for files of a name."""
    read = Path.open

    def opened(path, *arguments, **options):
        if path.name == name:
            raise OSError(number, os.strerror(number), str(path))
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
