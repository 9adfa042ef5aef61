import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.model.box_formats import JSON, read_boxes, write_boxes
from refrad.model.box_tokens import ParsedText, TaggedEntity, detection_text, parse_detection

LIVER, KIDNEY = (0.12, 0.245, 0.48, 0.611), (0.6, 0.1, 0.8, 0.3)


def test_boxes_are_thousandths_with_x_first():
    text = write_boxes("The liver is normal.", [TaggedEntity(4, 9, 5, LIVER)], JSON)
    assert text == 'The liver is normal.\n[{"bbox_2d": [120, 245, 480, 611], "label": "liver", "class": 5}]'
    (entity,) = read_boxes(text, JSON).entities
    assert (entity.text, entity.class_id, entity.box, entity.start) == ("liver", 5, LIVER, 4)


def test_formats_of_paligemma_are_its_tags():
    entities = [TaggedEntity(4, 9, 5, LIVER)]
    for order in ("yxyx", "xyxy"):
        text = write_boxes("The liver.", entities, order)
        assert text == detection_text("The liver.", entities, 1, 1, order)
        assert read_boxes(text, order) == parse_detection(text, order)


def test_repeated_phrase_keeps_its_place():
    caption = "Sliver beside the liver."  # the first "liver" is part of another word
    text = write_boxes(caption, [TaggedEntity(18, 23, 5, LIVER)], JSON)
    assert '"occurrence": 2' in text
    assert read_boxes(text, JSON).entities[0].start == 18
    lost = read_boxes(text.replace('"occurrence": 2', '"occurrence": 3'), JSON)
    assert not lost.entities and len(lost.damaged) == 1


def test_both_kidneys_stay_with_their_own_box():
    entities = [TaggedEntity(5, 12, 2, LIVER), TaggedEntity(5, 12, 3, KIDNEY)]
    parsed = read_boxes(write_boxes("Both kidneys.", entities, JSON), JSON)
    assert [(entity.text, entity.class_id, entity.box) for entity in parsed.entities] == [
        ("kidneys", 2, LIVER),
        ("kidneys", 3, KIDNEY),
    ]


relative = st.floats(0, 1)
boxes = st.tuples(relative, relative, relative, relative).map(
    lambda sides: (min(sides[0], sides[2]), min(sides[1], sides[3]), max(sides[0], sides[2]), max(sides[1], sides[3]))
)
pieces = [
    "liver",
    "Leber",
    "Übergröße",
    "ö",
    '"',
    "\\",
    "[",
    "]",
    "{",
    "}",
    "```",
    "```json",
    "\n",
    " ",
    ", ",
    "<5 mm>",
    "5",
    "[]",
    "a\u0308",
]


@st.composite
def grounded_captions(draw):
    """Text with quotes, brackets, line breaks and repeated words, and any spans of it, which may repeat, nest and cross."""
    text = "".join(draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=12)))
    entities = []
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        entities.append(TaggedEntity(start, end, draw(st.integers(1, 127)), draw(boxes)))
    return text, entities


@given(grounded_captions())
def test_grounded_caption_round_trips(caption):
    """Text, phrases, places and classes are the same; a side moves by half a thousandth at most."""
    text, entities = caption
    parsed = read_boxes(write_boxes(text, entities, JSON), JSON)
    ordered = sorted(entities, key=lambda entity: (entity.start, -entity.end))
    assert parsed.plain == text and not parsed.damaged
    assert [(entity.start, entity.text, entity.class_id) for entity in parsed.entities] == [
        (entity.start, text[entity.start : entity.end], entity.class_id) for entity in ordered
    ]
    for read, written in zip(parsed.entities, ordered, strict=True):
        assert all(abs(a - b) <= 0.0005 + 1e-12 for a, b in zip(read.box, written.box, strict=True))


@given(grounded_captions(), st.data())
def test_cut_answer_keeps_the_complete_boxes(caption, data):
    """An answer that ends within its list has all boxes before the cut, and the rest is damaged."""
    text, entities = caption
    whole = write_boxes(text, entities, JSON)
    cut = data.draw(st.integers(len(text) + 2, len(whole) - 1))  # after the list's opening bracket
    parsed = read_boxes(whole[:cut], JSON)
    complete = read_boxes(whole, JSON).entities
    assert parsed.plain == text and parsed.entities == complete[: len(parsed.entities)] and len(parsed.damaged) == 1
    listed = json.loads(whole[len(text) + 1 :])
    ends = [len(json.dumps(listed[:count], ensure_ascii=False)) - 1 for count in range(1, len(listed) + 1)]
    assert len(parsed.entities) == sum(end <= cut - len(text) - 1 for end in ends)


@given(st.text())
def test_reading_never_raises(text):
    for prefix in ("", "Liver.\n[", "Liver.\n[{", '[{"bbox_2d": ', '```json\n[{"label": '):
        read_boxes(prefix + text, JSON)


@pytest.mark.parametrize("text", ["Liver.", "yes", "", "[1]", "Findings [1], [2]", "Grade\n[2, 3]"])
def test_answer_without_a_list_is_text(text):
    assert read_boxes(text, JSON) == ParsedText(text, (), ())


def test_list_in_a_fence_is_read_as_qwen_writes_it():
    sound = '{"bbox_2d": [120, 245, 480, 611], "label": "liver", "class": 5}'
    text = f'```json\n[\n\t{sound},\n\t{{"bbox_2d": [600, 100, 800, 300], "label": "kidney", "class": 2}}\n]\n```'
    parsed = read_boxes(text, JSON)
    assert parsed.plain == "liver, kidney" and not parsed.damaged
    assert [(entity.text, entity.box, entity.start) for entity in parsed.entities] == [
        ("liver", LIVER, 0),
        ("kidney", KIDNEY, 7),
    ]


@pytest.mark.parametrize(
    "item",
    [
        {"bbox_2d": [480, 245, 120, 611], "label": "liver", "class": 5},  # left and right exchanged
        {"bbox_2d": [120, 245, 480, 1001], "label": "liver", "class": 5},  # beyond the image
        {"bbox_2d": [120, 245, 480], "label": "liver", "class": 5},
        {"bbox_2d": ["120", "245", "480", "611"], "label": "liver", "class": 5},
        {"bbox_2d": [120, 245, 480, 611], "label": "spleen", "class": 5},  # not in the sentence
        {"bbox_2d": [120, 245, 480, 611], "label": "liver"},  # no class
        {"bbox_2d": [120, 245, 480, 611], "label": "liver", "class": 128},
        {"bbox_2d": [120, 245, 480, 611], "label": ["liver"], "class": 5},
        {"bbox_2d": [120, 245, 480, 611], "label": "", "class": 5},
        {"bbox_2d": [120, 245, 480, 611], "label": "liver", "class": 5, "occurrence": "first"},
    ],
)
def test_unreadable_object_is_damaged_and_the_others_are_kept(item):
    sound = {"bbox_2d": [0, 0, 1000, 1000], "label": "liver", "class": 5}
    parsed = read_boxes(f"The liver.\n{json.dumps([item, sound])}", JSON)
    assert parsed.plain == "The liver." and parsed.damaged == (json.dumps(item),)
    assert [entity.box for entity in parsed.entities] == [(0.0, 0.0, 1.0, 1.0)]
