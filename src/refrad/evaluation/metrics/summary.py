"""Means of item scores with intervals."""

import logging
from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.evaluation.metrics.group_sums import GroupSums
from refrad.evaluation.metrics.intervals import Method, bootstrap_sums
from refrad.evaluation.metrics.scoring import STRATA, score_place

__all__ = ["SummaryRow", "summarise"]

CELLS = 10_000_000  # means x groups, or x draws, whose intervals are computed at once
PART = 1_000_000  # means x groups whose sums are computed at once
MOST_VALUES = 500  # of a stratum that get means

log = logging.getLogger(__name__)

Integers = NDArray[np.integer]
Floats = NDArray[np.float64]


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


def summarise(
    items: pl.DataFrame, resamples: int, method: Method = "percentile", strata: Sequence[str] = STRATA
) -> list[SummaryRow]:
    """Mean and 95 % interval of each dataset, task and metric, over all items and within each value of each stratum, in this order.

    Groups (patients) are drawn, the same groups for all means. Items with the value NaN (the judge failed) are left out and
    counted as `failed`. Of a stratum with more than 500 values the most frequent have means, with a warning.

    Args:
        items: scores as `score_items` returns them.
        resamples: bootstrap resamples.
        method: of the intervals.
        strata: columns of `items`.
    """
    rows: list[SummaryRow] = []
    for dataset in items["dataset"].unique(maintain_order=True).to_list():
        part = _summarise_dataset(items.filter(pl.col("dataset").eq_missing(dataset)), resamples, method, strata)
        rows += sorted(
            part,
            key=lambda row: (
                row["by"] is not None and 1 + strata.index(row["by"]),
                *score_place(row["task"], row["metric"]),
            ),
        )
    return rows


def _summarise_dataset(
    items: pl.DataFrame, resamples: int, method: Method, strata: Sequence[str]
) -> Iterator[SummaryRow]:
    """The rows of one dataset: its groups are drawn separately, so that other datasets do not change its intervals."""
    groups, names = _numbered(items["group"])
    rows: list[SummaryRow] = []  # of the means in `sums`, without intervals
    sums = GroupSums(len(names))
    for means, totals, counts in _sums_of_means(items, groups, len(names), strata):
        rows += means
        sums.add(totals, counts)
        if len(sums) * max(len(names), resamples) >= CELLS:
            yield from _with_intervals(rows, sums, resamples, method)
            rows, sums = [], GroupSums(len(names))
    del items, groups  # their memory is needed for the draws
    if rows:
        yield from _with_intervals(rows, sums, resamples, method)


def _sums_of_means(
    items: pl.DataFrame, groups: Integers, group_count: int, strata: Sequence[str]
) -> Iterator[tuple[list[SummaryRow], Floats, Floats]]:
    """Some means at a time: their rows without intervals, and totals and counts in each group, both float [groups, means].

    Args:
        items: scores of one dataset.
        groups: the number of the group of each item.
        group_count: how many groups there are.
        strata: columns of `items`.
    """
    (task, tasks), (metric, metrics) = _numbered(items["task"]), _numbered(items["metric"])
    value = items["value"].to_numpy()
    part = max(PART // group_count, 1)
    # All items, then those that have a value in each stratum, one after the other, so that no item is held twice.
    for by in (None, *strata):
        within, names = (np.zeros(len(items), int), [None]) if by is None else _frequent_values(items[by], by)
        used = np.flatnonzero(within >= 0)
        keys = (task[used] * len(metrics) + metric[used]) * len(names) + within[used]
        mean, distinct = _by_appearance(keys, len(tasks) * len(metrics) * len(names))
        for first in range(0, len(distinct), part):
            width = min(part, len(distinct) - first)
            chosen = np.flatnonzero((mean >= first) & (mean < first + width))
            columns, values = mean[chosen] - first, value[used[chosen]]
            cells, failed = groups[used[chosen]] * width + columns, np.isnan(values)
            totals, counts = (
                np.bincount(cells, weights, group_count * width).astype(np.float64).reshape(group_count, width)
                for weights in (np.where(failed, 0, values), (~failed).astype(np.float64))
            )
            failures = np.bincount(columns, failed, width)
            rows = [
                SummaryRow(
                    dataset=items["dataset"][0],
                    task=tasks[key // len(names) // len(metrics)],
                    metric=metrics[key // len(names) % len(metrics)],
                    by=by,
                    value=names[key % len(names)],
                    mean=None,
                    low=None,
                    high=None,
                    items=int(counts[:, column].sum()),
                    groups=int((counts[:, column] > 0).sum()),
                    failed=int(failures[column]),
                )
                for column, key in enumerate(distinct[first : first + width].tolist())
            ]
            yield rows, totals, counts


def _numbered(column: pl.Series) -> tuple[Integers, list[str]]:
    """The number of each text of a column, by first appearance, -1 for null; and the distinct texts."""
    distinct = column.drop_nulls().unique(maintain_order=True)
    codes = column.cast(pl.Categorical).to_physical()
    present = codes.drop_nulls().unique(maintain_order=True).to_numpy()
    numbers = np.full(int(present.max(initial=0)) + 2, -1)
    numbers[present] = np.arange(len(present))
    return numbers[codes.fill_null(len(numbers) - 1).to_numpy()], distinct.cast(pl.String).to_list()


def _frequent_values(column: pl.Series, by: str) -> tuple[Integers, list[str]]:
    """As `_numbered`, with -1 for rare values of a stratum: names in free words are many, and few of them have more than one item."""
    numbers, values = _numbered(column)
    if len(values) <= MOST_VALUES:
        return numbers, values
    log.warning(
        "%s: of %d values the %d most frequent have means; all items are in the means over all",
        by,
        len(values),
        MOST_VALUES,
    )
    frequent = np.argsort(-np.bincount(numbers[numbers >= 0]), kind="stable")[:MOST_VALUES]
    renumbered = np.full(len(values) + 1, -1)  # the last place is that of -1
    renumbered[frequent] = np.arange(MOST_VALUES)
    return renumbered[numbers], [values[number] for number in frequent]


def _by_appearance(keys: Integers, size: int) -> tuple[Integers, Integers]:
    """The number of each key (from 0, below `size`), by first appearance; and the distinct keys in this order."""
    first = np.full(size, len(keys))
    first[keys[::-1]] = np.arange(len(keys))[::-1]
    distinct = np.argsort(first, kind="stable")[: int((first < len(keys)).sum())]
    numbers = np.empty(size, int)
    numbers[distinct] = np.arange(len(distinct))
    return numbers[keys], distinct


def _with_intervals(
    rows: Sequence[SummaryRow], sums: GroupSums, resamples: int, method: Method
) -> Sequence[SummaryRow]:
    """The rows with their means and intervals; a single group shows no difference between groups."""
    intervals = bootstrap_sums(sums, resamples, method=method)
    for row, mean, low, high in zip(rows, intervals.estimate, intervals.low, intervals.high, strict=True):
        row["mean"] = _or_none(mean)
        if row["groups"] > 1:
            row["low"], row["high"] = _or_none(low), _or_none(high)
    return rows


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
