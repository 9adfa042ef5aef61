"""Stage vqa: question-answer pairs by templates or a model, and their checks."""

import json

import polars as pl
import pytest
from tests.llm.talking import TalkingServer, completion

from refrad.core.contracts import QuestionTable
from refrad.core.tables import read_table

TEXT = "Liver and both kidneys are normal."


def ready(study):
    study.structures()
    study.grounded(
        [study.caption("c", TEXT)], study.mention("c", TEXT, "Liver", 5) + study.mention("c", TEXT, "kidneys", 2, 3)
    )


def ask(study, findings=5, metadata=3, **given):
    ready(study)
    writer = "llm" if given else "templates"
    metrics = study.run("vqa", {"writer": writer, "findings": findings, "metadata": metadata}, **given)
    return metrics, read_table(study.path("questions"), QuestionTable)


def test_grounded_images_have_questions_in_caption_language(study):
    metrics, questions = ask(study)
    assert metrics["flow"]["taken"] == metrics["flow"]["used"] == questions["instance"].n_unique()
    assert set(questions["language"]) == {"en"}
    assert set(questions["backend"]) == {"templates"}


def test_number_of_questions_is_limited(study):
    _, questions = ask(study, findings=2, metadata=1)
    counts = questions.group_by("instance", "topic").len()
    assert counts.filter(pl.col("topic") == "findings")["len"].max() <= 2
    assert counts.filter(pl.col("topic") == "metadata")["len"].max() <= 1


def test_template_pairs_pass_their_checks(study):
    metrics, questions = ask(study)
    assert set(metrics["tables"]["checks"]) == {"passed"}
    assert questions["reason"].null_count() == len(questions) == metrics["made"]["questions"]


GOOD = {"kind": "open", "question": "Which organ is normal?", "choices": [], "answer": "the liver", "evidence": "Liver"}
BAD = GOOD | {"question": "What is new compared to the prior study?"}


@pytest.fixture
def model(study, root, tmp_path):
    """The function that runs the stage with a server that gives these pairs."""
    servers = []

    def run(pairs, findings=2):
        servers.append(TalkingServer(lambda _: completion(json.dumps({"pairs": pairs}))))
        role = {"endpoint": servers[-1].endpoint, "model": "test-model"}
        llm = {
            "prompts": str(root / "workflow" / "prompts"),
            "store": str(tmp_path / "llm"),
            "log": str(tmp_path / "log"),
        }
        return *ask(study, findings=findings, llm=json.dumps(llm | {"roles": {"qa": role}})), servers[-1]

    yield run
    for server in servers:
        server.stop()


def test_model_pairs_are_checked_and_bad_ones_have_a_reason(model):
    metrics, questions, server = model([GOOD, BAD])
    images = metrics["flow"]["used"]
    findings = questions.filter(pl.col("topic") == "findings")
    assert dict(findings["reason"].value_counts().rows()) == {None: images, "other_examination": images}
    assert set(findings["backend"]) == {"test-model"}
    assert set(questions.filter(pl.col("topic") == "metadata")["backend"]) == {"templates"}
    assert metrics["made"]["questions kept out"] == images
    data = json.loads(server.bodies[0]["messages"][1]["content"])
    assert data["sentences"] == [TEXT] and set(data["visible"]) == {"liver", "right kidney", "left kidney"}


def test_rejected_pairs_do_not_reach_the_shards(study, model):
    model([GOOD, BAD])
    study.run("shards", {"image_size": 32, "formats": ["raw"]})
    asked = [q["question"] for row in pl.read_parquet(study.path("images"))["questions"] for q in row]
    assert GOOD["question"] in asked and BAD["question"] not in asked


def test_failed_model_answers_are_not_replaced(model):
    metrics, questions, _ = model([GOOD])  # two were asked for
    assert set(questions["topic"]) == {"metadata"} and metrics["tables"]["checks"]["model_failed"] > 0
