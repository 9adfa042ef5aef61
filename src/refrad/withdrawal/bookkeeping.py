"""What must follow when tables are rewritten in place: time stamps, seals of counts, and Snakemake's checksums.

Without these, Snakemake would run the stages behind the tables again, and the report would call the tables damaged.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refrad.core.checksums import TableError
from refrad.core.files import atomic
from refrad.core.manifests import changed_files, read_sealed, sealed_files, write_sealed

__all__ = ["NOTE", "Rewritten", "keep_records", "note_of", "seal_again"]

NOTE = "rows removed since, as patients withdrew"  # table of counts on the page of a stage


@dataclass(frozen=True)
class Rewritten:
    """A table before rows are removed: how many of them, its modification time in ns, and its SHA-256 as Snakemake writes it."""

    rows: int
    modified: int
    checksum: str

    @classmethod
    def of(cls, path: Path, rows: int) -> "Rewritten":
        """The state of a table, with the number of rows to be removed."""
        return cls(rows, path.stat().st_mtime_ns, _sha256(path))

    def restore_time(self, path: Path) -> None:
        """Give a table the modification time from before."""
        status = path.stat()
        if status.st_mtime_ns != self.modified:
            os.utime(path, ns=(status.st_atime_ns, self.modified))


Note = Callable[[dict[str, Any], int], None]


def note_of(name: str) -> Note:
    """A function that says in counts of a stage how many rows of its tables the removal `name` has taken."""

    def note(metrics: dict[str, Any], rows: int) -> None:
        if rows and "tables" in metrics:
            metrics["tables"].setdefault(NOTE, {})[name] = rows

    return note


def seal_again(results: Path, tables: Mapping[str, Rewritten], note: Note) -> None:
    """Write the counts of stages that vouch for rewritten tables again, with the digests of these and a note; not damaged ones."""
    rewritten = {Path(name).resolve(): state for name, state in tables.items()}
    for path in sorted(results.rglob("*metrics.json")):
        try:
            files = sealed_files(path)
        except TableError:  # damaged, and stays so: `refrad check` names it
            continue
        named = [state for file in files if (state := rewritten.get(file.resolve()))]
        if not named:
            continue
        status = path.stat()
        changed = {file.resolve() for file in changed_files(path) or ()}
        if changed and changed <= rewritten.keys():  # else another file is damaged, which must stay visible
            metrics = read_sealed(path)
            note(metrics, sum(state.rows for state in named))
            write_sealed(path, metrics, [file for file in files if file.exists()])
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def keep_records(records: Path, tables: Mapping[str, Rewritten]) -> None:
    """Put the checksums of rewritten tables into Snakemake's records in place of those before.

    A record with another checksum stays: its job is due because of an earlier change.
    """
    new = {name: _sha256(Path(name)) for name in tables if Path(name).exists()}
    for path in sorted(records.glob("*")) if records.is_dir() else []:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            checksums = record["input_checksums"] or {}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        stale = {name for name in checksums.keys() & new.keys() if checksums[name] == tables[name].checksum}
        if stale:
            checksums |= {name: new[name] for name in stale}
            with atomic(path) as temporary:
                temporary.write_text(json.dumps(record, indent=2), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
