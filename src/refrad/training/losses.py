"""The loss: cross-entropy of the target's tokens, without ever holding all logits."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

__all__ = ["IGNORED", "SoftLabels", "labelled_loss"]

IGNORED = -100


@dataclass(frozen=True)
class SoftLabels:
    """Ordered words (<loc> tokens) that are learned as hills: some of the probability belongs to the neighbours.

    first: id of the first word of the order. count: how many. spread: standard deviation of the hill, in words.
    """

    first: int
    count: int
    spread: float


def labelled_loss(
    hidden: Tensor,
    vocabulary: Tensor,
    labels: Tensor,
    softcap: float | None = None,
    hills: SoftLabels | None = None,
    chunk: int = 1024,
) -> Tensor:
    """Mean cross-entropy over the labelled tokens, in float32.

    Logits are made only where there is a label, `chunk` tokens at a time, and again in the backward pass: with 257k words
    this is a gigabyte instead of ten. Logits are capped as Gemma 2 does it: softcap * tanh(z / softcap).

    Args:
        hidden: float [batch, length, width], the last hidden state.
        vocabulary: float [words, width], the output embedding.
        labels: int64 [batch, length], the token at each place (not the next one); IGNORED where none is learned.
        softcap: of the logits; None for none.
        hills: words whose neighbours are nearly right; None for plain cross-entropy.
        chunk: labelled tokens at a time.
    """
    predicted, labels = hidden[:, :-1], labels[:, 1:]
    kept = labels != IGNORED
    states, words = predicted[kept], labels[kept]

    def part(states: Tensor, words: Tensor) -> Tensor:
        logits = functional.linear(states, vocabulary).float()
        if softcap:
            logits = softcap * torch.tanh(logits / softcap)
        if hills is None:
            return functional.cross_entropy(logits, words, reduction="sum")
        chances = functional.log_softmax(logits, dim=1)
        places = (words >= hills.first) & (words < hills.first + hills.count)
        plain = chances[~places].gather(1, words[~places, None]).sum()
        return -plain - _under_hills(chances[places], words[places], hills)

    if len(words) <= chunk:
        return part(states, words) / max(len(words), 1)
    parts = zip(states.split(chunk), words.split(chunk), strict=True)
    sums = [checkpoint(part, states, words, use_reentrant=False) for states, words in parts]
    return torch.stack(sums).sum() / len(words)


def _under_hills(chances: Tensor, words: Tensor, hills: SoftLabels) -> Tensor:
    """Sum over tokens of the log probabilities weighted by the hill around the right word; hills are cut at 3 spreads."""
    reach = math.ceil(3 * hills.spread)
    offsets = torch.arange(-reach, reach + 1, device=words.device)
    near = words[:, None] + offsets
    inside = (near >= hills.first) & (near < hills.first + hills.count)
    weights = torch.exp(-0.5 * (offsets / hills.spread) ** 2) * inside
    weights = weights / weights.sum(1, keepdim=True)
    return (chances.gather(1, near.where(inside, hills.first)) * weights).sum()
