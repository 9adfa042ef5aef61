"""The patient who has withdrawn, as the tables of a run know them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from refrad.core.row_removal import column_names, read_columns
from refrad.dicom.slices import stack_name

__all__ = ["Subject", "choose_rows", "collect_subject", "id_columns", "tables_of"]

# A table's rows are found by the first of these sets of which it has a column.
SELECTORS = (
    ("patient", "study"),
    ("group",),
    ("volume", "caption"),
    ("triplet",),
    ("caption",),
    ("instance",),
    ("image_id",),
)
# Columns whose values identify the patient: the kind of each.
KINDS = {
    name: name
    for name in ("patient", "series", "volume", "instance", "file", "caption", "sentence", "report", "triplet")
}
KINDS |= {"image_id": "instance", "group": "patient", "digest": "digest"}
TEXTS = ("text", "indication", "question")  # of a table of captions
# Tables in which rows of other patients may have the same series, images, voxels or sentences.
COMPARED = ("instances.parquet", "volumes.parquet", "masks.parquet", "captions.parquet")
SHORTEST = 16  # characters of a text that may tell who somebody is


@dataclass
class Subject:
    """A patient, or several, with all pseudonyms of what is theirs.

    Attributes:
        ids: kind to pseudonyms: patient, study, series, volume, instance, file, caption, sentence, report, triplet.
        shared: those that rows of other patients have as well.
        texts: their sentences, without those that are in sentences of others.
        splits: split to the number of their images in the dataset, and in former shards of it.
        shards: the files of the dataset that have rows of theirs; of former shards, where these were.
    """

    ids: dict[str, set[str]] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    splits: dict[str, int] = field(default_factory=dict)
    shards: list[str] = field(default_factory=list)

    def of(self, kind: str) -> set[str]:
        """The pseudonyms of a kind."""
        return self.ids.get(kind, set())

    @property
    def pseudonyms(self) -> set[str]:
        """All pseudonyms that are theirs alone."""
        return set().union(*self.ids.values()) - self.shared

    def to_json(self) -> dict[str, Any]:
        """Values for JSON."""
        ids = {kind: sorted(values) for kind, values in self.ids.items()}
        texts, shared = sorted(self.texts), sorted(self.shared)
        return {"ids": ids, "shared": shared, "texts": texts, "splits": self.splits, "shards": self.shards}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Subject":
        """The subject that `to_json` wrote."""
        ids = {kind: set(values) for kind, values in value["ids"].items()}
        return cls(ids, set(value["shared"]), set(value["texts"]), dict(value["splits"]), list(value["shards"]))


def tables_of(results: Path, private: Path) -> list[Path]:
    """The Parquet files of a run, of all deliveries, also of those that left the config; those first by which others are found."""
    folders = [
        folder for folder in results.glob("[!.]*/") if folder.name not in ("export", "audit", "report", "status")
    ]
    paths = [path for folder in [*folders, private] for path in sorted(folder.rglob("[!.]*.parquet"))]
    ranked = [(_rank(column_names(path)), path) for path in paths]
    return [path for rank, path in sorted(ranked) if rank < len(SELECTORS)]


def _rank(columns: Iterable[str]) -> int:
    present = set(columns)
    return next((rank for rank, names in enumerate(SELECTORS) if present & set(names)), len(SELECTORS))


def id_columns(path: Path) -> list[str]:
    """The columns of a table by which rows are found, or that hold pseudonyms."""
    return [name for name in column_names(path) if name in KINDS or name == "study"]


def choose_rows(frame: pl.DataFrame, subject: Subject) -> pl.Series:
    """Which rows are the subject's, from a frame with the `id_columns` of a table."""
    rank = _rank(frame.columns)
    chosen = pl.Series(values=[False] * len(frame), dtype=pl.Boolean)
    for name in SELECTORS[rank] if rank < len(SELECTORS) else ():
        if name in frame.columns:
            ids = subject.of("study" if name == "study" else KINDS[name])
            values = frame[name]
            if name == "volume":  # parts of a stack are the subject's if the stack is
                values = pl.Series([value and stack_name(value) for value in values], dtype=pl.String)
            chosen |= values.is_in(list(ids)).fill_null(value=False)
    if rank == 0 and "file" in frame.columns and "patient" in frame.columns:  # files that could not be read
        chosen |= frame["patient"].is_null() & frame["file"].is_in(list(subject.of("file"))).fill_null(value=False)
    return chosen


def collect_subject(subject: Subject, tables: Sequence[Path], shards: Path, former: Path) -> dict[Path, int]:
    """Add to a subject the pseudonyms and texts of all rows that are theirs; returns how many rows each table has of them.

    Args:
        subject: with the pseudonyms of patients, studies and unread files; the others are added.
        tables: as `tables_of` gives them.
        shards: folder of the dataset.
        former: folder to which shards that left the dataset have moved.
    """
    counts: dict[Path, int] = {}
    for path in tables:
        place = shards / path.relative_to(former) if path.is_relative_to(former) else path  # as trainings knew it
        for frame in read_columns(path, _columns_to_collect(path)):
            chosen = choose_rows(frame.select(id_columns(path)), subject)
            if chosen.any():
                counts[path] = counts.get(path, 0) + int(chosen.sum())
                _collect(subject, frame.filter(chosen), place.is_relative_to(shards))
                if place.is_relative_to(shards) and str(place) not in subject.shards:
                    subject.shards.append(str(place))
    for path in tables:
        if path.name in COMPARED:
            for frame in read_columns(path, _columns_to_collect(path)):
                chosen = choose_rows(frame.select(id_columns(path)), subject)
                _exclude(subject, path, frame.filter(~chosen))
    return counts


def _columns_to_collect(path: Path) -> list[str]:
    names = column_names(path)
    more = (*TEXTS, "split") if "captions" in path.name else ("split",)
    return [name for name in names if name in id_columns(path) or name in more]


def _collect(subject: Subject, rows: pl.DataFrame, in_dataset: bool) -> None:
    for name in rows.columns:
        if name in KINDS and KINDS[name] != "patient":
            values = {
                value for value in rows[name].drop_nulls() if "/" not in value
            }  # a name of an entry is no pseudonym
            if name == "volume":
                values |= set(map(stack_name, values))
            subject.ids.setdefault(KINDS[name], set()).update(values)
        elif name in TEXTS:
            subject.texts |= {text for text in rows[name].drop_nulls() if len(text) >= SHORTEST}
    if in_dataset:
        for split, count in rows["split"].value_counts().iter_rows():
            subject.splits[split] = subject.splits.get(split, 0) + count


def _exclude(subject: Subject, path: Path, rows: pl.DataFrame) -> None:
    """Take note of what rows of other patients have in common with the subject's."""
    if path.name == "captions.parquet":
        joined = "\n".join(text for name in TEXTS for text in rows[name].drop_nulls())
        subject.texts = {text for text in subject.texts if text not in joined}
    for name in ("series", "instance", "file", "study", "digest"):
        if name in rows.columns:
            subject.shared |= subject.of(name) & set(rows[name].drop_nulls())
