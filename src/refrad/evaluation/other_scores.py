"""Scores of other models on the questions of an evaluation, compared item by item with those of the evaluated model."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.config import EvaluateOptions, OtherModelOptions
from refrad.core.tables import write_frame
from refrad.evaluation.metrics.grounding import Similarity
from refrad.evaluation.metrics.json_lines import write_objects
from refrad.evaluation.metrics.judge import JudgedAnswer
from refrad.evaluation.metrics.paired_scores import compare
from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord, read_records
from refrad.evaluation.metrics.scoring import score_items
from refrad.evaluation.metrics.summary import summarise
from refrad.evaluation.metrics.text_metrics import TextMetric
from refrad.evaluation.other_models import OtherAnswers
from refrad.evaluation.result import OtherModelResult

__all__ = ["ItemScorer", "compare_other_models", "tasks_to_ask"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ItemScorer:
    """Scores of predictions by one truth, as `score_items` computes them with these names, this similarity, judge and text metrics."""

    truth: Mapping[str, TruthRecord]
    names: Mapping[int, str]
    similarity: Similarity | None
    judge: Callable[[Sequence[JudgedAnswer]], NDArray[np.float64]] | None
    text_metrics: Mapping[str, TextMetric] = field(default_factory=dict)

    def score(self, predictions: Path) -> tuple[pl.DataFrame, dict[str, int]]:
        """The scored items of all questions, and the counts."""
        records = read_records(predictions, PredictionRecord, self.truth)
        return score_items(self.truth, records, self.similarity, self.names, self.judge, self.text_metrics)

    def score_answered(self, predictions: Path, tasks: Iterable[str]) -> pl.DataFrame:
        """The scored items of the questions of some tasks that have a prediction.

        All questions of the tasks are scored before those without a prediction are left out: CIDEr weighs words by all references of
        a task, so it compares with the scores of a model that has answered all.
        """
        records = read_records(predictions, PredictionRecord, self.truth)
        truth = {name: true for name, true in self.truth.items() if true.task in set(tasks)}
        items, _ = score_items(truth, records, self.similarity, self.names, self.judge, self.text_metrics)
        return items.filter(pl.col("id").is_in(list(records)))


def tasks_to_ask(options: OtherModelOptions, variant: str) -> OtherModelOptions:
    """The options without the tasks whose answers cannot be compared: masks of the segmentation variant with boxes."""
    return options.model_copy(update={"tasks": options.comparable_tasks(variant)})


def compare_other_models(
    options: EvaluateOptions,
    variant: str,
    items: pl.DataFrame,
    scorer: ItemScorer,
    ask: Callable[[OtherModelOptions], OtherAnswers],
    folder: Path,
) -> list[OtherModelResult]:
    """The results of all other models; one that cannot be used has its reason instead of scores, and the next is asked.

    Args:
        options: of stage evaluate.
        variant: detection or segmentation.
        items: scores of the evaluated model.
        scorer: that computed them.
        ask: returns the answers of a model.
        folder: gets `<name>.predictions.jsonl` and `<name>.scores.parquet` of each model with answers.
    """
    results = []
    for entry in options.others:
        model = tasks_to_ask(entry, variant)
        result: OtherModelResult = {
            "name": model.name,
            "model": model.model or Path(model.folder or "").name,
            "window": model.window,
            "failure": None,
            "counts": {},
            "scores": [],
            "compared": [],
        }
        results.append(result)
        try:
            answers = ask(model)
        except (ValueError, OSError) as error:  # among them ModelError
            result["failure"] = " ".join(str(error).split()) or type(error).__name__
            log.warning("evaluate.others: %s: %s", model.name, result["failure"])
            continue
        result["counts"], result["failure"] = answers.counts, answers.failure
        log.info("%s: %s", model.name, ", ".join(f"{number} {name}" for name, number in answers.counts.items()))
        if not answers.rows:
            result["failure"] = "none of its tasks has a question, or it answered none of them"
            continue
        predictions = folder / f"{model.name}.predictions.jsonl"
        write_objects(predictions, answers.rows)
        theirs = scorer.score_answered(predictions, model.tasks)
        write_frame(folder / f"{model.name}.scores.parquet", theirs)
        result["scores"] = summarise(theirs, options.resamples, options.interval, strata=())
        result["compared"] = compare(items, theirs, options.resamples)
    return results
