"""The optimizer, and the learning rate over a training."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import nn
from transformers import Adafactor

__all__ = ["lr_factor", "make_optimizer"]

BETAS = (0.9, 0.98)


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    name: Literal["adamw", "adafactor"],
    rate: float,
    weight_decay: float,
    lr_scales: Mapping[nn.Parameter, float] | None = None,
) -> torch.optim.Optimizer:
    """AdamW, or Adafactor with a fixed rate (no momentum, factored second moments: nearly none of the 8 bytes a weight of AdamW).

    Args:
        parameters: weights to train, float32: in bfloat16 a step at 5e-5 rounds to zero for most weights.
        name: of the optimizer.
        rate: learning rate.
        weight_decay: of matrices; vectors (biases, norms) do not decay.
        lr_scales: learning rate of single weights over `rate`; 1 for weights that are not in it.

    Raises:
        ValueError: if a weight is not float32.
    """
    weights = list(parameters)
    if any(weight.dtype != torch.float32 for weight in weights):
        raise ValueError("trained weights must be float32; only matrix products may be bfloat16")
    by_rate_and_decay: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in weights:
        key = rate * (lr_scales or {}).get(weight, 1.0), weight_decay if weight.ndim >= 2 else 0.0
        by_rate_and_decay.setdefault(key, []).append(weight)
    groups = [{"params": group, "lr": lr, "weight_decay": decay} for (lr, decay), group in by_rate_and_decay.items()]
    if name == "adafactor":
        return Adafactor(groups, lr=rate, scale_parameter=False, relative_step=False, warmup_init=False)
    return torch.optim.AdamW(groups, rate, BETAS, fused=True)


def lr_factor(progress: float, warmup_ratio: float) -> float:
    """Factor of the peak learning rate at a progress in 0..1: linear warm-up over `warmup_ratio` times a half cosine."""
    warmup = min(1.0, (progress + 1e-3) / warmup_ratio) if warmup_ratio else 1.0
    return warmup * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
