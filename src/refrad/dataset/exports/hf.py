"""Hugging Face datasets: the columns of the shards, files of many shards in one, and the dataset card with the list of files."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from refrad.core.files import atomic, write_json
from refrad.dataset.dataset_card import with_files
from refrad.dataset.exports.export_tally import ExportTally
from refrad.dataset.exports.source import ExportSource
from refrad.dataset.file_list import CARD, CROISSANT, DataFile, dataset_root, describe_file
from refrad.dataset.metadata import build_distribution
from refrad.dataset.shard_io import read_schema, write_rows
from refrad.dataset.shard_rows import ImageRow

__all__ = ["export"]

ROWS_PER_FILE = 10_000
CONDITIONS = "conditionsOfAccess"  # of schema.org, in Croissant


def export(source: ExportSource, out: Path) -> None:
    """Write `data/<split>-00000.parquet` and so on, with the features of the shards, and its card and list of files.

    Raises:
        ValueError: if the shards do not have the same columns, as after a change of `shards.formats`.
    """
    files = source.files
    arrow = read_schema(files[0])
    if any(read_schema(path).names != arrow.names for path in files):
        raise ValueError("the shards have different columns: run `snakemake shards` with one setting of shards.formats")
    written: dict[str, list[DataFile]] = {}
    for split in source.splits:
        for number, part in enumerate(_parts(source.rows(split))):
            path = out / "data" / f"{split}-{number:05d}.parquet"
            write_rows(path, _counted(part, source.tally), arrow)
            written.setdefault(split, []).append(describe_file(path, out))
    root = dataset_root(files[0].parent)
    croissant = json.loads((root / CROISSANT).read_text(encoding="utf-8")) if root else {}
    conditions = [*(entry.sentence for entry in source.accepted), *croissant.get(CONDITIONS, [])]
    croissant |= {"distribution": build_distribution(list(chain(*written.values())))}
    write_json(out / CROISSANT, croissant | ({CONDITIONS: conditions} if conditions else {}))
    with atomic(out / CARD) as temporary:
        temporary.write_text(with_files(source.card, written), encoding="utf-8")


def _counted(rows: Iterable[ImageRow], tally: ExportTally) -> Iterator[ImageRow]:
    for row in rows:
        tally.write_row(row)
        yield row


def _parts(rows: Iterable[ImageRow]) -> Iterator[Iterable[ImageRow]]:
    """The rows of each file in turn."""
    rows = iter(rows)
    for first in rows:
        part = chain([first], islice(rows, ROWS_PER_FILE - 1))
        yield part
        for _ in part:  # rows that the writer has not read
            pass
