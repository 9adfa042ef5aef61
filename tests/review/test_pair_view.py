import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import image_row

from refrad.review.pair_view import (
    boxes_of,
    colours_of,
    default_window,
    entities_of,
    origin_of,
    outlines_of,
    split_text,
    view_of,
)
from refrad.review.slice_pictures import WINDOWS


@pytest.fixture
def row():
    return image_row(3, "train", np.random.default_rng(0))


def entity(start, end, class_id, box=(0, 0, 4, 4)):
    corners = dict(zip(("x_min", "y_min", "x_max", "y_max"), box, strict=True))
    return {"start": start, "end": end, "text": "", "class_id": class_id, "via": "exact"} | corners


@given(
    text=st.text(max_size=30),
    spans=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.integers(1, 3)), max_size=6),
)
def test_parts_of_a_text_are_the_text(text, spans):
    entities = [entity(start, start + size, c) for start, size, c in spans if start + size <= len(text)]
    parts = split_text({"text": text, "entities": entities})
    assert "".join(part.text for part in parts) == text
    marked = [number for part in parts for number in part.entities]
    assert len(marked) == len(set(marked)) and set(marked) <= set(range(len(entities)))
    for part in parts:
        for number in part.entities:
            assert part.text == text[entities[number]["start"] : entities[number]["end"]]


def test_span_of_two_classes_is_marked_once():
    caption = {"text": "Both kidneys: ok 😀.", "entities": [entity(0, 12, 3), entity(0, 12, 2)]}
    first = split_text(caption)[0]
    assert (first.text, first.entities, first.numbers) == ("Both kidneys", (0, 1), "1,2")


def test_phrases_of_one_box_share_it(schema):
    boxes = boxes_of([entity(0, 4, 5), entity(9, 12, 5), entity(15, 18, 5, (1, 1, 9, 9)), entity(0, 4, 1)], schema)
    assert [(box.numbers, box.name, box.colour) for box in boxes] == [
        ("1,2", "liver", 0),
        ("3", "liver", 0),
        ("4", "spleen", 1),
    ]


def test_classes_have_colours_in_the_order_of_the_text():
    assert colours_of([entity(0, 1, number) for number in (7, 3, 7, 9)]) == {7: 0, 3: 1, 9: 2}
    assert set(colours_of([entity(0, 1, number) for number in range(1, 40)]).values()) == set(range(8))


def test_sizes_are_in_mm(row, schema):
    row |= {"spacing_x": 0.5, "spacing_y": 2.0}
    assert entities_of(row["captions"][0], row, schema)[0].size == "10 x 40 mm"
    view = view_of(row, "/p")
    assert (view.width_mm, view.height_mm) == (32.0, 128.0)
    row |= {"spacing_x": None, "spacing_y": None}
    assert view_of(row, "/p").width_mm == 64.0


def test_side_of_a_class_is_named(row, schema):
    row["captions"][0]["entities"][0]["class_id"] = 3
    assert entities_of(row["captions"][0], row, schema)[0].side == "left"


@pytest.mark.parametrize(
    ("classes", "window"), [([5], "soft tissue"), ([10], "lung"), ([27], "bone"), ([90], "brain"), ([], "soft tissue")]
)
def test_window_suits_the_classes(row, schema, classes, window):
    row["captions"][0]["entities"] = [entity(0, 1, number) for number in classes]
    assert default_window(row, row["captions"][0], schema) == window
    assert default_window(row | {"modality": "MR"}, row["captions"][0], schema) == WINDOWS["MR"][0]


def test_outlines_are_those_of_the_masks(row, schema):
    liver = row["structures"][0]
    (outline,) = outlines_of(row, [5], {5: 2}, schema)
    assert (outline.name, outline.colour) == ("liver", 2)
    assert outline.path.startswith(f"M{liver['x_min']} {liver['y_min']}H{liver['x_max']}")


def test_origin_has_all_pseudonyms(row):
    row |= {"body_part": None, "contrast": None}
    values = dict(origin_of(row, row["captions"][0], "clinic", 4))
    assert values["image"] == "i0003" and values["delivery"] == "clinic" and values["shard"] == "4"
    assert {"volume", "study", "patient", "caption", "sentence", "split"} <= values.keys()
    assert "body part" not in values and "contrast" not in values
