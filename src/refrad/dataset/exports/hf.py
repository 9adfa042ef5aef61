"""Hugging Face datasets: the columns of the shards, one set of files per split, and the dataset card."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import yaml

from refrad.core.files import atomic
from refrad.dataset.exports.export_tally import ExportTally
from refrad.dataset.exports.source import ExportSource
from refrad.dataset.shard_io import read_schema, write_rows
from refrad.dataset.shard_rows import ImageRow

__all__ = ["export"]

ROWS_PER_FILE = 10_000


def export(source: ExportSource, out: Path) -> None:
    """Write `data/<split>-00000.parquet` and so on, with the features of the shards, and README.md.

    Raises:
        ValueError: if the shards do not have the same columns, as after a change of `shards.formats`.
    """
    files = source.files
    arrow = read_schema(files[0])
    if any(read_schema(path).names != arrow.names for path in files):
        raise ValueError("the shards have different columns: run `snakemake shards` with one setting of shards.formats")
    for split in source.splits:
        for number, part in enumerate(_parts(source.rows(split))):
            write_rows(out / "data" / f"{split}-{number:05d}.parquet", _counted(part, source.tally), arrow)
    patterns = [{"split": split, "path": f"data/{split}-*.parquet"} for split in source.splits]
    with atomic(out / "README.md") as temporary:
        temporary.write_text(_card(source.card, patterns), encoding="utf-8")


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


def _card(card: str, patterns: list[dict[str, str]]) -> str:
    """The dataset card with the files of this layout in its front matter."""
    _, front, text = card.split("---\n", 2) if card.startswith("---\n") else ("", "", card)
    matter = (yaml.safe_load(front) or {}) | {"configs": [{"config_name": "default", "data_files": patterns}]}
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---\n{text}"
