import re

import pytest
from jinja2 import UndefinedError

from refrad.reporting.pages import curve, fingerprint_rows, render
from refrad.workflow.fingerprint import Fingerprint


def test_missing_value_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError):
        render("gallery.html", title="Gallery", up="", there=[])


def test_curve_names_its_lines_and_its_axes():
    drawn = curve([("training", [(0, 2.0), (500, 1.0)]), ("validation", [(500, 1.5)])], "seconds of training", "loss")
    assert drawn.count("<polyline") == 2 and "Curves of loss over seconds of training: training, validation" in drawn
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert texts == ["loss", "0.00", "0", "1.00", "250", "2.00", "500", "seconds of training"]


def test_fingerprint_is_a_table_of_names_and_values():
    options = {"a": {"b": [0.9, 1.1], "c": None, "e": {}}, "d": "text", "f": [], "g": [{"h": 1}], "i": True}
    rows = fingerprint_rows({"fingerprint": Fingerprint("train", 3, options, {"schema": "1b2c"}).text})
    assert rows == [
        ("version of the stage", "3"),
        ("a.b", "0.9, 1.1"),
        ("a.c", "null"),
        ("a.e", "{}"),
        ("d", "text"),
        ("f", "none"),
        ("g", '[{"h": 1}]'),
        ("i", "true"),
        ("files.schema", "1b2c"),
    ]
