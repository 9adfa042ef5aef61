"""Answers in free text to questions about images."""

import base64

import pytest
from tests.llm.talking import completion

from refrad.llm import Request, TextAnswer, TextTask
from refrad.llm.tasks import BadAnswer

TASK = TextTask("look", "vision.x", {"en": "Is {{name}} here?", "de": "Ist {{name}} da?"}, TextAnswer, tokens=20)
LEFT, RIGHT = b"PNG of the left", b"PNG of the right"


def sent_image(body):
    (part, _) = body["messages"][0]["content"]
    return base64.b64decode(part["image_url"]["url"].removeprefix("data:image/png;base64,"))


def sent_text(body):
    return body["messages"][0]["content"][-1]["text"]


def request(image, name="Liver"):
    return Request("en", {"name": name}, images=(image,))


def test_each_answer_belongs_to_its_image(serve, client):
    server = serve(lambda body: completion(sent_image(body).decode().split()[-1]), latency=0.005)
    images = [LEFT, RIGHT] * 20
    replies = list(client(server.endpoint).ask(TASK, [request(image, str(n)) for n, image in enumerate(images)]))
    assert [reply.answer.text for reply in replies] == ["left", "right"] * 20
    assert "response_format" not in server.bodies[0] and server.bodies[0]["max_tokens"] == 20


def test_store_tells_images_apart_and_keeps_the_words(serve, client):
    server = serve(lambda body: completion('{"a": "' + sent_image(body).decode() + '"}'))
    first = [reply.answer for reply in client(server.endpoint).ask(TASK, [request(LEFT), request(RIGHT)])]
    again = [reply.answer for reply in client(server.endpoint).ask(TASK, [request(LEFT), request(RIGHT)])]
    assert first == again == [TextAnswer(text='{"a": "PNG of the left"}'), TextAnswer(text='{"a": "PNG of the right"}')]
    assert len(server.bodies) == 2


def test_data_are_filled_in_once(serve, client):
    server = serve(lambda body: completion(sent_text(body)))
    (reply,) = client(server.endpoint).ask(TASK, [request(LEFT, "{{name}} of {{patient}}")])
    assert reply.answer.text == "Is {{name}} of {{patient}} here?"


def test_cut_answer_is_an_answer_with_a_note(serve, client):
    server = serve(lambda _: completion("The liver is", finish="length"))
    for _ in range(2):  # from the server, and from the store
        (reply,) = client(server.endpoint).ask(TASK, [request(LEFT)])
        assert reply.answer == TextAnswer(text="The liver is", cut_off=True)
    assert len(server.bodies) == 1


def test_empty_answer_is_an_answer(serve, client):
    server = serve(lambda _: completion(""))
    (reply,) = client(server.endpoint).ask(TASK, [request(LEFT)])
    assert reply.answer == TextAnswer(text="")


def test_failure_is_repeated_by_the_next_run(serve, client):
    server = serve(lambda body: (400, {}, b"no") if sent_image(body) == LEFT else completion("right"))
    for asked in (1, 2):
        (good, bad) = client(server.endpoint).ask(TASK, [request(RIGHT, str(asked)), request(LEFT)])
        assert (good.answer.text, bad.answer, bad.failure) == ("right", None, "refused")
    assert sum(sent_image(body) == LEFT for body in server.bodies) == 2


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>The side?</think>\nleft", "left"),
        (" left\n", "left"),
        ("<|channel|>analysis<|message|>hm<|channel|>final<|message|>left", "left"),
        (None, ""),
    ],
)
def test_thoughts_are_no_part_of_the_answer(text, answer):
    assert TASK.read(text, request(LEFT)).text == answer


def test_unfinished_thoughts_are_no_answer():
    with pytest.raises(BadAnswer):
        TASK.read("<think>The side may be", request(LEFT))


def test_prompt_without_its_data_is_an_error():
    with pytest.raises(ValueError, match="nothing is known"):
        TASK.messages(Request("en", {}))
