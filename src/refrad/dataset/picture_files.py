"""The pictures of several Parquet files by one row number, with as few of them in memory as are asked for."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from refrad.core.checksums import verify
from refrad.dataset.copy_search import BLOCK
from refrad.dataset.image_codec import decode_image, decode_sketch, encode_sketch

__all__ = ["PictureFiles"]

PICTURES = ("pixels", "image")  # columns, the faster one first


class PictureFiles:
    """Rows of the dataset or of public benchmarks, numbered through all files in their order."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def sketches(self, selected: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int8]]]:
        """Yield row numbers and their sketches int8 [picture, 32, 32], at most `BLOCK` at once.

        Sketches that a file lacks are drawn from its pictures.

        Args:
            selected: bool [row], the rows.
        """
        for start, table in self._groups(("sketch",), selected):
            rows = np.flatnonzero(selected[start : start + len(table)])
            for first in range(0, len(rows), BLOCK):
                part = rows[first : first + BLOCK]
                stored = table.take(pa.array(part)).to_pylist()
                yield start + part, np.stack([_sketch(row) for row in stored])

    def pictures(self, selected: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield row number and picture, uint8 [channel, row, column], of the selected rows: bool [row]."""
        for start, table in self._groups((), selected):
            for row in np.flatnonzero(selected[start : start + len(table)]):
                yield start + int(row), decode_image(table.slice(row, 1).to_pylist()[0])

    def _groups(self, columns: Iterable[str], selected: NDArray[np.bool_]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the first row number and the rows of each row group with selected rows; pictures where `columns` are absent."""
        start = 0
        for path in self._files:
            verify(path, [])
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
                picture = next(name for name in PICTURES if name in names)
                present = [name for name in columns if name in names] or [picture]
                for number in range(file.num_row_groups):
                    count = file.metadata.row_group(number).num_rows
                    if selected[start : start + count].any():
                        verify(path, present, [number])
                        table = file.read_row_group(number, present)
                        if any(column.null_count for column in table.columns):
                            verify(path, [picture], [number])
                            table = file.read_row_group(number, [*present, picture])
                        yield start, table
                    start += count


def _sketch(row: dict[str, Any]) -> NDArray[np.int8]:
    stored = row.get("sketch")
    return decode_sketch(stored or encode_sketch(decode_image(row)))  # type: ignore[arg-type]
