"""The headline numbers of the page, metrics.json and the table of scores come from one scorer."""

import json
from dataclasses import replace

import pytest

from refrad.dataset.examples import example_of_row, read_image_table
from refrad.dataset.image_codec import encode_mask
from refrad.evaluation.answer_cache import GeneratedAnswer
from refrad.evaluation.headline import headline
from refrad.evaluation.metrics.grounding import NamedRegion
from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord
from refrad.evaluation.metrics.scoring import score_items
from refrad.evaluation.metrics.summary import summarise
from refrad.evaluation.questions import EvalQuestion, Target, build_questions
from refrad.evaluation.record_rows import prediction_row, truth_row
from refrad.evaluation.regions import BoxCodec, DecodedAnswer, MaskCodec, phrase_classes
from refrad.model.box_tokens import TaggedEntity, detection_text

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def examples(images):
    """Test images; their questions are closed."""
    rows = [example_of_row(row) for row in read_image_table([images], {"test"}).iter_rows(named=True)]
    return [
        replace(row, questions=tuple(replace(question, kind="multiple") for question in row.questions)) for row in rows
    ]


def box_answer(question):
    """The true answer, with boxes in the text."""
    if question.task == "vqa":
        return GeneratedAnswer(question.answer)
    entities = [TaggedEntity(0, 1, target.key, target.region) for target in question.targets]
    return GeneratedAnswer(detection_text("x", entities, 1, 1, "yxyx"))


def mask_answer(question):
    """The true answer, with phrases in tags and their masks; images are as large as the model's."""
    if question.task == "vqa":
        return GeneratedAnswer(question.answer)
    tags = " and ".join(f"<seg>{target.text}</seg>" for target in question.targets)
    return GeneratedAnswer(tags, tuple(target.region["counts"] for target in question.targets))


@pytest.fixture(scope="module", params=["boxes", "masks"])
def variant(request, examples, schema):
    """The codec of a variant, and its true answers."""
    if request.param == "boxes":
        return BoxCodec("yxyx"), box_answer
    sizes = {image.image_id: image.size for image in examples}
    return MaskCodec(64, sizes, phrase_classes(examples, schema)), mask_answer


def through_files(questions, answers, decoded):
    """Item scores by way of the rows of truth.jsonl and predictions.jsonl."""
    truth = [json.loads(json.dumps(truth_row(question))) for question in questions]
    predictions = [
        json.loads(json.dumps(prediction_row(*row))) for row in zip(questions, answers, decoded, strict=True)
    ]
    items, _ = score_items(
        {row["id"]: TruthRecord.model_validate(row) for row in truth},
        {row["id"]: PredictionRecord.model_validate(row) for row in predictions},
    )
    return items


def evaluate(examples, codec, answer):
    """Headline numbers, and the mean of each task and metric in the table of scores."""
    questions = [question for image in examples for question in build_questions(image, masks=codec.name == "masks")]
    answers = [answer(question) for question in questions]
    decoded = [codec.decode(*pair) for pair in zip(questions, answers, strict=True)]
    items = through_files(questions, answers, decoded)
    keys = [entity.key for one_answer in decoded for entity in one_answer.regions]
    visible = {image.image_id: codec.visible(image, keys) for image in examples}
    result = headline(questions, [one_answer.regions for one_answer in decoded], items, visible, 100)
    rows = summarise(items, 100, strata=())
    return result, {(row["task"], row["metric"]): row["mean"] for row in rows}


def test_true_answers_score_nearly_one(examples, variant):
    result, _ = evaluate(examples, *variant)
    assert result["mean_iou"] > 0.95 and result["mean_dice"] > 0.95
    assert result["class_recall"] == result["iou50"] == result["vqa"]["accuracy"] == 1
    assert result["free"]["g_iou"] > 0.95 and result["free"]["dice"] > 0.95 and result["free"]["visible"] == 1
    assert result["free"]["verified"] == 1


def test_empty_answers_score_zero_and_are_counted(examples, variant):
    result, _ = evaluate(examples, variant[0], lambda _: GeneratedAnswer(""))
    assert result["mean_iou"] == result["class_recall"] == result["free"]["g_iou"] == result["vqa"]["accuracy"] == 0
    assert result["asked"] == 12 and result["free"]["places"] == 0


def test_headline_and_table_of_scores_agree(examples, variant):
    """Half of the answers are true, the others are those of the question before."""
    codec, answer = variant
    previous = [GeneratedAnswer("")]

    def half_true(question):
        previous.append(answer(question))
        return previous[-1 if len(previous) % 2 else -2]

    result, means = evaluate(examples, codec, half_true)
    assert 0.1 < result["mean_iou"] < 0.9
    assert means["locate", "iou"] == pytest.approx(result["mean_iou"], abs=1e-12)
    assert means["locate", "class_recall"] == pytest.approx(result["class_recall"], abs=1e-12)
    assert means["locate", "iou50"] == pytest.approx(result["iou50"], abs=1e-12)
    assert means["detect", "g_iou"] == pytest.approx(result["free"]["g_iou"], abs=1e-12)
    assert means["vqa", "accuracy"] == pytest.approx(result["vqa"]["accuracy"], abs=1e-12)
    assert means["vqa", "accuracy_lenient"] == pytest.approx(result["vqa"]["accuracy_lenient"], abs=1e-12)
    if codec.name == "masks":
        assert means["locate", "dice"] == pytest.approx(result["mean_dice"], abs=1e-12)


def test_closed_questions_are_normalised_once():
    """Punctuation, case and articles do not count, in the headline as in the table of scores."""
    pairs = [("yes", "Yes."), ("No", "no"), ("left", "the left")]
    questions = [
        EvalQuestion(f"i{number}", f"p{number}", "vqa", "en", "q", answer=true, kind="yesno", topic="findings")
        for number, (true, _) in enumerate(pairs)
    ]
    target = Target(LEFT, "liver", 5, (5,))
    questions.append(EvalQuestion("i", "p", "locate", "en", "q", (target,)))
    answers = [GeneratedAnswer(text) for _, text in pairs] + [GeneratedAnswer("")]
    decoded = [DecodedAnswer(answer.text, ()) for answer in answers]
    items = through_files(questions, answers, decoded)
    result = headline(questions, [()] * 4, items, {}, 100)
    assert result["vqa"] == {
        "questions": 3,
        "accuracy": 1.0,
        "accuracy_lenient": 1.0,
        "by_kind": {"findings, yesno": {"questions": 3, "accuracy": 1.0}},
    }
    (row,) = [row for row in summarise(items, 100, strata=()) if row["metric"] == "accuracy"]
    assert row["mean"] == 1.0


def test_phrases_are_normalised_once():
    """White space around a phrase does not count, in the headline as in the table of scores."""
    mask = {"size": [2, 2], "counts": "04"}
    question = EvalQuestion("i", "p", "locate", "en", "q", (Target(mask, "left kidney", classes=(2,)),))
    decoded = DecodedAnswer("", (NamedRegion(mask, " Left kidney "),))
    items = through_files([question], [GeneratedAnswer("")], [decoded])
    assert headline([question], [decoded.regions], items, {}, 100)["mean_iou"] == 1
    assert items.filter(metric="iou")["value"].to_list() == [1]


def test_phrase_without_meaning_in_the_image_has_no_overlap(examples, schema):
    codec = MaskCodec(64, {image.image_id: image.size for image in examples}, phrase_classes(examples, schema))
    everything = encode_mask(examples[0].mask(examples[0].mask_rles))
    result, _ = evaluate(examples, codec, lambda _: GeneratedAnswer("<seg>heart</seg>", (everything,)))
    assert result["free"]["places"] == len(examples)
    assert result["free"]["dice"] == result["free"]["visible"] == result["free"]["verified"] == 0
