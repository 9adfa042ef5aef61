"""The table of item scores: one row an item and metric, with the strata of the item."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.evaluation.metrics.records import TruthRecord
from refrad.evaluation.metrics.text import words

__all__ = ["STRATA", "ItemScores", "Stratum", "score_table"]

STRATA = ("language", "modality", "kind", "topic", "class", "size", "category", "length")
LENGTHS = ((3, "1 to 3 words"), (10, "4 to 10 words"), (math.inf, "11 words and more"))
COLUMNS = ("dataset", "id", "task", "metric", "group", *STRATA, "value")


class Stratum(NamedTuple):
    """The strata of a score that are not those of its whole question."""

    class_name: str | None = None
    size: str | None = None
    category: str | None = None


class ItemScores(NamedTuple):
    """Scores of a question, caption or region: metrics and values, NaN where a judge failed.

    The other columns of their rows are those of their question.
    """

    id: str
    stratum: Stratum
    scores: Sequence[tuple[str, float]]


def score_table(scores: Iterable[ItemScores], truth: Mapping[str, TruthRecord]) -> pl.DataFrame:
    """The scores as a table with the columns dataset, id, task, metric, group and STRATA, categories, and value, in their order.

    A row is held as four numbers until all are known, and as numbers of categories in the table.
    """
    questions = {name: number for number, name in enumerate(truth)}
    metrics: dict[str, int] = {}
    strata: dict[Stratum, int] = {}
    codes_of: dict[tuple[str, ...], list[int]] = {}  # few sets of metrics, of many items
    question_of, metric_of, stratum_of, value_of = array("I"), array("I"), array("I"), array("d")
    for name, stratum, values in scores:
        if not values:
            continue
        number, code = questions[name], strata.setdefault(stratum, len(strata))
        names, numbers = zip(*values, strict=True)
        if (codes := codes_of.get(names)) is None:
            codes = codes_of[names] = [metrics.setdefault(metric, len(metrics)) for metric in names]
        question_of.extend([number] * len(codes))
        stratum_of.extend([code] * len(codes))
        metric_of.extend(codes)
        value_of.extend(numbers)
    question, stratum_number = (np.frombuffer(numbers, np.uint32) for numbers in (question_of, stratum_of))
    columns = {
        "metric": _column(metrics, np.frombuffer(metric_of, np.uint32)),
        "value": pl.Series(np.frombuffer(value_of, np.float64)),
        "id": _column(questions, question),
        "group": _column((true.group or true.id for true in truth.values()), question),
        "length": _column((_length(true.answer) for true in truth.values()), question),
        **{
            key: _column((getattr(true, key) for true in truth.values()), question)
            for key in ("dataset", "task", "language", "modality", "kind", "topic")
        },
        **{
            key: _column((stratum[position] for stratum in strata), stratum_number)
            for position, key in enumerate(("class", "size", "category"))
        },
    }
    return pl.DataFrame({name: columns[name] for name in COLUMNS})


def _column(values: Iterable[str | None], places: NDArray[np.uint32]) -> pl.Series:
    """The values at some places."""
    return pl.Series(list(values), dtype=pl.Categorical).gather(places)


def _length(answer: str | None) -> str | None:
    """The stratum of an answer's length; None for an empty answer."""
    count = len(words(answer or ""))
    return next(name for limit, name in LENGTHS if count <= limit) if count else None
