"""Boxes in the answers of other models."""

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.config import BoxOptions
from refrad.evaluation.box_conventions import read_boxes, write_box

SIZE = (640, 480)  # width and height, px
CONVENTIONS = [
    BoxOptions(unit=unit, order=order)
    for unit in ("px", "share", 1000)
    for order in ("xyxy", "yxyx", "xywh")
]  # fmt: skip
THOUSANDTHS = BoxOptions(unit=1000, order="yxyx")
LOC = BoxOptions(unit="loc", order="yxyx")
LIVER = (0.1, 0.2, 0.5, 0.6)  # x_min, y_min, x_max, y_max


def convention_id(convention):
    return f"{convention.unit}-{convention.order}"


@st.composite
def boxes(draw):
    x_min, y_min = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
    return x_min, y_min, draw(st.floats(x_min + 0.05, 1)), draw(st.floats(y_min + 0.05, 1))


@pytest.mark.parametrize("convention", CONVENTIONS, ids=convention_id)
@given(box=boxes(), key=st.sampled_from(["box_2d", "bbox_2d", "bbox"]), fenced=st.booleans())
def test_box_of_each_convention_round_trips(convention, box, key, fenced):
    answer = json.dumps([{"label": "left kidney", key: write_box(box, convention, SIZE)}])
    text = f"Here it is:\n```json\n{answer}\n```" if fenced else answer
    reading = read_boxes(text, convention, SIZE)
    assert [labelled.label for labelled in reading.boxes] == ["left kidney"] and reading.malformed == 0
    assert reading.boxes[0].box == pytest.approx(box, abs=1e-9)


@given(box=boxes())
def test_box_of_tokens_round_trips_within_a_bin(box):
    tokens = "".join(f"<loc{min(round(value), 1023):04d}>" for value in write_box(box, LOC, SIZE))
    reading = read_boxes(f"{tokens} left kidney", LOC, SIZE)
    assert [labelled.label for labelled in reading.boxes] == ["left kidney"] and reading.malformed == 0
    assert reading.boxes[0].box == pytest.approx(box, abs=1 / 1024)


def test_orders_and_units_are_told_apart_by_hand():
    # x 64 to 320 of 640 px, y 96 to 288 of 480 px: the liver
    for unit, order, values in [
        ("px", "xyxy", [64, 96, 320, 288]),
        ("px", "yxyx", [96, 64, 288, 320]),
        ("px", "xywh", [64, 96, 256, 192]),
        ("share", "xyxy", [0.1, 0.2, 0.5, 0.6]),
        (1000, "yxyx", [200, 100, 600, 500]),
        (1000, "xywh", [100, 200, 400, 400]),
    ]:
        convention = BoxOptions(unit=unit, order=order)
        (labelled,) = read_boxes(json.dumps({"box_2d": values, "label": "liver"}), convention, SIZE).boxes
        assert labelled.box == pytest.approx(LIVER)


def test_tokens_of_paligemma_are_y_first_of_1024():
    # 0.25 = 256 / 1024, 0.5 = 512 / 1024, 0.75 = 768 / 1024
    reading = read_boxes(
        "<loc0256><loc0000><loc0768><loc0512> liver ; <loc0000><loc0000><loc0512><loc0256> spleen", LOC, SIZE
    )
    assert [(labelled.label, labelled.box) for labelled in reading.boxes] == [
        ("liver", (0.0, 0.25, 0.5, 0.75)),
        ("spleen", (0.0, 0.0, 0.25, 0.5)),
    ]


FORMS = {
    "object": '{"box_2d": [200, 100, 600, 500], "label": "liver"}',
    "list": '[{"label": "liver", "bbox_2d": [200, 100, 600, 500]}]',
    "numbers with fractions": '{"bbox": [200.0, 100.0, 600.0, 500.0], "label": "liver"}',
    "list of boxes": '{"label": "liver", "box_2d": [[200, 100, 600, 500]]}',
    "label to box": '{"liver": [200, 100, 600, 500]}',
    "below a key": '{"objects": [{"name": "liver", "box": [200, 100, 600, 500]}]}',
    "label above": '{"liver": {"box_2d": [200, 100, 600, 500]}}',
    "text around": 'The liver: [{"box_2d": [200, 100, 600, 500], "label": "liver"}] as marked.',
    "corners of Qwen": "<|object_ref_start|>liver<|object_ref_end|><|box_start|>(200,100),(600,500)<|box_end|>",
    "corners without special tokens": "<ref>liver</ref><box>(200,100),(600,500)</box>",
    "another key of the box": '{"bounding_box": [200, 100, 600, 500], "label": "liver"}',
    "coordinates": '{"label": "liver", "coordinates": [200, 100, 600, 500]}',
    "parallel lists": '{"boxes": [[200, 100, 600, 500]], "labels": ["liver"]}',
    "quotes of Python": "[{'label': 'liver', 'box_2d': [200, 100, 600, 500]}]",
    "reference before a list": "<ref>liver</ref><box>[[200, 100, 600, 500]]</box>",
    "numbers between tokens": "<ref>liver</ref><box>200, 100, 600, 500</box>",
    "named corners": '{"label": "liver", "bbox": {"x_min": 100, "y_min": 200, "x_max": 500, "y_max": 600}}',
    "named corners below another key": '{"name": "liver", "location": {"x1": 100, "y1": 200, "x2": 500, "y2": 600}}',
    "named corners without a key": '{"label": "liver", "xmin": 100, "ymin": 200, "xmax": 500, "ymax": 600}',
    "named sides": '{"liver": {"left": 100, "top": 200, "right": 500, "bottom": 600}}',
    "cut off": '[{"box_2d": [200, 100, 600, 500], "label": "liver"}, {"label": "sple',
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_each_form_of_a_box_is_read(text):
    reading = read_boxes(text, THOUSANDTHS, SIZE)
    assert [(labelled.label, labelled.box) for labelled in reading.boxes] == [("liver", pytest.approx(LIVER))]
    assert reading.malformed == 0


WITHOUT_LABEL = {
    "list": "[200, 100, 600, 500]",
    "sentence": "It is at [200, 100, 600, 500].",
    "nested": "[[200, 100, 600, 500]]",
}


@pytest.mark.parametrize("text", WITHOUT_LABEL.values(), ids=WITHOUT_LABEL)
def test_box_without_a_label_has_none(text):
    assert read_boxes(text, THOUSANDTHS, SIZE).boxes == ((pytest.approx(LIVER), ""),)


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "liver", "location": "right upper quadrant"}',
        '{"finding": "none", "positions": ["left", "right"]}',
        "The patient's 'old' liver, 'normal': seen.",
        '{"label": "liver", "left": 100, "top": 200}',
    ],
)
def test_words_about_a_place_are_no_box(text):
    reading = read_boxes(text, THOUSANDTHS, SIZE)
    assert reading.boxes == () and reading.malformed == 0


def test_lists_of_labels_and_boxes_of_different_length_are_not_paired():
    text = '{"boxes": [[200, 100, 600, 500], [1, 2, 300, 400]], "labels": ["liver"]}'
    assert [labelled.label for labelled in read_boxes(text, THOUSANDTHS, SIZE).boxes] == ["", ""]


@pytest.mark.parametrize("name", ["rectum", "region of the liver", "boxer's fracture", "rectus abdominis"])
def test_name_of_a_structure_is_no_key_of_a_box(name):
    (labelled,) = read_boxes(json.dumps({name: [200, 100, 600, 500]}), THOUSANDTHS, SIZE).boxes
    assert labelled.label == name


MALFORMED = {
    "inverted": [600, 500, 200, 100],
    "empty": [200, 100, 200, 500],
    "three numbers": [200, 100, 600],
    "five numbers": [200, 100, 600, 500, 1],
    "outside": [200, 100, 600, 1500],
    "negative": [-200, 100, 600, 500],
    "shares": [0.2, 0.1, 0.6, 0.5],
    "texts": ["200", "100", "600", "500"],
    "not a number": [float("nan"), 100, 600, 500],
    "infinite": [200, 100, float("inf"), 500],
    "beyond a float": [200, 100, 10**400, 500],
    "truth values": [True, False, True, True],
    "a text": "200, 100, 600, 500",
    "two named corners": {"x_min": 100, "y_min": 200},
    "named corners that are inverted": {"x_min": 500, "y_min": 200, "x_max": 100, "y_max": 600},
    "named corners that are texts": {"x_min": "100", "y_min": 200, "x_max": 500, "y_max": 600},
}


@pytest.mark.parametrize("values", MALFORMED.values(), ids=MALFORMED)
def test_malformed_box_is_dropped_and_counted(values):
    good = {"box_2d": [200, 100, 600, 500], "label": "liver"}
    text = json.dumps([{"box_2d": values, "label": "spleen"}, good])
    reading = read_boxes(text, THOUSANDTHS, SIZE)
    assert [labelled.label for labelled in reading.boxes] == ["liver"] and reading.malformed == 1


def test_pixels_and_thousandths_are_no_shares():
    read = partial(read_boxes, size=SIZE)
    shares = BoxOptions(unit="share", order="xyxy")
    assert read('{"box_2d": [100, 200, 500, 600]}', shares) == read('{"box_2d": [1, 2, 5, 6]}', shares)
    assert read('{"box_2d": [100, 200, 500, 600]}', shares).malformed == 1
    assert read('{"box_2d": [100, 200, 900, 600]}', BoxOptions(unit="px", order="xyxy")).malformed == 1


def test_rounding_beyond_the_edge_is_clipped():
    (labelled,) = read_boxes('{"box_2d": [0, 0, 1001, 1000]}', THOUSANDTHS, SIZE).boxes
    assert labelled.box == (0, 0, 1, 1)


@pytest.mark.parametrize("text", ["<loc0001><loc0002><loc0003> liver", "<loc0500><loc0500><loc0100><loc0100> liver"])
def test_incomplete_or_inverted_tokens_are_counted(text):
    reading = read_boxes(text, LOC, SIZE)
    assert reading.boxes == () and reading.malformed == 1


def test_cut_off_box_is_counted():
    reading = read_boxes('[{"label": "liver", "box_2d": [200, 100,', THOUSANDTHS, SIZE)
    assert reading.boxes == () and reading.malformed == 1


PLAIN = {
    'A cyst of the liver. [{"label": "liver", "box_2d": [200, 100, 600, 500]}]': "A cyst of the liver.",
    '{"caption": "A cyst of the liver.", "boxes": [{"label": "liver", "box_2d": [200, 100, 600, 500]}]}': "A cyst of the liver.",
    "A cyst (12 mm), (benign).": "A cyst (12 mm), (benign).",
    "Grade [I].": "Grade [I].",
}


@pytest.mark.parametrize(("text", "plain"), PLAIN.items(), ids=["list behind", "inside", "brackets", "no JSON"])
def test_words_outside_of_boxes_are_the_caption(text, plain):
    reading = read_boxes(text, THOUSANDTHS, SIZE)
    assert reading.plain == plain and reading.malformed == 0


@given(text=st.text(alphabet="[]{}\"'()<>,:.0123456789loc box_2d-einfNaN\\\n", max_size=60))
def test_any_answer_is_read_without_an_error(text):
    for convention in (*CONVENTIONS, LOC):
        for labelled in read_boxes(text, convention, SIZE).boxes:
            x_min, y_min, x_max, y_max = labelled.box
            assert 0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1


def test_deep_nesting_is_no_error():
    assert read_boxes("[" * 100_000, THOUSANDTHS, SIZE).boxes == ()
