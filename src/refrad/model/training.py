"""The training loop: plain, with a schedule over steps or time, whichever ends first."""

import itertools
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.grounding.targets import BINS
from refrad.model.batches import batch_order, collate
from refrad.model.loss import Hills, labelled_loss
from refrad.model.samples import Samples

__all__ = ["Point", "Recipe", "Trained", "batch_loss", "learning_rate_share", "train", "validation_loss"]

log = logging.getLogger(__name__)

LossOf = Callable[[Mapping[str, Tensor]], Tensor]

WARM_UP = 0.05  # of the training
WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.98)
CLIP = 1.0
POINTS = 20  # of the loss curve
VALIDATION_SAMPLES = 64


@dataclass(frozen=True)
class Recipe:
    """How to train: at most `steps` steps and `seconds` (None: no limit), of `accumulate` batches of `batch` samples.

    spread: standard deviation, in bins, of the hill of <loc> tokens that is learned around the right one; 0 for none.
    precision: "bfloat16" or "float32", of the multiplications.
    """

    steps: int
    seconds: float | None
    batch: int
    accumulate: int
    learning_rate: float
    seed: int
    spread: float = 0.0
    precision: str = "float32"


@dataclass(frozen=True)
class Point:
    """A point of the loss curve: mean training loss since the point before, and the loss on validation samples (or None)."""

    step: int
    seconds: float
    loss: float
    validation_loss: float | None
    learning_rate: float


@dataclass(frozen=True)
class Trained:
    """What a training was: its curve, how many samples of each task it saw, and what it took."""

    curve: Sequence[Point]
    tasks: Mapping[str, int]
    steps: int
    seconds: float
    cpu_seconds: float


def train(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    samples: Samples,
    validation: Samples | None,
    recipe: Recipe,
) -> Trained:
    """Train `model` in place, with AdamW, warm-up and cosine, and log a line at each point of the curve."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, recipe.learning_rate, BETAS, weight_decay=WEIGHT_DECAY, fused=True)
    batches = batch_order(samples, recipe.batch, recipe.seed)
    held_out = _held_out(processor, validation, recipe.batch) if validation and len(validation) else []
    loss_of = partial(batch_loss, model, hills=_hills(processor, recipe.spread), precision=recipe.precision)
    start, cpu_start = time.perf_counter(), time.process_time()
    curve: list[Point] = []
    losses: list[float] = []
    tasks: Counter[str] = Counter()
    model.train()
    for step in itertools.count(1):
        elapsed = time.perf_counter() - start
        progress = max((step - 1) / recipe.steps, elapsed / recipe.seconds if recipe.seconds else 0.0)
        share = learning_rate_share(min(progress, 1.0))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * share
        losses.append(_step(loss_of, processor, samples, batches, recipe.accumulate, tasks))
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        seconds = time.perf_counter() - start
        done = step >= recipe.steps or (recipe.seconds is not None and seconds >= recipe.seconds)
        if done or progress * POINTS >= len(curve) + 1:
            unseen = validation_loss(loss_of, held_out)
            curve.append(Point(step, seconds, sum(losses) / len(losses), unseen, recipe.learning_rate * share))
            _report(curve[-1], progress)
            losses.clear()
        if done:
            break
    model.eval()
    return Trained(curve, dict(tasks), step, time.perf_counter() - start, time.process_time() - cpu_start)


def learning_rate_share(progress: float) -> float:
    """Share of the full learning rate at a progress in 0..1: a linear warm-up times a half cosine."""
    return min(1.0, (progress + 1e-3) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))


def batch_loss(
    model: PaliGemmaForConditionalGeneration,
    batch: Mapping[str, Tensor],
    hills: Hills | None = None,
    precision: str = "float32",
) -> Tensor:
    """Loss of a batch of `collate`. With precision "bfloat16" the layers multiply in it; weights and loss stay float32."""
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        hidden = model.model(**inputs, use_cache=False).last_hidden_state.float()
    softcap = model.config.get_text_config().final_logit_softcapping
    return labelled_loss(hidden, model.lm_head.weight, batch["labels"], softcap, hills)


@torch.no_grad()
def validation_loss(loss_of: LossOf, batches: Sequence[Mapping[str, Tensor]]) -> float | None:
    """Mean loss over batches; None if there are none."""
    return sum(loss_of(batch).item() for batch in batches) / len(batches) if batches else None


def _hills(processor: PaliGemmaProcessor, spread: float) -> Hills | None:
    return Hills(processor.tokenizer.convert_tokens_to_ids("<loc0000>"), BINS, spread) if spread else None


def _step(
    loss_of: LossOf,
    processor: PaliGemmaProcessor,
    samples: Samples,
    batches: Iterator[list[tuple[int, int]]],
    accumulate: int,
    tasks: Counter[str],
) -> float:
    """Gradients of the mean loss of `accumulate` batches; gives that loss."""
    total = 0.0
    for keys in itertools.islice(batches, accumulate):
        drawn = [samples[key] for key in keys]
        tasks.update(sample.task for sample in drawn)
        loss = loss_of(collate(processor, drawn)) / accumulate
        loss.backward()
        total += loss.item()
    return total


def _held_out(processor: PaliGemmaProcessor, validation: Samples, batch: int) -> list[dict[str, Tensor]]:
    keys = [(0, index) for index in range(len(validation))][:: max(1, len(validation) // VALIDATION_SAMPLES)]
    return [collate(processor, [validation[key] for key in keys[i : i + batch]]) for i in range(0, len(keys), batch)]


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
