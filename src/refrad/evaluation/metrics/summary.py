"""Means of item scores with intervals, and comparisons of two models."""

import logging
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import polars as pl

from refrad.evaluation.metrics.finding_scores import UNPAIRED
from refrad.evaluation.metrics.intervals import Method, bootstrap, paired_difference
from refrad.evaluation.metrics.scoring import STRATA

__all__ = ["ComparisonRow", "SummaryRow", "compare", "summarise"]

CELLS = 4_000_000  # groups x means whose intervals are computed at once
MOST_VALUES = 500  # of a stratum that get means

log = logging.getLogger(__name__)


class SummaryRow(TypedDict):
    """A mean with its 95 % interval.

    `by` is a stratum and `value` one of its values; both are None for all items. `mean` is None if nothing was scored, `low` and
    `high` are None if fewer than two groups were scored. `failed` items have no value and are not among `items`.
    """

    dataset: str | None
    task: str
    metric: str
    by: str | None
    value: str | None
    mean: float | None
    low: float | None
    high: float | None
    items: int
    groups: int
    failed: int


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


def summarise(
    items: pl.DataFrame, resamples: int, method: Method = "percentile", strata: Sequence[str] = STRATA
) -> list[SummaryRow]:
    """Mean and 95 % interval of each dataset, task and metric, over all items and within each value of each stratum.

    Groups (patients) are drawn, the same groups for all means. Items with the value NaN (the judge failed) are left out and
    counted as `failed`. Of a stratum with more than 500 values the most frequent have means, with a warning.

    Args:
        items: scores as `score_items` returns them.
        resamples: bootstrap resamples.
        method: of the intervals.
        strata: columns of `items`.
    """
    datasets = items.partition_by("dataset", maintain_order=True)
    return [row for frame in datasets for row in _summarise_dataset(frame, resamples, method, strata)]


def _summarise_dataset(items: pl.DataFrame, resamples: int, method: Method, strata: Sequence[str]) -> list[SummaryRow]:
    """The rows of one dataset: its groups are drawn separately, so that other datasets do not change its intervals."""
    groups = items.select("group").unique(maintain_order=True).with_row_index("group_index")
    numbered = items.join(groups, on="group", maintain_order="left")
    keys = ["dataset", "task", "metric"]
    rows: list[SummaryRow] = []
    # All items, then those that have a value in each stratum, one after the other, so that no item is held twice.
    for by in (None, *strata):
        within = pl.lit(None, pl.String) if by is None else pl.col(by)
        part = numbered.select(*keys, "group_index", "value", within=within)
        part = part if by is None else _with_frequent_values(part.filter(pl.col("within").is_not_null()), by)
        failed = pl.col("value").is_nan()
        sums = part.group_by([*keys, "within", "group_index"], maintain_order=True).agg(
            total=pl.col("value").fill_nan(0).sum(), count=(~failed).sum().cast(pl.Float64), failed=failed.sum()
        )
        means = sums.select(*keys, "within").unique(maintain_order=True).with_row_index("mean")
        indexed = sums.join(means, on=[*keys, "within"], nulls_equal=True)
        block = max(CELLS // len(groups), 1)
        for first in range(0, len(means), block):
            cells = indexed.filter(pl.col("mean").is_between(first, first + block - 1))
            rows += _summarise_means(cells, means[first : first + block], by, len(groups), resamples, method)
    return rows


def _with_frequent_values(part: pl.DataFrame, by: str) -> pl.DataFrame:
    """The items with the most frequent values of a stratum: names in free words are many, and few of them have more than one item."""
    frequent = part["within"].value_counts(sort=True, name="number")
    if len(frequent) <= MOST_VALUES:
        return part
    log.warning(
        "%s: of %d values the %d most frequent have means; all items are in the means over all",
        by,
        len(frequent),
        MOST_VALUES,
    )
    return part.filter(pl.col("within").is_in(frequent["within"][:MOST_VALUES].to_list()))


def _summarise_means(
    sums: pl.DataFrame, means: pl.DataFrame, by: str | None, group_count: int, resamples: int, method: Method
) -> list[SummaryRow]:
    """The rows of means, from the sums of each group for each mean."""
    totals, counts = np.zeros((2, group_count, len(means)))
    cells = sums["group_index"].to_numpy(), sums["mean"].to_numpy() - means["mean"][0]
    totals[cells], counts[cells] = sums["total"].to_numpy(), sums["count"].to_numpy()
    # Intervals: a single group shows no difference between groups.
    intervals = bootstrap(totals, counts, resamples, method=method)
    single = (counts > 0).sum(0) < 2
    low, high = np.where(single, np.nan, intervals.low), np.where(single, np.nan, intervals.high)
    failures = sums.group_by("mean").agg(pl.col("failed").sum()).sort("mean")["failed"].to_list()
    return [
        SummaryRow(
            dataset=row["dataset"],
            task=row["task"],
            metric=row["metric"],
            by=by,
            value=row["within"],
            mean=_or_none(intervals.estimate[index]),
            low=_or_none(low[index]),
            high=_or_none(high[index]),
            items=int(counts[:, index].sum()),
            groups=int((counts[:, index] > 0).sum()),
            failed=failures[index],
        )
        for index, row in enumerate(means.iter_rows(named=True))
    ]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def compare(ours: pl.DataFrame, theirs: pl.DataFrame, resamples: int) -> list[ComparisonRow]:
    """Differences of our scores from those of another model: one row a dataset, task and metric.

    Precision and F1 of instances have none, since the instances of two answers are not the same items.

    Args:
        ours: scores as `score_items` returns them.
        theirs: the same of the other model.
        resamples: bootstrap resamples, and rounds of the permutation test.
    """
    keys = ["dataset", "id", "task", "metric", "class"]
    numbered = [
        frame.filter(pl.col("value").is_not_nan() & ~pl.col("metric").is_in(UNPAIRED)).with_columns(
            turn=pl.int_range(pl.len()).over(keys)
        )
        for frame in (ours, theirs)
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
        rows.append(
            ComparisonRow(
                dataset=dataset,  # type: ignore[typeddict-item]
                task=task,  # type: ignore[typeddict-item]
                metric=metric,  # type: ignore[typeddict-item]
                ours=part["value"].mean(),  # type: ignore[typeddict-item]
                theirs=part["other"].mean(),  # type: ignore[typeddict-item]
                difference=difference.estimate,
                low=difference.low,
                high=difference.high,
                p=difference.p,
                items=len(part),
                groups=len(sums),
            )
        )
    return rows
