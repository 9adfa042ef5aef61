"""WebDataset: tar files of up to 1,000 samples, `<image_id>.png` and `<image_id>.json` each. Same rows, same bytes."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from refrad.core.files import atomic
from refrad.dataset.exports.image_files import square_png

__all__ = ["export"]

SAMPLES_PER_TAR = 1000
PICTURES = ("image", "pixels", "image_full")


def export(rows: Iterable[Mapping[str, Any]], split: str, out: Path) -> None:
    """Write `<split>-000000.tar` and so on."""
    rows = iter(rows)
    for number, part in enumerate(iter(lambda: list(islice(rows, SAMPLES_PER_TAR)), [])):
        with atomic(out / f"{split}-{number:06d}.tar") as temporary, tarfile.open(temporary, "w") as tar:
            for name, data in _members(part):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def _members(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    for row in rows:
        yield f"{row['image_id']}.png", square_png(row)
        told = {key: value for key, value in row.items() if key not in PICTURES}
        yield f"{row['image_id']}.json", json.dumps(told, ensure_ascii=False, sort_keys=True).encode("utf-8")
