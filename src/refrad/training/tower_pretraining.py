"""Pretraining of the vision tower of a model from scratch on the masks in the shards.

PaliGemma's tower comes pretrained. Training gives the tiny one a few boxes per image only; the masks give a target for
every patch. A probe predicts the share of each class in a patch, and the box of one of these classes. It compares
features with the embeddings of the tokens that the model answers with: <segNNN> for classes, <locNNNN> for boxes. A mask head
is trained with it: the embedding of a class replaces the hidden state that prompts the head later.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.config import AugmentOptions
from refrad.core.types import SEG_TOKENS
from refrad.dataset.example_rows import ExampleRows
from refrad.model.box_tokens import COORDINATE_BINS
from refrad.model.mask_head import MaskHead, mask_loss
from refrad.model.radgrounder import head_of
from refrad.training.losses import SoftLabels, soft_log_likelihood
from refrad.training.optim import lr_factor, make_optimizer
from refrad.training.patch_targets import NO_BIN, PatchTargets, draw_views
from refrad.training.samples import SurfaceForms
from refrad.training.skipped_steps import SkippedSteps, are_finite
from refrad.training.step_log import StepLog, StepRecord, peak_memory

__all__ = ["TowerPretraining", "pretrain_vision_tower"]

BIN_LABELS = SoftLabels(0, COORDINATE_BINS, sigma=6.0)  # of a box side, around its bin
NAMES_PER_STEP = 32
MASKS_PER_VIEW = 3
NAME_SCALE = 8.0  # of the products of name and class embeddings, which have a length of about 1
WARMUP_RATIO = 0.1
WEIGHT_DECAY = 0.01

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TowerPretraining:
    """How to pretrain a vision tower.

    steps: optimizer steps, at most. batch: views per step. learning_rate: the highest. seed: of all random choices.
    augment: how views are drawn. resize: how an image fills the square, see `whole_view`.
    compute_dtype: "bfloat16" or "float32", of the tower's matrix products.
    mask_lr_scale: learning rate of the mask head over `learning_rate`.
    """

    steps: int
    batch: int
    learning_rate: float
    seed: int
    augment: AugmentOptions
    resize: Literal["stretch", "pad"] = "stretch"
    compute_dtype: str = "float32"
    mask_lr_scale: float = 1.0


class _PatchProbe(nn.Module):
    """Predicts classes and boxes from the features of patches, with the embeddings of the tokens for them."""

    def __init__(self, embeddings: Any, first_seg: int, first_loc: int) -> None:
        super().__init__()
        width = embeddings.shape[1]
        self.segs = embeddings[first_seg : first_seg + SEG_TOKENS].detach().clone()
        self.locs = embeddings[first_loc : first_loc + COORDINATE_BINS].detach().clone()
        self.feature, self.question = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.sides = nn.Linear(width, 4 * width)

    def name_loss(self, names: Tensor, classes: Tensor) -> Tensor:
        """Cross-entropy of the classes of names; `names` float [n, width] is the mean embedding of each name's tokens."""
        return functional.cross_entropy(NAME_SCALE * names @ self.segs.T, classes)

    def forward(self, features: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy of the shares of classes, plus that of the box sides."""
        shares = functional.cross_entropy((features @ self.segs.T).flatten(0, 1), targets["shares"].flatten(0, 1))
        has_box = targets["box_bins"][..., 0] != NO_BIN
        bins, question = targets["box_bins"][has_box], self.segs[targets["box_classes"][has_box]]
        answer = functional.gelu(self.feature(features[has_box]) + self.question(question))
        logits = self.sides(answer).unflatten(1, (4, -1)) @ self.locs.T
        log_probs = functional.log_softmax(logits.flatten(0, 1), dim=1)
        return shares - soft_log_likelihood(log_probs, bins.flatten(), BIN_LABELS) / max(bins.numel(), 1)

    def mask_loss(self, head: MaskHead, patches: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Loss of the masks of `mask_classes`, which the head predicts from the tower's output."""
        classes = targets["mask_classes"]
        slots = classes.nonzero()  # int64 [masks, 2]: view and number of the mask
        hidden = self.segs[classes] * self.segs.shape[1] ** 0.5  # as long as a hidden state
        masks = targets["masks"][tuple(slots.T)]
        return mask_loss(head(patches, hidden, slots, masks.shape[-1]), masks)


class _Objective:
    """The loss of a step of the pretraining, with the modules and weights that it trains.

    parameters: of tower, projector and probe. head_parameters: of the mask head; empty without one.
    embeddings: of the words, float32 [words, width].
    """

    def __init__(
        self,
        model: PaliGemmaForConditionalGeneration,
        processor: PaliGemmaProcessor,
        names: SurfaceForms,
        config: TowerPretraining,
    ) -> None:
        self.device, self.in_bfloat16 = model.device, config.compute_dtype == "bfloat16"
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        self.head = head_of(model)
        embeddings: Any = model.get_input_embeddings().weight
        self.embeddings: nn.Parameter = embeddings
        self.probe = _make_probe(embeddings, processor, config.seed)
        self.name_tokens = _tokens_of(names, processor)
        self.name_rng = np.random.default_rng((config.seed, 12))
        modules = (self.tower, self.projector, self.probe)
        self.parameters = [parameter for module in modules for parameter in module.parameters()]
        self.head_parameters = list(self.head.parameters()) if self.head else []

    def loss(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Loss of the views of `targets` (the fields of `PatchTargets`, batched) and of names drawn at random."""
        pixels = targets["pixels"].permute(0, 3, 1, 2).float() / 127.5 - 1
        with self._autocast():
            patches = self.tower(pixel_values=pixels).last_hidden_state
            features = self.projector(patches)
        drawn = [
            self.name_tokens[index] for index in self.name_rng.integers(len(self.name_tokens), size=NAMES_PER_STEP)
        ]
        starts = torch.tensor(np.cumsum([0, *(len(tokens) for tokens, _ in drawn[:-1])]))
        tokens = torch.tensor([token for tokens, _ in drawn for token in tokens])
        words = functional.embedding_bag(tokens, self.embeddings, starts, mode="mean")
        loss: Tensor = self.probe(features.float(), targets)
        loss = loss + self.probe.name_loss(words, torch.tensor([class_id for _, class_id in drawn]))
        if self.head:
            with self._autocast():
                loss = loss + self.probe.mask_loss(self.head, patches, targets)
        return loss

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bfloat16)


def pretrain_vision_tower(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    rows: ExampleRows,
    names: SurfaceForms,
    config: TowerPretraining,
    max_seconds: float | None = None,
) -> list[float]:
    """Train the vision tower, the projector and the mask head (if any) of `model` in place; returns the loss of each step that was not skipped.

    The word embeddings are trained too, so that the names of a class come near its <segNNN> token; those of <segNNN> and
    <locNNNN> are not.

    Args:
        model: frozen weights are trained all the same, and are frozen again afterwards.
        processor: of the model.
        rows: views are drawn from their images.
        names: of the classes.
        config: hyper-parameters.
        max_seconds: time limit, which shortens the schedule; None for no limit.
    """
    vision: Any = model.config.vision_config
    side, masks = processor.image_processor.size["height"], MASKS_PER_VIEW if head_of(model) else 0
    views = draw_views(rows, side, vision.patch_size, masks, config.seed, config.augment, config.resize)
    objective = _Objective(model, processor, names, config)
    pretrained = [*objective.parameters, *objective.head_parameters, objective.embeddings]
    frozen = [parameter for parameter in pretrained if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    optimizer = _make_optimizer(objective, config)
    peak_rates = [group["lr"] for group in optimizer.param_groups]
    losses: list[float] = []
    skipped = SkippedSteps("tower pretraining")
    model.train()
    start = time.perf_counter()
    step_log = StepLog(log, "tower pretraining", config.steps)
    for step in range(config.steps):
        progress = step / config.steps
        if max_seconds is not None:
            progress = max(progress, (time.perf_counter() - start) / max_seconds)
            if progress >= 1:
                break
        for group, peak in zip(optimizer.param_groups, peak_rates, strict=True):
            group["lr"] = peak * lr_factor(progress, WARMUP_RATIO)
        began = time.perf_counter()
        loss = objective.loss(_stack([next(views) for _ in range(config.batch)]))
        loss.backward()
        norm = nn.utils.clip_grad_norm_([*objective.parameters, *objective.head_parameters], 1.0)
        value, grad_norm = loss.item(), norm.item()
        if skip := not are_finite(value, grad_norm):
            skipped.add(step + 1, grad_norm, [value])
        else:
            losses.append(value)
            optimizer.step()
            skipped.end_row()
        optimizer.zero_grad()
        elapsed = time.perf_counter() - start
        step_log.add(
            StepRecord(
                step=step + 1,
                loss=value,
                learning_rate=optimizer.param_groups[0]["lr"],
                grad_norm=grad_norm,
                samples=config.batch,
                tokens=0,
                seconds=time.perf_counter() - began,
                elapsed=elapsed,
                memory_gib=peak_memory(objective.device),
                progress=min(max((step + 1) / config.steps, elapsed / (max_seconds or math.inf)), 1.0),
                skipped=skip,
            )
        )
    for parameter in frozen:
        parameter.requires_grad_(False)
    return losses


def _make_probe(embeddings: Tensor, processor: PaliGemmaProcessor, seed: int) -> _PatchProbe:
    """A probe with random weights that depend on `seed` only."""
    first_seg, first_loc = (processor.tokenizer.convert_tokens_to_ids(token) for token in ("<seg000>", "<loc0000>"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _PatchProbe(embeddings, first_seg, first_loc)


def _make_optimizer(objective: _Objective, config: TowerPretraining) -> torch.optim.Optimizer:
    """AdamW; the mask head has a separate learning rate."""
    lr_scales = dict.fromkeys(objective.head_parameters, config.mask_lr_scale)
    weights = [*objective.parameters, *objective.head_parameters]
    optimizer = make_optimizer(weights, "adamw", config.learning_rate, WEIGHT_DECAY, lr_scales)
    # Decay would also change the embeddings of words that have no gradient.
    optimizer.add_param_group({"params": [objective.embeddings], "weight_decay": 0.0})
    return optimizer


def _tokens_of(names: SurfaceForms, processor: PaliGemmaProcessor) -> list[tuple[list[int], int]]:
    """Tokens and class of each name. A space precedes it, as in a prompt."""
    name_tokens = []
    for (_, class_id), surface_forms in sorted(names.items()):
        name_tokens += [
            (processor.tokenizer(f" {name}", add_special_tokens=False)["input_ids"], class_id) for name in surface_forms
        ]
    return [(tokens, class_id) for tokens, class_id in name_tokens if tokens and class_id < SEG_TOKENS]


def _stack(views: Sequence[PatchTargets]) -> dict[str, Tensor]:
    """The tensors of a batch, by field."""
    return {name: torch.from_numpy(np.stack([vars(view)[name] for view in views])) for name in vars(views[0])}
