"""Images and JSON lists for several exports."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from refrad.core.files import atomic
from refrad.dataset.image_codec import decode_image, encode_png
from refrad.dataset.shard_rows import ImageRow

__all__ = ["image_on_grid", "square_png", "write_bytes", "write_json_list"]


def image_on_grid(row: ImageRow) -> Image.Image:
    """The image of a row with the width and height of the DICOM image, so that boxes and masks fit.

    It is the column image_full if the row has it, else the square image resized: same positions, less detail.
    """
    full = row.get("image_full")
    if full is not None:
        return Image.open(io.BytesIO(full["bytes"])).convert("RGB")
    square = Image.fromarray(np.ascontiguousarray(decode_image(row).transpose(1, 2, 0)))
    return square.resize((row["width"], row["height"]), Image.Resampling.BILINEAR)


def square_png(row: ImageRow) -> bytes:
    """PNG bytes of the square image of a row."""
    image = row.get("image")
    return encode_png(decode_image(row)) if image is None else image["bytes"]


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_json_list(path: Path, items: Iterable[Any]) -> int:
    """Write a JSON list item by item, atomically, and return the number of items."""
    count = 0
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for item in items:
            file.write("[\n" if count == 0 else ",\n")
            json.dump(item, file, ensure_ascii=False)
            count += 1
        file.write("\n]\n" if count else "[]\n")
    return count
