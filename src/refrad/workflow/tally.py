"""Counts of one stage in one shard: mergeable over shards, and checked to add up."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refrad.core.files import write_json
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["Tally", "merge"]


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

    def write(self, path: Path, fingerprint: Fingerprint) -> None:
        """Write the metrics file of a stage.

        Raises:
            ValueError: if used and aside do not add up to taken.
        """
        if self.taken != self.used + sum(self.aside.values()):
            raise ValueError(
                f"{fingerprint.stage}: counts of {self.unit} do not add up:"
                f" {self.taken} taken, {self.used} used, {sum(self.aside.values())} aside"
            )
        self.seconds["total"] = time.perf_counter() - self._start
        write_json(
            path,
            {
                "stage": fingerprint.stage,
                "fingerprint": fingerprint.text,
                "unit": self.unit,
                "flow": {"taken": self.taken, "used": self.used, "aside": self.aside},
                "made": self.made,
                "tables": self.tables,
                "seconds": self.seconds,
            },
        )


def merge(metrics: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Sum the metrics of several shards of one stage: numbers add, dictionaries merge key by key, text must agree or is kept once."""

    def join(a: Any, b: Any) -> Any:
        if isinstance(a, dict) and isinstance(b, dict):
            return {
                key: join(a[key], b[key]) if key in a and key in b else a.get(key, b.get(key)) for key in {**a, **b}
            }
        if isinstance(a, int | float) and isinstance(b, int | float):
            return a + b
        return a

    total: dict[str, Any] = {}
    for shard_metrics in metrics:
        total = join(total, shard_metrics)
    return total
