import json
from collections import Counter

import numpy as np
import pytest
from tests.llm.talking import TalkingServer, completion

from refrad.core.files import digest_bytes
from refrad.evaluation.metrics.judge import JudgedAnswer, JudgeVerdict, llm_scores, load_scale, score_task
from refrad.llm import ModelError, Request, open_models

SCALE = """low: 1
high: 5
examples:
  en:
    - {question: q, candidate: a, reference: b, score: 2, reason: r}
"""


def test_prompts_hold_scale_and_examples(root):
    task = score_task(root / "workflow" / "prompts", load_scale(root / "workflow" / "prompts" / "score.yaml"))
    for language in ("de", "en"):
        prompt = task.messages(Request(language, {}))[0]["content"]
        assert '"score": 5' in prompt and "1.2 cm".replace(".", "," if language == "de" else ".") in prompt
        assert "{{" not in prompt


def test_scale_has_an_example_of_each_score_in_both_languages(root):
    scale = load_scale(root / "workflow" / "prompts" / "score.yaml")
    for examples in (scale.examples["de"], scale.examples["en"]):
        assert {example["score"] for example in examples} == set(range(scale.low, scale.high + 1))


@pytest.mark.parametrize(("old", "new"), [("score: 2", "score: 6"), ("low: 1\n", ""), ("reason: r", "why: r")])
def test_scale_with_an_error_is_refused(tmp_path, old, new):
    (tmp_path / "score.yaml").write_text(SCALE.replace(old, new))
    with pytest.raises(ValueError, match=r"score\.yaml"):
        load_scale(tmp_path / "score.yaml")


def test_judge_failure_gives_no_score(root, tmp_path):
    """A real client and server: verdicts in many forms, one that comes right when asked again, and one that never does."""
    replies = {"a": ["Score: 5"], "b": ["**3**"], "c": ["good", '{"score": 1}'], "d": ["I cannot say"]}
    count = Counter()

    def behave(body):
        candidate = json.loads(body["messages"][1]["content"])["candidate"]
        count[candidate] += 1
        return completion(replies[candidate][min(count[candidate], len(replies[candidate])) - 1])

    server = TalkingServer(behave)
    prompts = root / "workflow" / "prompts"
    role = {"endpoint": server.endpoint, "model": "test"}
    given = {"roles": {"score": role}, "store": str(tmp_path), "log": "", "prompts": str(prompts)}
    asked = [
        JudgedAnswer("q", candidate, "r", language)
        for candidate, language in zip("abcd", ("en", "de", "zh", "en"), strict=True)
    ]
    with open_models(json.dumps(given)) as models:
        scores = llm_scores(asked, models, load_scale(prompts / "score.yaml"))
    server.stop()
    assert scores[:3].tolist() == [1, 0.5, 0] and np.isnan(scores[3])
    assert count["c"] == 2 and server.bodies[0]["temperature"] == 0


@pytest.mark.parametrize(
    "reply",
    [
        *(
            completion(text)
            for text in ('{"score": NaN}', '{"score": 1e400}', "Grade 3 tumour: correct", "\ud800", "", None)
        ),
        *((200, {}, content) for content in (b"", b"[]", b"null", b'{"choices": [{}]}', b"\xff", b"[" * 100_000)),
        (200, {}, b'{"choices": [{"message": {"content": "good"}}], "usage": {"prompt_tokens": 1e400}}'),
        *((status, {}, b"no") for status in (400, 413, 422, 500)),
    ],
)
def test_reply_of_any_kind_fails_alone(root, tmp_path, reply, monkeypatch):
    monkeypatch.setattr("refrad.llm.connection.FIRST_WAIT", 0.01)

    def behave(body):
        return completion("4") if json.loads(body["messages"][1]["content"])["candidate"] == "a" else reply

    server = TalkingServer(behave)
    prompts = root / "workflow" / "prompts"
    role = {"endpoint": server.endpoint, "model": "test"}
    given = {"roles": {"score": role}, "store": str(tmp_path), "log": "", "prompts": str(prompts)}
    with open_models(json.dumps(given)) as models:
        answers = [JudgedAnswer("q", candidate, "r", "en") for candidate in "ab"]
        scores = llm_scores(answers, models, load_scale(prompts / "score.yaml"))
    server.stop()
    assert scores[0] == 0.75 and np.isnan(scores[1])


def test_scores_before_the_loss_of_the_server_stay(root, tmp_path):
    """404 to a request means that the server no longer has the model."""

    def behave(body):
        return completion("4") if json.loads(body["messages"][1]["content"])["candidate"] == "a" else (404, {}, b"")

    server = TalkingServer(behave)
    prompts = root / "workflow" / "prompts"
    role = {"endpoint": server.endpoint, "model": "test"}
    given = json.dumps({"roles": {"score": role}, "store": str(tmp_path), "log": "", "prompts": str(prompts)})
    answers, scale = [JudgedAnswer("q", name, "r", "en") for name in "ab"], load_scale(prompts / "score.yaml")
    with open_models(given) as models:
        scores = llm_scores(answers, models, scale, keep_partial=True)
        with pytest.raises(ModelError):
            llm_scores(answers[1:], models, scale, keep_partial=True)
        with pytest.raises(ModelError):
            llm_scores(answers, models, scale)
    server.stop()
    assert scores[0] == 0.75 and np.isnan(scores[1])


def test_verdict_schema_keeps_the_keys_of_stored_replies():
    """The schema is a part of each request, whose digest is the key of its reply."""
    schema = json.dumps(JudgeVerdict.model_json_schema(), sort_keys=True)
    assert digest_bytes(schema.encode()) == "0c04eeb5bbe840cb01b0c8ff81a811a0"
