import pytest
from jinja2 import UndefinedError

from refrad.reporting.pages import curve, render


def test_a_value_that_is_missing_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError):
        render("gallery.html", title="Gallery", up="", there=[])


def test_a_curve_names_its_lines_and_its_axis():
    drawn = curve([("training", [(0, 2.0), (10, 1.0)]), ("validation", [(10, 1.5)])], "seconds")
    assert drawn.count("<polyline") == 2 and "seconds (0 to 10)" in drawn and "2.00" in drawn
