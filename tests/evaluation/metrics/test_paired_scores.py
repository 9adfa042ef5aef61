import polars as pl
from tests.factories.scores import scored

from refrad.evaluation.metrics.paired_scores import compare


def test_items_that_the_judge_failed_on_are_in_no_difference():
    ours = scored(["liver", "spleen", "aorta", "liver"])  # 1, 1, 0, 0
    failed = ours.with_columns(value=pl.Series([0.5, float("nan"), 0.5, float("nan")]))
    (row,) = compare(ours, failed, 100)
    assert (row["items"], row["ours"], row["theirs"], row["difference"]) == (2, 0.5, 0.5, 0.0)
    (reverse,) = compare(failed, ours, 100)
    assert reverse["items"] == 2


def test_differences_are_in_the_order_of_dataset_task_and_metric():
    kinds = [("b", "vqa", "accuracy"), ("b", "locate", "dice"), ("a", "vqa", "f1_all"), ("b", "locate", "iou")]
    items = pl.concat(
        scored(["liver"] * 4).with_columns(dataset=pl.lit(dataset), task=pl.lit(task), metric=pl.lit(metric))
        for dataset, task, metric in kinds
    )
    rows = [(row["dataset"], row["task"], row["metric"]) for row in compare(items, items, 100)]
    assert rows == [kinds[number] for number in (3, 1, 0, 2)]
