"""Tables of the comparison with other models."""

from refrad.evaluation.metrics.scoring import METRICS
from refrad.evaluation.published_models import PUBLISHED_MODELS, PublishedModel
from refrad.reporting.comparison_page import comparison_tables


def mean(dataset, metric, value, task="vqa"):
    return {"dataset": dataset, "task": task, "metric": metric, "by": None, "value": None, "mean": value}


def difference(dataset, metric, value):
    return {"dataset": dataset, "task": "vqa", "metric": metric, "difference": value}


RESULT = {
    "scores": [
        mean("internal", "accuracy", 0.9),
        mean("internal", "measure_f1", 0.5),
        mean("internal", "iou", 0.4, "locate"),
        mean("slake", "accuracy", 0.8),
        mean("slake", "accuracy", 0.1) | {"by": "language", "value": "en"},
    ],
    "others": [
        {
            "name": "Gemma",
            "scores": [mean("internal", "accuracy", 0.6), mean("slake", "accuracy", 0.5)],
            "compared": [difference("internal", "accuracy", 0.3), difference("slake", "accuracy", 0.2)],
        },
        {"name": "dead", "scores": [], "compared": []},
    ],
}


def test_table_of_a_dataset_has_the_evaluated_model_first():
    internal, slake = comparison_tables(RESULT)
    assert [row.name for row in internal.rows] == ["RadGrounder", "Gemma"]
    assert internal.columns == slake.columns == (("vqa", "accuracy"),)  # Gemma gave no boxes
    assert [row.means["vqa", "accuracy"]["mean"] for row in slake.rows[:2]] == [0.8, 0.5]
    assert slake.rows[1].differences["vqa", "accuracy"]["difference"] == 0.2


def test_published_figures_stand_only_by_the_same_quantity(monkeypatch):
    models = [
        PublishedModel("A", "slake", {("vqa", "accuracy"): 0.7}, "the test split", "A 2025"),
        PublishedModel("B", "slake", {("vqa", "f1_all"): 0.7}, "the test split", "B 2025"),
    ]
    monkeypatch.setattr("refrad.reporting.comparison_page.PUBLISHED_MODELS", models)
    internal, slake = comparison_tables(RESULT)
    assert [row.name for row in slake.rows] == ["RadGrounder", "Gemma", "A"] and len(internal.rows) == 2
    assert slake.rows[2].published == {("vqa", "accuracy"): 0.7} and slake.rows[2].note == "the test split; A 2025"


def test_result_without_other_models_has_no_table():
    assert comparison_tables({"scores": RESULT["scores"]}) == []


def test_published_models_have_a_source_and_metrics_of_ours():
    for model in PUBLISHED_MODELS:
        assert model.source and model.split and 0 < max(model.means.values()) < 1
        assert {metric for _, metric in model.means} <= set(METRICS)
