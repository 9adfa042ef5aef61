"""Headers of any number of images, spooled to disk and read back series by series: memory does not grow with the archive."""

import marshal
import sqlite3
from collections.abc import Container, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from refrad.dicom.headers import Header

__all__ = ["HeaderSpool"]

CACHE = 4096  # KiB of pages; as much again to sort


class HeaderSpool:
    """A file of headers. It identifies patients, so `path` must be private; the caller removes it."""

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = off", "synchronous = off", "temp_store = file", f"cache_size = -{CACHE}"):
            self._base.execute(f"pragma {setting}")
        self._base.execute(
            "create table image (series text, path text, frame int, instance text, used int, header blob)"
        )
        self._base.execute("begin")

    def add(self, series: str, headers: Iterable[Header]) -> None:
        """Put headers of one file under the sort key of their series."""
        rows = (
            (
                series,
                h.path,
                h.frame,
                h.instance_key if h.reason is None else None,
                h.reason is None,
                marshal.dumps(tuple(h)),
            )
            for h in headers
        )
        self._base.executemany("insert into image values (?, ?, ?, ?, ?, ?)", rows)

    def ambiguous(self) -> Container[str]:
        """Instance keys that usable images of more than one series share, of the headers added so far. They stay on disk."""
        self._base.execute("create table shared (instance text primary key) without rowid")
        self._base.execute(
            "insert into shared"
            " select instance from image where used group by instance having count(*) > 1 and min(series) < max(series)"
        )
        return _Shared(self._base)

    def series(self) -> Iterator[tuple[str, list[Header]]]:
        """The headers of each series with its sort key, in the order of these keys, then of path and frame."""
        rows = self._base.execute("select series, header from image order by series, path, frame")
        for key, images in groupby(rows, lambda row: row[0]):
            yield key, [Header._make(marshal.loads(blob)) for _, blob in images]

    def close(self) -> None:
        """Close the file."""
        self._base.close()


class _Shared(Container[str]):
    """The keys of the table `shared`."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __contains__(self, key: object) -> bool:
        return self._base.execute("select 1 from shared where instance = ?", (key,)).fetchone() is not None
