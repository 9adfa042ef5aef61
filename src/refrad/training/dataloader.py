"""Samples to batches: their order, their tensors, and the workers that make them ahead of time."""

import itertools
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PaliGemmaProcessor

from refrad.model.collate import collate
from refrad.model.packing import pack
from refrad.training.samples import Samples

__all__ = ["Batch", "DataPosition", "batch_order", "epoch_batches", "load_batches"]

WINDOW = 16  # batches among which samples are sorted by length


class DataPosition(NamedTuple):
    """Where in the endless order of batches a training is: the next batch of an epoch."""

    epoch: int = 0
    batch: int = 0


START = DataPosition()


class Batch(NamedTuple):
    """Tensors of a batch (see `collate`); the tasks of the samples, and the place, after the turns of all processes."""

    tensors: dict[str, Tensor]
    tasks: list[str]
    position: DataPosition


def epoch_batches(samples: Samples, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the samples of each batch of an epoch: a pure function of the arguments.

    The samples of a batch have one task and are of similar length, so little is padded: among WINDOW batches of the random
    order, samples are sorted by length. The batches are in random order again. What fills no batch is left out, unless
    nothing does.
    """
    rng = np.random.default_rng((seed, epoch))
    tasks = samples.tasks(epoch)
    order = rng.permutation(len(samples))
    batches: list[list[int]] = []
    rests: list[list[int]] = []
    for task in np.unique(tasks[order]).tolist():
        group = order[tasks[order] == task]
        lengths = samples.lengths(epoch, task)
        for first in range(0, len(group), WINDOW * batch):
            window = group[first : first + WINDOW * batch]
            window = window[np.argsort(lengths[window], kind="stable")].tolist()
            cut = [window[i : i + batch] for i in range(0, len(window), batch)]
            batches += [one for one in cut if len(one) == batch]
            rests += [one for one in cut if len(one) < batch]
    return [batches[i] for i in rng.permutation(len(batches))] if batches else rests


def batch_order(
    samples: Samples, batch: int, seed: int, start: DataPosition = START
) -> Iterator[tuple[DataPosition, list[tuple[int, int]]]]:
    """The batches from `start` on, without end: the place after each, and the keys (epoch, index) of its samples.

    Raises:
        ValueError: if there are no samples.
    """
    if not len(samples):
        raise ValueError("there is nothing to train on")
    first = start.batch
    for epoch in itertools.count(start.epoch):
        batches = epoch_batches(samples, batch, seed, epoch)
        for number in range(first, len(batches)):
            after = DataPosition(epoch, number + 1) if number + 1 < len(batches) else DataPosition(epoch + 1, 0)
            yield after, [(epoch, index) for index in batches[number]]
        first = 0


def load_batches(
    samples: Samples,
    processor: PaliGemmaProcessor,
    batch: int,
    seed: int,
    start: DataPosition = START,
    workers: int = 0,
    rank: int = 0,
    size: int = 1,
    limit: int | Literal[False] = False,
) -> Iterator[Batch]:
    """The batches from `start` on, without end; of `size` processes that of `rank` gets every `size`-th.

    With a `limit` the samples of a batch are joined to rows of so many tokens, see `pack`. With workers (processes of their own)
    batches are made ahead of time; they are the same ones in the same order.
    """
    loader = DataLoader(
        _Collated(samples, processor, limit),
        batch_size=None,
        sampler=_Turns(samples, batch, seed, start, rank, size),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # its own: what is drawn for the workers must not move anybody's random numbers
    )
    return iter(loader)


class _Collated(Dataset[Batch]):
    """Batches by the keys of their samples."""

    def __init__(self, samples: Samples, processor: PaliGemmaProcessor, limit: int | Literal[False]) -> None:
        self.samples, self.processor, self.limit = samples, processor, limit

    def __getitem__(self, turn: tuple[list[tuple[int, int]], list[str], DataPosition]) -> Batch:
        keys, tasks, position = turn
        tensors = collate(self.processor, [self.samples[key] for key in keys])
        return Batch(pack(tensors, self.limit) if self.limit else tensors, tasks, position)


class _Turns(Sampler[Any]):
    """The turns of one process: the keys of its own samples, the tasks of all processes' samples, and the place after them."""

    def __init__(self, samples: Samples, batch: int, seed: int, start: DataPosition, rank: int, size: int) -> None:
        self.order, self.rank, self.size = (samples, batch, seed, start), rank, size

    def __iter__(self) -> Iterator[tuple[list[tuple[int, int]], list[str], DataPosition]]:
        order, samples = batch_order(*self.order), self.order[0]
        while True:
            turns = list(itertools.islice(order, self.size))
            tasks = [samples.task(*key) for _, keys in turns for key in keys]
            yield turns[self.rank][1], tasks, turns[-1][0]
