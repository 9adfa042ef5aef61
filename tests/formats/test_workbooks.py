"""Excel workbooks are read as text, as people and programs write them."""

import zipfile

import pytest
from tests.factories.workbooks import write_workbook

from refrad.formats.workbooks import read_workbook

ROWS = [["study id", "Findings", "n"], ["AC1", "Liver & spleen <normal>.\nNo cyst.", "3"], ["", "Ünïcode „quoted“", ""]]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("strict", [True, False])
def test_cells_are_text_whether_shared_or_inline(tmp_path, shared, strict):
    write_workbook(tmp_path / "t.xlsx", {"Sheet1": ROWS}, shared=shared, strict=strict)
    (rows,) = read_workbook(tmp_path / "t.xlsx").values()
    assert [row + [""] * (3 - len(row)) for row in rows] == ROWS


def test_sheets_keep_their_names_and_order(tmp_path):
    write_workbook(tmp_path / "t.xlsx", {"b": [["1"]], "a": [["2"]], "empty": []})
    assert list(read_workbook(tmp_path / "t.xlsx").items()) == [("b", [["1"]]), ("a", [["2"]]), ("empty", [])]


def test_cells_stand_in_their_column_beyond_z(tmp_path):
    write_workbook(tmp_path / "t.xlsx", {"s": [[""] * 27 + ["AB1"]]})
    assert read_workbook(tmp_path / "t.xlsx")["s"] == [[""] * 27 + ["AB1"]]


def test_runs_are_joined_and_escapes_and_pronunciation_are_resolved(tmp_path):
    si = '<si><r><t xml:space="preserve">Liver </t></r><r><t>normal._x000D_\nSpleen</t></r><rPh><t>reba</t></rPh></si>'
    write_workbook(tmp_path / "t.xlsx", {"s": [["x"]]}, strings=si)
    assert read_workbook(tmp_path / "t.xlsx")["s"] == [["Liver normal.\nSpleen"]]


def test_numbers_results_and_errors(tmp_path):
    cells = '<c r="A1"><v>3.5</v></c><c r="C1" t="str"><f>A1</f><v>ok</v></c><c r="D1" t="e"><v>#REF!</v></c><c r="E1"/><c r="F1"><v>7</v></c>'
    write_workbook(tmp_path / "t.xlsx", {"s": [["x"]]}, cells=cells)
    assert read_workbook(tmp_path / "t.xlsx")["s"] == [["3.5", "", "ok", "", "", "7"]]


def test_what_is_no_workbook_is_refused_by_name(tmp_path):
    path = tmp_path / "t.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0 an old or encrypted workbook")
    with pytest.raises(ValueError, match=r"^t\.xlsx: is no Excel workbook"):
        read_workbook(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    with pytest.raises(ValueError, match=r"^t\.xlsx: is no Excel workbook"):
        read_workbook(path)
    write_workbook(path, {"s": ROWS})
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match=r"^t\.xlsx: is no Excel workbook"):
        read_workbook(path)
