"""The protocol of a removal: what was removed, what is left, and who must act. It holds pseudonyms and no original identifier."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from refrad.core.files import write_json
from refrad.core.private_files import only_for_the_owner

__all__ = ["Protocol", "lines_of", "next_name", "write_protocol"]

BACKUPS = (
    "backups of the folders of this run, and snapshots of its file system: have them deleted, or wait until they expire"
)
EXPORTS = (
    "copies of the dataset outside of results/export, those under exports and what was made of them: delete them, and recall them"
    " from whoever has them"
)
DELIVERY = "the archive and the reports: they were not touched; later runs leave the patient out of them"


@dataclass
class Protocol:
    """A removal, for the controller's records (GDPR Art. 5(2), 17 and 19).

    Attributes:
        patients: pseudonyms.
        date: of the removal.
        deliveries: those that have the patient.
        removed: kind to number.
        files: removed as a whole, without those of the stores.
        checkpoints: path to what it has of the patient, and the remedy.
        exports: folders outside of the results into which images or sentences were written, with command and day.
        left: files that hold a trace of the patient.
        must_act: who must act, in sentences.
    """

    patients: list[str]
    date: str
    deliveries: list[str]
    removed: Mapping[str, int]
    files: list[str]
    checkpoints: Mapping[str, str]
    exports: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    must_act: list[str] = field(default_factory=lambda: [EXPORTS, BACKUPS, DELIVERY])


def next_name(folder: Path) -> str:
    """A name for a protocol that no other has: the date and a number from 1."""
    today, number = date.today().isoformat(), 1
    while (folder / f"{today}-{number}.json").exists():
        number += 1
    return f"{today}-{number}"


def write_protocol(folder: Path, name: str, protocol: Protocol) -> Path:
    """Write a protocol, readable by its owner alone, and return its path."""
    path = folder / f"{name}.json"
    with only_for_the_owner():
        write_json(path, asdict(protocol))
    return path


def lines_of(counts: Mapping[str, Any], files: Sequence[str]) -> list[str]:
    """What is removed, for the terminal."""
    lines = [f"  {number:>8}  {kind}" for kind, number in counts.items() if number]
    return [*lines, *(f"            {name}" for name in files)]
