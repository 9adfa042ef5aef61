import csv

import pytest

from refrad.formats.spreadsheets import write_sheet


@pytest.mark.parametrize("text", ["=1+1", "+49", "-20 HU", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_read_as_a_formula(tmp_path, text):
    write_sheet(tmp_path / "sheet.csv", ["number", "text"], [(-1, text), (2, "Leber, groß")])
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [["number", "text"], ["-1", f" {text}"], ["2", "Leber, groß"]]
