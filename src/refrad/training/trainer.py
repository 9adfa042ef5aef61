"""The training loop: plain, resumable to the bit, with a schedule over steps or time, whichever ends first."""

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from refrad.model.radgrounder import head_of
from refrad.training.checkpoint import Checkpoints
from refrad.training.dataloader import Batch, DataPosition
from refrad.training.distributed import SINGLE_PROCESS, DistributedContext, LossModule, Sharding
from refrad.training.optim import lr_factor, make_optimizer

__all__ = ["Point", "TrainConfig", "TrainState", "load_final_weights", "train_loop", "validation_loss"]

log = logging.getLogger(__name__)

LossOf = Callable[[Mapping[str, Tensor]], Tensor]

POINTS = 20  # of the loss curve


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    A step's gradient is the mean of its batches' gradients, and a batch's loss is the mean over its target tokens: tasks count by
    their share of the batches, not by the length of their answers.

    steps: optimizer steps, at most. max_seconds: seconds, at most; None: no limit.
    batch: samples per batch. grad_accumulation: batches per step, over all processes together.
    soft_label_sigma: standard deviation in bins of the soft labels of <loc> tokens; 0: plain cross-entropy.
    compute_dtype: "bfloat16" or "float32", of matrix products.
    mask_weight: of the mask loss relative to the text loss. mask_lr_scale: learning rate of the mask head over learning_rate.
    warmup_ratio: share of the training. max_grad_norm: largest norm of a step's gradient.
    workers: processes that prepare batches. save_steps, save_seconds: between two saved states; None: never for this reason.
    sharding: of several processes, see `DistributedContext.wrap`.
    pack_tokens: tokens per row of packed samples; False: one sample per row. The loss is the same.
    """

    steps: int
    max_seconds: float | None
    batch: int
    grad_accumulation: int
    learning_rate: float
    seed: int
    soft_label_sigma: float = 0.0
    compute_dtype: str = "float32"
    mask_weight: float = 1.0
    mask_lr_scale: float = 1.0
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    weight_decay: float = 0.01
    warmup_ratio: float = 0.05
    max_grad_norm: float = 1.0
    workers: int = 0
    save_steps: int | None = None
    save_seconds: float | None = None
    sharding: Sharding = "ddp"
    pack_tokens: int | Literal[False] = False


@dataclass(frozen=True)
class Point:
    """A point of the loss curve: mean training loss since the point before, and the loss on validation samples (or None)."""

    step: int
    seconds: float
    loss: float
    validation_loss: float | None
    learning_rate: float


@dataclass
class TrainState:
    """What a training was so far: its curve, how many samples of each task it saw, what it took, and which step did best
    on the validation samples (None without them). `prepared` is what `prepare` gave.
    """

    curve: list[Point] = field(default_factory=list)
    tasks: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best_step: int | None = None
    resumed: int = 0
    prepared: list[float] = field(default_factory=list)

    def best_loss(self) -> float:
        """The least validation loss of the curve."""
        return min((one.validation_loss for one in self.curve if one.validation_loss is not None), default=float("inf"))


def train_loop(
    model: nn.Module,
    loss_of: Callable[[Any, Mapping[str, Tensor]], Tensor],
    batches_from: Callable[[DataPosition], Iterator[Batch]],
    val_batches: Sequence[Mapping[str, Tensor]],
    recipe: TrainConfig,
    saved: Checkpoints | None = None,
    context: DistributedContext = SINGLE_PROCESS,
    pretrain: Callable[[], list[float]] | None = None,
) -> TrainState:
    """Train `model` in place, from the newest state in `saved` if it holds one, and log a line at each point of the curve.

    Resumed, a training bounded by steps ends with the very weights of one that was never interrupted. One bounded by time
    goes on with the time it had used up, so it is as long as any, but how many steps fit into that depends on the day.

    Args:
        model: whose weights learn, those that require a gradient. With sharding "fsdp2" and several processes each is left
            with parts of them; whole weights are in `saved` alone.
        loss_of: of the model and a batch's tensors.
        batches_from: this process's batches from a place on, without end.
        val_batches: batches of validation samples.
        recipe: the rest.
        saved: where states are kept.
        context: the processes.
        pretrain: what comes before the first step (on the processor), if anything; it is not done again after a resume.

    Raises:
        ValueError: if `accumulate` batches cannot be dealt evenly to the processes.
    """
    if recipe.grad_accumulation % context.size:
        raise ValueError(
            f"train.grad_accumulation is {recipe.grad_accumulation}: no multiple of the {context.size} processes"
        )
    state = _newest(saved, context)
    if state is not None:
        model.load_state_dict(state["model"])
    prepared = pretrain() if pretrain and state is None and context.is_main else []
    model.to(context.device)
    context.broadcast_weights(model)
    joined = context.wrap(LossModule(model, loss_of), recipe.sharding)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    head = head_of(model)
    shares = dict.fromkeys(head.parameters() if head else (), recipe.mask_lr_scale)
    optimizer = make_optimizer(parameters, recipe.optimizer, recipe.learning_rate, recipe.weight_decay, shares)
    highest = [group["lr"] for group in optimizer.param_groups]
    if state is not None:
        done, losses, position = _restore(state, optimizer, context)
    else:
        done, losses, position = TrainState(prepared=prepared), [], DataPosition()
        if saved and pretrain:
            _save(saved, 0, context, model, optimizer, done, losses, position)
    batches = batches_from(position)
    clock = _Clock(done.seconds, done.cpu_seconds)
    written = clock.seconds
    model.train()
    ended = done.steps >= recipe.steps
    while not ended:
        progress = _progress(recipe, done.steps, context.broadcast(clock.seconds))
        share = lr_factor(progress, recipe.warmup_ratio)
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = rate * share
        loss, position = _step(joined, batches, recipe.grad_accumulation // context.size, context, done.tasks)
        losses.append(loss)
        nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        done.steps += 1
        done.seconds, done.cpu_seconds = context.broadcast(clock.seconds), clock.cpu_seconds
        ended = _progress(recipe, done.steps, done.seconds) >= 1
        if ended or progress * POINTS >= len(done.curve) + 1:
            unseen, best = validation_loss(joined, val_batches, context), done.best_loss()
            mean = context.mean(sum(losses) / len(losses))
            done.curve.append(Point(done.steps, done.seconds, mean, unseen, recipe.learning_rate * share))
            losses.clear()
            if context.is_main:
                _report(done.curve[-1], progress)
            if unseen is not None and unseen < best:
                done.best_step = done.steps
                if saved:
                    weights = context.gather_full(model.state_dict())
                    saved.save_best(done.steps, weights)
        due = recipe.save_steps is not None and done.steps % recipe.save_steps == 0
        due |= recipe.save_seconds is not None and done.seconds - written >= recipe.save_seconds
        if saved and (due or ended or done.best_step == done.steps):
            _save(saved, done.steps, context, model, optimizer, done, losses, position)
            written = done.seconds
    model.eval()
    return done


def load_final_weights(model: nn.Module, saved: Checkpoints, use: str, trained: TrainState) -> str:
    """Give the model the weights to end with, "best" or "last"; says which these are."""
    if use == "best" and (best := saved.best()) is not None:
        model.load_state_dict(best)
        return f"best: step {trained.best_step}"
    return "last"


class _Clock:
    """Seconds of a training, with those before it was resumed."""

    def __init__(self, seconds: float, cpu_seconds: float) -> None:
        self._start, self._cpu_start = time.perf_counter() - seconds, time.process_time() - cpu_seconds

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    @property
    def cpu_seconds(self) -> float:
        return time.process_time() - self._cpu_start


def _progress(recipe: TrainConfig, steps: int, seconds: float) -> float:
    """0 at the start, 1 or more at the end."""
    return max(steps / recipe.steps, seconds / recipe.max_seconds if recipe.max_seconds else 0.0)


def _save(
    saved: Checkpoints,
    step: int,
    context: DistributedContext,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    done: TrainState,
    losses: Sequence[float],
    position: DataPosition,
) -> None:
    """Write a state. Each process comes here, as each may hold a part of it."""
    state = {
        "model": context.gather_full(model.state_dict()),
        "optimizer": context.gather_full(optimizer.state_dict()),
        "trained": asdict(done),
        "losses": list(losses),
        "place": tuple(position),
        "random": torch.get_rng_state(),
    }
    saved.save(step, state)


def _newest(saved: Checkpoints | None, context: DistributedContext) -> dict[str, Any] | None:
    """The newest state, the same in all processes."""
    if saved is None:
        return None
    state = saved.newest() if context.is_main else None
    step = context.broadcast(-1 if state is None else state["step"])
    return saved.load(int(step)) if step >= 0 and state is None else state


def _restore(
    state: Mapping[str, Any], optimizer: torch.optim.Optimizer, context: DistributedContext
) -> tuple[TrainState, list[float], DataPosition]:
    """Take up a state where it was left; the model has done so before it was joined."""
    context.load_optimizer(optimizer, state["optimizer"])
    torch.set_rng_state(state["random"])
    told = state["trained"]
    done = TrainState(**(told | {"curve": [Point(**one) for one in told["curve"]], "resumed": told["resumed"] + 1}))
    log.info("training goes on after step %d, %.0f s", done.steps, done.seconds)
    return done, state["losses"], DataPosition(*state["place"])


@torch.no_grad()
def validation_loss(
    loss_of: LossOf, batches: Sequence[Mapping[str, Tensor]], context: DistributedContext = SINGLE_PROCESS
) -> float | None:
    """Mean loss over batches; None if there are none. The processes of a team share the work.

    Each runs as many as the others, since those with parts of a model can only run together; what is too many is not counted.
    """
    if not batches:
        return None
    total = 0.0
    for first in range(0, len(batches), context.size):
        own = first + context.rank
        loss = loss_of(batches[min(own, len(batches) - 1)]).item()
        total += loss if own < len(batches) else 0.0
    return context.mean(total) * context.size / len(batches)


def _step(
    joined: nn.Module, batches: Iterator[Batch], number: int, context: DistributedContext, tasks: dict[str, int]
) -> tuple[float, DataPosition]:
    """Gradients of the mean loss of `number` batches; gives that loss, and the place after them."""
    total = torch.zeros((), device=context.device)
    position = DataPosition()
    for count, batch in enumerate(itertools.islice(batches, number), 1):
        for task in batch.tasks:
            tasks[task] = tasks.get(task, 0) + 1
        with context.grad_sync(joined, count == number):
            loss = joined(batch.tensors) / number
            loss.backward()
        total += loss.detach()
        position = batch.position
    return total.item(), position


def _report(point: Point, progress: float) -> None:
    unseen = "" if point.validation_loss is None else f", on validation patients {point.validation_loss:.3f}"
    log.info(
        "training: step %d, %.0f s (%.0f %%), loss %.3f%s",
        point.step,
        point.seconds,
        100 * min(progress, 1),
        point.loss,
        unseen,
    )
