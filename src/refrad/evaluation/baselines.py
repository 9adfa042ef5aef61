"""Baseline answers that need no model: the mean box and the mean mask of each class over training images."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refrad.core.types import Box
from refrad.dataset.examples import ImageExample

__all__ = ["MEAN_MASK_SIDE", "mean_boxes", "mean_masks"]

MEAN_MASK_SIDE = 128  # px


def mean_boxes(images: Iterable[ImageExample]) -> dict[int, Box]:
    """The mean box (x_min, y_min, x_max, y_max) of each class over training images, as shares of width and height."""
    boxes: dict[int, list[Box]] = {}
    for image in images:
        for class_id, box in image.boxes.items():
            boxes.setdefault(class_id, []).append(box)
    return {class_id: tuple(np.mean(values, axis=0).tolist()) for class_id, values in boxes.items()}  # type: ignore[misc]


def mean_masks(images: Iterable[ImageExample]) -> dict[int, NDArray[np.bool_]]:
    """The mean mask of each class over training images, bool [MEAN_MASK_SIDE, MEAN_MASK_SIDE].

    It holds the pixels that the class covers most often, as many as the class covers on average. Images are resized to the
    square without preserving their aspect.
    """
    sums: dict[int, NDArray[np.float64]] = {}
    counts: dict[int, int] = {}
    for image in images:
        for class_id in image.mask_rles:
            whole = Image.fromarray(image.mask([class_id])).convert("L")
            small = whole.resize((MEAN_MASK_SIDE, MEAN_MASK_SIDE), Image.Resampling.BOX)
            sums[class_id] = sums.get(class_id, 0) + np.asarray(small, np.float64) / 255
            counts[class_id] = counts.get(class_id, 0) + 1
    masks = {}
    for class_id, total in sums.items():
        pixels = max(1, round(total.sum() / counts[class_id]))
        mask = np.zeros(total.size, bool)
        mask[np.argsort(-total, axis=None, kind="stable")[:pixels]] = True
        masks[class_id] = mask.reshape(total.shape)
    return masks
