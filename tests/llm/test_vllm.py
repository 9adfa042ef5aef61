"""The real client with a real vLLM on this machine's processor: `make vllm-test`.

The model is a tiny Gemma 3 of random weights, so what it says is nonsense in perfect form: all of the path is real but
the wits. None of its nonsense may reach a table.
"""

import contextlib
import http.client
import io
import json
import os
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
import yaml
from PIL import Image
from tests.factories import ReportDelivery, fingerprint, report_row, tiny_training
from tests.factories.processes import train_in_process
from tests.llm.talking import TASKS
from tests.llm.tiny import write_tiny_gemma

from refrad.anatomy.lexicon import load_lexicon
from refrad.cli import main
from refrad.config import ModelOptions
from refrad.core.contracts import CaptionTable, MentionTable
from refrad.core.tables import read_table
from refrad.llm import Answer, ModelError, Request, Task, TextAnswer, TextTask, open_models
from refrad.llm.server import Server
from refrad.stages import evaluate
from refrad.statements.rewriting_checks import check_rewriting

PYTHON = os.environ.get("REFRAD_VLLM_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="needs an environment with vLLM: make vllm-test"),
]

SENTENCES = ["Zyste der linken Niere.", "Milz unverändert normal.", "Keine Läsion der Leber.", "Z.n. Cholezystektomie."]


class Verdict(Answer):
    """A form that leaves a model no way to run on."""

    side: Literal["left", "right"]
    certain: Literal["yes", "no"]


VERDICT = Task("verdict", "judge", {"de": "Welche Seite?", "en": "Which side?"}, Verdict, tokens=60)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, root):
    """What stands in the config for the tiny model, managed."""
    texts = [path.read_text(encoding="utf-8") for path in (root / "workflow" / "prompts").glob("*.md")]
    folder = write_tiny_gemma(tmp_path_factory.mktemp("models") / "tiny-gemma", [*texts, *SENTENCES])
    arguments = ["--load-format", "dummy", "--enforce-eager", "--dtype", "float32", "--max-num-seqs", "64"]
    server = {"python": PYTHON, "gpus": 0, "context": 8192, "startup": 900.0, "arguments": arguments}
    server["environment"] = {"VLLM_CPU_KVCACHE_SPACE": "1"}
    return {"endpoint": "managed", "model": str(folder), "timeout": 120.0, "concurrency": 32, "server": server}


@pytest.fixture(scope="module")
def running(tiny, tmp_path_factory):
    """A server that stays up for this module's tests, and what stands in the config to use it as one that runs."""
    server = Server(ModelOptions.model_validate(tiny), tmp_path_factory.mktemp("logs") / "vllm.log")
    server.start()
    os.environ["TINY_KEY"] = server.key
    yield {"endpoint": server.endpoint, "model": "tiny-gemma", "key": "TINY_KEY", "timeout": 120.0, "concurrency": 32}
    server.stop()


@pytest.fixture
def line(root, tmp_path):
    """The function that makes the --llm of a stage."""

    def make(model):
        prompts, log = str(root / "workflow" / "prompts"), str(tmp_path / "logs" / "0")
        return json.dumps(
            {
                "prompts": prompts,
                "store": str(tmp_path / "llm"),
                "log": log,
                "roles": dict.fromkeys((*TASKS, "score"), model),
            }
        )

    return make


def test_constrained_answers_have_their_form(running, line):
    requests = [Request("de", {"sentence": f"Niere {number} links."}) for number in range(64)] * 2
    with open_models(line(running)) as models:
        replies = list(models.ask(VERDICT, requests))
        (account,) = models.accounts.values()
    assert all(isinstance(reply.answer, Verdict) for reply in replies)
    assert account.calls == 64 and account.prompt_tokens > 64 * 10 and account.answer_tokens > 64


def status_of(address, method, path, headers):
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_no_route_answers_without_the_key(running):
    address = urllib.parse.urlsplit(running["endpoint"]).netloc
    key = {"Authorization": f"Bearer {os.environ['TINY_KEY']}"}
    request = urllib.request.Request(f"http://{address}/openapi.json", headers=key)
    with urllib.request.urlopen(request, timeout=60) as reply:
        paths = set(json.load(reply)["paths"])
    assert {"/health", "/v1/chat/completions"} <= paths
    assert status_of(address, "GET", "/health", key) == status_of(address, "GET", "/v1/models", key) == 200
    for path in paths | {"/", "/docs", "/metrics", "/openapi.json", "/invocations", "/ping", "/nothing", "//v1/models"}:
        for method in ("GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE"):
            for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": ""}):
                assert status_of(address, method, path, wrong) == 401, (method, path, wrong)


def test_unknown_model_is_an_error(running, line):
    with (
        open_models(line(running | {"model": "another"})) as models,
        pytest.raises(ModelError, match="model of this name"),
    ):
        list(models.ask(VERDICT, [Request("de", {"sentence": "Niere."})]))


def test_image_for_a_model_of_text_alone_is_refused_with_the_reason(running, line):
    task = TextTask("look", "judge", {"de": "{{question}}", "en": "{{question}}"}, TextAnswer, tokens=10)
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, format="PNG")
    request = Request("de", {"question": "Zyste?"}, images=(buffer.getvalue(),))
    with open_models(line(running)) as models, pytest.raises(ModelError, match="not a multimodal model") as raised:
        list(models.ask(task, [request]))
    assert "Zyste" not in str(raised.value)


def test_stage_mentions_takes_checked_answers_only(running, line, study, root):
    lexicon = root / "workflow" / "anatomy" / "lexicon.yaml"
    study.write(CaptionTable, "captions", [study.caption(text, text, language="de") for text in SENTENCES])
    metrics = study.run("mentions", {"finder": "both"}, lexicon=lexicon, llm=line(running))
    rows = read_table(study.path("mentions"), MentionTable).to_dicts()
    assert all(row["caption"][row["start"] : row["end"]] == row["text"] for row in rows)
    ends = metrics["tables"]["asked: mentions"]
    assert sum(ends.values()) == len(SENTENCES)
    # What is cut off is no JSON; all else has the form, since the server decodes nothing else.
    assert not {"failed: no_json", "failed: wrong_form"} & set(ends)
    assert metrics["tables"]["tokens"]["mentions, prompt"] > 0


def test_stage_captions_starts_and_stops_its_server(tiny, line, tmp_path, root):
    others = _serving(tiny["model"])
    delivery = ReportDelivery(tmp_path)
    made = delivery.run(
        [report_row("Befund:\n" + " ".join(SENTENCES))],
        fingerprint=fingerprint("captions", rewrite="llm", translate="llm", judge=2),
        llm=line(tiny),
    )
    german = made.filter(made["language"] == "de")
    lexicon = load_lexicon(root / "workflow" / "anatomy" / "lexicon.yaml")
    assert len(german) + delivery.metrics["flow"]["aside"].get("only_comparison", 0) == len(SENTENCES)
    for text in german["text"]:
        assert any(check_rewriting(before, text, "de", lexicon) is None or before == text for before in SENTENCES)
    assert sum(delivery.metrics["tables"]["asked: rewrite"].values()) == len(SENTENCES)
    log = tmp_path / "logs" / "0.rewrite.vllm.log"
    assert "Application startup complete" in log.read_text(encoding="utf-8", errors="replace")
    assert "Niere" not in log.read_text(encoding="utf-8", errors="replace")
    assert _serving(tiny["model"]) <= others


def test_judge_of_random_weights_has_each_answer_counted(running, line, images, tmp_path, root):
    schema, scale = root / "workflow" / "anatomy" / "classes.yaml", root / "workflow" / "prompts" / "score.yaml"
    checkpoint = train_in_process(images, schema, tmp_path, tiny_training())
    shared = {"images": [images], "schema": schema, "checkpoint": checkpoint}
    names = {
        "truth": "truth.jsonl",
        "predictions": "given.jsonl",
        "scores": "scores.parquet",
        "others": "others",
        "metrics": "metrics.json",
    }
    evaluate.run(
        **shared,
        **{name: tmp_path / file for name, file in names.items()},
        store=tmp_path / "answers",
        scale=scale,
        llm=line(running),
        fingerprint=fingerprint("evaluate", judge="llm", samples=100, resamples=200),
    )
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    truth = [json.loads(row) for row in (tmp_path / "truth.jsonl").read_text().splitlines()]
    judged = [row for row in truth if row["task"] in {"detect", "caption"} or row["kind"] == "open"]
    items = pl.read_parquet(tmp_path / "scores.parquet").filter(pl.col("metric") == "llm_score")
    assert metrics["judge"] == "tiny-gemma" and len(items) == len(judged) > 6
    known = items["value"].fill_nan(None)
    assert set(known.drop_nulls()) <= {0.0, 0.25, 0.5, 0.75, 1.0}  # failures are no score, whatever was said
    whole = [row for row in metrics["scores"] if row["metric"] == "llm_score" and row["by"] is None]
    assert sum(row["items"] for row in whole) == len(known.drop_nulls())
    assert sum(row["failed"] for row in whole) == known.null_count()
    for row in whole:
        assert (row["mean"] is None) == (row["items"] == 0)
        assert row["low"] is None or row["low"] <= row["mean"] <= row["high"]


def test_trial_of_random_weights_has_its_figures(running, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    model = running | {"temperature": 1.0}  # so that a list of errors ends
    own = {"llm": {"judge": model}, "stores": str(tmp_path / "stores"), "pathvars": {"logs": str(tmp_path / "logs")}}
    site, out = tmp_path / "site.yaml", tmp_path / "out.json"
    site.write_text(yaml.safe_dump(own), encoding="utf-8")
    words = ["--config", "config.yaml", str(site), "--most", "2", "--json", str(out)]
    assert main(["try-llm", "judge", *words]) == 0
    (figures,) = json.loads(out.read_text(encoding="utf-8"))["models"]
    assert figures["model"] == "tiny-gemma"
    assert [outcome["total"] for outcome in figures["outcomes"].values()] == [62, 62]
    # What is cut off is no JSON; all else has the form, since the server decodes nothing else.
    again = figures["sent_again"]
    assert not {"no_json", "wrong_form"} & (figures["refused"].keys() | again.keys())
    cut_off = again.get("cut_off", 0) + figures["refused"].get("cut_off", 0)
    assert figures["in_form"] > 0 and figures["completions"] - figures["in_form"] <= cut_off
    assert figures["prompt_tokens_a_request"] > 100 and figures["answer_tokens"] > figures["requests"] == 124
    assert 0 < figures["latency"] <= figures["latency_95"] and figures["throughput"] > 0
    assert figures["levels"][0]["concurrency"] == 1
    assert not (tmp_path / "stores").exists()


def _serving(model):
    """The processes that have the model in their command."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found |= {path.parent.name} if model.encode() in path.read_bytes() else set()
    return found
