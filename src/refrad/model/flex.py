"""Flex attention with query, key and value of one dtype."""

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.flex_attention import flex_attention_forward

__all__ = ["register_flex_attention"]


def register_flex_attention() -> None:
    """Let "flex_attention" of transformers, in this process, bring query and key to the dtype of the value.

    Under autocast the residual stream is float32, so the rotary embedding turns query and key into float32 while the value is
    bfloat16. torch converts them in autocast since the release that takes flex attention into its rules; others refuse the
    mixture, or multiply in float32. Without autocast nothing changes.
    """
    AttentionInterface.register("flex_attention", _flex_attention)


def _flex_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any
) -> tuple[Tensor, Tensor | None]:
    output: tuple[Tensor, Tensor | None] = flex_attention_forward(
        module, query.to(value.dtype), key.to(value.dtype), value, *rest, **options
    )
    return output
