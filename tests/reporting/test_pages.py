import pytest
from jinja2 import UndefinedError

from refrad.reporting.pages import curve, in_order, render


def test_missing_value_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError):
        render("gallery.html", title="Gallery", up="", there=[])


def test_curve_names_its_lines_and_its_axis():
    drawn = curve([("training", [(0, 2.0), (10, 1.0)]), ("validation", [(10, 1.5)])], "seconds")
    assert drawn.count("<polyline") == 2 and "seconds (0 to 10)" in drawn and "2.00" in drawn


def test_bins_are_in_order_of_edges_and_other_rows_by_count():
    bins = {"from 10": 9, "8 to 10": 1, "0 to 0.5": 2, "0.5 to 1": 5}
    assert [name for name, _ in in_order(bins)] == ["0 to 0.5", "0.5 to 1", "8 to 10", "from 10"]
    assert [name for name, _ in in_order({"CT": 1, "MR": 3})] == ["MR", "CT"]
    assert [name for name, _ in in_order({"3": 1, "12": 3})] == ["12", "3"]
