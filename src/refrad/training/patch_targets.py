"""Targets of the vision tower's pretraining: the classes in each patch of a view, their boxes and their masks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from refrad.config import AugmentOptions
from refrad.core.types import SEG_TOKENS
from refrad.dataset.example_rows import ExampleRows
from refrad.dataset.examples import ImageExample, example_of_row
from refrad.dataset.shard_rows import StructureStruct
from refrad.model.box_tokens import bin_of
from refrad.model.preprocess import View, box_in_view, render_view, whole_view
from refrad.training.augment import random_view
from refrad.training.samples import class_frequencies

__all__ = ["NO_BIN", "PatchTargets", "choose_classes", "class_map", "draw_views", "patch_shares"]

NO_BIN = -1
KEPT_BYTES = 400_000_000  # of decoded images and class maps, three bytes a pixel each
ROW_BYTES = 30_000  # of an example without its picture, about


@dataclass(frozen=True)
class PatchTargets:
    """A view of an image and the targets of its patches, which are in row order.

    pixels: uint8 [side, side, 3]. shares: float32 [patches, SEG_TOKENS], share of each class in each patch.
    box_classes: int64 [patches], the class whose box a patch predicts. box_bins: int64 [patches, 4], bins of x_min, y_min,
    x_max, y_max; NO_BIN where there is no box to predict. mask_classes: int64 [n], the classes whose masks are predicted,
    0 where the view has fewer. masks: bool [n, side, side].
    """

    pixels: NDArray[np.uint8]
    shares: NDArray[np.float32]
    box_classes: NDArray[np.int64]
    box_bins: NDArray[np.int64]
    mask_classes: NDArray[np.int64]
    masks: NDArray[np.bool_]


def class_map(structures: Sequence[StructureStruct], width: int, height: int, size: int) -> NDArray[np.uint8]:
    """Class ids uint8 [size, size] of an image from its run-length masks, stretched as the picture is; 0 is background."""
    classes = np.zeros((height, width), np.uint8)
    for structure in structures:
        mask = coco.decode({"size": [height, width], "counts": str(structure["rle"]).encode("ascii")})
        classes[np.asarray(mask, bool)] = structure["class_id"]
    return np.asarray(Image.fromarray(classes).resize((size, size), Image.Resampling.NEAREST))


def patch_shares(classes: NDArray[np.uint8], patch: int) -> NDArray[np.float32]:
    """Share of each class in each patch, float32 [patches, SEG_TOKENS], patches row by row; `classes` is [side, side]."""
    side = len(classes) // patch
    patches = classes.reshape(side, patch, side, patch).swapaxes(1, 2).reshape(side * side, patch * patch)
    flat = np.arange(side * side)[:, None] * SEG_TOKENS + patches
    counts = np.bincount(flat.ravel(), minlength=side * side * SEG_TOKENS).reshape(-1, SEG_TOKENS)
    return (counts / patch**2).astype(np.float32)


def draw_views(
    rows: ExampleRows,
    side: int,
    patch: int,
    masks: int,
    seed: int,
    augment: AugmentOptions,
    resize: Literal["stretch", "pad"],
) -> Iterator[PatchTargets]:
    """Random views of random images, without end.

    Args:
        rows: of which some are kept decoded, as many as `KEPT_BYTES` allow.
        side: of the views, px.
        patch: side of a patch, px.
        masks: number of masks of each view.
        seed: of all random choices.
        augment: how views are drawn.
        resize: how an image fills the square, see `whole_view`.
    """
    decoded = _Decoded(rows)
    counts = class_frequencies(rows)
    frequencies = np.array([counts[class_id] for class_id in range(SEG_TOKENS)], np.float32)
    rng = np.random.default_rng((seed, 11))
    while True:
        for index in rng.permutation(len(rows)).tolist():
            example, image, classes_of_image = decoded[index]
            view = random_view(rng, augment, whole_view(example.size, resize))
            classes = render_view(classes_of_image, view.geometry, side, Image.Resampling.NEAREST)[..., 0]
            shares = patch_shares(classes, patch)
            box_classes = _draw_box_classes(shares * frequencies, rng)
            box_bins = _box_bins(box_classes, example, view, augment.min_box_share)
            mask_classes = choose_classes(classes, frequencies, masks, rng)
            pixels = render_view(image, view, side)
            yield PatchTargets(
                pixels, shares, box_classes, box_bins, mask_classes, classes == mask_classes[:, None, None]
            )


class _Decoded:
    """Rows as examples with their image and their class map. The first to be read stay in memory, about KEPT_BYTES of them."""

    def __init__(self, rows: ExampleRows) -> None:
        self._rows = rows
        self._kept: dict[int, tuple[ImageExample, Image.Image, Image.Image]] = {}
        self._bytes = 0

    def __getitem__(self, number: int) -> tuple[ImageExample, Image.Image, Image.Image]:
        if number in self._kept:
            return self._kept[number]
        row = self._rows[number]
        example = example_of_row(row)
        image = example.load_image()
        classes = class_map(row["structures"] or (), row["width"], row["height"], image.width)
        decoded = replace(example, encoded={}), image, Image.fromarray(classes).convert("RGB")
        if self._bytes < KEPT_BYTES:
            self._kept[number] = decoded
            self._bytes += 6 * image.width * image.height + ROW_BYTES
        return decoded


def _draw_box_classes(weights: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """For each patch one of its classes, drawn in proportion to `weights` [patches, SEG_TOKENS]; 0 if it has none."""
    weights[:, 0] = 0
    edges = weights.cumsum(1)
    drawn = (edges < rng.random((len(edges), 1)) * edges[:, -1:]).sum(1)
    return np.where(edges[:, -1] > 0, drawn, 0)


def choose_classes(
    classes: NDArray[np.uint8], frequencies: NDArray[np.float32], number: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `number` of the classes in a view, in proportion to `frequencies`; int64 [number], 0 where the view has fewer.

    `classes` is the view's class map [side, side].
    """
    chosen = np.zeros(number, np.int64)
    present = np.flatnonzero(np.bincount(classes.ravel())[1:]) + 1
    if len(present):
        weights = frequencies[present] / frequencies[present].sum()
        drawn = rng.choice(present, min(number, len(present)), replace=False, p=weights)
        chosen[: len(drawn)] = drawn
    return chosen


def _box_bins(box_classes: NDArray[np.int64], example: ImageExample, view: View, min_share: float) -> NDArray[np.int64]:
    """Bins int64 [patches, 4] of the box in the view of each patch's class; NO_BIN if less than `min_share` of it is left."""
    table = np.full((SEG_TOKENS, 4), NO_BIN, np.int64)
    for class_id in set(box_classes.tolist()) & example.boxes.keys():
        outline = example.outline(class_id) if view.turn else None
        box = box_in_view(example.boxes[class_id], view, min_share, outline)
        if box is not None:
            table[class_id] = [bin_of(value) for value in box]
    return table[box_classes]
