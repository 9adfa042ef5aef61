import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.model.box_tokens import (
    COORDINATE_BINS,
    TaggedEntity,
    bin_of,
    detection_text,
    parse_detection,
    parse_segmentation,
    phrases_of,
    segmentation_text,
    value_of,
)

ORDERS = ["yxyx", "xyxy"]


def entity(start, end, class_id, box=(0.1, 0.2, 0.5, 0.6)):
    return TaggedEntity(start, end, class_id, box)


def test_a_box_is_written_in_the_papers_order():
    text = detection_text("The liver.", [entity(4, 9, 5, (0, 0, 256, 511))], 511, 511, "yxyx")
    assert text == "The <p bbox=<loc0000><loc0000><loc0511><loc0256> id=<seg005>>liver</p>."


def test_a_box_is_written_in_the_released_codes_order():
    text = detection_text("liver", [entity(0, 5, 5, (0, 0, 256, 511))], 511, 511, "xyxy")
    assert text == "<p bbox=<loc0000><loc0000><loc0256><loc0511> id=<seg005>>liver</p>"


@given(st.floats(0, 1))
def test_a_coordinate_moves_by_half_a_bin_at_most(value):
    assert abs(value_of(bin_of(value)) - value) <= 0.5 / (COORDINATE_BINS - 1) + 1e-12


@given(st.integers(0, COORDINATE_BINS - 1))
def test_a_bin_survives_the_round_trip(number):
    assert bin_of(value_of(number)) == number


def test_both_kidneys_stay_with_their_own_box():
    right, left = (0.1, 0.1, 0.3, 0.3), (0.6, 0.1, 0.8, 0.3)
    text = detection_text("Both kidneys.", [entity(5, 12, 2, right), entity(5, 12, 3, left)], 1, 1, "yxyx")
    parsed = parse_detection(text, "yxyx")
    assert [(one.text, one.class_id) for one in parsed.entities] == [("kidneys", 2), ("kidneys", 3)]
    assert parsed.entities[0].box[0] < parsed.entities[1].box[0]
    assert parsed.plain == "Both kidneys."


boxes = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@st.composite
def captions(draw):
    """Text with non-crossing spans: words, some of them marked, some of the marks repeated with another class."""
    words = draw(
        st.lists(st.text(st.characters(exclude_characters="‹›", exclude_categories=["Cs"]), max_size=8), max_size=6)
    )
    entities, text = [], ""
    for word in words:
        start = len(text)
        text += word
        for _ in range(draw(st.integers(0, 2)) if word else 0):
            entities.append(entity(start, len(text), draw(st.integers(1, 121)), draw(boxes)))
        text += draw(st.sampled_from([" ", ", ", ""]))
    return text, entities


@given(captions(), st.sampled_from(ORDERS))
def test_text_and_boxes_survive_the_round_trip(caption, order):
    text, entities = caption
    written = detection_text(text, entities, 1, 1, order)
    parsed = parse_detection(written, order)
    assert parsed.plain == text
    assert parsed.damaged == ()
    assert [(one.text, one.start, one.class_id) for one in parsed.entities] == [
        (text[e.start : e.end], e.start, e.class_id) for e in entities
    ]
    for one, e in zip(parsed.entities, entities, strict=True):
        for value, side in zip(one.box, e.box, strict=True):
            assert abs(value - side) <= 0.5 / (COORDINATE_BINS - 1) + 1e-12
    again = [entity(o.start, o.start + len(o.text), o.class_id, o.box) for o in parsed.entities]
    assert detection_text(parsed.plain, again, 1, 1, order) == written


def test_a_span_inside_another_nests():
    text = "liver cyst"
    parsed = parse_detection(detection_text(text, [entity(0, 10, 5), entity(0, 5, 6)], 1, 1, "yxyx"), "yxyx")
    assert [(one.text, one.class_id) for one in parsed.entities] == [("liver cyst", 5), ("liver", 6)]


def test_crossing_spans_lose_no_entity():
    parsed = parse_detection(detection_text("abcdef", [entity(0, 4, 1), entity(2, 6, 2)], 1, 1, "yxyx"), "yxyx")
    assert parsed.plain == "abcdef"
    assert {one.class_id for one in parsed.entities} == {1, 2}


spans = st.tuples(st.integers(0, 7), st.integers(1, 8)).map(lambda s: (min(s), max(s) + (s[0] == s[1])))


@given(st.lists(spans, max_size=6))
def test_whatever_way_spans_overlap_no_text_and_no_entity_is_lost(places):
    entities = [entity(*place, number) for number, place in enumerate(places, 1)]
    parsed = parse_detection(detection_text("abcdefghi", entities, 1, 1, "yxyx"), "yxyx")
    assert parsed.plain == "abcdefghi" and parsed.damaged == ()
    assert sorted(one.class_id for one in parsed.entities) == list(range(1, len(places) + 1))
    phrases = parse_segmentation(segmentation_text("abcdefghi", entities))
    assert phrases.plain == "abcdefghi" and len(phrases.phrases) == len(set(places))


@pytest.mark.parametrize(
    ("text", "plain", "classes"),
    [
        ("<p bbox=<loc0001><loc0002> id=<seg005>>liver</p>", "liver", []),
        ("<p bbox=<loc0001><loc0002><loc0003><loc0004> id=<seg005>>liver", "liver", [5]),
        ("liver</p>", "liver", []),
        ("<p bbox=<loc0400><loc0002><loc0003><loc0004> id=<seg005>>liver</p>", "liver", []),
        ("<p bbox=<loc0001><loc0002><loc0003><loc0999> id=<seg005>>liver</p>", "liver", []),
    ],
)
def test_damaged_output_is_read_as_far_as_it_makes_sense(text, plain, classes):
    parsed = parse_detection(text, "yxyx")
    assert plain in parsed.plain
    assert [one.class_id for one in parsed.entities] == classes
    assert parsed.damaged


@given(st.text(st.sampled_from(list("<>/plocseg0123 =id"))))
def test_no_output_makes_the_parser_fail(text):
    parse_detection(text, "yxyx")


def test_a_phrase_of_several_classes_has_one_mask_and_masks_follow_the_order_of_their_tags():
    text, entities = "liver and kidneys", [entity(10, 17, 3), entity(0, 5, 5), entity(10, 17, 2)]
    assert segmentation_text(text, entities) == "<seg>liver</seg> and <seg>kidneys</seg>"
    assert [one.classes for one in phrases_of(entities)] == [(5,), (3, 2)]


def test_a_phrase_inside_another_closes_first_and_so_do_the_masks():
    text, entities = "cyst of the liver", [entity(0, 17, 5), entity(12, 17, 6)]
    assert segmentation_text(text, entities) == "<seg>cyst of the <seg>liver</seg></seg>"
    assert [one.classes for one in phrases_of(entities)] == [(6,), (5,)]


@given(captions())
def test_phrases_survive_the_round_trip_with_their_masks(caption):
    text, entities = caption
    parsed = parse_segmentation(segmentation_text(text, entities))
    masks = phrases_of(entities)
    assert parsed.plain == text and parsed.damaged == ()
    assert [(one.start, one.text) for one in parsed.phrases] == [
        (one.start, text[one.start : one.end]) for one in masks
    ]
    assert [one.tag for one in parsed.phrases] == list(range(len(masks)))
    assert sorted(c for one in masks for c in one.classes) == sorted(
        {(e.start, e.end, e.class_id): e.class_id for e in entities}.values()
    )


@pytest.mark.parametrize(
    ("text", "phrases", "damaged"),
    [
        ("<seg>liver</seg> and <seg>spleen", ["liver"], ["unclosed phrase"]),
        ("liver</seg> and <seg>spleen</seg>", ["spleen"], ["</seg>"]),
        ("<seg>liver<loc0001></seg>", ["liver"], ["<loc0001>"]),
        ("<se>liver</seg>", [], ["<se>", "</seg>"]),
    ],
)
def test_damaged_segmentation_is_read_as_far_as_it_makes_sense(text, phrases, damaged):
    parsed = parse_segmentation(text)
    assert [one.text for one in parsed.phrases] == phrases
    assert list(parsed.damaged) == damaged


@given(st.text(st.sampled_from(list("<>/seg ab"))))
def test_no_segmentation_output_makes_the_parser_fail(text):
    parse_segmentation(text)


@pytest.mark.parametrize(
    "text", ["Zyste, 1,2 cm (12,5 mm) in der Leber.", "1.2 cm cyst; <5 mm. Liver.", "Läsion → Leber"]
)
def test_decimals_signs_and_umlauts_come_through_untouched(text):
    start = text.lower().index("le" if "Le" in text else "liver")
    marked = [entity(start, start + 5, 5)]
    assert parse_detection(detection_text(text, marked, 1, 1, "yxyx"), "yxyx").plain == text
    assert parse_segmentation(segmentation_text(text, marked)).plain == text


@given(st.integers(0, 500), st.integers(0, 500), st.integers(8, 12), st.integers(8, 12))
def test_a_small_box_keeps_its_overlap(x, y, width, height):
    box = (x / 512, y / 512, (x + width) / 512, (y + height) / 512)
    back = parse_detection(detection_text("a", [entity(0, 1, 5, box)], 1, 1, "yxyx"), "yxyx").entities[0].box
    inner = (min(box[2], back[2]) - max(box[0], back[0])) * (min(box[3], back[3]) - max(box[1], back[1]))
    areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (box, back)]
    assert inner / (sum(areas) - inner) > 0.75  # cutting digits off instead of rounding loses up to 45 %
