"""The numbers of a dataset, counted from its files, one row group in memory at a time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from refrad.dataset.columns import BACKENDS
from refrad.dataset.shard_io import read_class_names, read_rows
from refrad.dataset.shard_rows import CaptionStruct, ProvenanceStruct, QuestionStruct

__all__ = ["DatasetSummary", "summarize"]


class _CountedColumns(TypedDict):
    """The columns of a shard that are counted."""

    volume: str
    patient: str
    split: str
    public_set: str | None
    modality: str | None
    plane: str | None
    captions: list[CaptionStruct]
    questions: list[QuestionStruct]
    provenance: ProvenanceStruct | None


@dataclass
class DatasetSummary:
    """The counts of a dataset.

    Attributes:
        splits: by split and unit.
        tables: by kind and value.
        backends: rows by part and backend.
        sources: rows by public set, or None for the site's own data, and segmenter.
    """

    splits: dict[str, Counter[str]] = field(default_factory=dict)
    tables: dict[str, Counter[str]] = field(default_factory=dict)
    backends: dict[str, Counter[str]] = field(default_factory=dict)
    sources: dict[str | None, Counter[str]] = field(default_factory=dict)

    def count(self, split: str, unit: str, n: int = 1) -> None:
        """Add to a number of a split."""
        self.splits.setdefault(split, Counter())[unit] += n

    def total(self, unit: str) -> int:
        """A number over all splits."""
        return sum(counts[unit] for counts in self.splits.values())

    def add(self, table: str, key: Any, n: int = 1) -> None:
        """Add to a row of a table."""
        self.tables.setdefault(table, Counter())[str(key)] += n


def summarize(files: Sequence[Path]) -> DatasetSummary:
    """Count the rows of all files. Pictures are not read."""
    summary = DatasetSummary()
    names = read_class_names(files[0])
    patients: dict[str, set[str]] = {}
    volumes: dict[str, set[str]] = {}
    for row in read_rows(files, _CountedColumns):
        split = row["split"]
        patients.setdefault(split, set()).add(row["patient"])
        volumes.setdefault(split, set()).add(row["volume"])
        summary.count(split, "images")
        summary.count(split, "captions", len(row["captions"]))
        summary.count(split, "grounded captions", sum(bool(caption["entities"]) for caption in row["captions"]))
        summary.count(split, "questions", len(row["questions"]))
        summary.add("modality", row["modality"])
        summary.add("plane", row["plane"])
        provenance: Mapping[str, Any] = row["provenance"] or {}
        summary.sources.setdefault(row.get("public_set"), Counter())[str(provenance.get("segmenter") or "")] += 1
        for part, backend in provenance.items():
            if part in BACKENDS and backend:
                summary.backends.setdefault(part, Counter())[str(backend)] += 1
        _count_texts(summary, split, row["captions"], row["questions"], names)
    for unit, ids_of_splits in (("patients", patients), ("volumes", volumes)):
        for split, ids in ids_of_splits.items():
            summary.count(split, unit, len(ids))
    return summary


def _count_texts(
    summary: DatasetSummary,
    split: str,
    captions: Iterable[CaptionStruct],
    questions: Iterable[QuestionStruct],
    names: Mapping[int, str],
) -> None:
    for caption in captions:
        summary.add("language of captions", caption["language"])
        summary.add("tie", caption["tie"])
        summary.count(
            split, "grounded phrases", len({(entity["start"], entity["end"]) for entity in caption["entities"]})
        )
        summary.count(split, "boxes", len(caption["entities"]))
        for entity in caption["entities"]:
            summary.add("class", names[entity["class_id"]])
            summary.add("via", entity["via"])
            if entity["one_sided"]:
                summary.add("phrases", "name both sides, the image shows one")
    for question in questions:
        summary.add("questions", f"{question['topic']}, {question['kind']}, {question['language']}")
        if question["kind"] == "yesno":
            summary.add("answers to yes-no questions", question["answer"])
