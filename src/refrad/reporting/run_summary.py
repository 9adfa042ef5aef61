"""Values of the index page: progress, counts, quarantined items by reason, and backends of a run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from refrad.config import tasks_of
from refrad.reporting.job_states import JobSegment, job_segments
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import StageMetrics

__all__ = ["FUNNELS", "VOLUME_FUNNELS", "backend_of", "counts_of", "funnels_of", "summary_of"]

# The choices of the config that name a backend, so that the page shows which work a simplification did.
BACKENDS = {
    "label volumes": ("masks", "segmenter"),
    "their weights": ("masks", "weights"),
    "rewriting": ("captions", "rewrite"),
    "translation": ("captions", "translate"),
    "mentions": ("mentions", "finder"),
    "questions and answers": ("vqa", "writer"),
    "model": ("train", "model"),
}
# The main numbers of a run: name, stage, and which of its counts.
NUMBERS = (
    ("files", "index", "taken"),
    ("patients", "index", "patients"),
    ("volumes", "volumes", "used"),
    ("captions", "captions", "captions"),
    ("images in the dataset", "shards", "rows"),
    ("grounded pairs", "grounded", "triplets"),
    ("ungrounded pairs", "grounded", "ungrounded pairs"),
    ("grounded mentions", "shards", "entities"),
    ("questions", "shards", "questions"),
)
# Items that remain at each step, of one unit each: name, stage, and which of its counts.
FUNNELS = {
    "Files": (
        ("files of the deliveries", "index", "taken"),
        ("files with usable images", "index", "used"),
    ),
    "Images": (
        ("CT and MR images", "index", "images"),
        ("slices of volumes", "volumes", "slices"),
        ("slices with structures", "structures", "used"),
        ("images with a caption", "shards", "rows"),
    ),
    "Sentences": (
        ("sentences of the reports", "captions", "taken"),
        ("sentences that became captions", "captions", "used"),
    ),
    "Captions": (
        ("captions", "captions", "captions"),
        ("captions that name anatomy", "mentions", "used"),
        ("captions with an image", "grounded", "used"),
    ),
    "Pairs of image and caption": (
        ("pairs", "grounded", "pairs"),
        ("grounded pairs", "grounded", "triplets"),
    ),
}
# On the pages of index, volumes and copies
VOLUME_FUNNELS = {
    "Files": FUNNELS["Files"],
    "Images": FUNNELS["Images"][:2],
    "Volumes": (
        ("stacks of images", "volumes", "taken"),
        ("volumes", "volumes", "used"),
        ("volumes without copies", "copies", "used"),
    ),
}

Shards = Mapping[str, Sequence[tuple[str, StageMetrics]]]


def summary_of(
    shards: Shards, merged: Mapping[str, StageMetrics], evaluated: bool, jobs: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """The values of the index page, by their names in its template.

    Args:
        shards: stage to the metrics of its shards, each with its delivery/shard.
        merged: stage to its metrics over all shards, of those that have run.
        evaluated: has stage evaluate run?
        jobs: those that are not done, as `refrad.commands.status` writes them.
    """
    fingerprints = {stage: Fingerprint.parse(metrics["fingerprint"]) for stage, metrics in merged.items()}
    return {
        "failed": [job for job in jobs if job["state"] in ("failed", "stopped")],
        "done": {stage: len(parts) for stage, parts in shards.items() if parts},
        "left": Counter(job["stage"] for job in jobs),
        "states": _states(shards, evaluated, jobs),
        "longest": {
            stage: max(metrics["seconds"]["total"] for _, metrics in parts) for stage, parts in shards.items() if parts
        },
        "aside": [
            (stage, metrics["unit"], reason, count)
            for stage, metrics in merged.items()
            for reason, count in sorted(metrics["flow"]["aside"].items(), key=lambda row: -row[1])
        ],
        "remaining": funnels_of(merged, FUNNELS),
        "deliveries": [name.split("/")[0] for name, _ in shards["index"]],
        "numbers": counts_of(merged, NUMBERS),
        "stages": list(merged.items()),
        "backends": [
            (task, backend_of(fingerprints[stage], key))
            for task, (stage, key) in BACKENDS.items()
            if stage in fingerprints and fingerprints[stage].options.get(key) is not None
        ],
    }


def funnels_of(
    merged: Mapping[str, StageMetrics], funnels: Mapping[str, Sequence[tuple[str, str, str]]]
) -> list[tuple[str, list[tuple[str, int]]]]:
    """The title and the counts of each funnel, of the stages that have run; none without counts."""
    return [(title, steps) for title, names in funnels.items() if (steps := counts_of(merged, names))]


def counts_of(merged: Mapping[str, StageMetrics], names: Iterable[tuple[str, str, str]]) -> list[tuple[str, int]]:
    """The named counts of the stages that have run."""
    counts = {
        stage: metrics["made"] | {"taken": metrics["flow"]["taken"], "used": metrics["flow"]["used"]}
        for stage, metrics in merged.items()
    }
    return [(name, counts[stage].get(key, 0)) for name, stage, key in names if stage in counts]


def _states(shards: Shards, evaluated: bool, jobs: Sequence[Mapping[str, str]]) -> dict[str, list[JobSegment]]:
    """Stage to its jobs by state, in the order of the stages."""
    done = {stage: [name for name, _ in parts] for stage, parts in shards.items()}
    done |= {"evaluate": ["evaluate"] if evaluated else []}
    states = {
        stage: job_segments(names, [job for job in jobs if job["stage"] == stage]) for stage, names in done.items()
    }
    return {stage: pieces for stage, pieces in states.items() if pieces}


def backend_of(fingerprint: Fingerprint, option: str) -> str:
    """The backend that an option chose, with the language model that it uses."""
    task = tasks_of(fingerprint.stage, fingerprint.options).get(option, "")
    model = fingerprint.models[task]["model"] if task in fingerprint.models else None
    return f"{fingerprint.options[option]}: {model}" if model else str(fingerprint.options[option])
