"""Pictures of the dataset: windowed images in the formats of the shards, and back; and sketches that tell which look alike."""

import io
from collections.abc import Sequence
from math import isqrt

import numpy as np
import zstandard
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from scipy.ndimage import gaussian_filter

from refrad.dataset.shard_rows import PictureColumns
from refrad.dicom.windows import scale_mr, window_ct

__all__ = [
    "SKETCH",
    "decode_image",
    "decode_mask",
    "decode_pixels",
    "decode_sketch",
    "draw_sketch",
    "encode_mask",
    "encode_pixels",
    "encode_png",
    "encode_sketch",
    "quantize_sketch",
    "window_image",
]

SKETCH = 32  # px
SKETCH_SCALE = 40  # of int8; structure is about -1 to 1
NOISE = 3  # grey levels


def window_image(
    image: NDArray[np.int16], modality: str, windows: Sequence[Sequence[float]], size: int | None
) -> NDArray[np.uint8]:
    """An image in three windows, uint8 [channel, row, column].

    Args:
        image: int16 [row, column], HU for CT.
        modality: CT or MR; the windows of MR follow from the values of the image.
        windows: width and level of each channel, HU.
        size: side of the square, px, to which the image is squashed, bilinear and without antialias (as in the paper's released
            code); None keeps the resolution of the image.
    """
    channels = window_ct(image, windows) if modality == "CT" else scale_mr(image)
    if size is None:
        return channels
    square = Image.fromarray(np.ascontiguousarray(channels.transpose(1, 2, 0))).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def encode_png(channels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of uint8 [channel, row, column]."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(channels.transpose(1, 2, 0))).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def encode_pixels(channels: NDArray[np.uint8]) -> bytes:
    """A square picture uint8 [channel, row, column] as one zstd frame."""
    return zstandard.ZstdCompressor(level=3).compress(channels.tobytes())


def decode_pixels(data: bytes) -> NDArray[np.uint8]:
    """The picture uint8 [3, side, side] from the bytes of `encode_pixels`.

    Raises:
        ValueError: if the bytes make no square picture of three channels.
    """
    values = np.frombuffer(zstandard.ZstdDecompressor().decompress(data), np.uint8)
    side = isqrt(len(values) // 3)
    if 3 * side * side != len(values):
        raise ValueError(f"column pixels: {len(values)} bytes are no square picture of three channels")
    return values.reshape(3, side, side)


def decode_image(row: PictureColumns) -> NDArray[np.uint8]:
    """The square picture of a row, uint8 [channel, row, column], from the column `pixels`, else from `image`."""
    pixels = row.get("pixels")
    if pixels is not None:
        return decode_pixels(pixels)
    return np.ascontiguousarray(
        np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")).transpose(2, 0, 1)
    )


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """COCO run-length code (counts) of a mask bool [row, column]; its size is [height, width], px."""
    return str(coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def decode_mask(rle: str, height: int, width: int) -> NDArray[np.bool_]:
    """The mask bool [row, column] of a COCO run-length code of a mask of `height` and `width`, px."""
    decoded: NDArray[np.bool_] = coco.decode({"size": [height, width], "counts": rle.encode("ascii")}).astype(bool)
    return decoded


def draw_sketch(channels: NDArray[np.uint8], side: int, finest: float, coarsest: float) -> NDArray[np.float32]:
    """The structure of a picture without its gain, offset and window, float32 [side, side], about -1 to 1.

    The mean of the wide and the soft-tissue channel, between two scales, divided by its local contrast: what differs by 3 grey
    levels or less counts less, since noise differs so.

    Args:
        channels: a picture uint8 [channel, row, column].
        side: px of the result.
        finest: standard deviation of the Gaussian below which structure is lost, px of the result.
        coarsest: that of the Gaussian above which it is.
    """
    grey = Image.fromarray((channels[0].astype(np.float32) + channels[1]) / 2)
    filtering = Image.Resampling.BOX if min(grey.size) >= side else Image.Resampling.BILINEAR
    small = np.asarray(grey.resize((side, side), filtering))
    band = gaussian_filter(small, finest, mode="nearest") - gaussian_filter(small, coarsest, mode="nearest")
    contrast = np.sqrt(gaussian_filter(band**2, 1.5 * coarsest, mode="nearest"))
    structure: NDArray[np.float32] = band / (contrast + NOISE)
    return structure


def encode_sketch(channels: NDArray[np.uint8]) -> bytes:
    """The sketch of a picture uint8 [channel, row, column]: int8 [32, 32], in which copies are found."""
    return quantize_sketch(draw_sketch(channels, SKETCH, 0.5, 3)).tobytes()


def quantize_sketch(structure: NDArray[np.float32]) -> NDArray[np.int8]:
    """The structure of `draw_sketch` as int8 of the same shape."""
    return np.clip(np.round(structure * SKETCH_SCALE), -127, 127).astype(np.int8)


def decode_sketch(data: bytes) -> NDArray[np.int8]:
    """The sketch int8 [32, 32] from the bytes of `encode_sketch`."""
    return np.frombuffer(data, np.int8).reshape(SKETCH, SKETCH)
