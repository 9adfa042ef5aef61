"""The forward pass, packed or not."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from transformers import PaliGemmaForConditionalGeneration

from refrad.model.packing import packed_mask

__all__ = ["encode"]


def encode(
    model: PaliGemmaForConditionalGeneration, inputs: Mapping[str, Tensor], compute_dtype: str = "float32"
) -> tuple[Tensor, Tensor]:
    """The tower's output for each patch, and the language model's last hidden state.

    Args:
        model: a frozen tower runs without a graph.
        inputs: of `collate` or `pack`, without labels and masks: pixel_values float32 [images, 3, side, side], and input_ids and
            further tensors of the text, int64 [rows, length].
        compute_dtype: "bfloat16" or "float32", of matrix products.

    Returns:
        float [images, patches, width of the tower] and float [rows, length, width of the language model].
    """
    tower = model.model.vision_tower
    tower_trains = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in tower.parameters())
    with torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
        with torch.set_grad_enabled(tower_trains):
            features = tower(pixel_values=inputs["pixel_values"])
        features.pooler_output = model.model.multi_modal_projector(features.last_hidden_state)
        text = {name: tensor for name, tensor in inputs.items() if name != "pixel_values"}
        attention: dict[str, Tensor | BlockMask] = {}
        if "sample_ids" in text:
            implementation = model.config.get_text_config()._attn_implementation
            mask = packed_mask(text.pop("sample_ids"), text.pop("token_type_ids"), implementation)
            attention["attention_mask"] = mask
        hidden = model.model(
            **{**text, **attention}, mm_encoder_outputs={"image": features}, use_cache=False
        ).last_hidden_state
    return features.last_hidden_state, hidden
