"""The forward pass, packed or not."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from refrad.model.base_model import base_model_of

__all__ = ["encode"]


def encode(model: Any, inputs: Mapping[str, Tensor], compute_dtype: str = "float32") -> tuple[Any, Tensor]:
    """The tower's output for each patch, and the language model's last hidden state.

    Args:
        model: a frozen tower runs without a graph.
        inputs: of `collate` or `pack`, without labels and masks: pixel_values, and input_ids and further tensors of the text, int64
            [rows, length].
        compute_dtype: "bfloat16" or "float32", of matrix products.

    Returns:
        float [images, patches, width of the tower], None from a base model without a mask head, and float [rows, length, width of
        the language model].
    """
    with torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
        return base_model_of(model).encode(model, dict(inputs))
