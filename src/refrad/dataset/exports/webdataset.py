"""WebDataset: tar files of up to 1,000 samples, `<image_id>.png` and `<image_id>.json` each. Same rows, same bytes."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from refrad.core.files import atomic
from refrad.dataset.exports import ExportSource
from refrad.dataset.exports.image_files import square_png
from refrad.dataset.shard_rows import ImageRow

__all__ = ["export"]

SAMPLES_PER_TAR = 1000
IMAGE_COLUMNS = ("image", "pixels", "image_full", "sketch")


def export(source: ExportSource, out: Path) -> None:
    """Write `<split>-000000.tar` and so on."""
    for split in source.splits:
        rows, number = source.rows(split), 0
        while samples := list(islice(rows, SAMPLES_PER_TAR)):
            _write_tar(out / f"{split}-{number:06d}.tar", samples)
            number += 1


def _write_tar(path: Path, samples: Iterable[ImageRow]) -> None:
    with atomic(path) as temporary, tarfile.open(temporary, "w") as tar:
        for name, data in _members(samples):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _members(rows: Iterable[ImageRow]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the two files of each row."""
    for row in rows:
        yield f"{row['image_id']}.png", square_png(row)
        columns = {name: value for name, value in row.items() if name not in IMAGE_COLUMNS}
        yield f"{row['image_id']}.json", json.dumps(columns, ensure_ascii=False, sort_keys=True).encode("utf-8")
