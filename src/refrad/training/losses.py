"""The loss: cross-entropy of the target's tokens, computed without holding all logits at once."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

__all__ = ["IGNORED", "SoftLabels", "labelled_loss", "soft_log_likelihood"]

IGNORED = -100


@dataclass(frozen=True)
class SoftLabels:
    """Ordered words (<loc> tokens) whose labels are Gaussian: part of the probability belongs to the neighbours.

    first: id of the first word. count: number of words. sigma: standard deviation, in words.
    """

    first: int
    count: int
    sigma: float


def labelled_loss(
    hidden: Tensor,
    vocabulary: Tensor,
    labels: Tensor,
    softcap: float | None = None,
    soft_labels: SoftLabels | None = None,
    chunk: int = 1024,
) -> Tensor:
    """Mean cross-entropy over the labelled tokens, in float32.

    Logits are made only where there is a label, `chunk` tokens at a time, and again in the backward pass: with 257k words
    this is a gigabyte instead of ten. Logits are capped as Gemma 2 does it: softcap * tanh(z / softcap). The product with the
    vocabulary is in the dtype of `hidden`; cap, softmax and sums are float32.

    Args:
        hidden: float32 or bfloat16 [batch, length, width], the last hidden state.
        vocabulary: float32 [words, width], the output embedding.
        labels: int64 [batch, length], the token at each position (not the next one); IGNORED where none is learned. On the
            CPU a GPU need not be waited for.
        softcap: of the logits; None for none.
        soft_labels: words with soft labels; None for plain cross-entropy.
        chunk: labelled tokens at a time.
    """
    labels = labels[:, 1:]
    rows, positions = (labels != IGNORED).nonzero(as_tuple=True)
    words = labels[rows, positions].to(hidden.device, non_blocking=True)
    states = hidden[rows.to(hidden.device, non_blocking=True), positions.to(hidden.device, non_blocking=True)]
    vocabulary = vocabulary.to(hidden.dtype)  # once: the copy serves all chunks, forward and backward

    def part(states: Tensor, words: Tensor) -> Tensor:
        logits = functional.linear(states, vocabulary).float()
        if softcap:
            logits = softcap * torch.tanh(logits / softcap)
        if soft_labels is None:
            return functional.cross_entropy(logits, words, reduction="sum")
        log_probs = functional.log_softmax(logits, dim=1)
        is_soft = (words >= soft_labels.first) & (words < soft_labels.first + soft_labels.count)
        plain = log_probs[~is_soft].gather(1, words[~is_soft, None]).sum()
        return -plain - soft_log_likelihood(log_probs[is_soft], words[is_soft], soft_labels)

    if len(words) <= chunk:
        return part(states, words) / max(len(words), 1)
    parts = zip(states.split(chunk), words.split(chunk), strict=True)
    sums = [checkpoint(part, states, words, use_reentrant=False) for states, words in parts]
    return torch.stack(sums).sum() / len(words)


def soft_log_likelihood(log_probs: Tensor, words: Tensor, soft_labels: SoftLabels) -> Tensor:
    """Sum over tokens of the log probabilities, weighted by the soft label of the right word, which ends at 3 sigma.

    Args:
        log_probs: float32 [tokens, words].
        words: int64 [tokens], the right word of each token, among those of `soft_labels`.
        soft_labels: the ordered words.
    """
    reach = math.ceil(3 * soft_labels.sigma)
    offsets = torch.arange(-reach, reach + 1, device=words.device)
    near = words[:, None] + offsets
    inside = (near >= soft_labels.first) & (near < soft_labels.first + soft_labels.count)
    weights = torch.exp(-0.5 * (offsets / soft_labels.sigma) ** 2) * inside
    weights = weights / weights.sum(1, keepdim=True)
    return (log_probs.gather(1, near.where(inside, soft_labels.first)) * weights).sum()
