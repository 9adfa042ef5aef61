"""WebDataset: tar files of up to 1,000 samples, `<name>.png` and `<name>.json` each, where the name is the image_id. Same rows, same bytes."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from refrad.core.files import atomic
from refrad.dataset.exports.image_files import square_png
from refrad.dataset.exports.source import ExportSource, FileNames
from refrad.dataset.shard_rows import ImageRow

__all__ = ["export"]

SAMPLES_PER_TAR = 1000
IMAGE_COLUMNS = ("image", "pixels", "image_full", "sketch")


def export(source: ExportSource, out: Path) -> None:
    """Write `<split>-000000.tar` and so on."""
    names = FileNames()
    for split in source.splits:
        rows, number = source.rows(split), 0
        while samples := list(islice(rows, SAMPLES_PER_TAR)):
            _write_tar(out / f"{split}-{number:06d}.tar", samples, names)
            number += 1
            for row in samples:
                source.tally.write_row(row)


def _write_tar(path: Path, samples: Iterable[ImageRow], names: FileNames) -> None:
    with atomic(path) as temporary, tarfile.open(temporary, "w") as tar:
        for name, data in _members(samples, names):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _members(rows: Iterable[ImageRow], names: FileNames) -> Iterator[tuple[str, bytes]]:
    """Name and content of the two files of each row."""
    for row in rows:
        name = names.name(row["image_id"])
        yield f"{name}.png", square_png(row)
        columns = {name: value for name, value in row.items() if name not in IMAGE_COLUMNS}
        yield f"{name}.json", json.dumps(columns, ensure_ascii=False, sort_keys=True).encode("utf-8")
