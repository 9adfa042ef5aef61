"""Rows of the dataset in one file with random access, so that a training of any size holds numbers of its rows only.

Parquet is read a row group at a time, so a training that reads rows in random order needs them in another form. The folder of a
store holds

    rows.bin    the rows, one after the other: a line of JSON, then the bytes of the picture
    index.npy   position, sizes, checksum and `FACTS` of each row, sorted; memory-mapped, so processes share it
    store.json  what the rows are of, and the sizes of the other files; written last

It can be deleted at any time: the next training writes it again.
"""

import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import polars as pl
from isal import isal_zlib
from numpy.typing import NDArray

from refrad.core.checksums import TableError, table_digest
from refrad.core.files import atomic, digest_bytes, digest_file, write_json
from refrad.dataset.example_rows import FACTS, NamedClasses, facts_of
from refrad.dataset.examples import COLUMNS, IMAGE_COLUMNS, ExampleRow
from refrad.dataset.shard_io import count_rows, read_batches, read_schema

__all__ = ["RowSource", "RowStore", "StoredRows", "open_store", "write_store"]

FORMAT = 1
ROWS, INDEX, STORE = "rows.bin", "index.npy", "store.json"
ENTRY = np.dtype(
    [("offset", np.int64), ("text", np.uint32), ("picture", np.uint32), ("crc", np.uint32), ("kind", np.int8)]
    + [(name, FACTS[name]) for name in FACTS.names or ()]
)
NO_PICTURE = -1  # kind; others are indices of IMAGE_COLUMNS


@dataclass(frozen=True)
class RowSource:
    """A Parquet file of the dataset or of `refrad public`, and the part to which the rows of each split belong.

    Attributes:
        path: of the file.
        parts: split to part; rows of other splits are left out.
        with_questions: whether rows without a question are left out.
    """

    path: Path
    parts: Mapping[str, str]
    with_questions: bool = False


class StoredRows:
    """Consecutive rows of a store. Each is read from the disk when it is used, by any process."""

    def __init__(
        self, file: BinaryIO, path: Path, index: NDArray[np.void], benchmarks: list[str], classes: NamedClasses
    ) -> None:
        self.facts, self.benchmarks, self.classes = index, benchmarks, classes
        self._file, self._path = file, path

    def __len__(self) -> int:
        return len(self.facts)

    def __getitem__(self, row: int) -> ExampleRow:
        entry = self.facts[row]
        text, size = int(entry["text"]), int(entry["text"]) + int(entry["picture"])
        content = os.pread(self._file.fileno(), size, int(entry["offset"]))
        if len(content) != size or isal_zlib.crc32(content) != int(entry["crc"]):
            raise TableError(
                f"{self._path} is damaged: delete {self._path.parent} and start again; the training goes on"
            )
        values = json.loads(content[:text])
        if (kind := int(entry["kind"])) != NO_PICTURE:
            picture = content[text:]
            column = IMAGE_COLUMNS[kind]
            values[column] = picture if column == "pixels" else {"bytes": picture, "path": None}
        return cast(ExampleRow, values)


@dataclass(frozen=True)
class RowStore:
    """The rows that `write_store` has written.

    Attributes:
        images: number of all rows of the sources with the part "train" or "validation".
        training: number of those of split train, those that were left out included.
    """

    images: int
    training: int
    _folder: Path
    _sizes: Mapping[str, int]
    _benchmarks: list[str]
    _classes: Mapping[str, NamedClasses]

    def rows(self, *parts: str) -> StoredRows:
        """The rows of parts, sorted by part and image id (those of benchmarks by file first); parts that follow each other."""
        names = list(self._sizes)
        first = names.index(parts[0])
        if names[first : first + len(parts)] != list(parts):
            raise ValueError(f"the store has its parts in the order {', '.join(names)}")
        ends = [0, *itertools.accumulate(self._sizes.values())]
        index = np.asarray(np.load(self._folder / INDEX, mmap_mode="r"))[ends[first] : ends[first + len(parts)]]
        classes = NamedClasses()
        for part in parts:
            classes = classes.joined(self._classes[part])
        path = self._folder / ROWS
        return StoredRows(path.open("rb", buffering=0), path, index, self._benchmarks, classes)


def write_store(
    folder: Path, sources: Sequence[RowSource], parts: Sequence[str], left_out: Collection[str]
) -> RowStore:
    """The rows of the sources in a folder, written unless it holds them already.

    Memory does not depend on the number of rows but for some dozen bytes of each. The bytes on the disk are about those of
    the rows in the sources.

    Args:
        folder: made if it is missing; what else is in it is removed.
        sources: files.
        parts: names of the parts, in their order.
        left_out: image ids of rows of split train that are left out.

    Raises:
        TableError: if a source is damaged.
        OSError: if the disk is full.
    """
    key = _key(sources, parts, left_out)
    if (stored := _open(folder)) and stored[0] == key:
        return stored[1]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _write(folder, key, sources, parts, left_out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return open_store(folder)


def open_store(folder: Path) -> RowStore:
    """The store in a folder.

    Raises:
        TableError: if there is none, or it is torn.
    """
    if (stored := _open(folder)) is None:
        raise TableError(f"{folder}: no rows of a training: all its processes must share this folder")
    return stored[1]


def _open(folder: Path) -> tuple[str, RowStore] | None:
    """The key and the content of a store; None if it is missing or torn."""
    try:
        content = json.loads((folder / STORE).read_text(encoding="utf-8"))
        if any((folder / name).stat().st_size != size for name, size in content["bytes"].items()):
            return None
        if digest_file(folder / INDEX) != content["index"]:
            return None
        classes = {part: _classes(values) for part, values in content["classes"].items()}
        store = RowStore(
            content["images"], content["training"], folder, dict(content["sizes"]), content["benchmarks"], classes
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return content["key"], store


def _classes(values: Any) -> NamedClasses:
    counts = Counter({int(class_id): count for class_id, count in values["counts"].items()})
    return NamedClasses(counts, {(language, text, class_id) for language, text, class_id in values["meanings"]})


def _key(sources: Sequence[RowSource], parts: Sequence[str], left_out: Collection[str]) -> str:
    """What identifies the content of a store."""
    files = [
        [table_digest(source.path) or digest_file(source.path), dict(source.parts), source.with_questions]
        for source in sources
    ]
    return digest_bytes(json.dumps([FORMAT, files, list(parts), sorted(left_out)]).encode())


def _write(
    folder: Path, key: str, sources: Sequence[RowSource], parts: Sequence[str], left_out: Collection[str]
) -> None:
    writer = _Writer(parts, left_out)
    with atomic(folder / ROWS) as temporary, temporary.open("wb") as file:
        for number, source in enumerate(sources):
            writer.add(file, number, source)
    index, sizes = writer.index()
    with atomic(folder / INDEX) as temporary:
        np.save(temporary, index)
    own = [source for source in sources if {"train", "validation"} & set(source.parts.values())]
    content = {
        "key": key,
        "bytes": {name: (folder / name).stat().st_size for name in (ROWS, INDEX)},
        "index": digest_file(folder / INDEX),
        "images": sum(count_rows(source.path) for source in own),
        "training": writer.training,
        "sizes": list(sizes.items()),
        "benchmarks": writer.benchmarks,
        "classes": {
            part: {"counts": classes.counts, "meanings": sorted(classes.meanings)}
            for part, classes in writer.classes.items()
        },
    }
    write_json(folder / STORE, content)


class _Writer:
    """Rows on their way into a store."""

    def __init__(self, parts: Sequence[str], left_out: Collection[str]) -> None:
        self.parts, self.left_out = list(parts), pl.Series(sorted(left_out), dtype=pl.String)
        self.benchmarks: list[str] = []
        self.classes = {part: NamedClasses() for part in parts}
        self.training = 0
        self._entries: list[NDArray[np.void]] = []
        self._orders: list[pl.DataFrame] = []  # part, source and image id of each row
        self._offset = 0

    def add(self, file: BinaryIO, number: int, source: RowSource) -> None:
        """Write the rows of a source, the `number`-th."""
        columns = read_schema(source.path).names
        picture = next((name for name in IMAGE_COLUMNS if name in columns), IMAGE_COLUMNS[0])
        if missing := sorted({*COLUMNS, picture} - set(columns)):
            raise TableError(f"{source.path} lacks the columns {', '.join(missing)}")
        for batch in read_batches(source.path, [*COLUMNS, picture], list(source.parts)):
            frame = cast(pl.DataFrame, pl.from_arrow(batch))
            is_train = frame["split"] == "train"
            self.training += int(is_train.sum()) if source.parts.get("train") == "train" else 0
            chosen = frame.filter(~(is_train & frame["image_id"].is_in(self.left_out.implode())))
            if source.with_questions:
                chosen = chosen.filter(chosen["questions"].list.len() > 0)
            if len(chosen):
                self._add(file, chosen, picture, number, source)

    def _add(self, file: BinaryIO, frame: pl.DataFrame, picture: str, number: int, source: RowSource) -> None:
        lines = BytesIO()
        frame.select(COLUMNS).write_ndjson(lines)
        pictures = frame[picture] if picture == "pixels" else frame[picture].struct.field("bytes")
        entries = np.zeros(len(frame), ENTRY)
        contents = zip(lines.getvalue().split(b"\n"), pictures, strict=False)  # the last line is empty
        for row, (line, stored) in enumerate(contents):
            pixels = stored or b""
            file.write(line)
            file.write(pixels)
            kind = NO_PICTURE if stored is None else IMAGE_COLUMNS.index(picture)
            crc = isal_zlib.crc32(pixels, isal_zlib.crc32(line))
            entries["offset"][row], entries["text"][row], entries["picture"][row] = self._offset, len(line), len(pixels)
            entries["crc"][row], entries["kind"][row] = crc, kind
            self._offset += len(line) + len(pixels)
        facts = facts_of(frame, self.benchmarks)
        for name in FACTS.names or ():
            entries[name] = facts[name]
        self._entries.append(entries)
        part = frame["split"].replace_strict(source.parts)
        self._orders.append(frame.select("image_id", part=part, source=pl.lit(number, pl.Int32)))
        for name in part.unique():
            self.classes[name].add(frame.filter(part == name))

    def index(self) -> tuple[NDArray[np.void], dict[str, int]]:
        """The entries of the rows, sorted, and the number of rows of each part."""
        if not self._entries:
            return np.zeros(0, ENTRY), dict.fromkeys(self.parts, 0)
        order = pl.concat(self._orders).with_row_index("row")
        codes = order["part"].replace_strict(
            {part: code for code, part in enumerate(self.parts)}, return_dtype=pl.Int32
        )
        # The shards are one table, sorted by image id; a benchmark follows the other.
        source = pl.when(order["part"].is_in(["train", "validation"])).then(0).otherwise("source")
        rows = order.with_columns(part=codes, source=source).sort("part", "source", "image_id", "row")["row"]
        counts = dict(Counter(codes))
        return np.concatenate(self._entries)[rows.to_numpy()], {
            part: counts.get(code, 0) for code, part in enumerate(self.parts)
        }
