"""Samples to batches: their order, and their tensors."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PaliGemmaProcessor

from refrad.model.samples import Sample, Samples

__all__ = ["batch_order", "collate"]


def batch_order(samples: Samples, batch: int, seed: int) -> Iterator[list[tuple[int, int]]]:
    """Keys (epoch, index) of the batches of all epochs, without end: a pure function of the arguments.

    The samples of a batch have one task, so they are of similar length and little is padded. What fills no batch at the end
    of an epoch is left out of it.
    """
    epoch = 0
    while True:
        rng = np.random.default_rng((seed, epoch))
        groups: dict[str, list[tuple[int, int]]] = {}
        for index in rng.permutation(len(samples)).tolist():
            groups.setdefault(samples.task(epoch, index), []).append((epoch, index))
        full = [group[i : i + batch] for group in groups.values() for i in range(0, len(group) - batch + 1, batch)]
        yield from (full[i] for i in rng.permutation(len(full))) if full else groups.values()
        epoch += 1


def collate(processor: PaliGemmaProcessor, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """The tensors of a batch, padded on the right: input_ids, attention_mask, token_type_ids (0 prefix, 1 target),
    labels (the target and eos; -100 elsewhere), all int64 [batch, length], and pixel_values float32 [batch, 3, side, side].
    """
    made = processor(
        images=[Image.fromarray(sample.image) for sample in samples],
        text=[sample.text for sample in samples],
        suffix=[sample.target for sample in samples],
        padding="longest",
        padding_side="right",
        return_tensors="pt",
    )
    return {name: tensor if isinstance(tensor, Tensor) else torch.as_tensor(tensor) for name, tensor in made.items()}
