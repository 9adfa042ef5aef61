"""The forward pass, packed or not."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PaliGemmaForConditionalGeneration

from refrad.model.packing import packed_mask

__all__ = ["encode"]


def encode(
    model: PaliGemmaForConditionalGeneration, inputs: Mapping[str, Tensor], compute_dtype: str = "float32"
) -> tuple[Tensor, Tensor]:
    """The tower's output for each patch [images, patches, width], and the language model's last hidden state.

    A frozen tower is run without a graph.
    """
    tower = model.model.vision_tower
    learns = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in tower.parameters())
    with torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
        with torch.set_grad_enabled(learns):
            features = tower(pixel_values=inputs["pixel_values"])
        features.pooler_output = model.model.multi_modal_projector(features.last_hidden_state)
        words: dict[str, Any] = {name: tensor for name, tensor in inputs.items() if name != "pixel_values"}
        if "sample_ids" in words:
            how = model.config.get_text_config()._attn_implementation
            words["attention_mask"] = packed_mask(words.pop("sample_ids"), words.pop("token_type_ids"), how)
        hidden = model.model(**words, mm_encoder_outputs={"image": features}, use_cache=False).last_hidden_state
    return features.last_hidden_state, hidden
