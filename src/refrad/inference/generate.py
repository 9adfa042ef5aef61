"""Generation with a trained model: greedy decoding of many prompts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import LogitsProcessorList, PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.model.base_model import base_model_of
from refrad.model.collate import Sample, collate
from refrad.model.forward import encode
from refrad.model.radgrounder import head_of

__all__ = ["GeneratedText", "generate", "generate_masks", "mask_dice"]

BATCH = 64


class GeneratedText(NamedTuple):
    """A generated answer: its text with tags, its number of tokens with eos, and whether it was cut, that is, has no eos."""

    text: str
    tokens: int
    cut: bool


@torch.no_grad()
def generate(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    images: Sequence[NDArray[np.uint8]],
    texts: Sequence[str],
    limit: int,
    batch: int = BATCH,
) -> list[GeneratedText]:
    """The model's answer to each text (see `refrad.model.prompts`) about its image (uint8 [height, width, 3]), in order.

    An answer ends at eos, or is cut after `limit` tokens, which may leave its last tag incomplete; tags are kept, and are
    well-formed. Prompts of like length are decoded together.
    """
    model.eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    answers: list[GeneratedText] = [GeneratedText("", 0, False)] * len(texts)
    eos = processor.tokenizer.eos_token_id
    grammar = LogitsProcessorList(base_model_of(model).grammar(processor))
    generate: Any = model.generate  # type: ignore[misc]
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
        sequences = generate(**inputs.to(model.device), max_new_tokens=limit, do_sample=False, logits_processor=grammar)
        new = sequences[:, inputs["input_ids"].shape[1] :].cpu()
        is_eos = new == eos
        ended, lengths = is_eos.any(1).tolist(), (is_eos.int().argmax(1) + 1).tolist()
        decoded = processor.batch_decode(new, skip_special_tokens=True)
        for i, text, has_end, length in zip(chosen, decoded, ended, lengths, strict=True):
            answers[i] = GeneratedText(text, length if has_end else new.shape[1], not has_end)
    return answers


@torch.no_grad()
def generate_masks(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    images: Sequence[NDArray[np.uint8]],
    texts: Sequence[str],
    answers: Sequence[str],
    batch: int = BATCH,
) -> list[NDArray[np.bool_]]:
    """The masks of the answers of a model with a mask head: for each answer bool [closing tags, side, side], in their order.

    Each answer is read once more with its prompt, as a target in training; the hidden state at a `</seg>` prompts its mask.

    Raises:
        ValueError: if the model has no mask head.
    """
    head = head_of(model)
    if head is None:
        raise ValueError("the model has no mask head: it answers with boxes")
    model.eval()
    answer_masks: list[NDArray[np.bool_]] = []
    for first in range(0, len(texts), batch):
        chosen = range(first, min(first + batch, len(texts)))
        tensors = collate(processor, [Sample("", "", images[i], texts[i], answers[i]) for i in chosen])
        inputs = {name: tensor.to(model.device) for name, tensor in tensors.items()}
        ends = (inputs.pop("labels") == head.end).nonzero()
        patches, hidden = (states.float() for states in encode(model, inputs))  # the head is float32
        drawn = (head(patches, hidden, ends, images[first].shape[0]) > 0).cpu().numpy()
        answer_masks += [drawn[(ends[:, 0] == row).cpu().numpy()] for row in range(len(chosen))]
    return answer_masks


def mask_dice(
    model: PaliGemmaForConditionalGeneration, processor: PaliGemmaProcessor, samples: Sequence[Sample]
) -> float | None:
    """Mean Dice of the masks that a model gives for the phrases of true targets (not of generated answers); None without any."""
    drawn = generate_masks(
        model,
        processor,
        [sample.image for sample in samples],
        [sample.text for sample in samples],
        [sample.target for sample in samples],
    )
    scores = [
        2 * (mask & true).sum() / max(mask.sum() + true.sum(), 1)
        for sample, masks in zip(samples, drawn, strict=True)
        if sample.masks is not None
        for mask, true in zip(masks, sample.masks, strict=True)
    ]
    return float(np.mean(scores)) if scores else None
