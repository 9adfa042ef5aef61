"""Counts of one stage in one shard: mergeable over shards, and checked to add up."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, TypeVar

from refrad.core.manifests import write_sealed
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["Flow", "StageMetrics", "Tally", "merge"]

METRICS = "metrics.json"

N = TypeVar("N", int, float)


class Flow(TypedDict):
    """Inputs of a stage: taken, used, and quarantined by reason (`aside`)."""

    taken: int
    used: int
    aside: dict[str, int]


class StageMetrics(TypedDict):
    """The metrics file of a stage, of one shard or merged over shards. Attributes of `Tally` have the meaning of each key."""

    stage: str
    fingerprint: str
    unit: str
    flow: Flow
    made: dict[str, int]
    tables: dict[str, dict[str, float]]
    seconds: dict[str, float]


class Tally:
    """Counts of a stage: inputs taken, used and quarantined (by reason), outputs made, frequencies, and seconds.

    The unit is the plural noun of the inputs ("instances", "volumes", "captions", ...). Every input is either used or
    quarantined (`aside`); `write` refuses counts that do not add up, so nothing can be dropped silently.
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.taken = 0
        self.used = 0
        self.aside: dict[str, int] = {}
        self.made: dict[str, int] = {}
        self.tables: dict[str, dict[str, float]] = {}
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def take(self, n: int = 1) -> None:
        """Count `n` inputs."""
        self.taken += n

    def use(self, n: int = 1) -> None:
        """Count `n` inputs as used."""
        self.used += n

    def quarantine(self, reason: str, n: int = 1) -> None:
        """Count `n` inputs as quarantined for `reason` (a short code such as "slice_missing")."""
        if n:
            self.aside[reason] = self.aside.get(reason, 0) + n

    def make(self, kind: str, n: int = 1) -> None:
        """Count `n` outputs of a `kind` ("slices", "boxes", ...)."""
        self.made[kind] = self.made.get(kind, 0) + n

    def add(self, table: str, key: str, n: float = 1) -> None:
        """Add `n` to a row of a named frequency table ("modality": "CT")."""
        rows = self.tables.setdefault(table, {})
        rows[key] = rows.get(key, 0) + n

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the wall seconds of the block to a named part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def write(self, path: Path, fingerprint: Fingerprint, files: Iterable[Path] = ()) -> None:
        """Write the metrics file of a stage, sealed, with the digests of the tables next to `metrics.json` and of `files`.

        Raises:
            ValueError: if used and aside do not add up to taken.
        """
        if self.taken != self.used + sum(self.aside.values()):
            raise ValueError(
                f"{fingerprint.stage}: counts of {self.unit} do not add up:"
                f" {self.taken} taken, {self.used} used, {sum(self.aside.values())} aside"
            )
        self.seconds["total"] = time.perf_counter() - self._start
        metrics: StageMetrics = {
            "stage": fingerprint.stage,
            "fingerprint": fingerprint.text,
            "unit": self.unit,
            "flow": {"taken": self.taken, "used": self.used, "aside": self.aside},
            "made": self.made,
            "tables": self.tables,
            "seconds": self.seconds,
        }
        tables = sorted(path.parent.glob("[!.]*.parquet")) if path.name == METRICS else []
        write_sealed(path, metrics, [*tables, *files])


def merge(metrics: Iterable[StageMetrics]) -> StageMetrics:
    """The metrics of a stage over several shards: numbers add up key by key, and texts are those of the first shard.

    Raises:
        ValueError: if there are no metrics.
    """
    shards = list(metrics)
    if not shards:
        raise ValueError("no metrics to merge")
    flows = [shard["flow"] for shard in shards]
    tables = dict.fromkeys(name for shard in shards for name in shard["tables"])
    return {
        "stage": shards[0]["stage"],
        "fingerprint": shards[0]["fingerprint"],
        "unit": shards[0]["unit"],
        "flow": {
            "taken": sum(flow["taken"] for flow in flows),
            "used": sum(flow["used"] for flow in flows),
            "aside": _add(flow["aside"] for flow in flows),
        },
        "made": _add(shard["made"] for shard in shards),
        "tables": {name: _add(shard["tables"].get(name, {}) for shard in shards) for name in tables},
        "seconds": _add(shard["seconds"] for shard in shards),
    }


def _add(counts: Iterable[Mapping[str, N]]) -> dict[str, N]:
    """The sum of each key; keys are in the order in which they first occur."""
    total: dict[str, N] = {}
    for numbers in counts:
        for key, number in numbers.items():
            total[key] = total[key] + number if key in total else number
    return total
