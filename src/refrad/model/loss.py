"""The loss: cross-entropy of the target's tokens, without ever holding all logits."""

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

__all__ = ["IGNORED", "labelled_loss"]

IGNORED = -100


def labelled_loss(
    hidden: Tensor, vocabulary: Tensor, labels: Tensor, softcap: float | None = None, chunk: int = 1024
) -> Tensor:
    """Mean cross-entropy over the labelled tokens, in float32.

    Logits are made only where there is a label, `chunk` tokens at a time, and again in the backward pass: with 257k words
    this is a gigabyte instead of ten. Logits are capped as Gemma 2 does it: softcap * tanh(z / softcap).

    Args:
        hidden: float [batch, length, width], the last hidden state.
        vocabulary: float [words, width], the output embedding.
        labels: int64 [batch, length], the token at each place (not the next one); IGNORED where none is learned.
        softcap: of the logits; None for none.
        chunk: labelled tokens at a time.
    """
    predicted, labels = hidden[:, :-1], labels[:, 1:]
    kept = labels != IGNORED
    states, words = predicted[kept], labels[kept]

    def part(states: Tensor, words: Tensor) -> Tensor:
        logits = functional.linear(states, vocabulary).float()
        if softcap:
            logits = softcap * torch.tanh(logits / softcap)
        return functional.cross_entropy(logits, words, reduction="sum")

    if len(words) <= chunk:
        return part(states, words) / max(len(words), 1)
    parts = zip(states.split(chunk), words.split(chunk), strict=True)
    sums = [checkpoint(part, states, words, use_reentrant=False) for states, words in parts]
    return torch.stack(sums).sum() / len(words)
