"""Scores of other models, in pairs with those of the evaluated one."""

import json
from collections import Counter

import polars as pl
import pytest
from tests.factories import options

from refrad.config import EvaluateOptions
from refrad.evaluation.metrics.json_lines import write_objects
from refrad.evaluation.metrics.records import TruthRecord
from refrad.evaluation.other_models import OtherAnswers
from refrad.evaluation.other_scores import ItemScorer, compare_other_models, tasks_to_ask
from refrad.llm import ModelError

PATIENTS = 6
CHOICES = EvaluateOptions.model_validate(
    options("evaluate", resamples=200)
    | {"others": [{"name": "dead", "model": "x"}, {"name": "right", "model": "y"}, {"name": "silent", "model": "z"}]}
)


@pytest.fixture
def truth():
    questions = [
        {"id": f"q{n}", "task": "vqa", "kind": "yesno", "answer": "yes", "group": f"p{n}", "dataset": "internal"}
        for n in range(PATIENTS)
    ]
    captions = [
        {"id": f"c{n}", "task": "caption", "answer": text, "group": f"p{n}", "dataset": "internal"}
        for n, text in enumerate(["The liver is normal.", "The spleen is large.", "No stone is seen."])
    ]
    return {row["id"]: TruthRecord.model_validate(row) for row in [*questions, *captions]}


@pytest.fixture
def scorer(truth):
    return ItemScorer(truth, {}, None, None)


def answers_of(texts):
    rows = [
        {"id": name, "image_id": "i", "task": "vqa", "language": "en", "raw": text, "answer": text}
        for name, text in texts.items()
    ]
    return OtherAnswers(rows, dict(Counter(asked=PATIENTS, answered=len(rows), failed=PATIENTS - len(rows))))


@pytest.fixture
def ours(scorer, tmp_path, truth):
    """Scores of a model that says yes to one half and copies the captions."""
    rows = [
        {"id": name, "answer": ("yes" if number % 2 else "no") if name[0] == "q" else true.answer}
        for number, (name, true) in enumerate(truth.items())
    ]
    write_objects(tmp_path / "ours.jsonl", rows)
    return scorer.score(tmp_path / "ours.jsonl")[0]


def test_dead_model_is_one_line_and_the_next_is_scored(scorer, ours, tmp_path, caplog):
    def ask(model):
        if model.name == "dead":
            raise ModelError("x: no answer from http://127.0.0.1:1/v1 for 1 s (unreachable):\ncheck that it runs")
        return answers_of({f"q{n}": "yes" for n in range(4)} if model.name == "right" else {})

    dead, right, silent = compare_other_models(CHOICES, "detection", ours, scorer, ask, tmp_path)
    assert dead["failure"].startswith("x: no answer from") and "\n" not in dead["failure"] and dead["scores"] == []
    assert silent["failure"].startswith("none of its tasks") and silent["compared"] == []
    (accuracy,) = [row for row in right["scores"] if row["metric"] == "accuracy"]
    assert (accuracy["mean"], accuracy["items"]) == (1.0, 4)  # two failed questions are left out, not wrong
    (pair,) = [row for row in right["compared"] if row["metric"] == "accuracy"]
    # Of q0 to q3 we have two right (q1, q3): 0.5 - 1 = -0.5
    assert (pair["ours"], pair["theirs"], pair["difference"], pair["items"]) == (0.5, 1.0, -0.5, 4)
    assert sorted(path.name for path in tmp_path.glob("right*")) == ["right.predictions.jsonl", "right.scores.parquet"]
    assert [record.levelname for record in caplog.records if record.levelname != "INFO"] == ["WARNING"]


def test_cider_weighs_words_by_all_references(scorer, ours, tmp_path, truth):
    rows = [{"id": "c0", "answer": truth["c0"].answer}]
    write_objects(tmp_path / "theirs.jsonl", rows)
    theirs = scorer.score_answered(tmp_path / "theirs.jsonl", ["caption"])
    of_first = (pl.col("id") == "c0") & (pl.col("metric") == "cider_released")
    assert set(theirs["id"]) == {"c0"}
    assert theirs.filter(of_first)["value"].item() == ours.filter(of_first)["value"].item() > 0


def test_boxes_are_not_compared_with_masks():
    entry = CHOICES.others[0].model_copy(update={"tasks": ["vqa", "locate", "detect"]})
    assert (
        tasks_to_ask(entry, "segmentation").tasks == ["vqa"] and tasks_to_ask(entry, "detection").tasks == entry.tasks
    )


def test_result_is_json(scorer, ours, tmp_path):
    results = compare_other_models(CHOICES, "detection", ours, scorer, lambda _: answers_of({"q0": "no"}), tmp_path)
    assert json.loads(json.dumps(results)) == results
