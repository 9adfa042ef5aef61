"""Parts of the account of a training, see `TrainingAccount`."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from refrad.anatomy.schema import Schema
from refrad.dataset.terms import registered_sets
from refrad.model.training_account import TRAINING, DataFacts, TrainingAccount
from refrad.training.session import TrainingData, TrainingSession
from refrad.training.state import TrainState
from refrad.workflow.tally import Tally

__all__ = ["count_results", "data_facts", "sets_of_training", "task_mixture", "tower_fingerprint"]


def data_facts(
    data: TrainingData,
    session: TrainingSession,
    schema: Schema,
    tested: Sequence[Path],
    sets: Mapping[str, int],
) -> DataFacts:
    """The data of a training in numbers.

    Args:
        data: of the training.
        session: the training.
        schema: class schema.
        tested: the benchmarks of evaluation that it was compared with.
        sets: of `sets_of_training`.
    """
    benchmarks = Counter(data.train.facts["benchmark"][session.samples.mixture.public].tolist())
    return {
        "images": {split: len(part) for split, part in data.parts.items()},
        "validation": {task: len(keys) for task, keys in session.drawn.items()},
        "classes": {anatomy_class.id: anatomy_class.name for anatomy_class in schema.classes},
        "public": {data.train.benchmarks[code]: count for code, count in benchmarks.items()},
        "public_sets": dict(sets),
        "leaks": {
            "looked": data.overlap.compared,
            "found": len(data.overlap.training_ids),
            "tested": [path.name for path in tested],
        },
    }


def sets_of_training(counts: Mapping[tuple[str | None, str], int], starts: Iterable[Path]) -> dict[str, int]:
    """Number of images by public set whose terms may bind the weights: those of training and validation patients.

    The data of earlier trainings live on in the weights that this one starts from. Where both have a set, the larger number counts,
    since the images may be the same.

    Args:
        counts: number of images of the dataset by public set and split.
        starts: folders of the weights that the training starts from; those of other makers have no account that names sets.

    Raises:
        ValueError: if a set is not in the registry.
    """
    sets: Counter[str] = Counter()
    for (public_set, split), count in counts.items():
        if public_set is not None and split != "test":
            sets[public_set] += count
    for folder in starts:
        path = folder / TRAINING
        account = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        earlier = account.get("public_sets") if isinstance(account, dict) else None
        sets |= Counter(earlier if isinstance(earlier, dict) else {})
    registered_sets(sets)
    return dict(sorted(sets.items()))


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


def count_results(tally: Tally, account: TrainingAccount) -> None:
    """Count steps, samples of each task and images of public benchmarks."""
    for task, count in account["validation"].items():
        tally.add("validation samples", task, count)
    for name, count in sorted(account["public"].items()):
        tally.add("public images", name, count)
    tally.make("steps", account["steps"])
    if account["skipped"]:
        tally.make("steps skipped", account["skipped"])
    for task, count in sorted(account["tasks"].items()):
        tally.make("samples", count)
        tally.add("task", task, count)
    tally.seconds["training"] = account["seconds"]
