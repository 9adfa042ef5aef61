"""What a run holds of a patient, and its removal: planned first, so that a removal that was cut off can be finished."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from refrad.core.contracts import CopyTable
from refrad.core.row_removal import column_names, read_columns, remove_rows
from refrad.core.tables import read_table, write_table
from refrad.dicom.slices import stack_name
from refrad.llm.reply_removal import find_replies, remove_replies
from refrad.withdrawal.bookkeeping import Rewritten, keep_records, note_of, seal_again
from refrad.withdrawal.databases import find_databases, remove_rows_of_database
from refrad.withdrawal.evaluations import evaluations_with, thin_evaluation
from refrad.withdrawal.orphans import orphans_of
from refrad.withdrawal.subject import Subject, choose_rows, collect_subject, id_columns, tables_of
from refrad.withdrawal.traces import Traces
from refrad.workflow.fingerprint import read_fingerprint

__all__ = ["Places", "RemovalPlan", "apply_plan", "plan_removal"]

PAGES = (
    "report",
    "status",
    "audit",
)  # folders of results that show images or sentences; the workflow or a command makes them again
CARD = (
    "shards/README.md",
    "shards/croissant.json",
    "shards/ro-crate-metadata.json",
    "shards/leakage.json",
    "card/metrics.json",
)
EXPORTS = "export"
OF_NOBODY = "withdrawn"  # in place of the pseudonym of an original that is gone


@dataclass(frozen=True)
class Places:
    """The folders of a run."""

    results: Path
    former: Path
    private: Path
    volumes: Path
    masks: Path
    llm: Path
    answers: Path
    records: Path


@dataclass
class RemovalPlan:
    """What is to be removed.

    Attributes:
        tables: each table with rows of the patient, with its state before.
        copies: tables of copies that name a volume of the patient as the original of another patient's.
        entries: files of the stores of volumes and label volumes.
        replies: keys of replies of language models.
        thinned: folders of evaluations that stay without the patient.
        deleted: files and folders that are removed as a whole.
        counts: kind to number, for people.
        kept_entries: entries that another patient's table names as well.
        unnamed: entries that no table of this run names.
        foreign_copies: volumes of other patients that are copies of the patient's.
    """

    tables: dict[str, Rewritten] = field(default_factory=dict)
    copies: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    thinned: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    kept_entries: int = 0
    unnamed: int = 0
    foreign_copies: int = 0

    def to_json(self) -> dict[str, Any]:
        """Values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RemovalPlan":
        """The plan that `to_json` wrote."""
        tables = {path: Rewritten(**state) for path, state in value["tables"].items()}
        return cls(**{**value, "tables": tables})


def plan_removal(places: Places, subject: Subject, name: str, unnamed: bool) -> RemovalPlan:
    """What the run holds of a subject, to which the pseudonyms in the tables are added.

    Args:
        places: the folders of the run.
        subject: with the pseudonyms of patients and studies.
        name: of the model of the config, whose evaluation the next run makes again.
        unnamed: whether entries of the stores that no table names are removed too.
    """
    plan = RemovalPlan()
    tables = tables_of(places.results, places.private)
    shards, former = places.results / "shards", places.former
    counts = collect_subject(subject, tables, shards, former)
    plan.tables = {str(path): Rewritten.of(path, rows) for path, rows in counts.items()}
    _plan_copies(plan, tables, subject)
    _plan_entries(plan, places, subject, unnamed)
    replies = find_replies(places.llm, subject.of("patient"), lambda text: any(own in text for own in subject.texts))
    plan.replies = sorted(replies.own)
    _plan_evaluations(plan, places, subject, name)
    _plan_pages(plan, places, subject)
    databases = [remove_rows_of_database(path, subject, dry_run=True) for path in find_databases(places.private)]
    plan.counts = {
        "rows of private tables": _rows(plan, places.private),
        "rows of tables of stages": _rows(plan, places.results) - _rows(plan, shards) - _rows(plan, former),
        "images of the dataset": _rows(plan, shards),
        "images of former deliveries and shards": _rows(plan, former),
        "volumes and label volumes": len(plan.entries),
        "model answers": len(plan.replies),
        "verdicts of reviewers": sum(databases),
        "evaluations": len(plan.thinned) + sum("/evaluate/" in f"/{path}" for path in plan.deleted),
        "card, pages and exports": sum("/evaluate/" not in f"/{path}" for path in plan.deleted),
    }
    return plan


def apply_plan(plan: RemovalPlan, places: Places, subject: Subject, note: str) -> None:
    """Remove what a plan names. Once more after a crash, it ends what was begun.

    Args:
        plan: of `plan_removal`.
        places: the folders of the run.
        subject: with all pseudonyms.
        note: name of the protocol, under which the counts of each stage say how many rows are gone.
    """
    for name, state in plan.tables.items():
        path = Path(name)
        if path.exists():
            columns = id_columns(path)
            remove_rows(path, columns, lambda frame: choose_rows(frame, subject))
            state.restore_time(path)
    for name in plan.copies:
        _forget_originals(Path(name), subject)
        plan.tables[name].restore_time(Path(name))
    seal_again(places.results, plan.tables, note_of(note))
    for name in plan.thinned:
        thin_evaluation(Path(name), subject)
    for name in [*plan.entries, *plan.deleted]:
        path = Path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    remove_replies(places.llm, set(plan.replies), subject.of("patient"))
    for path in find_databases(places.private):
        remove_rows_of_database(path, subject)
    keep_records(places.records, plan.tables)


def _rows(plan: RemovalPlan, folder: Path) -> int:
    return sum(state.rows for path, state in plan.tables.items() if Path(path).is_relative_to(folder))


def _plan_copies(plan: RemovalPlan, tables: list[Path], subject: Subject) -> None:
    """Copies that other patients have of the subject's volumes stay left out, but name no original any more."""
    for path in tables:
        if "original" not in column_names(path):
            continue
        frame = read_table(path, CopyTable)
        own, theirs = (
            frame[name].map_elements(stack_name, pl.String).is_in(list(subject.of("volume")))
            for name in ("volume", "original")
        )
        if (count := int((theirs & ~own).sum())) > 0:
            plan.foreign_copies += count
            plan.copies.append(str(path))
            plan.tables.setdefault(str(path), Rewritten.of(path, 0))


def _forget_originals(path: Path, subject: Subject) -> None:
    frame = read_table(path, CopyTable)
    theirs = frame["original"].map_elements(stack_name, pl.String).is_in(list(subject.of("volume")))
    if theirs.any():
        original = pl.when(theirs).then(pl.lit(OF_NOBODY)).otherwise(pl.col("original"))
        write_table(path, frame.with_columns(original=original), CopyTable, read_fingerprint(path))


def _plan_entries(plan: RemovalPlan, places: Places, subject: Subject, unnamed: bool) -> None:
    """The entries of the stores that the subject's rows name, and no other row."""
    for store, table in ((places.volumes, "volumes.parquet"), (places.masks, "masks.parquet")):
        own: set[str] = set()
        foreign: set[str] = set()
        for path in sorted(places.results.glob(f"*/*/*/{table}")):
            for frame in read_columns(path, id_columns(path)):
                chosen = choose_rows(frame, subject)
                own |= set(frame.filter(chosen)["file"].drop_nulls())
                foreign |= set(frame.filter(~chosen)["file"].drop_nulls())
        plan.kept_entries += len(own & foreign)
        plan.entries += [str(store / name) for name in sorted(own - foreign)]
        orphans, others = orphans_of(store, own | foreign, [places.volumes / name for name in _grids(places, subject)])
        plan.entries += map(str, [*orphans, *(others if unnamed else [])])
        plan.unnamed += 0 if unnamed else len(others)


def _grids(places: Places, subject: Subject) -> set[str]:
    """The entries of the subject's volumes."""
    names: set[str] = set()
    for path in sorted(places.results.glob("volumes/*/*/volumes.parquet")):
        for frame in read_columns(path, id_columns(path)):
            names |= set(frame.filter(choose_rows(frame, subject))["file"].drop_nulls())
    return names


def _plan_evaluations(plan: RemovalPlan, places: Places, subject: Subject, name: str) -> None:
    for folder in evaluations_with(places.results, subject):
        if folder.name == name:
            plan.deleted.append(str(folder))
        else:
            plan.thinned.append(str(folder))
    # An answer does not say which image it is about.
    plan.deleted += [str(path) for path in sorted(places.answers.glob("[!.]*.jsonl"))]


def _plan_pages(plan: RemovalPlan, places: Places, subject: Subject) -> None:
    """The card, the pages and the exports, as all of these show or count the subject's images."""
    names = [*PAGES, *CARD] if plan.tables else []
    plan.deleted += [str(places.results / name) for name in names if (places.results / name).exists()]
    # An export may have images that are not in the dataset, or not any more.
    traces = Traces(subject.pseudonyms, set(), subject.texts)
    for path in sorted((places.results / EXPORTS).glob("[!.]*")):
        if subject.splits or any(traces.search([path])):
            plan.deleted.append(str(path))
