"""The checkpoints that have seen a patient, by the files that their training read, and what can be done about them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from refrad.withdrawal.subject import Subject

__all__ = ["ADVICE", "find_checkpoints"]

TRAINED = ("adapt", "train")  # stages that make checkpoints
WORK = ".work"  # suffix of the folder of an unfinished training
ADVICE = {
    "train": "has learnt from the patient, whose images may be recalled from it: delete it, or train it again without the patient",
    "validation": "was chosen by the patient's images among the states of its training: train it again if that matters to you",
}
UNKNOWN = "; its record is lost, so it is taken to have read all shards"


def find_checkpoints(results: Path, subject: Subject, records: Path) -> dict[str, str]:
    """Path of each checkpoint that has seen the patient, saved states of unfinished trainings included, to what that means.

    Args:
        results: folder of the results.
        subject: the patient; `splits` and `shards` say where the dataset has images.
        records: folder of Snakemake's records, `.snakemake/metadata`.
    """
    split = next((name for name in ADVICE if subject.splits.get(name)), None)
    if split is None:
        return {}
    exposed = {}
    for path in _checkpoints(results):
        inputs = _inputs(path.with_suffix("") if path.suffix == WORK else path, records)
        if inputs is None or inputs & set(subject.shards):
            exposed[str(path)] = ADVICE[split] + (UNKNOWN if inputs is None and path.suffix != WORK else "")
    return exposed


def _checkpoints(results: Path) -> Iterator[Path]:
    for stage in TRAINED:
        yield from sorted(path for path in (results / stage).glob("[!.]*/") if any(path.iterdir()))


def _inputs(path: Path, records: Path) -> set[str] | None:
    """The input files of the job that made a checkpoint; None if that is unknown."""
    record = records / base64.b64encode(str(path).encode()).decode()
    try:
        return set(json.loads(record.read_text(encoding="utf-8"))["input"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
