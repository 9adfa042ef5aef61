"""The rows of a training in its work folder, written by the main process and read by all."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from refrad.dataset.row_store import RowSource, RowStore, StoredRows, open_store, write_store
from refrad.training.distributed import SINGLE_PROCESS, DistributedContext
from refrad.training.set_aside import ROWS

__all__ = ["own_parts", "store_rows", "training_rows"]

log = logging.getLogger(__name__)

PARTS = ("train", "validation")


def store_rows(
    work: Path,
    images: Sequence[Path],
    left_out: Collection[str] = (),
    benchmarks: Sequence[Path] = (),
    context: DistributedContext = SINGLE_PROCESS,
) -> RowStore:
    """The rows of training and validation patients of the shards, and the training questions of benchmarks, in the work folder.

    The main process writes them, unless a killed training has left them there, while the others wait.

    Args:
        work: folder of the states of the training, which all processes share; the rows are removed with it.
        images: shards.
        left_out: image ids of training images that are left out; only the main process needs them.
        benchmarks: files of `refrad public`, of which rows without a question are left out.
        context: the processes.

    Raises:
        ValueError: if no training image is left, or nothing of a benchmark.
        TableError: if a file is damaged.
    """
    folder = work / ROWS
    if context.is_main:
        own = [RowSource(path, {split: split for split in PARTS}) for path in images]
        public = [
            RowSource(path, {"train": part}, True) for path, part in zip(benchmarks, _names(benchmarks), strict=True)
        ]
        store = write_store(folder, [*own, *public], ["train", *_names(benchmarks), "validation"], left_out)
        if not len(store.rows("train")):
            raise ValueError(
                "no image of a training patient has a caption: see the report pages of captions and shards"
            )
        for path, part in zip(benchmarks, _names(benchmarks), strict=True):
            if not len(store.rows(part)):
                raise ValueError(f"{path}: train.public: no training question in it that is not one of a test image")
    with context.watching_peers():
        context.wait_for_main()
    return open_store(folder)


def own_parts(store: RowStore) -> dict[str, StoredRows]:
    """The rows of the shards by split, train and validation."""
    return {part: store.rows(part) for part in PARTS}


def training_rows(store: RowStore, benchmarks: Sequence[Path]) -> StoredRows:
    """The training rows of the shards, followed by those of benchmarks."""
    return store.rows("train", *_names(benchmarks))


def _names(benchmarks: Sequence[Path]) -> list[str]:
    """Names of the parts of benchmarks."""
    return [f"public {number}" for number in range(len(benchmarks))]
