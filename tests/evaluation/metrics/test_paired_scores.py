import polars as pl

from refrad.evaluation.metrics.paired_scores import compare
from refrad.evaluation.metrics.scoring import STRATA


def scored(names):
    """An item for each name of a region, of two patients in turn; the value is 1 for every second item of a patient."""
    rows = [
        {
            "dataset": "a",
            "id": str(number),
            "task": "locate",
            "metric": "iou",
            "group": f"p{number % 2}",
            **dict.fromkeys(STRATA),
            "class": name,
            "value": float(number % 4 < 2),
        }
        for number, name in enumerate(names)
    ]
    strings = dict.fromkeys(("dataset", "id", "task", "metric", "group", *STRATA), pl.String)
    return pl.DataFrame(rows, schema=strings | {"value": pl.Float64})


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
