"""Before a model from scratch learns to speak, its vision tower learns to see: what each patch shows, and how far that reaches.

PaliGemma's own tower comes trained; the tiny one would have to find out from a few boxes an image what an organ looks like. The
masks in the shards tell it for every patch. What a patch is read with are the words the model will answer with: the embeddings
of <segNNN> for its classes and of <locNNNN> for the box of one of them. A mask head learns along: the embedding of a class stands
for the hidden state that will ask it.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from torch import Tensor, nn
from torch.nn import functional
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.config import AugmentOptions
from refrad.dataset.examples import ImageExample, example_of_row
from refrad.model.box_tokens import BINS, bin_of
from refrad.model.mask_head import MaskHead, mask_loss
from refrad.model.preprocess import View, box_in_view, render_view, whole_view
from refrad.model.radgrounder import head_of
from refrad.training.augment import random_view
from refrad.training.samples import SurfaceForms, class_frequencies
from refrad.training.step_log import StepLog

__all__ = ["class_map", "patch_shares", "pretrain_vision_tower"]

CLASSES = 128  # <seg> tokens; 0 is background
SPREAD = 6.0  # standard deviation of the hill around the right bin, in bins
NAMES_A_STEP = 32
MASKS_A_VIEW = 3
NAME_SCALE = 8.0  # of the scores by which a name finds its class; embeddings are about 1 long
WARM_UP = 0.1  # of the steps
NOWHERE = -1  # in place of a bin

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PatchTargets:
    """One view of an image. pixels: uint8 [side, side, 3]. shares: float32 [patches, CLASSES]. asked: int64 [patches], the
    class whose box is asked of the patch. bins: int64 [patches, 4], x_min, y_min, x_max, y_max; NOWHERE if none is asked.
    named: int64 [n], the classes whose masks are asked, 0 if the view has fewer. masks: bool [n, side, side].
    """

    pixels: NDArray[np.uint8]
    shares: NDArray[np.float32]
    asked: NDArray[np.int64]
    bins: NDArray[np.int64]
    named: NDArray[np.int64]
    masks: NDArray[np.bool_]


def class_map(structures: Sequence[Mapping[str, Any]], width: int, height: int, size: int) -> NDArray[np.uint8]:
    """Class ids uint8 [size, size] of an image from its run-length masks, squashed as the picture is; 0 is background."""
    classes = np.zeros((height, width), np.uint8)
    for one in structures:
        mask = coco.decode({"size": [height, width], "counts": str(one["rle"]).encode("ascii")})
        classes[np.asarray(mask, bool)] = one["class_id"]
    return np.asarray(Image.fromarray(classes).resize((size, size), Image.Resampling.NEAREST))


def patch_shares(classes: NDArray[np.uint8], patch: int) -> NDArray[np.float32]:
    """Share of each class in each patch, float32 [patches, CLASSES], patches row by row; `classes` is [side, side]."""
    side = len(classes) // patch
    patches = classes.reshape(side, patch, side, patch).swapaxes(1, 2).reshape(side * side, patch * patch)
    flat = np.arange(side * side)[:, None] * CLASSES + patches
    return (np.bincount(flat.ravel(), minlength=side * side * CLASSES).reshape(-1, CLASSES) / patch**2).astype(
        np.float32
    )


class _Reader(nn.Module):
    """Reads classes and boxes from the features of patches with the embeddings of the words for them."""

    def __init__(self, words: Any, first_seg: int, first_loc: int) -> None:
        super().__init__()
        width = words.shape[1]
        self.segs = words[first_seg : first_seg + CLASSES].detach().clone()
        self.locs = words[first_loc : first_loc + BINS].detach().clone()
        self.feature, self.question = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.sides = nn.Linear(width, 4 * width)

    def names(self, words: Tensor, classes: Tensor) -> Tensor:
        """Cross-entropy of the classes that names mean; `words` is the mean embedding of each name's tokens."""
        return functional.cross_entropy(NAME_SCALE * words @ self.segs.T, classes)

    def forward(self, features: Tensor, lesson: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy of the classes' shares, plus that of the boxes' sides."""
        shares = functional.cross_entropy((features @ self.segs.T).flatten(0, 1), lesson["shares"].flatten(0, 1))
        told = lesson["bins"][..., 0] != NOWHERE
        bins, question = lesson["bins"][told], self.segs[lesson["asked"][told]]
        answer = functional.gelu(self.feature(features[told]) + self.question(question))
        logits = self.sides(answer).unflatten(1, (4, -1)) @ self.locs.T
        hills = torch.exp(-0.5 * ((torch.arange(BINS) - bins[..., None]) / SPREAD) ** 2)
        hills = hills / hills.sum(-1, keepdim=True)
        return shares + functional.cross_entropy(logits.flatten(0, 1), hills.flatten(0, 1))

    def masks(self, head: MaskHead, patches: Tensor, lesson: Mapping[str, Tensor]) -> Tensor:
        """Loss of the masks of the classes that are asked of the tower's output."""
        asked, named = lesson["named"].nonzero(), lesson["named"]
        hidden = self.segs[named] * self.segs.shape[1] ** 0.5  # as long as a hidden state
        masks = lesson["masks"][tuple(asked.T)]
        return mask_loss(head(patches, hidden, asked, masks.shape[-1]), masks)


def pretrain_vision_tower(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    frame: pl.DataFrame,
    names: SurfaceForms,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    augment: AugmentOptions,
    resize: Literal["stretch", "pad"] = "stretch",
    compute_dtype: str = "float32",
    mask_lr_scale: float = 1.0,
    max_seconds: float | None = None,
) -> list[float]:
    """Train vision tower and projector of `model`, and its mask head if it has one, in place on views of the rows of `frame`; the
    losses of all steps come back. The head's rate is `mask_lr_scale` times `rate`.

    The embeddings of the words in `names` come to lie near those of the <segNNN> tokens of the classes they mean.
    """
    vision: Any = model.config.vision_config
    head = head_of(model)
    lessons = _lessons(
        *(frame, processor.image_processor.size["height"], vision.patch_size, seed, augment, resize),
        masks=MASKS_A_VIEW if head else 0,
    )
    first_seg, first_loc = (processor.tokenizer.convert_tokens_to_ids(word) for word in ("<seg000>", "<loc0000>"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = _Reader(model.get_input_embeddings().weight, first_seg, first_loc)
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    frozen = [parameter for parameter in tower.parameters() if not parameter.requires_grad]
    tower.requires_grad_(True)  # even one that will stay as it is afterwards
    parameters = [*tower.parameters(), *projector.parameters(), *reader.parameters()]
    of_head = list(head.parameters()) if head else []
    table: Any = model.get_input_embeddings().weight
    optimizer = torch.optim.AdamW(parameters, rate, (0.9, 0.98), weight_decay=0.01)
    optimizer.add_param_group({"params": [table], "weight_decay": 0.0})
    if head:
        optimizer.add_param_group({"params": of_head, "lr": rate * mask_lr_scale})
    highest = [group["lr"] for group in optimizer.param_groups]
    vocabulary = _tokens_of(names, processor)
    drawer = np.random.default_rng((seed, 12))
    losses: list[float] = []
    model.train()
    start = time.perf_counter()
    step_log = StepLog(log, "tower pretraining", steps)
    for step in range(steps):
        progress = step / steps
        if max_seconds is not None:
            progress = max(progress, (time.perf_counter() - start) / max_seconds)
            if progress >= 1:
                break
        for group, peak in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = peak * min(1.0, (progress + 1e-3) / WARM_UP) * 0.5 * (1 + np.cos(np.pi * progress))
        drawn = [next(lessons) for _ in range(batch)]
        lesson = {name: torch.from_numpy(np.stack([vars(one)[name] for one in drawn])) for name in vars(drawn[0])}
        pixels = lesson["pixels"].permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
            seen = tower(pixel_values=pixels).last_hidden_state
            features = projector(seen)
        spoken = [vocabulary[index] for index in drawer.integers(len(vocabulary), size=NAMES_A_STEP)]
        words = torch.stack([table[tokens].mean(0) for tokens, _ in spoken])
        loss = reader(features.float(), lesson) + reader.names(words, torch.tensor([one for _, one in spoken]))
        if head:
            with torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
                loss = loss + reader.masks(head, seen, lesson)
        loss.backward()
        losses.append(loss.item())
        grad_norm = torch.nn.utils.clip_grad_norm_([*parameters, *of_head], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step_log.add(losses[-1], optimizer.param_groups[0]["lr"], grad_norm.item(), batch, progress)
    for parameter in frozen:
        parameter.requires_grad_(False)
    return losses


def _tokens_of(names: SurfaceForms, processor: PaliGemmaProcessor) -> list[tuple[list[int], int]]:
    """The tokens of each name as it stands in a prompt, behind a space, and the class it means."""
    found = []
    for (_, class_id), surface_forms in sorted(names.items()):
        found += [
            (processor.tokenizer(f" {one}", add_special_tokens=False)["input_ids"], class_id) for one in surface_forms
        ]
    return [(tokens, class_id) for tokens, class_id in found if tokens and class_id < CLASSES]


def _lessons(
    frame: pl.DataFrame,
    size: int,
    patch: int,
    seed: int,
    augment: AugmentOptions,
    resize: Literal["stretch", "pad"],
    masks: int,
) -> Iterator[PatchTargets]:
    """Random views of random images, without end, each with so many masks."""
    rows = frame.to_dicts()
    pictures = [example_of_row(row) for row in rows]
    opened = [picture.load_image() for picture in pictures]
    maps = [
        Image.fromarray(class_map(row["structures"], row["width"], row["height"], image.width)).convert("RGB")
        for row, image in zip(rows, opened, strict=True)
    ]
    told = class_frequencies(frame)
    often = np.array([told[class_id] for class_id in range(CLASSES)], np.float32)
    rng = np.random.default_rng((seed, 11))
    while True:
        for index in rng.permutation(len(rows)).tolist():
            picture = pictures[index]
            view = random_view(rng, augment, whole_view(picture.size, resize))
            place = render_view(maps[index], view.geometry, size, Image.Resampling.NEAREST)[..., 0]
            shares = patch_shares(place, patch)
            asked = _draw(shares * often, rng)
            bins = _bins(asked, picture, view, augment.min_box_share)
            named = choose_classes(place, often, masks, rng)
            yield PatchTargets(
                render_view(opened[index], view, size), shares, asked, bins, named, place == named[:, None, None]
            )


def _draw(weights: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """For each patch one of its classes, those of larger weight more often; 0 if it shows none."""
    weights[:, 0] = 0
    edges = weights.cumsum(1)
    drawn = (edges < rng.random((len(edges), 1)) * edges[:, -1:]).sum(1)
    return np.where(edges[:, -1] > 0, drawn, 0)


def choose_classes(
    place: NDArray[np.uint8], often: NDArray[np.float32], number: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """So many of the classes in a view, those of larger weight more often; 0 for what it has not."""
    chosen = np.zeros(number, np.int64)
    there = np.flatnonzero(np.bincount(place.ravel())[1:]) + 1
    if len(there):
        drawn = rng.choice(there, min(number, len(there)), replace=False, p=often[there] / often[there].sum())
        chosen[: len(drawn)] = drawn
    return chosen


def _bins(asked: NDArray[np.int64], picture: ImageExample, view: View, kept: float) -> NDArray[np.int64]:
    """The sides of the box of each patch's class in the view, as bins."""
    table = np.full((CLASSES, 4), NOWHERE, np.int64)
    for class_id in set(asked.tolist()) & picture.boxes.keys():
        outline = picture.outline(class_id) if view.turn else None
        box = box_in_view(picture.boxes[class_id], view, kept, outline)
        if box is not None:
            table[class_id] = [bin_of(value) for value in box]
    return table[asked]
