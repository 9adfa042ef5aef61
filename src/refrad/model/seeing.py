"""Before a model from scratch learns to speak, its vision tower learns to see: which classes each patch shows.

PaliGemma's own tower comes trained; the tiny one would have to find out from boxes alone what an organ looks like. The masks in
the shards say it for every patch.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from torch import Tensor, nn
from torch.nn import functional
from transformers import PaliGemmaForConditionalGeneration

from refrad.model.augment import View, random_view, see
from refrad.model.rows import picture_of

__all__ = ["class_map", "patch_shares", "teach_to_see"]

CLASSES = 256  # as many as a label volume can hold; 0 is background
WARM_UP = 0.1  # of the steps

log = logging.getLogger(__name__)


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


def teach_to_see(
    model: PaliGemmaForConditionalGeneration,
    frame: pl.DataFrame,
    size: int,
    patch: int,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
) -> list[float]:
    """Train the vision tower of `model` in place on the rows of `frame` (with rle); the losses of all steps come back.

    The loss is the cross-entropy between the classes' shares of each patch and what a linear layer reads from its feature.
    """
    tower = model.model.vision_tower
    rows = frame.to_dicts()
    pictures = [picture_of(row) for row in rows]
    opened = [picture.open() for picture in pictures]
    maps = [
        Image.fromarray(class_map(row["structures"], row["width"], row["height"], image.width)).convert("RGB")
        for row, image in zip(rows, opened, strict=True)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = nn.Linear(tower.config.hidden_size, CLASSES)
    parameters = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, rate, (0.9, 0.98), weight_decay=0.01)
    rng = np.random.default_rng((seed, 11))
    losses: list[float] = []
    model.train()
    for step in range(steps):
        share = step / steps
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (share + 1e-3) / WARM_UP) * 0.5 * (1 + np.cos(np.pi * share))
        shown, wanted = [], []
        for index in rng.integers(len(rows), size=batch):
            view = random_view(rng)
            shown.append(see(opened[index], view, size))
            place = see(maps[index], View(view.window), size, Image.Resampling.NEAREST)[..., 0]
            wanted.append(patch_shares(place, patch))
        pixels = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() / 127.5 - 1
        losses.append(_step(tower, head, pixels, torch.from_numpy(np.stack(wanted))))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % max(1, steps // 5) == 0:
            log.info("learning to see: step %d of %d, loss %.3f", step + 1, steps, losses[-1])
    return losses


def _step(tower: nn.Module, head: nn.Module, pixels: Tensor, wanted: Tensor) -> float:
    """Gradients of one batch; gives the loss."""
    seen = head(tower(pixel_values=pixels).last_hidden_state)
    loss = functional.cross_entropy(seen.flatten(0, 1), wanted.flatten(0, 1))
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()
