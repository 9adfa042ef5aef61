"""Samples to batches: their order, their tensors, and the workers that prepare them."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PaliGemmaProcessor

from refrad.model.collate import collate
from refrad.model.packing import pack, pad_to_multiple
from refrad.training.samples import Samples

__all__ = [
    "Batch",
    "BatchOptions",
    "BatchOrder",
    "DataPosition",
    "Keys",
    "SampleId",
    "TaskBatch",
    "batch_order",
    "endless_batches",
    "load_batches",
    "load_with_workers",
]

Keys = list[tuple[int, int]]  # epoch and index of samples

T = TypeVar("T")

WINDOW = 16  # batches among which samples are sorted by length


class DataPosition(NamedTuple):
    """Position of a training in the endless order of batches: the next batch of an epoch."""

    epoch: int = 0
    batch: int = 0


START = DataPosition()


@dataclass(frozen=True)
class SampleId:
    """The epoch and index of a sample, and the image that it is of."""

    epoch: int
    index: int
    image_id: str


class Batch(NamedTuple):
    """Tensors of a batch (see `collate`); the tasks of the samples, and the position, after the batches of all processes.

    samples: of this process's batch.
    """

    tensors: dict[str, Tensor]
    tasks: list[str]
    position: DataPosition
    samples: Sequence[SampleId] = ()


class TaskBatch(NamedTuple):
    """The samples of a batch before they are made: their task, their keys, and the row that each is made from."""

    task: str
    keys: Keys
    rows: list[int]


class _Draws(NamedTuple):
    """Samples of one task: epoch, index and row of each, int64 [samples], and the length of its text, float64 [samples]."""

    epochs: NDArray[np.int64]
    indices: NDArray[np.int64]
    rows: NDArray[np.int64]
    lengths: NDArray[np.float64]

    def take(self, chosen: slice | NDArray[np.int64]) -> "_Draws":
        return _Draws(self.epochs[chosen], self.indices[chosen], self.rows[chosen], self.lengths[chosen])

    def after(self, former: "_Draws | None") -> "_Draws":
        """The samples of `former`, followed by these."""
        if former is None:
            return self
        return _Draws(
            np.concatenate([former.epochs, self.epochs]),
            np.concatenate([former.indices, self.indices]),
            np.concatenate([former.rows, self.rows]),
            np.concatenate([former.lengths, self.lengths]),
        )


class BatchOrder:
    """The batches of all epochs: a pure function of the arguments.

    The samples of a batch have one task and are of similar length, so little is padded: among WINDOW batches of the random
    order, samples are sorted by length. The batches of an epoch are in random order again. Samples that fill no batch wait
    for those of their task in the next epoch, so every sample is in a batch, and each task and each benchmark has its share
    of the batches, however few of its samples an epoch has.

    Raises:
        ValueError: if there are no samples.
    """

    def __init__(self, samples: Samples, batch: int, seed: int) -> None:
        if not len(samples):
            raise ValueError("there is nothing to train on")
        self.samples, self.batch, self.seed = samples, batch, seed
        self._waiting: dict[str, _Draws] = {}  # before `_next`
        self._next = 0

    def batches(self, epoch: int) -> Sequence[TaskBatch]:
        """The batches that the samples of an epoch complete; quick for the epoch after the one before."""
        if epoch < self._next:
            self._waiting, self._next = {}, 0
        for former in range(self._next, epoch):
            self._complete(former, np.random.default_rng((self.seed, former)))
        rng = np.random.default_rng((self.seed, epoch))
        complete = self._complete(epoch, rng)
        batches = [(task, first) for task, draws in complete.items() for first in range(0, len(draws.rows), self.batch)]
        complete = {task: self._by_length(draws) for task, draws in complete.items()}
        order = [batches[number] for number in rng.permutation(len(batches)).tolist()]
        return _Batches(complete, order, self.batch)

    def _complete(self, epoch: int, rng: np.random.Generator) -> dict[str, _Draws]:
        """The samples of each task that fill batches, in random order; the others wait for the next epoch."""
        codes, rows, names = self.samples.codes(epoch), self.samples.rows(epoch), self.samples.names
        order = rng.permutation(len(codes))
        complete = {}
        for task, code in sorted((names[code], code) for code in np.unique(codes).tolist()):
            indices = order[codes[order] == code]
            lengths = self.samples.lengths(rows[indices], task)
            draws = _Draws(np.full(len(indices), epoch), indices, rows[indices], lengths)
            draws = draws.after(self._waiting.get(task))
            whole = len(draws.rows) // self.batch * self.batch
            complete[task], self._waiting[task] = draws.take(slice(whole)), draws.take(slice(whole, None))
        self._next = epoch + 1
        return complete

    def _by_length(self, draws: _Draws) -> _Draws:
        """The samples sorted by length within each window."""
        size = WINDOW * self.batch
        windows = [draws.lengths[first : first + size] for first in range(0, len(draws.rows), size)]
        parts = [number * size + np.argsort(lengths, kind="stable") for number, lengths in enumerate(windows)]
        return draws.take(np.concatenate(parts)) if parts else draws


class _Batches(Sequence[TaskBatch]):
    """The batches of an epoch, each made when it is read: `order` has the task of each and its first sample."""

    def __init__(self, draws: dict[str, _Draws], order: list[tuple[str, int]], batch: int) -> None:
        self._draws, self._order, self._batch = draws, order, batch

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, number: Any) -> Any:
        task, first = self._order[number]
        draws = self._draws[task].take(slice(first, first + self._batch))
        return TaskBatch(
            task, list(zip(draws.epochs.tolist(), draws.indices.tolist(), strict=True)), draws.rows.tolist()
        )


def batch_order(
    samples: Samples, batch: int, seed: int, start: DataPosition = START
) -> Iterator[tuple[DataPosition, TaskBatch]]:
    """The batches of `BatchOrder` from `start` on, without end, each with the position after it.

    Raises:
        ValueError: if there are no samples.
    """
    yield from endless_batches(BatchOrder(samples, batch, seed).batches, start)


def endless_batches(batches_of: Callable[[int], Sequence[T]], start: DataPosition) -> Iterator[tuple[DataPosition, T]]:
    """The batches of all epochs from `start` on, each with the position after it; `batches_of` returns those of an epoch."""
    first = start.batch
    for epoch in itertools.count(start.epoch):
        batches = batches_of(epoch)
        for number in range(first, len(batches)):
            after = DataPosition(epoch, number + 1) if number + 1 < len(batches) else DataPosition(epoch + 1, 0)
            yield after, batches[number]
        first = 0


@dataclass(frozen=True)
class BatchOptions:
    """How batches are made.

    batch: samples of a batch. seed: of the order. workers: processes that prepare batches; 0 for none.
    rank, size: of `size` training processes, the `rank`-th gets every `size`-th batch.
    pack_tokens: tokens per row of packed samples, see `pack`; False for one sample per row.
    length_multiple: of the lengths of rows, see `pad_to_multiple`.
    """

    batch: int
    seed: int
    workers: int = 0
    rank: int = 0
    size: int = 1
    pack_tokens: int | Literal[False] = False
    length_multiple: int = 1


def load_batches(
    samples: Samples, processor: PaliGemmaProcessor, options: BatchOptions, start: DataPosition = START
) -> Iterator[Batch]:
    """The batches of this process from `start` on, without end. Their order does not depend on the number of workers."""
    dataset = _Collated(samples, processor, options)
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

    def __init__(self, samples: Samples, processor: PaliGemmaProcessor, options: BatchOptions) -> None:
        self.samples, self.processor, self.options = samples, processor, options

    def __getitem__(self, turn: tuple[TaskBatch, list[str], DataPosition]) -> Batch:
        (task, keys, rows), tasks, position = turn
        drawn = [self.samples.make(key, row, task) for key, row in zip(keys, rows, strict=True)]
        tensors = collate(self.processor, drawn)
        if self.options.pack_tokens:
            tensors = pack(tensors, self.options.pack_tokens)
        ids = [SampleId(*key, sample.image_id) for key, sample in zip(keys, drawn, strict=True)]
        return Batch(pad_to_multiple(tensors, self.options.length_multiple), tasks, position, ids)


class _ProcessBatches(Sampler[Any]):
    """For each batch of one process: its samples, the tasks of all processes' samples, and the position after them."""

    def __init__(self, samples: Samples, options: BatchOptions, start: DataPosition) -> None:
        self.samples, self.options, self.start = samples, options, start

    def __iter__(self) -> Iterator[tuple[TaskBatch, list[str], DataPosition]]:
        order = batch_order(self.samples, self.options.batch, self.options.seed, self.start)
        while True:
            turns = list(itertools.islice(order, self.options.size))
            tasks = [drawn.task for _, drawn in turns for _ in drawn.keys]
            yield turns[self.options.rank][1], tasks, turns[-1][0]
