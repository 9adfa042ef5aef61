"""Several short samples in one row: no padding between them, and none sees another.

What the model says of each is what it would say of it alone: positions begin anew, and attention stays inside of a sample.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

__all__ = ["dense_mask", "pack", "packed_mask", "packed_mask_mod", "rows_of"]

NOBODY = -1  # the sample that padding belongs to


def rows_of(lengths: Sequence[int], limit: int) -> list[range]:
    """Which samples share a row, in their order: as few rows as that order allows, and as even ones.

    Args:
        lengths: of the samples, tokens.
        limit: tokens of a row, at most; or those of the longest sample, if these are more.
    """
    limit = max(limit, *lengths)

    def fill(capacity: int) -> list[range]:
        starts, used = [0], 0
        for number, length in enumerate(lengths):
            if used + length > capacity:
                starts.append(number)
                used = 0
            used += length
        return [range(first, last) for first, last in pairwise([*starts, len(lengths)])]

    number = len(fill(limit))
    capacities = range(max(*lengths, -(-sum(lengths) // number)), limit + 1)
    return fill(capacities[bisect_left(capacities, True, key=lambda one: len(fill(one)) <= number)])


def pack(tensors: Mapping[str, Tensor], limit: int) -> dict[str, Tensor]:
    """The tensors of `collate` in fewer and longer rows, padded on the right; images and masks stay as they are.

    input_ids, token_type_ids and labels are int64 [rows, length]. In place of attention_mask come position_ids, which begin with
    1 for each sample, as PaliGemma's do, and sample_ids, the number of the sample in the batch, and so that of its image.
    """
    lengths = tensors["attention_mask"].sum(1).tolist()
    rows = rows_of(lengths, limit)
    longest = max(sum(lengths[one] for one in row) for row in rows)

    def joined(of: Callable[[int], Tensor], rest: int) -> Tensor:
        made = torch.full((len(rows), longest), rest)
        for number, row in enumerate(rows):
            parts = torch.cat([of(one) for one in row])
            made[number, : len(parts)] = parts
        return made

    def words(name: str, rest: int) -> Tensor:
        return joined(lambda one: tensors[name][one, : lengths[one]], rest)

    made = {"input_ids": words("input_ids", 0), "token_type_ids": words("token_type_ids", 0)}
    made["labels"] = words("labels", -100)
    made["position_ids"] = joined(lambda one: torch.arange(1, lengths[one] + 1), 1)
    made["sample_ids"] = joined(lambda one: torch.full((lengths[one],), one), NOBODY)
    return made | {name: one for name, one in tensors.items() if name not in (*made, "attention_mask")}


MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def packed_mask_mod(sample_ids: Tensor, token_type_ids: Tensor) -> MaskMod:
    """Whether a place sees another, as flex attention asks it (row, head, place, other place): the own sample's image and
    prompt, and what was said before.
    """

    def rule(row: Tensor, _head: Tensor, place: Tensor, other: Tensor) -> Tensor:
        own = sample_ids[row, place] == sample_ids[row, other]
        return own & ((other <= place) | ((token_type_ids[row, place] == 0) & (token_type_ids[row, other] == 0)))

    return rule


def dense_mask(sample_ids: Tensor, token_type_ids: Tensor) -> Tensor:
    """The same for eager attention, float32 [rows, 1, length, length]: 0 where a place sees another, else the least number."""
    rows, length = sample_ids.shape
    places = torch.arange(length, device=sample_ids.device)
    row = torch.arange(rows, device=sample_ids.device)[:, None, None, None]
    seen = packed_mask_mod(sample_ids, token_type_ids)(row, row, places[:, None], places)
    return torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, torch.finfo(torch.float32).min)


def packed_mask(sample_ids: Tensor, token_type_ids: Tensor, attention: str) -> Tensor | BlockMask:
    """What attention "eager" or "flex_attention" takes for a mask."""
    if attention != "flex_attention":
        return dense_mask(sample_ids, token_type_ids)
    rows, length = sample_ids.shape
    rule = packed_mask_mod(sample_ids, token_type_ids)
    return create_block_mask(rule, rows, None, length, length, sample_ids.device, _compile=sample_ids.is_cuda)
