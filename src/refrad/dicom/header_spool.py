"""Headers of any number of images, spooled to disk and read back series by series: memory does not grow with the archive."""

import marshal
import sqlite3
from collections.abc import Container, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from refrad.dicom.headers import Header
from refrad.dicom.scattering import is_scattered

__all__ = ["HeaderSpool"]

CACHE = 4096  # KiB of pages; as much again to sort
WAITING = 256  # headers that are written at once


class HeaderSpool:
    """A file of headers. It identifies patients, so `path` must be private; the caller removes it."""

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = off", "synchronous = off", "temp_store = file", f"cache_size = -{CACHE}"):
            self._base.execute(f"pragma {setting}")
        self._base.execute(
            "create table image (series text, path text, frame int, instance text, unified text, header blob)"
        )
        self._base.create_function("is_scattered", 2, is_scattered, deterministic=True)
        self._base.execute("begin")
        self._waiting: list[tuple[object, ...]] = []

    def add(self, series: str, headers: Iterable[Header]) -> None:
        """Put headers of one file under the sort key of their series."""
        self._waiting += [
            (
                series,
                h.path,
                h.frame,
                h.instance_key if h.reason is None else None,
                h.unified_series_key or None if h.reason is None else None,
                marshal.dumps(tuple(h)),
            )
            for h in headers
        ]
        if len(self._waiting) >= WAITING:
            self._write()

    def _write(self) -> None:
        """Write the headers that still wait in memory."""
        self._base.executemany("insert into image values (?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()

    def ambiguous(self) -> Container[str]:
        """Instance keys that usable images of more than one series share, of the headers added so far. They stay on disk."""
        return self._keys("instance", "count(*) > 1 and min(series) < max(series)")

    def scattered(self) -> Container[str]:
        """Unified series keys of which usable images have nearly a study each, of the headers added so far. They stay on disk."""
        return self._keys("unified", "is_scattered(count(*), count(distinct series))")

    def _keys(self, column: str, condition: str) -> Container[str]:
        """The keys of this column, which usable images have, whose images meet a condition together."""
        self._write()
        self._base.execute(f"create table keys_{column} ({column} text primary key) without rowid")
        self._base.execute(
            f"insert into keys_{column} select {column} from image"
            f" where {column} is not null group by {column} having {condition}"
        )
        return _Keys(self._base, f"keys_{column}", column)

    def series(self) -> Iterator[tuple[str, list[Header]]]:
        """The headers of each series with its sort key, in the order of these keys, then of path and frame."""
        self._write()
        rows = self._base.execute("select series, header from image order by series, path, frame")
        for key, images in groupby(rows, lambda row: row[0]):
            yield key, [Header._make(marshal.loads(blob)) for _, blob in images]

    def close(self) -> None:
        """Close the file."""
        self._base.close()


class _Keys(Container[str]):
    """The keys of a table."""

    def __init__(self, base: sqlite3.Connection, table: str, column: str) -> None:
        self._base, self._query = base, f"select 1 from {table} where {column} = ?"

    def __contains__(self, key: object) -> bool:
        return self._base.execute(self._query, (key,)).fetchone() is not None
