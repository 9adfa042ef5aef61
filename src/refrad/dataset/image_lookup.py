"""Single rows of a dataset by the id of their image, for pages that show a few of very many."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from refrad.core.checksums import verify
from refrad.dataset.columns import COLUMNS
from refrad.dataset.shard_rows import ImageRow

__all__ = ["PICTURES", "ImageLookup"]

PICTURES = frozenset(column.name for column in COLUMNS if column.format) | {"sketch"}
MEMORY = 300_000_000  # bytes of row groups


class _Searched(NamedTuple):
    """A file that has been searched: its size and time then, its footer, and image id to row group and position in it."""

    size: int
    time: int
    footer: pq.FileMetaData
    places: dict[str, tuple[int, int]]


class ImageLookup:
    """The rows of files of the dataset. A file is searched once, and again when it has changed; the groups read last stay in memory.

    Reading from several threads is safe.
    """

    def __init__(self) -> None:
        self._searched: dict[Path, _Searched] = {}
        self._groups: OrderedDict[tuple[Path, int, int, tuple[str, ...]], pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def row(self, path: Path, image_id: str, leave_out: Sequence[str] = ()) -> ImageRow:
        """The row of an image, without its pictures and without the columns of `leave_out`.

        Raises:
            KeyError: if the file has no such image.
            FileNotFoundError: if there is no such file.
            TableError: if the file is damaged.
        """
        return self._read(path, image_id, lambda name: name not in PICTURES and name not in leave_out)

    def pictures(self, path: Path, image_id: str) -> ImageRow:
        """The pictures of an image, the other columns left out; raises as `row`."""
        return self._read(path, image_id, lambda name: name in PICTURES)

    def _read(self, path: Path, image_id: str, belongs: Callable[[str], bool]) -> ImageRow:
        with self._lock:
            state = path.stat()
            searched = self._searched.get(path)
            if searched is None or (searched.size, searched.time) != (state.st_size, state.st_mtime_ns):
                searched = self._searched[path] = _search(path, state.st_size, state.st_mtime_ns)
            group, offset = searched.places[image_id]
            names = tuple(name for name in searched.footer.schema.to_arrow_schema().names if belongs(name))
            table = self._group(path, searched, group, names)
        return cast(ImageRow, table.slice(offset, 1).to_pylist()[0])

    def _group(self, path: Path, searched: _Searched, group: int, names: tuple[str, ...]) -> pa.Table:
        """Columns of a row group."""
        key = path, searched.time, group, names
        if key not in self._groups:
            verify(path, names, [group])
            with pq.ParquetFile(path, metadata=searched.footer) as file:
                self._groups[key] = file.read_row_group(group, list(names))
        self._groups.move_to_end(key)
        while len(self._groups) > 1 and sum(table.nbytes for table in self._groups.values()) > MEMORY:
            self._groups.popitem(last=False)
        return self._groups[key]


def _search(path: Path, size: int, time: int) -> _Searched:
    verify(path, ["image_id"])
    places: dict[str, tuple[int, int]] = {}
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, ["image_id"])["image_id"].to_pylist()
            places |= {image_id: (group, offset) for offset, image_id in enumerate(ids)}
        return _Searched(size, time, file.metadata, places)
