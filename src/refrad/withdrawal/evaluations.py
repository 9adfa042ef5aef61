"""Evaluations that were made on images of a patient."""

import json
import os
from pathlib import Path
from typing import Any

from refrad.core.files import atomic
from refrad.core.manifests import read_sealed, sealed_files, write_sealed
from refrad.withdrawal.subject import Subject

__all__ = ["evaluations_with", "thin_evaluation"]

TRUTH, PREDICTIONS, METRICS = "truth.jsonl", "predictions.jsonl", "metrics.json"
OTHERS = "others"  # folder of the answers of other models, whose questions are in TRUTH


def evaluations_with(results: Path, subject: Subject) -> list[Path]:
    """The folders of evaluations that asked about images of the patient."""
    folders = sorted((results / "evaluate").glob("[!.]*/"))
    return [folder for folder in folders if any(_lines_of(folder / name, subject) for name in (TRUTH, PREDICTIONS))]


def thin_evaluation(folder: Path, subject: Subject) -> None:
    """Remove the questions about the patient from an evaluation that the config no longer names. Its numbers stay, and its table is
    thinned with the others.
    """
    for path in (folder / PREDICTIONS, folder / TRUTH, *sorted((folder / OTHERS).glob("[!.]*.jsonl"))):
        if path.exists():
            status = path.stat()
            with atomic(path) as temporary:
                with path.open(encoding="utf-8") as file, temporary.open("w", encoding="utf-8") as left:
                    left.writelines(line for line in file if not _is_of(json.loads(line), subject))
                os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
    if (folder / METRICS).exists():
        value, files = read_sealed(folder / METRICS), sealed_files(folder / METRICS)
        value["examples"] = _without(value.get("examples", {}), subject)
        write_sealed(folder / METRICS, value, [path for path in files if path.exists()])


def _lines_of(path: Path, subject: Subject) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [row for row in map(json.loads, file) if _is_of(row, subject)]


def _is_of(row: dict[str, Any], subject: Subject) -> bool:
    return row.get("image_id") in subject.of("instance") or row.get("group") in subject.of("patient")


def _without(examples: dict[str, list[dict[str, Any]]], subject: Subject) -> dict[str, list[dict[str, Any]]]:
    return {kind: [row for row in rows if not _is_of(row, subject)] for kind, rows in examples.items()}
