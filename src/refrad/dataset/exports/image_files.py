"""Images and JSON lists for several exports."""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from refrad.core.files import atomic
from refrad.dataset.exports.source import Pictures
from refrad.dataset.image_codec import decode_image, encode_png
from refrad.dataset.shard_rows import ImageRow

__all__ = ["chat_picture", "image_on_grid", "json_list", "square_png", "write_bytes", "write_json_list"]


def image_on_grid(row: ImageRow) -> Image.Image:
    """The image of a row with the width and height of the DICOM image, so that boxes and masks fit.

    It is the column image_full if the row has it, else the square image resized: same positions, less detail.
    """
    full = row.get("image_full")
    if full is not None:
        return Image.open(io.BytesIO(full["bytes"])).convert("RGB")
    return _square_image(row).resize((row["width"], row["height"]), Image.Resampling.BILINEAR)


def _square_image(row: ImageRow) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(decode_image(row).transpose(1, 2, 0)))


def square_png(row: ImageRow) -> bytes:
    """PNG bytes of the square image of a row."""
    image = row.get("image")
    return encode_png(decode_image(row)) if image is None else image["bytes"]


def chat_picture(row: ImageRow, pictures: Pictures, multiple: int) -> tuple[bytes, tuple[int, int]]:
    """PNG bytes and the width and height, px, of the picture of a row for a chat format.

    Args:
        row: of the dataset.
        pictures: "square", or "full" for the width and height of the slice. Boxes as shares of the sides fit both.
        multiple: the sides become the nearest multiples of this, px, at least four of them: trainers of Qwen-VL enlarge a picture
            of less than 16 of its squares.
    """
    if pictures == "square" and multiple == 1:
        data = square_png(row)
        return data, Image.open(io.BytesIO(data)).size
    image = image_on_grid(row) if pictures == "full" else _square_image(row)
    width, height = (max(4, round(side / multiple)) * multiple if multiple > 1 else side for side in image.size)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue(), image.size


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_json_list(path: Path, items: Iterable[Any]) -> None:
    """Write a JSON list item by item, atomically."""
    with json_list(path) as add:
        for item in items:
            add(item)


@contextmanager
def json_list(path: Path, key: str = "") -> Iterator[Callable[[Any], None]]:
    """Yield a function that adds an item to a JSON list, which is written atomically; with a key, to that list of an object."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        start, end = (f'{{"{key}": ', "}") if key else ("", "")
        separators = chain(["[\n"], repeat(",\n"))
        file.write(start)

        def add(item: Any) -> None:
            file.write(next(separators))
            json.dump(item, file, ensure_ascii=False)

        yield add
        file.write(("[]" if next(separators) == "[\n" else "\n]") + f"{end}\n")
