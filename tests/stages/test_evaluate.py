import json

import pytest
from tests.stages.test_train import OPTIONS

from refrad.fingerprint import Fingerprint
from refrad.stages import evaluate, train


@pytest.fixture(scope="module")
def evaluated(images, root, tmp_path_factory):
    """A model that learned two squares for a minute, asked about squares that it never saw."""
    folder = tmp_path_factory.mktemp("evaluate")
    schema = root / "workflow" / "anatomy" / "classes.yaml"
    options = OPTIONS | {
        "tower_steps": 150,
        "steps": 250,
        "seconds": 60.0,
        "batch": 8,
        "learning_rate": 2e-3,
        "tasks": {"locate": 0.8, "detect": 0.1, "vqa": 0.1},
    }
    checkpoint, predictions, metrics = folder / "x", folder / "predictions.jsonl", folder / "metrics.json"
    shared = {"images": [images], "schema": schema, "checkpoint": checkpoint}
    made = {"metrics": folder / "train.json", "work": folder / "x.work"}
    train.run(**shared, **made, fingerprint=Fingerprint("train", 1, options, {}))
    evaluate.run(
        **shared, predictions=predictions, metrics=metrics, fingerprint=Fingerprint("evaluate", 1, {"samples": 100}, {})
    )
    return json.loads(metrics.read_text()), [json.loads(line) for line in predictions.read_text().splitlines()]


@pytest.mark.slow
def test_what_was_learned_beats_what_was_not(evaluated):
    metrics, _ = evaluated
    assert metrics["mean_iou"] > metrics["baselines"]["untrained"]["mean_iou"] + 0.1
    assert metrics["baselines"]["untrained"]["mean_iou"] < 0.05
    assert metrics["class_recall"] > 0.8


@pytest.mark.slow
def test_the_mean_box_stands_beside_it(evaluated):
    metrics, _ = evaluated
    assert 0.2 < metrics["baselines"]["mean_box"]["mean_iou"] < 0.9
    assert metrics["baselines"]["mean_box"]["class_recall"] == 1


@pytest.mark.slow
def test_every_question_of_every_test_image_is_answered_and_kept(evaluated):
    metrics, rows = evaluated
    assert metrics["images"] == 6 and metrics["boxes"] == 12
    assert sorted({row["task"] for row in rows}) == ["detect", "locate", "vqa"]
    assert len(rows) == 6 * (2 + 1 + 1)  # two mentions, a caption and a question each


@pytest.mark.slow
def test_every_number_is_explained(evaluated):
    metrics, _ = evaluated
    explained = {name.split(".")[0] for name in metrics["definitions"]}
    numbers = {"mean_iou", "mean_iou_interval", "class_recall", "iou50", "free", "vqa", "baselines", "blanked"}
    assert numbers <= set(metrics) and numbers <= explained
