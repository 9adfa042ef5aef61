"""Servers that refuse every request, or never answer: said within seconds, with the server's reason and no report text."""

import base64
import io
import json

import pytest
from PIL import Image
from tests.llm.talking import completion

from refrad.llm import ModelError, Request, TextAnswer, TextTask
from refrad.llm.refusals import blank_request, masked_request, reason_of

LOOK = TextTask("look", "vision.x", {"en": "{{question}}", "de": "{{question}}"}, TextAnswer, tokens=20)
SECRET = "Herr Müller, 12.03.1961: Läsion"
NO_IMAGES = "tiny is not a multimodal model"


def error(status, message):
    return status, {}, json.dumps({"error": {"message": message, "type": "BadRequestError", "code": status}}).encode()


def png(size):
    buffer = io.BytesIO()
    Image.new("RGB", size, "white").save(buffer, format="PNG")
    return buffer.getvalue()


def questions(count):
    return [Request("en", {"question": f"{SECRET} {number}"}, images=(png((32, 48)),)) for number in range(count)]


def text_of(body):
    return body["messages"][0]["content"][-1]["text"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("refrad.llm.connection.FIRST_WAIT", 0.01)


@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_server_that_refuses_all_ends_the_run_with_its_reason(serve, client, status):
    """500 is how llama.cpp refuses an image without a vision tower."""
    server = serve(lambda body: error(status, f"{NO_IMAGES}: {text_of(body)}"))
    with pytest.raises(ModelError, match=rf"rejects each request \({status}\): {NO_IMAGES}") as raised:
        list(client(server.endpoint, concurrency=2).ask(LOOK, questions(500)))
    assert "Müller" not in str(raised.value) and "1961" not in str(raised.value) and "\n" not in str(raised.value)
    assert len(server.bodies) < 100


@pytest.mark.parametrize("count", [1, 3])
def test_few_requests_have_the_reason_too(serve, client, count):
    server = serve(lambda _: error(400, NO_IMAGES))
    with pytest.raises(ModelError, match=NO_IMAGES):
        list(client(server.endpoint).ask(LOOK, questions(count)))


def test_context_that_is_too_small_for_the_questions(serve, client):
    """The question itself is too long, so only a text of its length meets the same reason."""
    server = serve(lambda body: error(400, "context of 20") if len(text_of(body)) > 20 else completion("yes"))
    with pytest.raises(ModelError, match="context of 20"):
        list(client(server.endpoint).ask(LOOK, questions(10)))
    masked = [text_of(body) for body in server.bodies if "Müller" not in text_of(body)]
    assert len(masked[-1]) == len(f"{SECRET} 0") and not set(masked[-1]) & set("Mülä1")


def test_refusal_of_some_requests_ends_nothing(serve, client):
    server = serve(lambda body: error(400, "no") if " 7" in text_of(body) else completion("yes"))
    replies = list(client(server.endpoint, concurrency=4).ask(LOOK, questions(10)))
    assert [reply.failure for reply in replies] == [None] * 7 + ["refused"] + [None] * 2


def test_refusals_by_content_end_nothing(serve, client):
    """A filter of contents refuses texts of reports, but not a filler."""
    server = serve(lambda body: error(400, "content filter") if "Läsion" in text_of(body) else completion("yes"))
    replies = list(client(server.endpoint).ask(LOOK, questions(6)))
    assert [reply.failure for reply in replies] == ["refused"] * 6


def test_probes_are_not_kept_as_answers(serve, client):
    server = serve(lambda body: error(400, "no") if "Läsion" in text_of(body) else completion("the filler"))
    list(client(server.endpoint).ask(LOOK, questions(2)))
    server.behave = lambda _: completion("yes")
    replies = client(server.endpoint).ask(LOOK, questions(2))
    assert [reply.answer.text for reply in replies] == ["yes", "yes"]


def test_probe_has_black_images_of_the_same_size():
    (request,) = questions(1)
    for probe in (blank_request(request), masked_request(request)):
        image = Image.open(io.BytesIO(probe.images[0]))
        assert image.size == (32, 48) and image.getextrema() == ((0, 0),) * 3
        assert base64.b64encode(request.images[0]) not in json.dumps(LOOK.messages(probe)).encode()


def test_masked_text_keeps_its_length_and_no_letter():
    masked = masked_request(Request("en", {"sentence": "Zyste 3 cm.", "terms": ["Leber", 4]})).data
    assert masked["sentence"] == "qwert q er." and masked["terms"].count("q") < 2
    assert not set("Lb4") & set(masked["terms"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"message": "no\\nimages", "code": 400}}', "no images"),
        (b'{"error": "no images"}', "no images"),
        (b'{"object": "error", "message": "no images"}', "no images"),
        (b'{"detail": [{"loc": ["body"], "msg": "no images"}, {"msg": "no model"}]}', "no images; no model"),
        (b"<html><head><title>x</title></head><body><h1>Bad</h1> request</body></html>", "Bad request"),
        (b"\xff\x00", "\ufffd"),
        (b"", "without a reason"),
        (b"[" * 100_000, "[" * 300 + " ..."),
    ],
)
def test_reason_is_one_short_line(body, reason):
    assert reason_of(body) == reason
