"""The number of tokens that an answer may have, and the answers that reach it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.config import AnswerTokens
from refrad.dataset.examples import ExampleCaption, ExampleMention, ImageExample
from refrad.dataset.image_codec import encode_mask
from refrad.evaluation.answer_cache import GeneratedAnswer
from refrad.evaluation.answer_lengths import answer_limits, count_lengths
from refrad.evaluation.metrics.localization import score_locations
from refrad.evaluation.questions import EvalQuestion, build_questions
from refrad.evaluation.regions import BoxCodec
from refrad.model.collate import Sample, collate
from refrad.model.packing import pack

BLACK = np.zeros((64, 64, 3), np.uint8)


def image_of(number_of_classes, text="ribs"):
    """An image whose caption is a mention of several classes, each with its box."""
    targets = tuple(
        (class_id, (class_id / 200, 0.1, class_id / 200 + 0.2, 0.5)) for class_id in range(number_of_classes)
    )
    caption = ExampleCaption("en", text, None, None, (ExampleMention(0, len(text), text, targets),))
    masks = dict.fromkeys(dict(targets), encode_mask(np.ones((64, 64), bool)))
    return ImageExample("i", "p", "CT", {}, dict(targets), (caption,), (), masks, (64, 64))


def learned_tokens(processor, question):
    """Tokens of the true answer that training computes its loss on, eos included; in rows of 64 tokens, which pack may exceed."""
    batch = collate(processor, [Sample(question.task, "en", BLACK, question.text, question.tagged)] * 2)
    packed = pack(batch, 64)
    assert (packed["labels"] != -100).sum() == (batch["labels"] != -100).sum()
    return int((batch["labels"][0] != -100).sum())


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("classes", [1, 11, 24])
def test_true_answer_fits_whatever_the_limit_is(processor, classes, masks):
    """A tag of a box has 9 tokens besides its phrase: `<p bbox=`, 4 coordinates, ` id=`, a class, `>` and `</p>`."""
    questions = build_questions(image_of(classes), masks=masks)
    assert {question.task for question in questions} == {"locate", "detect", "caption"}
    limits = answer_limits(questions, processor, AnswerTokens(locate=1, detect=1, vqa=1, caption=1))
    phrase = len(processor.tokenizer("ribs", add_special_tokens=False)["input_ids"])
    tags = {"locate": 2 if masks else 9 * classes, "detect": 2 if masks else 9 * classes, "caption": 0}
    for question in questions:
        limit = limits["internal", question.task]
        longest = tags[question.task] + phrase + 1
        assert limit == {"configured": 1, "longest_true": longest, "limit": longest}
        assert limit["longest_true"] == learned_tokens(processor, question)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("order", ["yxyx", "xyxy"])
def test_true_answer_scores_one_as_the_answer_of_a_model(order, resize):
    image = replace(image_of(24), size=(64, 48))
    questions = build_questions(image, resize=resize, order=order)
    assert {question.task for question in questions} == {"locate", "detect", "caption"}
    for question in questions:
        if question.task == "caption":
            continue
        regions = BoxCodec(order).decode(question, GeneratedAnswer(question.tagged)).regions
        assert min(score.iou for score in score_locations(question.targets, regions)) > 0.97


def test_configured_limit_holds_where_it_is_larger(processor):
    limits = answer_limits(build_questions(image_of(1)), processor, AnswerTokens(locate=96))
    assert limits["internal", "locate"]["limit"] == 96


def test_limit_of_a_dataset_does_not_depend_on_another(processor):
    ours = [EvalQuestion("i", "p", "vqa", "en", "q", tagged="yes")]
    theirs = [EvalQuestion("j", "p", "vqa", "en", "q", tagged="no " * 99, dataset="slake")]
    alone, together = (answer_limits(asked, processor, AnswerTokens()) for asked in (ours, ours + theirs))
    assert together["internal", "vqa"] == alone["internal", "vqa"] and together["slake", "vqa"]["limit"] > 99


def test_cut_answers_are_counted_by_dataset_and_task(processor):
    questions = [
        EvalQuestion("i", "p", task, "en", "q", tagged="x", dataset=dataset)
        for dataset, task in (("internal", "vqa"), ("internal", "vqa"), ("internal", "locate"), ("slake", "vqa"))
    ]
    answers = [GeneratedAnswer("a", (), 24, True), GeneratedAnswer("b", (), 7), GeneratedAnswer("c", (), 9)] * 2
    limits = answer_limits(questions, processor, AnswerTokens())
    rows = count_lengths(questions, answers[:4], limits)
    assert [(row["dataset"], row["task"], row["answers"], row["longest"], row["cut"]) for row in rows] == [
        ("internal", "vqa", 2, 24, 1),
        ("internal", "locate", 1, 9, 0),
        ("slake", "vqa", 1, 24, 1),
    ]


@given(st.integers(1, 24), st.data())
def test_answer_cut_anywhere_is_decoded(classes, data):
    """A region whose tag is complete keeps its box; the others are left out."""
    question = build_questions(image_of(classes))[0]
    text = question.tagged[: data.draw(st.integers(0, len(question.tagged)))]
    decoded = BoxCodec("yxyx").decode(question, GeneratedAnswer(text, (), 1, True))
    assert {region.class_id for region in decoded.regions} <= {target.class_id for target in question.targets}
    assert len(decoded.regions) == text.count(">>")  # where an opening tag ends
