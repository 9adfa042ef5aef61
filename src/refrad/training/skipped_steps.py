"""Optimizer steps whose loss or gradient is not finite: they are skipped, recorded, and end a training that has too many in a row."""

import json
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from refrad.training.dataloader import Batch

__all__ = ["MOST_SKIPPED", "SkippedSteps", "are_finite"]

MOST_SKIPPED = 10  # steps in a row
FILE = "skipped-steps-{rank}.jsonl"

log = logging.getLogger(__name__)


def are_finite(*values: float) -> bool:
    """Whether none of the values is NaN or infinite."""
    return all(math.isfinite(value) for value in values)


class SkippedSteps:
    """The skipped steps of one loop in one process.

    Args:
        name: of the loop, for messages.
        folder: the samples of skipped steps are written to `skipped-steps-<rank>.jsonl` there, a line for each step, readable for
            the owner only; None for no file.
        rank: of the process; each writes the batches that it has seen.
    """

    def __init__(self, name: str, folder: Path | None = None, rank: int = 0) -> None:
        self.name, self.rank = name, rank
        self.file = folder / FILE.format(rank=rank) if folder else None
        self.in_a_row = 0

    def end_row(self) -> None:
        """Count a step that was not skipped."""
        self.in_a_row = 0

    def add(self, step: int, grad_norm: float, losses: Sequence[float], batches: Sequence[Batch] = ()) -> None:
        """Count and record a skipped step.

        Args:
            step: its number, from 1.
            grad_norm: norm of its gradient.
            losses: of its batches in this process.
            batches: with the ids of their samples.

        Raises:
            ValueError: if it is the MOST_SKIPPED-th in a row.
        """
        self.in_a_row += 1
        if self.file and batches:
            self._write(step, grad_norm, losses, batches)
        if self.rank == 0:
            log.warning("%s: step %d is skipped: its loss or gradient is not finite", self.name, step)
        if self.in_a_row >= MOST_SKIPPED:
            samples = f" The samples of these steps are in {self.file.name} in {self.file.parent}:" if self.file else ""
            raise ValueError(
                f"{self.name}: the loss or gradient was not finite in {MOST_SKIPPED} steps in a row, up to step {step}; the states "
                f"before them are kept.{samples} look for damaged images among them, or set a lower learning_rate"
            )

    def _write(self, step: int, grad_norm: float, losses: Sequence[float], batches: Sequence[Batch]) -> None:
        """Append a line to the file. Numbers that JSON has not are written as text."""
        assert self.file is not None
        line = {
            "step": step,
            "grad_norm": grad_norm if math.isfinite(grad_norm) else str(grad_norm),
            "batches": [
                {
                    "loss": loss if math.isfinite(loss) else str(loss),
                    "samples": [asdict(sample) for sample in batch.samples],
                }
                for loss, batch in zip(losses, batches, strict=True)
            ],
        }
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            file.write(json.dumps(line) + "\n")
