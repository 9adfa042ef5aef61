"""The cost of a training: multiplications and additions, counted by running the real layers on the meta device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

__all__ = ["Shape", "flops_per_sample", "on_meta"]


@dataclass(frozen=True)
class Shape:
    """Numbers of tokens of a sample: of the image, of the text, and of the target, which is part of the text."""

    image: int = 256
    text: int = 100
    target: int = 60


def on_meta(config: PaliGemmaConfig) -> PaliGemmaForConditionalGeneration:
    """The model without memory for its weights."""
    config._attn_implementation = "eager"
    with torch.device("meta"):
        return PaliGemmaForConditionalGeneration(config)


def flops_per_sample(
    model: PaliGemmaForConditionalGeneration,
    shape: Shape,
    frozen_tower: bool = True,
    recompute: bool = False,
    every_logit: bool = False,
    chunked_head: bool = False,
) -> dict[str, float]:
    """FLOPs of one sample's forward and backward pass, by part: tower, language, head; and their total.

    Args:
        model: on the meta device.
        shape: of the sample.
        frozen_tower: the tower runs forward only.
        recompute: gradient checkpointing, which repeats the forward pass of trained layers in the backward pass.
        every_logit: logits of all tokens instead of those of the target.
        chunked_head: logits in chunks, which are computed once more in the backward pass, as `labelled_loss` does it with more
            targets in a batch than a chunk has. Leave it out to count useful operations only.
    """
    config = model.config.get_text_config()
    pixels = torch.zeros(1, 3, *(2 * [model.config.vision_config.image_size]), device="meta")  # type: ignore[union-attr]
    words = torch.zeros(1, shape.image + shape.text, config.hidden_size, device="meta", requires_grad=True)
    rows = shape.image + shape.text if every_logit else shape.target
    states = torch.zeros(rows, config.hidden_size, device="meta", requires_grad=True)
    open_mask = torch.zeros(1, 1, words.shape[1], words.shape[1], device="meta")
    masks = {"full_attention": open_mask, "sliding_attention": open_mask}
    tower: Any = model.model.vision_tower
    language: Any = model.model.language_model
    tower.requires_grad_(not frozen_tower)

    def run_tower() -> Any:
        return tower(pixel_values=pixels).last_hidden_state

    def run_language() -> Any:
        return language(inputs_embeds=words, attention_mask=masks, use_cache=False).last_hidden_state

    def run_head() -> Any:
        return model.lm_head(states)

    counted = {}
    for part, run, is_trained, is_repeated in (
        ("tower", run_tower, not frozen_tower, recompute),
        ("language", run_language, True, recompute),
        ("head", run_head, True, chunked_head),
    ):
        forward = _count(run, False)
        counted[part] = (_count(run, True) if is_trained else forward) + (forward if is_repeated else 0)
    return counted | {"total": sum(counted.values())}


def _count(run: Callable[[], Any], backward: bool) -> float:
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        output = run()
        if backward:
            output.sum().backward()
    return float(counter.get_total_flops())
