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
    shares: Mapping[nn.Parameter, float] | None = None,
) -> torch.optim.Optimizer:
    """AdamW, or Adafactor with a given rate (no momentum, factored second moments: 4 bytes a weight less by half).

    Vectors (biases, norms) do not decay. Weights must be float32: in bfloat16 a step at 5e-5 rounds to nothing for most.
    `shares`: of the rate, for weights that do not learn at all of it.

    Raises:
        ValueError: if a weight is of lower precision.
    """
    weights = list(parameters)
    if any(weight.dtype != torch.float32 for weight in weights):
        raise ValueError("weights that learn must be float32; only the multiplications may be bfloat16")
    alike: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in weights:
        of_group = rate * (shares or {}).get(weight, 1.0), weight_decay if weight.ndim >= 2 else 0.0
        alike.setdefault(of_group, []).append(weight)
    groups = [{"params": ones, "lr": top, "weight_decay": decay} for (top, decay), ones in alike.items()]
    if name == "adafactor":
        return Adafactor(groups, lr=rate, scale_parameter=False, relative_step=False, warmup_init=False)
    return torch.optim.AdamW(groups, rate, BETAS, fused=True)


def lr_factor(progress: float, warmup_ratio: float) -> float:
    """Share of the full learning rate at a progress in 0..1: a linear warm-up (over the share `warmup_ratio`) times a half cosine."""
    rising = min(1.0, (progress + 1e-3) / warmup_ratio) if warmup_ratio else 1.0
    return rising * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
