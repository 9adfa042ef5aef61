"""nnU-Net's sum of tiles and its argmax over classes, bit for bit the same but faster on a CPU.

nnU-Net keeps logits in half precision, which CPUs compare and search slowly: a small network spent more than half of the time of a
volume on that.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["argmax_classes", "sum_tiles"]

BLOCK = 2**16  # voxels processed together, so that they stay in the cache of the CPU


def argmax_classes(logits: NDArray[np.floating[Any]]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The class with the largest logit at each voxel, the first of equal ones, as numpy.argmax(logits, 0).

    Args:
        logits: float16 or float32 [class, ...].

    Returns:
        uint8 [...], or uint16 for more than 256 classes.
    """
    import torch

    classes, shape = len(logits), logits.shape[1:]
    flat = torch.from_numpy(np.ascontiguousarray(logits).reshape(classes, -1))
    labels: NDArray[Any] = np.zeros(flat.shape[1], np.uint8 if classes <= 256 else np.uint16)
    for start in range(0, len(labels), BLOCK):
        block, block_labels = flat[:, start : start + BLOCK], labels[start : start + BLOCK]
        best = block[0].float().numpy().copy()
        for number in range(1, classes):
            values = block[number].float().numpy()
            np.copyto(block_labels, number, where=values > best)
            np.maximum(best, values, out=best)  # which keeps NaN
        if np.isnan(best).any():
            block_labels[:] = block.numpy().argmax(0)
    return labels.reshape(shape)


def sum_tiles(predictor: Any, image: Any, slicers: Any) -> Any:
    """Logits of a volume from its tiles: replaces nnUNetPredictor._internal_predict_sliding_window_return_logits on a CPU.

    Args:
        predictor: the nnUNetPredictor, on the CPU.
        image: tensor [channel, z, y, x], no smaller than a tile.
        slicers: positions of the tiles, each a slice of all channels and three of space.

    Returns:
        tensor float16 [class, z, y, x]: the mean over the tiles at each voxel, weighted by nnU-Net's Gaussian.

    Raises:
        RuntimeError: if a sum is infinite, as in nnU-Net.
    """
    import torch
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

    tile = tuple(predictor.configuration_manager.patch_size)
    weights = compute_gaussian(tile, sigma_scale=1.0 / 8, value_scaling_factor=10, device=image.device)
    weights_32 = weights.float()
    with torch.inference_mode():
        sums = torch.zeros((predictor.label_manager.num_segmentation_heads, *image.shape[1:]), dtype=torch.half)
        total = torch.zeros(image.shape[1:], dtype=torch.half)
        for slicer in slicers:
            prediction = predictor._internal_maybe_mirror_and_predict(image[slicer][None].contiguous())[0]
            sums[slicer].add_(prediction.mul_(weights_32))
            total[slicer[1:]].add_(weights)
        sums.div_(total)
        lowest, highest = (float(value) for value in torch.aminmax(sums))
        # NaN hides infinity in a minimum and maximum.
        if np.isinf([lowest, highest]).any() or (np.isnan(lowest) and torch.isinf(sums).any()):
            raise RuntimeError("the network's sums are infinite")
    return sums
