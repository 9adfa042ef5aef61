"""Other models on the questions of an evaluation: a server that sees the image and answers from its pixels."""

import base64
import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from tests.factories.dataset import examples_of
from tests.llm.talking import TalkingServer, completion

from refrad.config import BoxOptions, OtherModelOptions
from refrad.evaluation import other_models
from refrad.evaluation.box_conventions import write_box
from refrad.evaluation.other_models import ask_other_model, ask_server, prediction_of
from refrad.evaluation.questions import build_questions
from refrad.llm import ModelError, TextAnswer, open_models

LEVELS = {"liver": 255, "spleen": 120}  # grey level of the square of each organ
SIDE = 64  # px
BOXES = BoxOptions(unit=1000, order="yxyx")
OPTIONS = {"name": "seer", "model": "seer", "tasks": ["locate", "vqa"], "boxes": {"unit": 1000, "order": "yxyx"}}


def sent_pixels(body):
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))))


def square(pixels, organ):
    """The box of an organ in the pixels that were sent, as shares."""
    rows, columns = np.nonzero(pixels[:, :, 0] == LEVELS[organ])
    ends = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return tuple(float(end) / SIDE for end in ends)


def look(body):
    text = body["messages"][0]["content"][-1]["text"]
    if "modality" in text:
        return completion(f"mean {sent_pixels(body).mean():.3f}")
    organ = next(organ for organ in LEVELS if organ in text.lower())
    box = write_box(square(sent_pixels(body), organ), BOXES, (SIDE, SIDE))
    name = "Liver" if organ == "liver" else organ
    return completion(f"```json\n{json.dumps([{'box_2d': box, 'label': name}])}\n```")


@pytest.fixture(scope="module")
def examples(images):
    return examples_of(images)


@pytest.fixture(scope="module")
def questions(examples):
    return [question for image in examples.values() for question in build_questions(image)]


@pytest.fixture
def ask(root, tmp_path, questions, examples):
    """The function that asks a server with options of the model; the store is the same for all of a test."""

    def run(server, **changes):
        options = OtherModelOptions(
            **OPTIONS | {"prompts": str(root / "workflow" / "prompts" / "others.yaml")} | changes
        )
        places = {
            "prompts": str(root / "workflow" / "prompts"),
            "store": str(tmp_path / "llm"),
            "log": str(tmp_path / "log"),
        }
        model = {"endpoint": server.endpoint, "model": "seer", "patience": 1.0}
        with open_models(json.dumps(places | {"roles": {options.role: model}})) as models:
            return ask_other_model(options, questions, examples, {"liver": frozenset({5})}, ask_server(models))

    return run


@pytest.fixture
def server():
    started = TalkingServer(look, latency=0.002)
    yield started
    started.stop()


def test_each_answer_is_that_of_its_image_and_question(ask, server, questions, examples):
    answers = ask(server)
    rows = {row["id"]: row for row in answers.rows}
    assert answers.counts == {"asked": 18, "answered": 18, "failed": 0, "cut off": 0, "boxes": 12, "malformed boxes": 0}
    for question in questions:
        if question.task == "locate":
            (target,), (entity,) = question.targets, rows[question.id]["entities"]
            assert entity["box"] == pytest.approx(target.region) and entity["text"] == target.text
        if question.task == "vqa":
            pixels = np.asarray(examples[question.image_id].load_image())
            assert rows[question.id]["answer"] == f"mean {pixels.mean():.3f}"
    assert {row["task"] for row in answers.rows} == {"locate", "vqa"}  # detect is not among its tasks


def test_label_of_one_class_has_the_class(ask, server):
    labels = {
        row["entities"][0]["text"]: row["entities"][0].get("class_id") for row in ask(server).rows if "entities" in row
    }
    assert labels == {"Liver": 5, "spleen": None}


def test_captions_are_asked_for_without_boxes_and_with_boxes(ask, server, questions):
    server.behave = lambda _: completion('The liver is large. [{"label": "liver", "box_2d": [200, 100, 600, 500]}]')
    answers = ask(server, tasks=["caption", "detect"])
    asked = {task: [question for question in questions if question.task == task] for task in ("caption", "detect")}
    assert answers.counts["answered"] == sum(map(len, asked.values())) == 12 and answers.counts["boxes"] == 6
    texts = [body["messages"][0]["content"][-1]["text"] for body in server.bodies]
    assert sorted("box" in text for text in texts) == [False] * 6 + [True] * 6
    for row in answers.rows:
        if row["task"] == "caption":  # its text is taken as it is, as a text is what is asked for
            assert "entities" not in row and row["answer"].startswith("The liver is large. [")
        else:
            assert row["answer"] == "The liver is large."
            assert row["entities"] == [{"text": "liver", "box": pytest.approx([0.1, 0.2, 0.5, 0.6]), "class_id": 5}]


def test_picture_is_encoded_once_for_all_questions_of_a_task(ask, server, examples, monkeypatch):
    encoded = []
    encode = other_models.encode_picture
    monkeypatch.setattr(other_models, "encode_picture", lambda picture: encoded.append(picture) or encode(picture))
    ask(server, tasks=["locate"])
    assert len(encoded) == len(examples) < len(server.bodies)


def test_second_run_sends_nothing(ask, server):
    first = ask(server)
    sent = len(server.bodies)
    assert ask(server) == first and len(server.bodies) == sent == 18
    ask(server, window=0, tasks=["vqa"])  # the squares are equal in all windows
    assert len(server.bodies) == sent


def test_wrong_unit_gives_no_box(ask, server):
    answers = ask(server, boxes={"unit": "share", "order": "yxyx"}, tasks=["locate"])
    assert answers.counts["boxes"] == 0 and answers.counts["malformed boxes"] == 12


def test_refused_questions_are_counted_and_left_out(ask):
    def refuse_spleens(body):
        return (400, {}, b"no") if "spleen" in body["messages"][0]["content"][-1]["text"] else look(body)

    server = TalkingServer(refuse_spleens)
    answers = ask(server, tasks=["locate"])
    server.stop()
    assert (answers.counts["asked"], answers.counts["answered"], answers.counts["failed"]) == (12, 6, 6)
    assert {entity["text"] for row in answers.rows for entity in row["entities"]} == {"Liver"}


def test_server_that_refuses_all_questions_says_why(ask):
    server = TalkingServer(lambda _: (400, {}, b'{"error": {"message": "seer is not a multimodal model"}}'))
    with pytest.raises(ModelError, match=r"rejects each request .* not a multimodal model"):
        ask(server)
    server.stop()
    assert len(server.bodies) < 40


def test_task_that_the_server_rejects_leaves_the_others(ask):
    """Such as a limit of tokens in the prompt that only detect exceeds."""
    server = TalkingServer(
        lambda body: look(body) if "modality" in json.dumps(body["messages"]) else (400, {}, b'{"error": "too long"}')
    )
    answers = ask(server, tasks=["locate", "vqa"])
    server.stop()
    assert answers.failure.startswith("locate: seer: http") and answers.failure.endswith("(400): too long")
    assert answers.counts | {"asked": 18, "answered": 6, "failed": 12} == answers.counts
    assert {row["task"] for row in answers.rows} == {"vqa"}


def located(text, questions, **changes):
    question = next(question for question in questions if question.task == "locate")
    counts = Counter()
    options = OtherModelOptions(**OPTIONS | changes)
    row = prediction_of(question, TextAnswer(text=text), options, (SIDE, SIDE), {}, counts)
    return row["entities"], counts


def test_box_without_a_label_has_the_name_of_the_question(questions):
    (entity,), _ = located("[200, 100, 600, 500]", questions)
    assert entity == {"text": "Liver", "box": pytest.approx([0.1, 0.2, 0.5, 0.6])}


def test_box_with_another_label_keeps_it(questions):
    (entity,), _ = located('{"label": "spleen", "box_2d": [200, 100, 600, 500]}', questions)
    assert entity["text"] == "spleen"


def test_answer_to_a_question_is_taken_as_it_is(questions):
    question = next(question for question in questions if question.task == "vqa")
    row = prediction_of(
        question, TextAnswer(text="[1, 2, 3, 4]"), OtherModelOptions(**OPTIONS), (SIDE, SIDE), {}, Counter()
    )
    assert row["answer"] == "[1, 2, 3, 4]" and "entities" not in row
