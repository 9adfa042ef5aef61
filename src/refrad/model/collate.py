"""A batch's tensors from its samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import PaliGemmaProcessor

__all__ = ["Sample", "collate"]


@dataclass(frozen=True)
class Sample:
    """One question and its answer. `image` is uint8 [size, size, 3]; `text` is passed to the processor with it.

    `masks` is bool [phrases, size, size], in the order in which the phrases of the target close; None in the detection variant.
    """

    task: str
    language: str
    image: NDArray[np.uint8]
    text: str
    target: str
    masks: NDArray[np.bool_] | None = None
    image_id: str = ""


def collate(processor: PaliGemmaProcessor, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """The tensors of a batch, padded on the right, of PaliGemma (for Qwen3-VL see `QwenProcessor`): input_ids, attention_mask,
    token_type_ids (0 prefix, 1 target),
    labels (the target and eos; -100 elsewhere), all int64 [batch, length], and pixel_values float32 [batch, 3, side, side].
    In the segmentation variant also masks, bool [all phrases, side, side], in the order of the `</seg>` in the labels.
    """
    inputs = processor(
        images=[Image.fromarray(sample.image) for sample in samples],
        text=[sample.text for sample in samples],
        suffix=[sample.target for sample in samples],
        padding="longest",
        padding_side="right",
        return_tensors="pt",
    )
    tensors = {name: value if isinstance(value, Tensor) else torch.as_tensor(value) for name, value in inputs.items()}
    masks = [torch.from_numpy(sample.masks) for sample in samples if sample.masks is not None]
    return tensors | {"masks": torch.cat(masks)} if masks else tensors
