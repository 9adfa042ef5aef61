"""What is measured in an optimizer step, and log lines of a loop of steps."""

import logging
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["StepLog", "StepMeter", "StepRecord", "peak_memory", "token_count"]


@dataclass(frozen=True)
class StepRecord:
    """Measurements of an optimizer step.

    step: its number, from 1. loss: mean over its batches. learning_rate: the highest of the parameter groups that has no factor.
    grad_norm: norm of its gradient before clipping. samples, tokens: in it, over all processes; tokens without padding.
    seconds: the step took. elapsed: seconds of the training, also those before a resume.
    memory_gib: see `peak_memory`. progress: after the step, 0 to 1. skipped: whether the weights were left unchanged.
    task: mean loss of each task's batches, of the main process.
    """

    step: int
    loss: float
    learning_rate: float
    grad_norm: float
    samples: int
    tokens: int
    seconds: float
    elapsed: float
    memory_gib: float
    progress: float
    skipped: bool = False
    task: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds until the end of the loop at its mean speed so far; None at its start."""
        return self.elapsed * (1 - self.progress) / self.progress if self.progress > 0 else None


class StepMeter:
    """The losses and sizes of the batches of one step in one process; the losses stay on their device until the end of the step."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._losses: list[Tensor] = []
        self._values: list[float] = []  # of `_losses`, once read from their device
        self._tasks: list[str] = []
        self.samples = self.tokens = 0

    def add(self, loss: Tensor, tensors: Mapping[str, Tensor], task: str, samples: int) -> None:
        """Count a batch: its loss, a scalar; its tensors, see `token_count`; its task and its number of samples."""
        self._losses.append(loss.detach())
        self._tasks.append(task)
        self.tokens += token_count(tensors)
        self.samples += samples

    def losses(self) -> tuple[float, dict[str, float]]:
        """The mean loss of the batches, and of those of each task."""
        values = self.batch_losses()
        by_task: dict[str, list[float]] = {}
        for task, loss in zip(self._tasks, values, strict=True):
            by_task.setdefault(task, []).append(loss)
        return sum(values) / len(values), {task: sum(part) / len(part) for task, part in by_task.items()}

    def batch_losses(self) -> list[float]:
        """The loss of each batch; a GPU is waited for once."""
        if len(self._values) < len(self._losses):
            self._values = torch.stack(self._losses).tolist()
        return self._values

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.perf_counter() - self._start


def token_count(tensors: Mapping[str, Tensor]) -> int:
    """Tokens in a batch of `collate` or `pack` without padding, those of the image included; for other batches all input_ids."""
    if "attention_mask" in tensors:
        return int(tensors["attention_mask"].sum())
    if "sample_ids" in tensors:
        return int((tensors["sample_ids"] >= 0).sum())
    return tensors["input_ids"].numel() if "input_ids" in tensors else 0


def peak_memory(device: torch.device) -> float:
    """The peak so far in GiB: of the memory that tensors take on a GPU, or of this process's resident memory on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB


class StepLog:
    """Logs step, mean loss, learning rate, gradient norm, samples per second and time left, at most once in `every` seconds.

    Args:
        logger: writes the lines, such as "training: step 120 of 3200, loss 2.31, ...".
        name: of the loop.
        total: steps of the loop.
        every: seconds between lines.
    """

    def __init__(self, logger: logging.Logger, name: str, total: int, every: float = 10.0) -> None:
        self.logger, self.name, self.total, self.every = logger, name, total, every
        self.last = time.perf_counter()
        self.losses: list[float] = []
        self.samples = 0

    def add(self, record: StepRecord) -> None:
        """Count a step."""
        self.losses += [] if record.skipped else [record.loss]
        self.samples += record.samples
        now = time.perf_counter()
        if now - self.last < self.every:
            return
        left = record.seconds_left
        self.logger.info(
            "%s: step %d of %d, loss %.3f, learning rate %.2g, gradient norm %.2f, %.1f samples/s, %s left",
            self.name,
            record.step,
            self.total,
            sum(self.losses) / len(self.losses) if self.losses else record.loss,
            record.learning_rate,
            record.grad_norm,
            self.samples / (now - self.last),
            "unknown time" if left is None else f"{left:.0f} s",
        )
        self.last, self.samples = now, 0
        self.losses.clear()
