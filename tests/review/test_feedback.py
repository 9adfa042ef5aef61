"""What leaves an image because of verdicts."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import image_row

from refrad.core.tables import frame_of
from refrad.review.feedback import leave_out, rejections
from refrad.review.items import caption_digest, question_digest, question_id
from refrad.review.judgement import ReviewVerdict
from refrad.review.left_out import LeftOutTable

BASE = ReviewVerdict(
    reviewer="AB", delivery="d", shard=0, patient="0f", image_id="i0001", item="caption", item_id="c1", verdict="reject", digest="x"
)  # fmt: skip
LIVER, SPLEEN = 5, 1


@pytest.fixture
def row():
    """An image with a sentence in two languages and another one, and a question about findings and one about metadata."""
    row = image_row(1, "train", np.random.default_rng(0))
    english = row["captions"][0]
    german = copy.deepcopy(english) | {"caption": "c1-de", "language": "de", "text": "Liver und spleen normal."}
    second = copy.deepcopy(english) | {"caption": "c2", "sentence": "s2", "text": "Liver is large."}
    second["entities"] = second["entities"][:1]
    row["captions"] = [english, german, second]
    finding = row["questions"][0] | {"topic": "findings", "question": "Is the liver visible?", "answer": "yes"}
    row["questions"] = [finding, *row["questions"]]
    return row


def on_caption(row, caption_id="c1", **changes):
    caption = next(caption for caption in row["captions"] if caption["caption"] == caption_id)
    return replace(BASE, item_id=caption_id, digest=caption_digest(row["image_id"], caption), **changes)


def on_question(row, number):
    question = row["questions"][number]
    digest = question_digest(row["image_id"], question)
    return replace(BASE, item="question", item_id=question_id(question), digest=digest)


def captions_of(reviewed):
    """Caption to the classes of its phrases."""
    return {
        caption["caption"]: [entity["class_id"] for entity in caption["entities"]]
        for caption in reviewed.row["captions"]
    }


BOTH = [LIVER, SPLEEN]


@pytest.mark.parametrize(
    ("caption", "changes", "captions", "structures"),
    [
        ("c1", {}, {"c2": [LIVER]}, BOTH),
        ("c1-de", {}, {"c2": [LIVER]}, BOTH),
        ("c2", {}, {"c1": BOTH, "c1-de": BOTH}, BOTH),
        ("c1", {"verdict": "wrong_span"}, {"c2": [LIVER]}, BOTH),
        ("c1", {"verdict": "wrong_span", "entity": 1}, {"c1": [LIVER], "c1-de": BOTH, "c2": [LIVER]}, BOTH),
        ("c1", {"verdict": "wrong_box", "entity": 1}, {"c1": [LIVER], "c1-de": [LIVER], "c2": [LIVER]}, [LIVER]),
        ("c1", {"verdict": "wrong_box", "entity": 0}, {"c1": [SPLEEN], "c1-de": [SPLEEN]}, [SPLEEN]),
        ("c1", {"verdict": "wrong_side", "entity": 1}, {"c2": [LIVER]}, [LIVER]),
        ("c1", {"verdict": "reject", "entity": 1}, {"c2": [LIVER]}, BOTH),
        ("c1", {"verdict": "wrong_box", "entity": 9}, {"c2": [LIVER]}, BOTH),
    ],
)
def test_verdict_on_a_caption_takes_out_what_its_row_says(row, caption, changes, captions, structures):
    reviewed = leave_out(row, [on_caption(row, caption, **changes)])
    assert captions_of(reviewed) == captions
    assert [structure["class_id"] for structure in reviewed.row["structures"]] == structures
    assert reviewed.structures == 2 - len(structures) and reviewed.outdated == 0
    assert [question["topic"] for question in reviewed.row["questions"]] == ["metadata"]


def test_rejected_question_leaves_alone(row):
    reviewed = leave_out(row, [on_question(row, 1)])
    assert [question["topic"] for question in reviewed.row["questions"]] == ["findings"]
    assert reviewed.row["captions"] == row["captions"] and reviewed.row["structures"] == row["structures"]
    assert [(left["item"], left["verdict"]) for left in reviewed.left_out] == [("question", "reject")]


def test_image_without_any_caption_leaves_with_its_questions(row):
    reviewed = leave_out(row, [on_caption(row, "c1"), on_caption(row, "c2")])
    assert reviewed.row is None
    assert [(left["item"], left["verdict"]) for left in reviewed.left_out] == [
        ("caption", "reject"),
        ("caption", "follows"),
        ("caption", "reject"),
        ("question", "follows"),
        ("question", "follows"),
    ]


def test_phrase_of_two_classes_loses_all_its_boxes(row):
    for caption in row["captions"][:2]:
        caption["entities"][1] |= {name: caption["entities"][0][name] for name in ("start", "end", "text")}
    reviewed = leave_out(row, [on_caption(row, "c1", verdict="wrong_box", entity=1)])
    assert captions_of(reviewed) == {"c2": [LIVER]}


@pytest.mark.parametrize(
    "change",
    [
        lambda caption: caption.update(text="Liver and spleen are large."),
        lambda caption: caption["entities"][0].update(x_max=caption["entities"][0]["x_max"] + 1),
        lambda caption: caption["entities"][0].update(class_id=2),
        lambda caption: caption["entities"].pop(),
    ],
)
def test_verdict_never_falls_on_another_text_or_box(row, change):
    verdict = on_caption(row, "c1")
    change(row["captions"][0])
    reviewed = leave_out(row, [verdict])
    assert reviewed.row == row and reviewed.outdated == 1 and reviewed.left_out == []


def test_verdict_holds_where_only_the_relation_to_the_class_was_renamed(row):
    verdict = on_caption(row, "c1")
    row["captions"][0]["entities"][0]["via"] = "part"
    assert "c1" not in captions_of(leave_out(row, [verdict]))


def test_rejections_are_by_image_and_leave_out_what_is_accepted():
    verdicts = [
        BASE,
        replace(BASE, verdict="accept", item_id="c2"),
        replace(BASE, image_id="i2", verdict="wrong_box", entity=0),
    ]
    assert rejections(verdicts) == {"i0001": verdicts[:1], "i2": verdicts[2:]}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["c1", "c1-de", "c2"]),
            st.sampled_from(["reject", "wrong_span", "wrong_box", "wrong_side"]),
            st.sampled_from([None, 0, 1]),
        ),
        max_size=4,
    )
)
def test_what_stays_and_what_left_are_the_whole(verdicts):
    row = image_row(1, "train", np.random.default_rng(0))
    german = copy.deepcopy(row["captions"][0]) | {"caption": "c1-de", "language": "de"}
    second = copy.deepcopy(row["captions"][0]) | {"caption": "c2", "sentence": "s2"}
    row["captions"] += [german, second]
    before = copy.deepcopy(row)
    reviewed = leave_out(
        row, [on_caption(row, name, verdict=verdict, entity=entity) for name, verdict, entity in verdicts]
    )
    assert row == before
    staying = reviewed.row["captions"] if reviewed.row else []
    unchanged = {caption["caption"] for caption in staying if caption in row["captions"]}
    left = {left["item_id"] for left in reviewed.left_out if left["item"] == "caption"}
    assert unchanged | left == {"c1", "c1-de", "c2"} and not unchanged & left
    assert {name for name, *_ in verdicts} <= left
    assert all(caption["entities"] for caption in staying)
    if reviewed.row:
        boxed = {structure["class_id"] for structure in reviewed.row["structures"]}
        assert all(entity["class_id"] in boxed for caption in staying for entity in caption["entities"])
    valid = [row_left | {"modality": "CT"} for row_left in reviewed.left_out]
    LeftOutTable.validate(frame_of(valid, LeftOutTable))
