"""The account of a training: how a checkpoint was made, as training.json holds it."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from refrad.anatomy.schema import Schema
from refrad.dataset.training_overlap import TrainingOverlap
from refrad.model.model_card import TRAINING
from refrad.training.trainer import TrainState
from refrad.workflow.tally import Tally

__all__ = [
    "benchmark_images",
    "class_names",
    "count_results",
    "overlap_account",
    "task_mixture",
    "tower_fingerprint",
    "training_account",
]


def training_account(inputs: Mapping[str, Any], parameters: int, state: TrainState) -> dict[str, Any]:
    """The account of a finished training: the facts of its `inputs`, the model's number of parameters, and its state."""
    return {**inputs, "parameters": parameters, **dataclasses.asdict(state)}


def benchmark_images(frame: pl.DataFrame, rows: Any) -> dict[str, int]:
    """Number of images of each public benchmark among the `rows` (numbers) of `frame`; image ids begin with the benchmark's name."""
    return dict(Counter(frame["image_id"].str.split(":").list.first().gather(rows)))


def class_names(schema: Schema) -> dict[int, str]:
    """Name of each class by id."""
    return {anatomy_class.id: anatomy_class.name for anatomy_class in schema.classes}


def overlap_account(overlap: TrainingOverlap, tested: Sequence[Path]) -> dict[str, Any]:
    """Images compared, training images that are test images, and the benchmarks of evaluation that were compared."""
    return {
        "looked": overlap.compared,
        "found": len(overlap.training_ids),
        "tested": [path.name for path in tested],
    }


def tower_fingerprint(tower: Path | None) -> str | None:
    """Fingerprint of the adaptation that made the vision tower, or None without one."""
    if tower is None:
        return None
    fingerprint: str = json.loads((tower / TRAINING).read_text(encoding="utf-8"))["fingerprint"]
    return fingerprint


def task_mixture(state: TrainState) -> str:
    """Number and share of the samples of each task, for the log."""
    total = sum(state.tasks.values())
    return ", ".join(f"{task} {count:,} ({count / total:.0%})" for task, count in sorted(state.tasks.items()))


def count_results(tally: Tally, account: Mapping[str, Any], state: TrainState) -> None:
    """Count steps, samples of each task and images of public benchmarks."""
    for name, count in sorted(account["public"].items()):
        tally.add("public images", name, count)
    tally.make("steps", state.steps)
    for task, count in sorted(state.tasks.items()):
        tally.make("samples", count)
        tally.add("task", task, count)
    tally.seconds["training"] = state.seconds
