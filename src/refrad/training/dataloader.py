"""Samples to batches: their order, their tensors, and the workers that prepare them."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PaliGemmaProcessor

from refrad.model.collate import collate
from refrad.model.packing import pack
from refrad.training.samples import Samples

__all__ = [
    "Batch",
    "BatchOptions",
    "DataPosition",
    "Keys",
    "batch_order",
    "endless_batches",
    "epoch_batches",
    "load_batches",
    "load_with_workers",
]

Keys = list[tuple[int, int]]  # epoch and index of each sample of a batch

WINDOW = 16  # batches among which samples are sorted by length


class DataPosition(NamedTuple):
    """Position of a training in the endless order of batches: the next batch of an epoch."""

    epoch: int = 0
    batch: int = 0


START = DataPosition()


class Batch(NamedTuple):
    """Tensors of a batch (see `collate`); the tasks of the samples, and the position, after the batches of all processes."""

    tensors: dict[str, Tensor]
    tasks: list[str]
    position: DataPosition


def epoch_batches(samples: Samples, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the samples of each batch of an epoch: a pure function of the arguments.

    The samples of a batch have one task and are of similar length, so little is padded: among WINDOW batches of the random
    order, samples are sorted by length. The batches are in random order again. Incomplete batches are left out, unless
    there are no others.
    """
    rng = np.random.default_rng((seed, epoch))
    tasks = samples.tasks(epoch)
    order = rng.permutation(len(samples))
    batches: list[list[int]] = []
    partial: list[list[int]] = []
    for task in np.unique(tasks[order]).tolist():
        group = order[tasks[order] == task]
        lengths = samples.lengths(epoch, task)
        for first in range(0, len(group), WINDOW * batch):
            window = group[first : first + WINDOW * batch]
            window = window[np.argsort(lengths[window], kind="stable")].tolist()
            cut = [window[i : i + batch] for i in range(0, len(window), batch)]
            batches += [indices for indices in cut if len(indices) == batch]
            partial += [indices for indices in cut if len(indices) < batch]
    return [batches[i] for i in rng.permutation(len(batches))] if batches else partial


def batch_order(
    samples: Samples, batch: int, seed: int, start: DataPosition = START
) -> Iterator[tuple[DataPosition, Keys]]:
    """The batches from `start` on, without end: the position after each, and the keys (epoch, index) of its samples.

    Raises:
        ValueError: if there are no samples.
    """
    if not len(samples):
        raise ValueError("there is nothing to train on")
    yield from endless_batches(lambda epoch: epoch_batches(samples, batch, seed, epoch), start)


def endless_batches(
    batches_of: Callable[[int], Sequence[Sequence[int]]], start: DataPosition
) -> Iterator[tuple[DataPosition, Keys]]:
    """The batches of all epochs from `start` on: the position after each, and its keys; `batches_of` are the indices of an epoch."""
    first = start.batch
    for epoch in itertools.count(start.epoch):
        batches = batches_of(epoch)
        for number in range(first, len(batches)):
            after = DataPosition(epoch, number + 1) if number + 1 < len(batches) else DataPosition(epoch + 1, 0)
            yield after, [(epoch, index) for index in batches[number]]
        first = 0


@dataclass(frozen=True)
class BatchOptions:
    """How batches are made.

    batch: samples of a batch. seed: of the order. workers: processes that prepare batches; 0 for none.
    rank, size: of `size` training processes, the `rank`-th gets every `size`-th batch.
    pack_tokens: tokens per row of packed samples, see `pack`; False for one sample per row.
    """

    batch: int
    seed: int
    workers: int = 0
    rank: int = 0
    size: int = 1
    pack_tokens: int | Literal[False] = False


def load_batches(
    samples: Samples, processor: PaliGemmaProcessor, options: BatchOptions, start: DataPosition = START
) -> Iterator[Batch]:
    """The batches of this process from `start` on, without end. Their order does not depend on the number of workers."""
    dataset = _Collated(samples, processor, options.pack_tokens)
    return load_with_workers(dataset, _ProcessBatches(samples, options, start), options.workers)


def load_with_workers(dataset: Dataset[Batch], sampler: Sampler[Any], workers: int) -> Iterator[Batch]:
    """The batches of a dataset, one for each item of the sampler, in its order; `workers` processes prepare them."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # separate, so that seeds for workers leave torch's random numbers unchanged
    )
    return iter(loader)


class _Collated(Dataset[Batch]):
    """Batches by the keys of their samples."""

    def __init__(self, samples: Samples, processor: PaliGemmaProcessor, limit: int | Literal[False]) -> None:
        self.samples, self.processor, self.limit = samples, processor, limit

    def __getitem__(self, turn: tuple[Keys, list[str], DataPosition]) -> Batch:
        keys, tasks, position = turn
        tensors = collate(self.processor, [self.samples[key] for key in keys])
        return Batch(pack(tensors, self.limit) if self.limit else tensors, tasks, position)


class _ProcessBatches(Sampler[Any]):
    """For each batch of one process: the keys of its samples, the tasks of all processes' samples, and the position after them."""

    def __init__(self, samples: Samples, options: BatchOptions, start: DataPosition) -> None:
        self.samples, self.options, self.start = samples, options, start

    def __iter__(self) -> Iterator[tuple[Keys, list[str], DataPosition]]:
        order = batch_order(self.samples, self.options.batch, self.options.seed, self.start)
        while True:
            turns = list(itertools.islice(order, self.options.size))
            tasks = [self.samples.task(*key) for _, keys in turns for key in keys]
            yield turns[self.options.rank][1], tasks, turns[-1][0]
