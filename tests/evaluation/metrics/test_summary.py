import logging

import polars as pl
import pytest
from tests.factories.scores import scored

from refrad.evaluation.metrics import summary
from refrad.evaluation.metrics.summary import summarise


def test_rare_names_have_no_mean_of_their_own_but_count_in_the_whole(monkeypatch, caplog):
    monkeypatch.setattr(summary, "MOST_VALUES", 2)
    with caplog.at_level(logging.WARNING):
        rows = summarise(scored([*["liver"] * 4, *["spleen"] * 3, "a shadow"]), 100)
    assert {row["value"] for row in rows if row["by"] == "class"} == {"liver", "spleen"}
    (whole,) = [row for row in rows if row["by"] is None]
    assert (whole["items"], whole["mean"]) == (8, 0.5)
    assert caplog.messages == ["class: of 3 values the 2 most frequent have means; all items are in the means over all"]


@pytest.mark.parametrize("cells", [1, 2, 3, 100])
def test_means_do_not_depend_on_how_many_are_computed_at_once(monkeypatch, cells):
    items = scored(["liver", "spleen", "aorta", "liver", "aorta", "spleen", "liver", "liver"])
    expected = summarise(items, 100)
    monkeypatch.setattr(summary, "CELLS", cells)
    assert summarise(items, 100) == expected
    liver = next(row for row in expected if row["value"] == "liver")
    assert (liver["mean"], liver["items"], liver["groups"]) == (0.25, 4, 2)  # numbers 0, 3, 6, 7: 1, 0, 0, 0


def test_rows_are_in_the_order_of_dataset_task_and_metric():
    kinds = [
        ("b", "vqa", "accuracy"),
        ("b", "locate", "dice"),
        ("a", "vqa", "f1_all"),
        ("b", "locate", "iou"),
        ("b", "vqa", "f1"),
    ]
    part = scored(["liver"] * 4)
    items = pl.concat(
        part.with_columns(dataset=pl.lit(dataset), task=pl.lit(task), metric=pl.lit(metric))
        for dataset, task, metric in kinds
    )
    expected = [kinds[number] for number in (3, 1, 4, 0, 2)]
    rows = [row for row in summarise(items, 100) if row["by"] is None]
    assert [(row["dataset"], row["task"], row["metric"]) for row in rows] == expected
