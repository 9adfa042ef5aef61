"""From predictions and truth to scores of single items, and from these to means with intervals."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.evaluation.metrics.cider import NORMALISATIONS, cider
from refrad.evaluation.metrics.grounding import Similarity, g_ious, overlap
from refrad.evaluation.metrics.intervals import Method, bootstrap, paired_difference
from refrad.evaluation.metrics.judge import JudgedAnswer
from refrad.evaluation.metrics.records import EntityRecord, PredictionRecord, TruthRecord
from refrad.evaluation.metrics.text import accuracy, f1, measure_f1, recall, words

__all__ = ["METRICS", "STRATA", "compare", "score_items", "summarise"]

# What each number says, and what it cannot see.
METRICS: Mapping[str, str] = {
    "iou": "asked for a structure by name: IoU of the region given for it, 0 where none was given; of several regions of a class"
    " the first counts. Blind to regions nobody asked for.",
    "dice": "like iou, of masks: twice what is shared / what was asked for and given, together. Blind to the same.",
    "class_recall": "share of the asked structures for which a region of the right class was given, wherever it lies.",
    "iou50": "share of the asked structures met with an IoU of at least 0.5.",
    "g_iou": "entities matched greedily by the similarity of their names; IoU x similarity of the matched, divided by the larger"
    " number of entities, true or given. Blind to the words around the entities.",
    "f1": "SQuAD's token F1 of open questions. Blind to word order, negation and decimals: 1.2 cm equals 12 cm.",
    "recall": "share of the true words said, open questions. Blind also to anything said too much.",
    "measure_f1": "token F1 in which numbers are read with their units: 1.2 cm is 12 mm and not 12 cm. Blind to word order and negation.",
    "accuracy": "closed questions: equal but for case, punctuation and articles. Blind to synonyms.",
    "cider_classic": "CIDEr (0 to 10) over lower-case words without punctuation. Blind to synonyms and negation; not comparable"
    " between test sets.",
    "cider_released": "CIDEr (0 to 10) over words as they stand, as the paper's released code computes it.",
    "llm_score": "verdict of a language model from 1 to 5, as (s - 1) / 4. Blind to what its judge is blind to.",
}
STRATA = ("language", "modality", "kind", "topic", "class", "size", "length")
SIZES = ((0.01, "below 1 % of the image"), (0.05, "1 to 5 %"), (0.2, "5 to 20 %"), (np.inf, "20 % and more"))
LENGTHS = ((3, "1 to 3 words"), (10, "4 to 10 words"), (np.inf, "11 words and more"))
COLUMNS = dict.fromkeys(("dataset", "id", "task", "metric", "group", *STRATA), pl.String) | {"value": pl.Float64}


def score_items(
    truth: Mapping[str, TruthRecord],
    predictions: Mapping[str, PredictionRecord],
    similarity: Similarity | None = None,
    names: Mapping[int, str] | None = None,
    judge: Callable[[Sequence[JudgedAnswer]], NDArray[np.float64]] | None = None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The score of each item on each metric of its task, and what could not be scored.

    Items are questions and captions; of task locate, the asked structures. A question without a prediction scores as an empty
    answer does, and is counted as `unanswered`. Questions with a blank true answer, and captions without any true
    entity (for G-IoU), have no score and are counted.

    Args:
        truth: by id.
        predictions: by id.
        similarity: of names, for G-IoU; None: class against class, or text against text, equal or not.
        names: of the classes, for the column `class`.
        judge: gives the LLMScore of captions and of answers to open questions; NaN where it failed.

    Returns:
        One row an item and metric with the columns dataset, id, task, metric, value, group and STRATA; and the counts.

    Raises:
        ValueError: if no prediction has an id of the truth.
    """
    if not truth.keys() & predictions.keys():
        raise ValueError("no prediction has the id of a question: do the two files belong together?")
    counts = Counter(
        asked=len(truth),
        answered=sum(one in predictions for one in truth),
        unanswered=sum(one not in predictions for one in truth),
        unasked=sum(one not in truth for one in predictions),
    )
    pairs = [(one, predictions.get(one.id, PredictionRecord(id=one.id))) for one in truth.values()]
    rows = [
        *_located([pair for pair in pairs if pair[0].task == "locate"], names or {}),
        *_answered([pair for pair in pairs if pair[0].task == "vqa"], counts),
        *_told([pair for pair in pairs if pair[0].task in ("caption", "detect")], counts, similarity),
        *(_judged(pairs, judge) if judge else ()),
    ]
    return pl.DataFrame(rows, schema=COLUMNS), dict(counts)


Pairs = Sequence[tuple[TruthRecord, PredictionRecord]]


def _row(one: TruthRecord, metric: str, value: float, **more: str | None) -> dict[str, Any]:
    kept = {name: getattr(one, name) for name in ("id", "task", "language", "modality", "kind", "topic", "dataset")}
    return {**kept, "group": one.group or one.id, "metric": metric, "value": value, "class": None, "size": None} | {
        "length": _length(one.answer),
        **more,
    }


def _length(answer: str | None) -> str | None:
    many = len(words(answer or ""))
    return next(name for limit, name in LENGTHS if many <= limit) if many else None


def _located(pairs: Pairs, names: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    for one, given in pairs:
        for asked in one.entities:
            found = next((entity for entity in given.entities if _alike(_known_by(entity), _known_by(asked))), None)
            value = overlap(found.region, asked.region) if found else 0.0
            more = {"class": _name(asked, names), "size": _size(asked, one.size)}
            yield _row(one, "iou", value, **more)
            if asked.mask is not None:
                yield _row(one, "dice", 2 * value / (1 + value), **more)
            yield _row(one, "class_recall", float(found is not None), **more)
            yield _row(one, "iou50", float(value >= 0.5), **more)


def _known_by(entity: EntityRecord) -> tuple[int | None, str]:
    return entity.class_id, entity.text.strip().casefold()


def _alike(a: tuple[int | None, str], b: tuple[int | None, str]) -> bool:
    """The same class where both have one, else the same text."""
    return a[0] == b[0] if None not in (a[0], b[0]) else a[1] == b[1] != ""


def _same(ours: Sequence[tuple[int | None, str]], theirs: Sequence[tuple[int | None, str]]) -> NDArray[np.float64]:
    return np.array([_alike(a, b) for a, b in zip(ours, theirs, strict=True)], np.float64)


def _name(entity: EntityRecord, names: Mapping[int, str]) -> str:
    return names.get(entity.class_id or 0) or entity.text.strip().casefold() or f"class {entity.class_id}"


def _size(entity: EntityRecord, image: Sequence[float] | None) -> str | None:
    """How much of its image an entity takes, in words; None if the image's size is not known."""
    if entity.box is None:
        size = (entity.mask or {})["size"]
        share = overlap(entity.region, np.ones(size, bool))
    else:
        if image is None and max(entity.box) > 1:
            return None
        width, height = image or (1.0, 1.0)
        x_min, y_min, x_max, y_max = entity.box
        share = (x_max - x_min) * (y_max - y_min) / (width * height)
    return next(name for limit, name in SIZES if share < limit)


def _answered(pairs: Pairs, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for one, given in pairs:
        true, said = (one.answer or "").strip(), (given.answer or "").strip()
        if not true:
            counts["blank truth"] += 1
        elif one.closed:
            yield _row(one, "accuracy", accuracy(said, true))
        else:
            for metric, function in (("f1", f1), ("recall", recall), ("measure_f1", measure_f1)):
                yield _row(one, metric, function(said, true))


def _told(pairs: Pairs, counts: Counter[str], similarity: Similarity | None) -> Iterator[dict[str, Any]]:
    worded = [(one, given) for one, given in pairs if (one.answer or "").strip()]
    said, true = [given.answer or "" for _, given in worded], [one.answer or "" for one, _ in worded]
    for normalisation in NORMALISATIONS:
        for (one, _), value in zip(worded, cider(said, true, normalisation).tolist(), strict=True):
            yield _row(one, f"cider_{normalisation}", value)
    for (one, _), ours, theirs in zip(worded, said, true, strict=True):
        yield _row(one, "measure_f1", measure_f1(ours, theirs))
    grounded = [(one, given) for one, given in pairs if one.task == "detect" and one.entities]
    counts["captions without a true entity"] = sum(one.task == "detect" for one, _ in pairs) - len(grounded)

    def keyed(entities: Sequence[EntityRecord]) -> list[tuple[Any, Any]]:
        return [(entity.text if similarity else _known_by(entity), entity.region) for entity in entities]

    scores = g_ious(
        [keyed(given.entities) for _, given in grounded],
        [keyed(one.entities) for one, _ in grounded],
        similarity or _same,
    )
    for (one, _), value in zip(grounded, scores.tolist(), strict=True):
        yield _row(one, "g_iou", value)


def _judged(pairs: Pairs, judge: Callable[[Sequence[JudgedAnswer]], NDArray[np.float64]]) -> Iterator[dict[str, Any]]:
    told = [
        (one, given) for one, given in pairs if one.task != "locate" and not one.closed and (one.answer or "").strip()
    ]
    asked = [
        JudgedAnswer(one.question or "", given.answer or "", one.answer or "", one.language or "en")
        for one, given in told
    ]
    for (one, _), value in zip(told, judge(asked).tolist(), strict=True):
        yield _row(one, "llm_score", value)


def summarise(
    items: pl.DataFrame, resamples: int, method: Method = "percentile", strata: Sequence[str] = STRATA
) -> list[dict[str, Any]]:
    """Mean and 95 % interval of each dataset, task and metric, over all items and within each value of each stratum.

    Groups (patients) are drawn, the same ones for all means. Items whose value is NaN (a judge that failed) are left out and
    counted as `failed`.

    Returns:
        Rows with dataset, task, metric, by (a stratum, or None for all), value (of the stratum), mean, low, high (None where a single
        group says nothing of how groups differ), items, groups, failed.
    """
    parts = items.partition_by("dataset", maintain_order=True)
    return [row for part in parts for row in _summarised(part, resamples, method, strata)]


def _summarised(items: pl.DataFrame, resamples: int, method: Method, strata: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of one dataset: its groups are drawn by themselves, so that no other dataset changes its intervals."""
    parts = [
        items.with_columns(by=pl.lit(None, pl.String), within=pl.lit(None, pl.String)),
        *(
            items.filter(pl.col(name).is_not_null()).with_columns(by=pl.lit(name), within=pl.col(name))
            for name in strata
        ),
    ]
    keys = ["dataset", "task", "metric", "by", "within"]
    failed = pl.col("value").is_nan()
    sums = (
        pl.concat(parts)
        .group_by([*keys, "group"], maintain_order=True)
        .agg(total=pl.col("value").fill_nan(0).sum(), count=(~failed).sum().cast(pl.Float64), failed=failed.sum())
    )
    means = sums.select(keys).unique(maintain_order=True).with_row_index("mean")
    groups = sums.select("group").unique(maintain_order=True).with_row_index("place")
    placed = sums.join(means, on=keys, nulls_equal=True).join(groups, on="group")
    at = placed["place"].to_numpy(), placed["mean"].to_numpy()
    totals, counts = np.zeros((2, len(groups), len(means)))
    totals[at], counts[at] = placed["total"].to_numpy(), placed["count"].to_numpy()
    found = bootstrap(totals, counts, resamples, method=method)
    alone = (counts > 0).sum(0) < 2  # of a single group nothing is known of how groups differ
    low, high = np.where(alone, np.nan, found.low), np.where(alone, np.nan, found.high)
    lost = placed.group_by("mean").agg(pl.col("failed").sum()).sort("mean")["failed"].to_list()
    return [
        {
            **{"dataset": row["dataset"], "task": row["task"], "metric": row["metric"]},
            **{"by": row["by"], "value": row["within"]},
            **{"mean": _plain(found.estimate[i]), "low": _plain(low[i]), "high": _plain(high[i])},
            **{"items": int(counts[:, i].sum()), "groups": int((counts[:, i] > 0).sum()), "failed": lost[i]},
        }
        for i, row in enumerate(means.iter_rows(named=True))
    ]


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def compare(ours: pl.DataFrame, theirs: pl.DataFrame, resamples: int) -> list[dict[str, Any]]:
    """How our scores differ from those of another model, over the items that both have: one row a dataset, task and metric.

    Returns:
        Rows with dataset, task, metric, ours, theirs, difference, low, high, p, items, groups.
    """
    keys = ["dataset", "id", "task", "metric", "class"]
    numbered = [
        frame.filter(pl.col("value").is_not_nan()).with_columns(turn=pl.int_range(pl.len()).over(keys))
        for frame in (ours, theirs)
    ]
    both = numbered[0].join(
        numbered[1].select(*keys, "turn", other="value"), on=[*keys, "turn"], nulls_equal=True, how="inner"
    )
    rows = []
    for (dataset, task, metric), part in both.group_by(["dataset", "task", "metric"], maintain_order=True):
        sums = part.group_by("group", maintain_order=True).agg(
            pl.col("value").sum(), pl.col("other").sum(), many=pl.len()
        )
        found = paired_difference(sums["value"], sums["other"], sums["many"], resamples)
        rows.append(
            {
                **{"dataset": dataset, "task": task, "metric": metric},
                **{"ours": part["value"].mean(), "theirs": part["other"].mean()},
                **{"difference": found.estimate, "low": found.low, "high": found.high, "p": found.p},
                **{"items": len(part), "groups": len(sums)},
            }
        )
    return rows
