"""Asking a trained model: greedy decoding of many prompts."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

__all__ = ["answers"]

BATCH = 64


@torch.no_grad()
def answers(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    images: Sequence[NDArray[np.uint8]],
    texts: Sequence[str],
    limit: int,
    batch: int = BATCH,
) -> list[str]:
    """The model's answer to each text (see `prompts.asking`) about its image (uint8 [height, width, 3]), in order.

    An answer ends at eos or after `limit` tokens; tags are kept. Prompts of like length are decoded together.
    """
    model.eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = [""] * len(texts)
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        inputs = processor(
            images=[Image.fromarray(images[i]) for i in chosen],
            text=[texts[i] for i in chosen],
            padding="longest",
            padding_side="left",
            return_tensors="pt",
        )
        inputs.pop("labels", None)
        made = model.generate(**inputs.to(model.device), max_new_tokens=limit, do_sample=False)  # type: ignore[misc]
        new = processor.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for i, text in zip(chosen, new, strict=True):
            found[i] = text
    return found
