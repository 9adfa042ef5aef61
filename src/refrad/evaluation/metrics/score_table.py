"""The table of item scores: one row an item and metric, with the strata of the item."""

import math
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import polars as pl

from refrad.evaluation.metrics.records import TruthRecord
from refrad.evaluation.metrics.text import words

__all__ = ["STRATA", "ItemScore", "score_table"]

STRATA = ("language", "modality", "kind", "topic", "class", "size", "category", "length")
LENGTHS = ((3, "1 to 3 words"), (10, "4 to 10 words"), (math.inf, "11 words and more"))
COLUMNS = dict.fromkeys(("dataset", "id", "task", "metric", "group", *STRATA), pl.String) | {"value": pl.Float64}
SCORE_COLUMNS = dict.fromkeys(("id", "metric", "class", "size", "category"), pl.String) | {"value": pl.Float64}
QUESTION_COLUMNS = ("id", "dataset", "task", "group", "language", "modality", "kind", "topic", "length")
ROWS_AT_ONCE = 100_000  # held as Python objects


class ItemScore(NamedTuple):
    """The score of a question, caption or region on a metric; `value` is NaN where a judge failed.

    The other columns of its row are those of its question.
    """

    id: str
    metric: str
    class_name: str | None
    size: str | None
    category: str | None
    value: float


def score_table(scores: Iterable[ItemScore], truth: Iterable[TruthRecord]) -> pl.DataFrame:
    """The scores as a table with the columns dataset, id, task, metric, value, group and STRATA, in their order.

    The columns of a question are computed once, however many scores it has.
    """
    rows = iter(scores)
    parts = [pl.DataFrame(schema=SCORE_COLUMNS)]
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        parts.append(pl.DataFrame(chunk, schema=SCORE_COLUMNS, orient="row"))
    questions = pl.DataFrame(
        [_question_row(true) for true in truth], schema=dict.fromkeys(QUESTION_COLUMNS, pl.String), orient="row"
    )
    return pl.concat(parts).join(questions, on="id", how="left", maintain_order="left").select(*COLUMNS)


def _question_row(true: TruthRecord) -> tuple[str | None, ...]:
    """The values of QUESTION_COLUMNS."""
    group = true.group or true.id
    return (
        true.id,
        true.dataset,
        true.task,
        group,
        true.language,
        true.modality,
        true.kind,
        true.topic,
        _length(true.answer),
    )


def _length(answer: str | None) -> str | None:
    """The stratum of an answer's length; None for an empty answer."""
    count = len(words(answer or ""))
    return next(name for limit, name in LENGTHS if count <= limit) if count else None
