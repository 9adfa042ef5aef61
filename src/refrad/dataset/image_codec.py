"""Pictures of the dataset: windowed images in the formats of the shards, and back; and which of them look alike."""

import io
from collections.abc import Sequence
from math import isqrt

import numpy as np
import zstandard
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from scipy.fft import dctn

from refrad.dataset.shard_rows import PictureColumns
from refrad.dicom.windows import scale_mr, window_ct

__all__ = [
    "decode_image",
    "decode_mask",
    "decode_pixels",
    "encode_mask",
    "encode_pixels",
    "encode_png",
    "mean_grey_difference",
    "perceptual_hash",
    "thumbnail",
    "window_image",
]

THUMBNAIL = 32  # px
LOW = 8  # frequencies of each direction that the hash looks at


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


def thumbnail(channels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The soft-tissue channel of a picture uint8 [channel, row, column], as uint8 [32, 32], antialiased."""
    return np.asarray(Image.fromarray(channels[1]).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def mean_grey_difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two thumbnails uint8 [32, 32], grey levels 0 to 255."""
    return float(np.abs(first.astype(np.int16) - second).mean())


def perceptual_hash(channels: NDArray[np.uint8]) -> str:
    """64 bits as 16 hexadecimal digits: which low frequencies (DCT-II of the thumbnail, 8 x 8) are above their median.

    Args:
        channels: a picture uint8 [channel, row, column].
    """
    low = dctn(thumbnail(channels).astype(np.float64), norm="ortho")[:LOW, :LOW].ravel()
    return np.packbits(low > np.median(low[1:])).tobytes().hex()
