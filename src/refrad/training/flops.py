"""The cost of a training: multiplications and additions, counted by running the real layers on the meta device."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

__all__ = ["Shape", "flops_per_sample", "on_meta"]


@dataclass(frozen=True)
class Shape:
    """Of a sample: tokens of the image and of the text, and how many of the text's are learned."""

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
) -> dict[str, float]:
    """FLOPs of one sample's forward and backward pass, by part: tower, language, head; and their total.

    Args:
        model: on the meta device.
        shape: of the sample.
        frozen_tower: the tower runs forward only.
        recompute: forward passes of the layers that learn are done again in the backward pass (gradient checkpointing);
            a frozen tower inside the checkpoints is then run again as well.
        every_logit: logits of all places instead of the learned ones.
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
    tower_learns = not frozen_tower
    tower.requires_grad_(tower_learns)

    def see() -> Any:
        return tower(pixel_values=pixels).last_hidden_state

    def speak() -> Any:
        return language(inputs_embeds=words, attention_mask=masks, use_cache=False).last_hidden_state

    def name() -> Any:
        return model.lm_head(states)

    counted = {}
    for part, run, learns, again in (
        ("tower", see, tower_learns, recompute),
        ("language", speak, True, recompute),
        ("head", name, True, False),
    ):
        forward = _count(run, False)
        counted[part] = (_count(run, True) if learns else forward) + (forward if again else 0)
    return counted | {"total": sum(counted.values())}


def _count(run, backward: bool) -> float:  # type: ignore[no-untyped-def]
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        output = run()
        if backward:
            output.sum().backward()
    return float(counter.get_total_flops())
