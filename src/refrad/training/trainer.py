"""The training loop: resumable to the bit, with a schedule over steps or time, whichever ends first."""

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from refrad.model.radgrounder import head_of
from refrad.model.training_account import LOGS
from refrad.training.checkpoint import Checkpoints, newest_state
from refrad.training.clock import Clock
from refrad.training.dataloader import Batch, DataPosition
from refrad.training.distributed import SINGLE_PROCESS, DistributedContext, LossModule
from refrad.training.dropout import seed_dropout
from refrad.training.optim import lr_factor, make_optimizer
from refrad.training.pretraining import Pretraining, run_pretraining
from refrad.training.run_log import RunLog
from refrad.training.skipped_steps import SkippedSteps, are_finite
from refrad.training.state import Point, SavedState, TrainState, frozen_digest, load_weights, weights_to_save
from refrad.training.state_writer import SaveSchedule, StateWriter, snapshot
from refrad.training.step_log import StepLog, StepMeter, StepRecord, peak_memory
from refrad.training.train_config import TrainConfig
from refrad.training.validation import Validation

__all__ = ["train_loop"]

log = logging.getLogger(__name__)

POINTS = 20  # of the loss curve


def train_loop(
    model: nn.Module,
    loss_of: Callable[[Any, Mapping[str, Tensor]], Tensor],
    batches_from: Callable[[DataPosition], Iterator[Batch]],
    validation: Validation,
    config: TrainConfig,
    saved: Checkpoints | None = None,
    context: DistributedContext = SINGLE_PROCESS,
    pretrain: Pretraining | None = None,
) -> TrainState:
    """Train `model` in place, from the newest state in `saved` if there is one; returns the final state.

    A resumed training that is bounded by steps ends with the same bits as an uninterrupted one. One that is bounded by time
    resumes with the time it had used, and the number of steps depends on the machine.

    Args:
        model: its parameters with requires_grad are trained. With sharding "fsdp2" and several processes each process is left
            with its shards; full weights are in `saved` only.
        loss_of: loss of the model for the tensors of a batch.
        batches_from: this process's batches from a position on, without end.
        validation: its samples, and what is measured on them.
        config: hyper-parameters.
        saved: folder of the saved states.
        context: the processes.
        pretrain: runs on the CPU before the first step, within a number of seconds or None for no limit, and returns its
            losses; it is not repeated after a resume. At most half of `config.max_seconds` is left to it.

    Raises:
        ValueError: if the batches of a step cannot be divided evenly among the processes.
    """
    if config.grad_accumulation % context.size:
        raise ValueError(
            f"train.grad_accumulation is {config.grad_accumulation}: no multiple of the {context.size} processes"
        )
    newest = newest_state(saved, context)
    frozen = "" if pretrain else frozen_digest(model)
    if newest is not None:
        if newest.get("frozen", frozen) != frozen:
            raise ValueError(
                "the frozen weights are not those that the saved states were trained with; all states are kept: "
                "restore the folder of the initial model"
            )
        load_weights(model, newest["model"])
    state = TrainState()
    if pretrain and newest is None:
        state = run_pretraining(pretrain, config, context)
    run = _Run(model, loss_of, config, saved, context, state, frozen)
    if newest is not None:
        run.restore(newest)
        newest = None  # the training does not hold it
    elif saved and pretrain:
        run.save()  # so that the pretraining is not repeated
    folder = saved.folder / LOGS if saved and context.is_main else None
    with RunLog(folder, config, run.state.steps) as run_log, run.writer:
        run.train(batches_from(run.position), validation, run_log)
    return run.state


class _Run:
    """A training under way: model, optimizer, state and position in the data."""

    def __init__(
        self,
        model: nn.Module,
        loss_of: Callable[[Any, Mapping[str, Tensor]], Tensor],
        config: TrainConfig,
        saved: Checkpoints | None,
        context: DistributedContext,
        state: TrainState,
        frozen: str,
    ) -> None:
        self.model, self.config, self.saved, self.context, self.state = model, config, saved, context, state
        self.frozen = frozen  # digest of the weights that states leave out; "" if they hold all
        model.to(context.device)
        context.broadcast_weights(model)
        self.loss = context.wrap(LossModule(model, loss_of), config.sharding)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        head = head_of(model)
        lr_scales = dict.fromkeys(head.parameters() if head else (), config.mask_lr_scale)
        self.optimizer = make_optimizer(
            self.parameters, config.optimizer, config.learning_rate, config.weight_decay, lr_scales
        )
        self.peak_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.losses: list[float] = []  # of steps since the last point of the curve that were not skipped
        self.writer = StateWriter(saved)
        self.skipped = SkippedSteps("training", saved.folder if saved else None, context.rank)
        self.position = DataPosition()

    def train(self, batches: Iterator[Batch], validation: Validation, run_log: RunLog) -> None:
        """All steps that are left, with validation and saved states in between."""
        config, state = self.config, self.state
        clock = Clock(state.seconds, state.cpu_seconds)
        schedule = SaveSchedule(config.save_steps, config.save_seconds, config.max_save_share, state.seconds)
        step_log = StepLog(log, "training", config.steps)
        self.model.train()
        ended, exact, soon = state.steps >= config.steps, False, False
        while not ended:
            progress = self.progress(self.context.broadcast(clock.seconds))
            factor = lr_factor(progress, config.warmup_ratio)
            meter = StepMeter()
            grad_norm = self.step(batches, factor, meter)
            state.seconds, state.cpu_seconds = self.context.broadcast(clock.seconds), clock.cpu_seconds
            record = self.record(meter, config.learning_rate * factor, grad_norm)
            step_log.add(record)
            ended = self.progress(state.seconds) >= 1
            point = None
            due = progress * POINTS >= len(state.curve) + 1
            if ended or (due and (self.losses or state.curve)):
                point = self.validate(validation, config.learning_rate * factor, progress)
            run_log.add(record, point)
            exact |= schedule.is_due_by_steps(state.steps)
            soon |= schedule.is_due_by_time(state.seconds) or state.best_step == state.steps
            # A row of skipped steps may end the training: what was before is kept.
            if ended or (not self.skipped.in_a_row and (exact or (soon and self.can_write()))):
                run_log.flush()
                self.save()
                schedule.add(self.context.broadcast(clock.seconds), self.context.broadcast(self.writer.blocked))
                exact = soon = False
        self.model.eval()

    def progress(self, seconds: float) -> float:
        """0 at the start, 1 or more at the end: the larger of the shares of steps and of time."""
        by_steps = self.state.steps / self.config.steps
        if not self.config.max_seconds:
            return by_steps
        return max(by_steps, seconds / (self.config.max_seconds - self.state.pretraining_seconds))

    def record(self, meter: StepMeter, learning_rate: float, grad_norm: float) -> StepRecord:
        """The measurements of the step that has ended."""
        state, mean = self.state, self.context.mean
        loss, by_task = meter.losses()
        return StepRecord(
            step=state.steps,
            loss=mean(loss),
            learning_rate=learning_rate,
            grad_norm=grad_norm,
            samples=round(mean(meter.samples) * self.context.size),
            tokens=round(mean(meter.tokens) * self.context.size),
            seconds=meter.seconds,
            elapsed=state.seconds,
            memory_gib=peak_memory(self.context.device),
            progress=min(self.progress(state.seconds), 1.0),
            skipped=self.skipped.in_a_row > 0,
            task=by_task,
        )

    def step(self, batches: Iterator[Batch], factor: float, meter: StepMeter) -> float:
        """One optimizer step at `factor` of the peak learning rates, measured by `meter`; the norm of its gradient.

        If the loss or the gradient of any process is not finite, all processes leave weights and optimizer as they are.

        Raises:
            ValueError: if too many steps in a row are skipped.
        """
        for group, rate in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = rate * factor
        number = self.config.grad_accumulation // self.context.size
        drawn = []
        for count, batch in enumerate(itertools.islice(batches, number), 1):
            drawn.append(batch._replace(tensors={}))
            for task in batch.tasks:
                self.state.tasks[task] = self.state.tasks.get(task, 0) + 1
            turn = self.state.steps * number + count - 1
            seed_dropout(self.config.seed, turn * self.context.size + self.context.rank)
            with self.context.grad_sync(self.loss, count == number):
                loss = self.loss(batch.tensors)
                (loss / number).backward()
            own = len(batch.tasks) // self.context.size  # of the samples of all processes
            meter.add(loss, batch.tensors, batch.tasks[self.context.rank * own], own)
            self.position = batch.position
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        loss, grad_norm = meter.losses()[0], (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()
        skip = self.context.mean(not are_finite(loss, grad_norm)) > 0
        if not skip:
            self.optimizer.step()
            self.losses.append(loss)
            self.skipped.end_row()
        self.optimizer.zero_grad()
        self.state.steps += 1
        if skip:
            self.state.skipped += 1
            self.skipped.add(self.state.steps, grad_norm, meter.batch_losses(), drawn)
        return grad_norm

    def validate(self, validation: Validation, learning_rate: float, progress: float) -> Point:
        """Add a point to the curve, log it, and keep the weights if they are the best so far; returns the point."""
        state = self.state
        self.model.eval()  # without the dropout of adapters
        measured, best = validation.measure(self.loss, self.context), state.best_merit()
        self.model.train()
        if measured.is_not_finite():
            log.warning("training: the loss or metric on validation patients is not finite at step %d", state.steps)
        losses = self.losses or [point.loss for point in state.curve[-1:]]
        if not losses:
            raise ValueError(
                "training: the loss or gradient was not finite in any step: set a lower train.learning_rate"
            )
        mean = self.context.mean(sum(losses) / len(losses))
        point = measured.at(state, mean, learning_rate)
        state.curve.append(point)
        self.losses.clear()
        if self.context.is_main:
            log.info("training: %s", point.describe(self.config.steps, progress))
        if point.merit > best:
            state.best_step = state.steps
            if self.saved:
                self.writer.add_best(state.steps, self.weights())
        return point

    def can_write(self) -> bool:
        """Whether no state is being written; the same in all processes."""
        return not self.context.broadcast(self.writer.is_busy)

    def save(self) -> None:
        """Start to write a state. All processes must call it, as each may hold a share of it."""
        if self.saved:
            self.writer.write(self.saved_state)

    def saved_state(self) -> SavedState:
        """A copy of the state. All processes must call it."""
        return {
            "model": self.weights(),
            "optimizer": snapshot(self.context, self.optimizer.state_dict()),
            "trained": self.state.results(),
            "losses": list(self.losses),
            "place": (self.position.epoch, self.position.batch),
            "random": torch.get_rng_state(),
            "step": self.state.steps,
            "frozen": self.frozen,
        }

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights that are saved. All processes must call it."""
        weights = self.writer.best_of(self.state.steps)
        return weights or snapshot(self.context, weights_to_save(self.model, whole=not self.frozen))

    def restore(self, saved: SavedState) -> None:
        """Load a state; its weights are already in the model."""
        self.context.load_optimizer(self.optimizer, saved["optimizer"])
        torch.set_rng_state(saved["random"])
        self.state = TrainState.resumed_from(saved["trained"])
        self.losses, self.position = saved["losses"], DataPosition(*saved["place"])
        log.info("training resumes after step %d, %.0f s", self.state.steps, self.state.seconds)
