"""Comparison of the item scores of two models, in pairs."""

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import polars as pl

from refrad.evaluation.metrics.finding_scores import UNPAIRED
from refrad.evaluation.metrics.intervals import Difference, paired_difference, paired_ratio_difference
from refrad.evaluation.metrics.scoring import score_place

__all__ = ["ComparisonRow", "compare"]


class ComparisonRow(TypedDict):
    """The difference of two models over the items that both have, with its 95 % interval and the p-value of no difference."""

    dataset: str | None
    task: str
    metric: str
    ours: float
    theirs: float
    difference: float
    low: float
    high: float
    p: float
    items: int
    groups: int


def compare(ours: pl.DataFrame, theirs: pl.DataFrame, resamples: int) -> list[ComparisonRow]:
    """Differences of our scores from those of another model: one row a dataset, task and metric, in this order.

    Precision and F1 of instances are those of the questions that both were asked, since the instances of two answers are not the
    same items; the `items` are these questions then.

    Args:
        ours: scores as `score_items` returns them.
        theirs: the same of the other model.
        resamples: bootstrap resamples, and rounds of the permutation test.
    """
    # Scores that were read from a file have texts, others categories.
    scored = [frame.filter(pl.col("value").is_not_nan()).cast({pl.String: pl.Categorical}) for frame in (ours, theirs)]
    keys = ["dataset", "id", "task", "metric", "class"]
    numbered = [
        frame.filter(~pl.col("metric").is_in(UNPAIRED)).with_columns(turn=pl.int_range(pl.len()).over(keys))
        for frame in scored
    ]
    paired = numbered[0].join(
        numbered[1].select(*keys, "turn", other="value"), on=[*keys, "turn"], nulls_equal=True, how="inner"
    )
    rows: list[ComparisonRow] = []
    for (dataset, task, metric), part in paired.group_by(["dataset", "task", "metric"], maintain_order=True):
        sums = part.group_by("group", maintain_order=True).agg(
            pl.col("value").sum(), pl.col("other").sum(), count=pl.len()
        )
        difference = paired_difference(sums["value"], sums["other"], sums["count"], resamples)
        means = float(part["value"].mean()), float(part["other"].mean())  # type: ignore[arg-type]
        rows.append(_comparison_row((dataset, task, metric), means, difference, len(part), len(sums)))
    rows += _compare_instances(paired.filter(metric="instance_recall"), scored, resamples)
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    return sorted(rows, key=lambda row: (datasets.index(row["dataset"]), score_place(row["task"], row["metric"])))


def _compare_instances(paired: pl.DataFrame, scored: Sequence[pl.DataFrame], resamples: int) -> Iterator[ComparisonRow]:
    """The rows of the metrics whose items differ between the models; none where one of the models has drawn nothing.

    Args:
        paired: items of questions that both models were asked.
        scored: the scores of each model.
        resamples: as in `compare`.
    """
    for (dataset, task), part in paired.group_by(["dataset", "task"], maintain_order=True):
        questions = part.select("id", "group").unique(maintain_order=True)
        groups = questions.select("group").unique(maintain_order=True)
        for metric in UNPAIRED:
            sums = [
                groups.join(
                    frame.filter(pl.col("dataset").eq_missing(pl.lit(dataset)), task=task, metric=metric)
                    .join(questions, on="id", how="semi")
                    .group_by("group")
                    .agg(total=pl.col("value").sum(), count=pl.len()),
                    on="group",
                    how="left",
                    maintain_order="left",
                ).fill_null(0)
                for frame in scored
            ]
            totals, counts = (
                np.array([side[column].to_list() for side in sums], np.float64) for column in ("total", "count")
            )
            if counts.sum(1).all():
                difference = paired_ratio_difference(totals, counts, resamples)
                ours, theirs = (totals.sum(1) / counts.sum(1)).tolist()
                yield _comparison_row((dataset, task, metric), (ours, theirs), difference, len(questions), len(groups))


def _comparison_row(
    names: Sequence[object], means: tuple[float, float], difference: Difference, items: int, groups: int
) -> ComparisonRow:
    dataset, task, metric = names
    return ComparisonRow(
        dataset=dataset,  # type: ignore[typeddict-item]
        task=task,  # type: ignore[typeddict-item]
        metric=metric,  # type: ignore[typeddict-item]
        ours=means[0],
        theirs=means[1],
        difference=difference.estimate,
        low=difference.low,
        high=difference.high,
        p=difference.p,
        items=items,
        groups=groups,
    )
