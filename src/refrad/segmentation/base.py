"""The interface of segmenters, and the records that they take and return.

A segmenter is a class with the attributes of `Segmenter` and a function `create(options, delivered)` that makes one. Its line in
`refrad.config.imaging.SEGMENTERS` makes it a value of `masks.segmenter`; stage masks needs nothing else.
"""

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from refrad.config.imaging import SEGMENTERS, MasksOptions

__all__ = [
    "DeliveredMasks",
    "FailedVolume",
    "SegmentationJob",
    "SegmentationResult",
    "SegmentedVolume",
    "Segmenter",
    "SegmenterLimits",
    "UnsegmentableError",
    "create_segmenter",
]


class UnsegmentableError(ValueError):
    """This volume gets no labels; the message is the reason code, and `unread` the file or folder for which the storage failed."""

    def __init__(self, reason: str, unread: Path | None = None) -> None:
        super().__init__(reason)
        self.unread = unread


@dataclass(frozen=True)
class SegmenterLimits:
    """Limits of a segmenting process: minutes without a finished volume, GiB of memory, volumes in work at once."""

    minutes: float
    memory_gb: float
    concurrent_volumes: int


@dataclass(frozen=True)
class SegmentationJob:
    """One volume to label.

    `key` names the labels in the mask store, `volume` and `labels` are the NIfTI files to read and to write, `task` is one of
    `refrad.core.types.TASK_OF`, and `name` is the volume's name in the tables.
    """

    key: str
    volume: Path
    labels: Path
    task: str
    name: str = ""


@dataclass(frozen=True)
class SegmentedVolume:
    """A volume whose labels are in the mask store.

    `key` is that of the job, `seconds` the time that the job took (0 for labels that the store held), `digest` that of the label
    voxels, and `labels` the number of different native ids besides the background. `notes` counts what was not clear in labels that
    the site gave, by sentence.
    """

    key: str
    seconds: float
    digest: str
    labels: int
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FailedVolume:
    """A volume without labels, with the reason code. `key` and `seconds` are as in `SegmentedVolume`.

    `unread` is the delivered file or folder for which the storage failed, if the reason is storage_error.
    """

    key: str
    seconds: float
    reason: str
    unread: Path | None = None


SegmentationResult = SegmentedVolume | FailedVolume


class DeliveredMasks(NamedTuple):
    """The label volumes of a delivery, for segmenters that use them.

    `folder` holds the masks, and `table` names them. `file_paths` returns the columns volume and path (inside the delivery) of all files
    of the volumes, and `delivery` has the column path of all files of the delivery. `count_rows` takes what became of rows of the
    table, and their number; it is None for all shards but the first, since rows count once.
    """

    folder: Path
    table: Path
    file_paths: Callable[[], pl.DataFrame]
    delivery: pl.LazyFrame
    count_rows: Callable[[str, int], None] | None


class Segmenter(Protocol):
    """A source of label volumes. `name` is its name and variant, as the mask table holds it."""

    name: str

    def source(self, volume: str, task: str) -> str | None:
        """Digest of all that determines the labels of a volume besides its voxels and the options; None: it gets no labels."""

    def weights(self, task: str) -> str | None:
        """Digest of the network weights of a task; None if there are none."""

    def label(
        self, jobs: Collection[SegmentationJob], limits: SegmenterLimits, scratch: Path
    ) -> Iterator[SegmentationResult]:
        """Write the labels of each job, uint8 native ids on the grid of its volume; yield one result a job, in any order.

        Args:
            jobs: the volumes, of different keys.
            limits: of the process that labels them, if there is one.
            scratch: folder for temporary files.
        """


def create_segmenter(options: MasksOptions, delivered: DeliveredMasks | None) -> Segmenter:
    """The segmenter that `options` name.

    Raises:
        ValueError: if an option or a delivered mask that it needs is missing.
    """
    module, _, function = SEGMENTERS[options.segmenter].target.partition(":")
    create: Callable[[MasksOptions, DeliveredMasks | None], Segmenter] = getattr(
        importlib.import_module(module), function
    )
    return create(options, delivered)
