"""Volumes and label volumes for the review pages, from the stores, with the last ones kept in memory."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema
from refrad.core.contracts import MaskTable, Table, VolumeTable
from refrad.core.entries import DamagedEntryError
from refrad.core.table_rows import AcceptedMaskRow, AcceptedVolumeRow, rows_of
from refrad.core.tables import TableError, frame_of, read_table
from refrad.dicom.volume_store import read_volume
from refrad.segmentation.labels import read_stored_labels

__all__ = ["ShardKey", "ShardTables", "StoredVolume", "VolumeShelf"]

MEMORY = 1_500_000_000  # bytes of voxels in memory, and as many of labels
TABLE_ROWS = 100_000  # rows of tables in memory
K = TypeVar("K")
R = TypeVar("R")

log = logging.getLogger(__name__)


class ShardKey(NamedTuple):
    """A shard of a delivery."""

    delivery: str
    shard: int


@dataclass(frozen=True)
class ShardTables:
    """The tables of a shard that name its volumes and label volumes; they need not be there."""

    volumes: Path
    masks: Path


@dataclass(frozen=True)
class StoredVolume:
    """A volume: "CT" or "MR", voxels int16 [column, row, slice], HU (CT) or without a unit (MR), and affine [4, 4], RAS+ mm."""

    modality: str
    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]


class VolumeShelf:
    """The volumes of a dataset by shard and pseudonym. A volume that the store lacks, or whose entry is damaged, is None.

    Args:
        tables: of the shards that there are; those of a shard are read when its first volume is shown.
        volume_store: folder of the volumes.
        mask_store: folder of the label volumes.
        schema: the class schema, for the class ids of native labels.
    """

    def __init__(
        self, tables: Mapping[ShardKey, ShardTables], volume_store: Path, mask_store: Path, schema: Schema
    ) -> None:
        self._tables, self._volume_store, self._mask_store, self._schema = tables, volume_store, mask_store, schema
        self._volume_rows = _Recent[ShardKey, dict[str, AcceptedVolumeRow]](self._rows_of_volumes, len, TABLE_ROWS)
        self._mask_rows = _Recent[ShardKey, dict[str, AcceptedMaskRow]](self._rows_of_masks, len, TABLE_ROWS)
        self._volumes = _Recent[tuple[ShardKey, str], StoredVolume | None](
            self._read_volume, lambda stored: stored.voxels.nbytes if stored else 0, MEMORY
        )
        self._classes = _Recent[tuple[ShardKey, str], NDArray[np.uint8] | None](
            self._read_classes, lambda classes: 0 if classes is None else classes.nbytes, MEMORY
        )

    def volume(self, shard: ShardKey, name: str) -> StoredVolume | None:
        """The volume of this pseudonym, or None."""
        return self._volumes((shard, name))

    def classes(self, shard: ShardKey, name: str) -> NDArray[np.uint8] | None:
        """Class ids of the label volume, uint8 [column, row, slice] on the grid of the volume, or None."""
        return self._classes((shard, name))

    def _rows_of_volumes(self, shard: ShardKey) -> dict[str, AcceptedVolumeRow]:
        path = self._tables[shard].volumes if shard in self._tables else None
        return {row["volume"]: row for row in rows_of(_accepted_rows(path, VolumeTable), AcceptedVolumeRow)}

    def _rows_of_masks(self, shard: ShardKey) -> dict[str, AcceptedMaskRow]:
        path = self._tables[shard].masks if shard in self._tables else None
        return {row["volume"]: row for row in rows_of(_accepted_rows(path, MaskTable), AcceptedMaskRow)}

    def _read_volume(self, key: tuple[ShardKey, str]) -> StoredVolume | None:
        row = self._volume_rows(key[0]).get(key[1])
        try:
            return StoredVolume(row["modality"], *read_volume(self._volume_store / row["file"])) if row else None
        except (FileNotFoundError, DamagedEntryError) as error:
            log.warning("the shard's picture is shown: %s", _sentence_of(error))
            return None

    def _read_classes(self, key: tuple[ShardKey, str]) -> NDArray[np.uint8] | None:
        row = self._mask_rows(key[0]).get(key[1])
        try:
            if row is None:
                return None
            labels, _ = read_stored_labels(self._mask_store / row["file"], row["digest"])
            return np.asarray(self._schema.native_lut(row["task"])[labels])
        except (FileNotFoundError, DamagedEntryError) as error:
            log.warning("neighbouring slices have no outlines: %s", _sentence_of(error))
            return None


class _Recent(Generic[K, R]):
    """The last results of a function, up to a total size; two threads never compute the same one at once."""

    def __init__(self, compute: Callable[[K], R], size: Callable[[R], int], limit: int) -> None:
        self._compute, self._size, self._limit = compute, size, limit
        self._results: OrderedDict[K, R] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, key: K) -> R:
        with self._lock:
            if key not in self._results:
                self._results[key] = self._compute(key)
            self._results.move_to_end(key)
            while len(self._results) > 1 and sum(map(self._size, self._results.values())) > self._limit:
                self._results.popitem(last=False)
            return self._results[key]


def _accepted_rows(path: Path | None, contract: type[Table]) -> pl.DataFrame:
    """The accepted rows of a table, or none where it is not there or damaged."""
    try:
        return (
            read_table(path, contract).filter(pl.col("reason").is_null())
            if path and path.exists()
            else frame_of([], contract)
        )
    except TableError as error:
        log.warning("%s", error)
        return frame_of([], contract)


def _sentence_of(error: Exception) -> str:
    return "an entry of a store is gone" if isinstance(error, FileNotFoundError) else str(error)
