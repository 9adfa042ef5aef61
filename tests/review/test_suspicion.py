"""Signs that a pair of image and text may be wrong."""

import polars as pl
import pytest

from refrad.review.item_tables import ITEM_COLUMNS, PHRASE_COLUMNS, ItemTables
from refrad.review.suspicion import SUSPICIONS, Evidence, find_suspicions

LIVER, KIDNEY_RIGHT, KIDNEY_LEFT = 5, 2, 3
FLAGS = {"volume": pl.String, "class_id": pl.Int16, "flag": pl.String}
UNNAMED = {"item_id": pl.String, "class_id": pl.Int16}


def phrase(number, **changes):
    """A phrase of the liver in a usual place and size."""
    row = {
        "image_id": f"i{number}",
        "volume": f"v{number}",
        "modality": "CT",
        "plane": "axial",
        "item_id": f"c{number}",
        "language": "en",
        "entity": 0,
        "start": 0,
        "end": 5,
        "text": "liver",
        "class_id": LIVER,
        "via": "exact",
        "x": 0.3 + 0.002 * (number % 10),
        "y": 0.5 - 0.002 * (number % 7),
        "width": 120,
        "height": 100,
        "area_mm2": 9000.0 + 50 * (number % 9),
    }
    return row | changes


def question(number, text, answer, **changes):
    row = {"image_id": f"i{number}", "item": "question", "item_id": f"q{number}", "language": "en", "text": text}
    return row | {"answer": answer, "search": f"{text} {answer}".lower()} | changes


def signs(schema, phrases, items=(), flags=(), unnamed=()):
    """Item to the signs it has."""
    frame = pl.DataFrame([dict.fromkeys(ITEM_COLUMNS) | row for row in items], schema=ITEM_COLUMNS)
    tables = ItemTables(frame, pl.DataFrame(list(phrases), schema=PHRASE_COLUMNS))
    evidence = Evidence(
        tables, schema, pl.DataFrame(list(flags), FLAGS), pl.DataFrame(list(unnamed), UNNAMED, orient="row")
    )
    by_item = {}
    for _, _, item_id, entity, name in find_suspicions(evidence).sort("item_id", "suspicion").iter_rows():
        by_item.setdefault(item_id, []).append((name, entity))
    return by_item


USUAL = [phrase(number) for number in range(30)]


def test_usual_phrases_have_no_sign(schema):
    assert signs(schema, USUAL) == {}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"area_mm2": 24.0}, ["fragment", "small"]),
        ({"area_mm2": 26.0}, ["fragment"]),
        ({"width": 2}, ["small"]),
        ({"height": 2}, ["small"]),
        ({"area_mm2": 800.0}, ["fragment"]),
        ({"area_mm2": 1000.0}, []),
        ({"area_mm2": 40_000.0}, ["oversized"]),
        ({"x": 0.7}, ["far"]),
        ({"y": 0.1}, ["far"]),
        ({"x": 0.4}, []),
        ({"area_mm2": 800.0, "class_id": 7}, []),  # a class of which there are too few
        ({"x": 0.7, "plane": "coronal"}, []),
        ({"x": 0.7, "modality": "MR"}, []),
    ],
)
def test_unusual_phrase_has_its_sign(schema, changes, names):
    found = signs(schema, [*USUAL, phrase(99, entity=3, **changes)])
    assert found == ({"c99": [(name, 3) for name in names]} if names else {})


def test_swapped_kidney_is_far_from_its_usual_place(schema):
    right = [phrase(number, class_id=KIDNEY_RIGHT) for number in range(30)]
    assert signs(schema, [*right, phrase(99, class_id=KIDNEY_RIGHT, x=0.68)]) == {"c99": [("far", 0)]}


@pytest.mark.parametrize(
    ("flags", "items"),
    [
        ([{"volume": "v1", "class_id": LIVER, "flag": "volume"}], {"c1"}),
        ([{"volume": "v1", "class_id": None, "flag": "sides"}], {"c1", "c2"}),
        ([{"volume": "v1", "class_id": KIDNEY_LEFT, "flag": "pieces"}], set()),
        ([{"volume": "v9", "class_id": None, "flag": "sides"}], set()),
    ],
)
def test_flagged_anatomy_is_implausible(schema, flags, items):
    phrases = [phrase(1), phrase(2, volume="v1", class_id=KIDNEY_RIGHT)]
    assert signs(schema, phrases, flags=flags) == {item: [("implausible", 0)] for item in items}


@pytest.mark.parametrize(
    ("text", "classes", "suspicious"),
    [
        ("Nieren bds.", [KIDNEY_LEFT], True),
        ("beide Nieren", [KIDNEY_RIGHT], True),
        ("Beiden Nieren", [KIDNEY_RIGHT], True),
        ("both kidneys", [KIDNEY_LEFT], True),
        ("bilateral adrenal glands", [8], True),
        ("Lungen", [10, 11], True),
        ("Lungen", [10, 14], False),
        ("both kidneys", [KIDNEY_LEFT, KIDNEY_RIGHT], False),
        ("left kidney", [KIDNEY_LEFT], False),
        ("Niere", [KIDNEY_LEFT], False),
        ("liver", [LIVER], False),
    ],
)
def test_two_sided_phrase_with_boxes_of_one_side(schema, text, classes, suspicious):
    phrases = [phrase(1, text=text, class_id=class_id, entity=number) for number, class_id in enumerate(classes)]
    found = signs(schema, phrases)
    assert ("c1" in found) == suspicious and (not found or {name for name, _ in found["c1"]} == {"one-sided"})


@pytest.mark.parametrize(
    ("text", "answer", "changes", "suspicious"),
    [
        ("Is the liver visible?", "no", {}, True),
        ("Is the LIVER visible?", "No", {}, True),
        ("Is the liver visible?", "yes", {}, False),
        ("Is the spleen visible?", "no", {}, False),
        ("Ist die Liver zu sehen?", "nein", {"language": "de"}, False),
        ("Is the liver visible?", "no", {"image_id": "i2"}, False),
    ],
)
def test_question_that_denies_what_a_caption_boxes(schema, text, answer, changes, suspicious):
    found = signs(schema, [phrase(1)], [question(1, text, answer, **changes)])
    assert found == ({"q1": [("contradiction", None)]} if suspicious else {})


def test_caption_in_which_model_and_lexicon_disagree(schema):
    item = {"image_id": "i1", "item": "caption", "item_id": "c1"}
    assert signs(schema, [phrase(1)], [item], unnamed=[("c1", 7), ("c1", 8), ("c2", 1)]) == {
        "c1": [("disagreeing", None)]
    }


def test_signs_have_a_sentence(root):
    page = (root / "docs" / "review.md").read_text(encoding="utf-8")
    for name, suspicion in SUSPICIONS.items():
        assert suspicion.sentence.endswith(".") and f"| `{name}` |" in page
