"""The numbers of a dataset, counted from its files, one row group in memory at a time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refrad.dataset.columns import COLUMNS
from refrad.dataset.shard_io import read_class_names, read_rows

__all__ = ["DatasetSummary", "summarize"]

MADE_BY = ("segmenter", "weights", "mentions", "rewriter", "translator", "vqa")


@dataclass
class DatasetSummary:
    """What a dataset holds. `splits` counts kinds of things by split, `tables` values of a kind, `backends` rows."""

    splits: dict[str, Counter[str]] = field(default_factory=dict)
    tables: dict[str, Counter[str]] = field(default_factory=dict)
    backends: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, split: str, what: str, n: int = 1) -> None:
        """Add to a number of a split."""
        self.splits.setdefault(split, Counter())[what] += n

    def total(self, what: str) -> int:
        """A number over all splits."""
        return sum(one[what] for one in self.splits.values())

    def add(self, table: str, key: Any, n: int = 1) -> None:
        """Add to a row of a table."""
        self.tables.setdefault(table, Counter())[str(key)] += n


def summarize(files: Sequence[Path]) -> DatasetSummary:
    """Count the rows of all files. Pictures are not read."""
    summary = DatasetSummary()
    names = read_class_names(files[0])
    patients: dict[str, set[str]] = {}
    volumes: dict[str, set[str]] = {}
    columns = [one.name for one in COLUMNS if one.format is None]
    for row in read_rows(files, columns):
        split = row["split"]
        patients.setdefault(split, set()).add(row["patient"])
        volumes.setdefault(split, set()).add(row["volume"])
        summary.count(split, "images")
        summary.count(split, "captions", len(row["captions"]))
        summary.count(split, "questions", len(row["questions"]))
        for key in ("modality", "plane"):
            summary.add(key, row[key])
        for made_by in MADE_BY:
            if told := (row["provenance"] or {}).get(made_by):
                summary.backends.setdefault(made_by, Counter())[told] += 1
        _count_texts(summary, split, row["captions"], row["questions"], names)
    for what, found in (("patients", patients), ("volumes", volumes)):
        for split, ids in found.items():
            summary.count(split, what, len(ids))
    return summary


def _count_texts(
    summary: DatasetSummary,
    split: str,
    captions: Iterable[Mapping[str, Any]],
    questions: Iterable[Mapping[str, Any]],
    names: Mapping[int, str],
) -> None:
    for caption in captions:
        summary.add("language of captions", caption["language"])
        summary.add("tie", caption["tie"])
        summary.count(split, "grounded phrases", len({(one["start"], one["end"]) for one in caption["entities"]}))
        summary.count(split, "boxes", len(caption["entities"]))
        for one in caption["entities"]:
            summary.add("class", names[one["class_id"]])
            summary.add("via", one["via"])
    for one in questions:
        summary.add("questions", f"{one['topic']}, {one['kind']}, {one['language']}")
        if one["kind"] == "yesno":
            summary.add("answers to yes-no questions", one["answer"])
