"""The grammar of detection tags in generated text."""

import torch
from torch import LongTensor, Tensor
from transformers import LogitsProcessor, PaliGemmaProcessor

from refrad.core.types import SEG_TOKENS
from refrad.model.box_tokens import COORDINATE_BINS

__all__ = ["WellFormed"]

SIDES = 4


class WellFormed(LogitsProcessor):
    """Keeps a tag that was begun well-formed: four coordinates, of which the last two are no less than the first two, then a class."""

    def __init__(self, processor: PaliGemmaProcessor) -> None:
        words = ["<p bbox=", "<loc0000>", " id=", "<seg000>"]
        self.tag, self.loc, self.id, self.seg = processor.tokenizer.convert_tokens_to_ids(words)
        (self.end,) = processor.tokenizer(">", add_special_tokens=False)["input_ids"]  # a byte in a small vocabulary

    def __call__(self, input_ids: LongTensor, scores: Tensor) -> Tensor:
        """Scores float [batch, words] with all words at -inf that would spoil a tag.

        Only tensors are used, so a GPU need not wait for the CPU after each word. Of the four cases below a later one overrides
        an earlier one.
        """
        last, before = input_ids[:, -1], input_ids[:, -2]
        from_end = (input_ids[:, -SIDES - 1 :].flip(1) == self.tag).int()  # 1 where a tag begins, the last word first
        is_open, sides = from_end.any(1), from_end.argmax(1)
        first = torch.where(sides >= 2, before, self.loc)  # no less than the opposite side
        end = torch.full_like(first, self.loc + COORDINATE_BINS)
        for applies, lowest, number in (
            (is_open & (sides == SIDES), self.id, 1),
            (~is_open, 0, scores.shape[1]),
            (before == self.id, self.end, 1),
            (last == self.id, self.seg, SEG_TOKENS),
        ):
            first, end = first.masked_fill(applies, lowest), end.masked_fill(applies, lowest + number)
        words = torch.arange(scores.shape[1], device=scores.device)
        spoils = (words < first[:, None]) | (words >= end[:, None])
        return scores.masked_fill(spoils, -torch.inf)
