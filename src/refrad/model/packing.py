"""Several short samples in one row, without padding between them.

The output for each is that for the sample alone: positions begin anew, and attention stays inside a sample.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

__all__ = ["dense_mask", "pack", "packed_mask", "packed_mask_mod", "pad_to_multiple", "rows_of"]

PADDING = -1  # sample id of padding
PADDING_VALUES = {
    "input_ids": 0,
    "attention_mask": 0,
    "token_type_ids": 0,
    "mm_token_type_ids": 0,
    "labels": -100,
    "position_ids": 1,
    "sample_ids": PADDING,
}


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
    return fill(capacities[bisect_left(capacities, True, key=lambda capacity: len(fill(capacity)) <= number)])


def pack(tensors: Mapping[str, Tensor], limit: int) -> dict[str, Tensor]:
    """The tensors of `collate` in fewer and longer rows, padded on the right; images and masks stay as they are.

    input_ids, token_type_ids and labels are int64 [rows, length]. In place of attention_mask come position_ids, which begin with
    1 for each sample, as PaliGemma's do, and sample_ids, the number of the sample in the batch, and so that of its image.
    """
    lengths = tensors["attention_mask"].sum(1).tolist()
    rows = rows_of(lengths, limit)
    longest = max(sum(lengths[sample] for sample in row) for row in rows)

    def joined(name: str, part_of: Callable[[int], Tensor]) -> Tensor:
        joint = torch.full((len(rows), longest), PADDING_VALUES[name])
        for number, row in enumerate(rows):
            parts = torch.cat([part_of(sample) for sample in row])
            joint[number, : len(parts)] = parts
        return joint

    def words(name: str) -> Tensor:
        return joined(name, lambda sample: tensors[name][sample, : lengths[sample]])

    packed = {name: words(name) for name in ("input_ids", "token_type_ids", "labels")}
    packed["position_ids"] = joined("position_ids", lambda sample: torch.arange(1, lengths[sample] + 1))
    packed["sample_ids"] = joined("sample_ids", lambda sample: torch.full((lengths[sample],), sample))
    return packed | {name: tensor for name, tensor in tensors.items() if name not in (*packed, "attention_mask")}


def pad_to_multiple(tensors: Mapping[str, Tensor], multiple: int) -> dict[str, Tensor]:
    """The tensors of `collate` or `pack`, rows padded on the right to a multiple of tokens; images and masks stay as they are.

    A compiled layer is compiled again for each new length, and so is a block mask: a multiple keeps their number small.
    """
    missing = -tensors["input_ids"].shape[1] % multiple
    return {
        name: functional.pad(tensor, (0, missing), value=PADDING_VALUES[name]) if name in PADDING_VALUES else tensor
        for name, tensor in tensors.items()
    }


MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def packed_mask_mod(sample_ids: Tensor, token_type_ids: Tensor) -> MaskMod:
    """The rule of attention between two positions, for flex attention: (row, head, query, key) to whether query attends to key.

    `sample_ids` and `token_type_ids` are int64 [rows, length]. A position attends to earlier positions of its sample; image and
    prompt (token type 0) attend to each other both ways.
    Two samples of 3 and 2 tokens in a row of 6, P a prompt token, T a target token, # where the query attends to the key:

                    key  P P T P T -
        sample 0    P    # # . . . .
                    P    # # . . . .
                    T    # # # . . .
        sample 1    P    . . . # . .
                    T    . . . # # .
        padding     -    . . . . . #
    """

    def rule(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        same_sample = sample_ids[row, query] == sample_ids[row, key]
        prompts = (token_type_ids[row, query] == 0) & (token_type_ids[row, key] == 0)
        return same_sample & ((key <= query) | prompts)

    return rule


def dense_mask(sample_ids: Tensor, token_type_ids: Tensor) -> Tensor:
    """The same for eager attention, float32 [rows, 1, length, length]: 0 where a query attends to a key, else the lowest number."""
    rows, length = sample_ids.shape
    positions = torch.arange(length, device=sample_ids.device)
    row = torch.arange(rows, device=sample_ids.device)[:, None, None, None]
    attends = packed_mask_mod(sample_ids, token_type_ids)(row, row, positions[:, None], positions)
    return torch.zeros(attends.shape, device=attends.device).masked_fill(~attends, torch.finfo(torch.float32).min)


def packed_mask(sample_ids: Tensor, token_type_ids: Tensor, attention: str) -> Tensor | BlockMask:
    """The mask for attention "eager" (float32 [rows, 1, length, length]) or "flex_attention" (a block mask).

    Args:
        sample_ids: int64 [rows, length], the number of each token's sample in its row.
        token_type_ids: int64 [rows, length], 0 for image and prompt, 1 for the target.
        attention: of the language model.
    """
    if attention != "flex_attention":
        return dense_mask(sample_ids, token_type_ids)
    rows, length = sample_ids.shape
    rule = packed_mask_mod(sample_ids, token_type_ids)
    return create_block_mask(rule, rows, None, length, length, sample_ids.device, _compile=sample_ids.is_cuda)
