"""The validation samples of a training, and what is measured on them at each point of its curve."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PaliGemmaProcessor

from refrad.model.collate import collate
from refrad.model.packing import pad_to_multiple
from refrad.training.dataloader import Keys
from refrad.training.distributed import SINGLE_PROCESS, DistributedContext
from refrad.training.samples import Samples
from refrad.training.state import Point, TrainState
from refrad.training.task_mixture import TASKS

__all__ = ["METRIC_TASKS", "Measurement", "Score", "Validation", "collate_validation", "draw_validation"]

LossOf = Callable[[Mapping[str, Tensor]], Tensor]

EPOCHS = 128  # of the mixture, from which samples are drawn
METRIC_TASKS = {
    "iou": ("locate",),
    "dice": ("locate", "detect"),
    "vqa": ("vqa",),
}  # whose samples a metric is measured on


class Score(NamedTuple):
    """A metric of generated answers: larger is better.

    Attributes:
        name: of the metric, a key of `METRIC_TASKS`.
        of_part: of a rank and the number of processes; sum of the scores of every `size`-th sample from the `rank`-th on, and how
            many scores these are.
    """

    name: Literal["iou", "dice", "vqa"]
    of_part: Callable[[int, int], tuple[float, int]]


class Measurement(NamedTuple):
    """What was measured at a point: the loss, weighted as in training; that of each task; the metric. None if it was not."""

    loss: float | None
    tasks: dict[str, float]
    metric: str = "loss"
    score: float | None = None

    def is_not_finite(self) -> bool:
        """Whether a value was measured that is no finite number."""
        return not all(
            math.isfinite(value) for value in (self.loss, self.score, *self.tasks.values()) if value is not None
        )

    def at(self, state: TrainState, loss: float, learning_rate: float) -> Point:
        """The point of the curve at a state; `loss` is the mean training loss before it. Values that are not finite are left out."""
        tasks = {task: value for task, value in self.tasks.items() if math.isfinite(value)}
        validation_loss, score = (
            value if value is not None and math.isfinite(value) else None for value in (self.loss, self.score)
        )
        return Point(state.steps, state.seconds, loss, validation_loss, learning_rate, tasks, self.metric, score)


@dataclass(frozen=True)
class Validation:
    """How a training is validated.

    batches: tensors of the batches of each task. shares: weight of each task, relative to their sum.
    score: metric that chooses the best weights; None: the loss does.
    """

    batches: Mapping[str, Sequence[Mapping[str, Tensor]]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    score: Score | None = None

    @torch.no_grad()
    def measure(self, loss_of: LossOf, context: DistributedContext = SINGLE_PROCESS) -> Measurement:
        """Measure loss and metric. The processes divide batches and samples among them; all of them must call it.

        A task's loss is the mean over its samples of the loss of their batch, which is a mean over tokens. As in training, a task
        then counts by its share and not by the length of its answers; tasks without samples are left out.
        """
        tasks = self._task_losses(loss_of, context)
        total = sum(self.shares[task] for task in tasks)
        loss = sum(self.shares[task] * value for task, value in tasks.items()) / total if total else None
        return Measurement(loss, tasks, self.score.name if self.score else "loss", self._score(context))

    def _task_losses(self, loss_of: LossOf, context: DistributedContext) -> dict[str, float]:
        """The loss of each task. All processes run equally many batches, since sharded models run in all processes at once."""
        batches = [(task, batch) for task, of_task in self.batches.items() for batch in of_task]
        sums, counts = dict.fromkeys(self.batches, 0.0), dict.fromkeys(self.batches, 0)
        for task, batch in batches:
            counts[task] += len(batch["pixel_values"])
        for first in range(0, len(batches), context.size):
            own = first + context.rank
            task, batch = batches[min(own, len(batches) - 1)]
            loss = loss_of(batch).item()
            if own < len(batches):  # a surplus batch is not counted
                sums[task] += loss * len(batch["pixel_values"])
        return {task: context.mean(sums[task]) * context.size / count for task, count in counts.items() if count}

    def _score(self, context: DistributedContext) -> float | None:
        if self.score is None:
            return None
        total, count = self.score.of_part(context.rank, context.size)
        mean_count = context.mean(count)
        return context.mean(total) / mean_count if mean_count else math.nan


def draw_validation(samples: Samples, shares: Mapping[str, float], number: int, batch: int) -> dict[str, Keys]:
    """The keys (epoch, index) of the validation samples of each task with a share: a pure function of the arguments.

    Each task gets its share of `number`, but at least a `batch`; fewer if there are not so many images, since an image serves
    a task once. The images are drawn at random, from as many epochs of the mixture as are needed.

    Args:
        samples: of the validation patients.
        shares: of the tasks, relative to their sum.
        number: of samples of all tasks together.
        batch: samples of a batch.
    """
    total = sum(shares.values())
    quotas = {task: max(round(number * shares[task] / total), batch) for task in TASKS if shares.get(task)}
    keys: dict[str, Keys] = {task: [] for task in quotas}
    rows_of: dict[str, set[int]] = {task: set() for task in quotas}
    for epoch in range(EPOCHS if len(samples) else 0):
        rows, tasks = samples.rows(epoch), samples.tasks(epoch)
        for index in np.random.default_rng((samples.seed, epoch, 23)).permutation(len(rows)).tolist():
            task, row = str(tasks[index]), int(rows[index])
            if len(keys.get(task, ())) < quotas.get(task, 0) and row not in rows_of[task]:
                keys[task].append((epoch, index))
                rows_of[task].add(row)
        if all(len(keys[task]) == quotas[task] for task in quotas):
            break
    return {task: of_task for task, of_task in keys.items() if of_task}


def collate_validation(
    samples: Samples, processor: PaliGemmaProcessor, keys: Mapping[str, Keys], batch: int, length_multiple: int = 1
) -> dict[str, list[dict[str, Tensor]]]:
    """The batches of each task, of `batch` samples, the last one of those that are left; see `pad_to_multiple` for the length."""
    return {
        task: [
            pad_to_multiple(
                collate(processor, [samples[key] for key in of_task[first : first + batch]]), length_multiple
            )
            for first in range(0, len(of_task), batch)
        ]
        for task, of_task in keys.items()
    }
