"""The comparison of the evaluated model with other vision-language models, as tables of the evaluation page."""

from collections.abc import Mapping
from dataclasses import dataclass

from refrad.evaluation.metrics.paired_scores import ComparisonRow
from refrad.evaluation.metrics.summary import SummaryRow
from refrad.evaluation.published_models import PUBLISHED_MODELS, PublishedModel
from refrad.evaluation.result import EvaluationResult

__all__ = ["ComparisonTable", "ModelRow", "comparison_tables"]

Column = tuple[str, str]
"""Task and metric."""

HIDDEN = {"cider_classic", "measure_f1"}  # in the table of all metrics only, so that this one can be read


@dataclass(frozen=True)
class ModelRow:
    """A row of a table: a model, its means, and the differences of the evaluated model from it; or published means with a note."""

    name: str
    means: Mapping[Column, SummaryRow]
    differences: Mapping[Column, ComparisonRow]
    published: Mapping[Column, float]
    note: str = ""


@dataclass(frozen=True)
class ComparisonTable:
    """The models on one dataset: the evaluated one first, then the others, then published figures of the same quantity."""

    dataset: str
    columns: tuple[Column, ...]
    rows: tuple[ModelRow, ...]


def comparison_tables(result: EvaluationResult) -> list[ComparisonTable]:
    """A table for each dataset on which another model has a score; none without other models."""
    scored = [model for model in result.get("others", []) if model["scores"]]
    datasets = dict.fromkeys(row["dataset"] or "" for model in scored for row in model["scores"])
    tables = []
    for dataset in datasets:
        others = [
            ModelRow(model["name"], _means(model["scores"], dataset), _differences(model["compared"], dataset), {})
            for model in scored
        ]
        ours = _means(result["scores"], dataset)
        used = {column for row in others for column in row.means} - {column for column in ours if column[1] in HIDDEN}
        columns = tuple(column for column in ours if column in used)
        published = [
            ModelRow(model.name, {}, {}, figures, _note(model))
            for model in PUBLISHED_MODELS
            if model.dataset == dataset
            and (figures := {key: model.means[key] for key in columns if key in model.means})
        ]
        rows = (ModelRow("RadGrounder", ours, {}, {}), *(row for row in others if row.means), *published)
        tables.append(ComparisonTable(dataset, columns, rows))
    return tables


def _means(rows: list[SummaryRow], dataset: str) -> dict[Column, SummaryRow]:
    """Task and metric to the mean over all items of a dataset."""
    return {
        (row["task"], row["metric"]): row
        for row in rows
        if row["by"] is None and (row["dataset"] or "") == dataset and row["mean"] is not None
    }


def _differences(rows: list[ComparisonRow], dataset: str) -> dict[Column, ComparisonRow]:
    return {(row["task"], row["metric"]): row for row in rows if (row["dataset"] or "") == dataset}


def _note(model: PublishedModel) -> str:
    return f"{model.split}; {model.source}"
