import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from refrad.dicom.side_marks import EdgeLetters
from refrad.reporting.card_pictures import SlicePicture
from refrad.reporting.gallery import ImageCard
from refrad.reporting.pages import StageExtras, fingerprint_rows, render, render_gallery, render_stage
from refrad.workflow.fingerprint import Fingerprint


def test_missing_value_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError):
        render("gallery.html", title="Gallery", up="", there=[])


def test_fingerprint_is_a_table_of_names_and_values():
    options = {"a": {"b": [0.9, 1.1], "c": None, "e": {}}, "d": "text", "f": [], "g": [{"h": 1}], "i": True}
    rows = fingerprint_rows({"fingerprint": Fingerprint("train", 3, options, {"schema": "1b2c"}).text})
    assert rows == [
        ("version of the stage", "3"),
        ("a.b", "0.9, 1.1"),
        ("a.c", "null"),
        ("a.e", "none"),
        ("d", "text"),
        ("f", "none"),
        ("g", '[{"h": 1}]'),
        ("i", "true"),
        ("files.schema", "1b2c"),
    ]


def test_long_tables_of_a_stage_are_folded_and_say_what_they_count():
    metrics = {
        "stage": "mentions",
        "fingerprint": Fingerprint("mentions", 3, {}, {}).text,
        "unit": "captions",
        "flow": {"taken": 40, "used": 40, "aside": {}},
        "made": {},
        "tables": {
            "class in de": {f"class {letter}": 40 - number for number, letter in enumerate("abcdefghijklmnopqr")},
            "reason": {"used": 40},
        },
        "seconds": {"total": 1.0},
    }
    page = render_stage("mentions", metrics, [], StageExtras(), ["mentions"])
    shown, folded = page.split("<details")
    assert "<h2>Mentions by class, German</h2>" in shown and "<summary>6 more</summary>" in folded
    assert ("class l<" in shown, "class m<" in shown, "class m<" in folded, "class r<" in folded) == (
        True,
        False,
        True,
        True,
    )
    assert "<h2>Reason</h2>" not in page


def test_letters_of_a_thin_picture_stand_apart():
    """A view across a single slice is a line; its letters would lie on each other."""
    edges = EdgeLetters("R", "L", "H", "F")
    page = render_gallery([thin_card(SlicePicture("", 50.0, (), edges))], [])
    assert 'viewBox="0.0 -140.0 1000 300"' in page and 'class="edges" transform="translate(0.0 -140.0)"' in page
    assert 'viewBox="0.0 0.0 1000 1000' in render_gallery([thin_card(SlicePicture("", 1.0, (), edges))], [])


def thin_card(picture):
    return ImageCard(picture, 1, "", Markup("text"), (), (), {})
