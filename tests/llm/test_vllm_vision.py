"""Other vision-language models of `evaluate.others` on a real vLLM: `make vllm-test`.

The model is a tiny Idefics3 of random weights. What it says is nonsense, but follows from the image and the prompt alone, so transformers
must say the same.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from tests.factories import fingerprint, tiny_training
from tests.factories.dataset import examples_of
from tests.factories.processes import train_in_process
from tests.llm.tiny import write_tiny_idefics

from refrad.config import ModelOptions, OtherModelOptions
from refrad.core.manifests import read_sealed
from refrad.evaluation.local_model import ask_folder
from refrad.evaluation.other_models import ask_other_model, ask_server
from refrad.evaluation.questions import build_questions
from refrad.llm import ModelError, open_models
from refrad.llm.server import Server
from refrad.reporting.comparison_page import comparison_tables
from refrad.stages import evaluate

PYTHON = os.environ.get("REFRAD_VLLM_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="needs an environment with vLLM: make vllm-test"),
]

CONTEXT = 1024  # tokens
BOXES = {"unit": 1000, "order": "yxyx"}
# What a model with this convention writes, with its upper left corner above and to the left of the other one.
BOX_FORM = r'\{"box_2d": \[[1-4]\d\d, [1-4]\d\d, [5-9]\d\d, [5-9]\d\d\], "label": "(liver|spleen)"\}'
SHARE_FORM = r'\{"box_2d": \[0\.[1-4], 0\.[1-4], 0\.[5-9], 0\.[5-9]\], "label": "(liver|spleen)"\}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory, root):
    """The folder of the model."""
    texts = [path.read_text(encoding="utf-8") for path in (root / "workflow" / "prompts").glob("others.yaml")]
    return write_tiny_idefics(tmp_path_factory.mktemp("models") / "tiny-idefics", texts)


@pytest.fixture(scope="module")
def running(folder, tmp_path_factory):
    """What stands in the config to use a server of the model that stays up for this module's tests."""
    arguments = ["--enforce-eager", "--dtype", "float32", "--max-num-seqs", "16"]
    server = {"python": PYTHON, "gpus": 0, "context": CONTEXT, "startup": 900.0, "arguments": arguments}
    server["environment"] = {"VLLM_CPU_KVCACHE_SPACE": "1"}
    options = {"endpoint": "managed", "model": str(folder), "server": server}
    managed = Server(ModelOptions.model_validate(options), tmp_path_factory.mktemp("logs") / "vllm.log")
    managed.start()
    os.environ["TINY_VISION_KEY"] = managed.key
    yield {"endpoint": managed.endpoint, "model": "tiny-idefics", "key": "TINY_VISION_KEY"}
    managed.stop()


@pytest.fixture(scope="module")
def examples(images):
    return examples_of(images)


@pytest.fixture(scope="module")
def questions(examples):
    return [question for image in examples.values() for question in build_questions(image)]


def options_of(root, **changes):
    prompts = str(root / "workflow" / "prompts" / "others.yaml")
    return OtherModelOptions(
        **{"name": "tiny", "model": "tiny", "prompts": prompts, "tokens": 16, "boxes": BOXES} | changes
    )


def whole_words(row):
    """A row without the half of a character at its end, which vLLM does not write."""
    return row | {key: row[key].rstrip("\ufffd").strip() for key in ("raw", "answer")}


def llm_line_of(model, store):
    return json.dumps({"prompts": "", "store": str(store), "log": "", "roles": {"vision.tiny": model}})


@pytest.fixture
def ask(root, tmp_path, questions, examples):
    """The function that puts the questions to a model, and returns its answers and the number of completions."""

    def run(model, **changes):
        options = options_of(root, **changes)
        with open_models(llm_line_of(model, tmp_path / "store")) as models:
            answers = ask_other_model(options, questions, examples, {}, ask_server(models))
            return answers, sum(account.calls for account in models.accounts.values())

    return run


def test_server_and_transformers_answer_alike(running, folder, ask, root, tmp_path, questions, examples):
    """The same weights, images and prompts have the same answers, token by token; a lost or another image would change them."""
    tasks = ["vqa", "caption", "detect", "locate"]
    answers, calls = ask(running, tasks=tasks)
    with open_models(json.dumps({"store": str(tmp_path / "local")})) as models:
        local = ask_folder(folder, models.store, torch.device("cpu"), 4)
        expected = ask_other_model(options_of(root, tasks=tasks), questions, examples, {}, local)
    assert answers.counts == expected.counts | {"answered": len(questions)} and calls == len(questions) == 30
    assert [whole_words(row) for row in answers.rows] == [whole_words(row) for row in expected.rows]
    told_of_livers = {
        row["raw"] for row, question in zip(answers.rows, questions, strict=True) if question.task == "vqa"
    }
    assert len(told_of_livers) > 1  # the same question about different images


def test_second_run_sends_nothing(running, ask):
    first = ask(running, tasks=["vqa", "caption"])
    assert first[1] == 12 and ask(running, tasks=["vqa", "caption"]) == (first[0], 0)


def test_boxes_are_read_in_the_convention_and_no_other(running, ask, questions):
    located = [question for question in questions if question.task == "locate"]
    model = running | {"extra": {"structured_outputs": {"regex": BOX_FORM}}}
    answers, _ = ask(model, tasks=["locate"], tokens=60)
    assert answers.counts["boxes"] == len(located) == 12 and answers.counts["malformed boxes"] == 0
    for row in answers.rows:
        (entity,), written = row["entities"], json.loads(row["raw"])
        y_min, x_min, y_max, x_max = (value / 1000 for value in written["box_2d"])
        assert entity == {"text": written["label"], "box": pytest.approx([x_min, y_min, x_max, y_max])}
    shares, _ = ask(running | {"extra": {"structured_outputs": {"regex": SHARE_FORM}}}, tasks=["locate"], tokens=60)
    assert (shares.counts["boxes"], shares.counts["malformed boxes"]) == (0, 12)


def test_answers_longer_than_the_context_end_the_run_with_the_reason(running, ask):
    with pytest.raises(ModelError, match=rf"rejects each request \(400\): max_tokens=5000 .*{CONTEXT}"):
        ask(running, tokens=5000)


def test_stage_evaluate_has_its_row_in_the_table(running, images, root, tmp_path):
    schema, scale = root / "workflow" / "anatomy" / "classes.yaml", root / "workflow" / "prompts" / "score.yaml"
    checkpoint = train_in_process(images, schema, tmp_path, tiny_training())
    shared = {"images": [images], "schema": schema, "checkpoint": checkpoint}
    files = {name: tmp_path / name for name in ("truth", "predictions", "scores", "others", "metrics", "store")}
    entry = options_of(root, tasks=["vqa", "caption", "detect"]).model_dump()
    evaluate.run(
        **shared,
        **files,
        scale=scale,
        llm=llm_line_of(running, tmp_path / "llm"),
        fingerprint=fingerprint("evaluate", samples=100, resamples=200, others=[entry]),
    )
    metrics = read_sealed(Path(files["metrics"]))
    (tiny,) = metrics["others"]
    assert tiny["failure"] is None and tiny["counts"]["answered"] == tiny["counts"]["asked"] == 18
    (table,) = comparison_tables(metrics)
    assert [row.name for row in table.rows] == ["RadGrounder", "tiny"]
    assert {task for task, _ in table.rows[1].means} == {"vqa", "caption", "detect"}
