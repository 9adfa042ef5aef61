"""Drawing for the pages: pictures inside HTML, and the edges and areas of masks in the colours of their classes."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from refrad.reporting.palette import class_colour, class_palette

__all__ = ["data_uri", "draw_outlines", "jpeg_uri", "overlay_labels"]

JPEG_QUALITY = 85
OUTLINED = 256  # px, the least longer side of a picture of outlines, so that they are sharp over a small slice


def data_uri(picture: bytes | Image.Image) -> str:
    """A picture, or the bytes of a PNG, as a data URI."""
    if isinstance(picture, Image.Image):
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG", optimize=True)
        picture = buffer.getvalue()
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def jpeg_uri(channels: NDArray[np.uint8]) -> str:
    """A picture as the data URI of a JPEG without loss between its channels, a tenth of the size of a PNG.

    Args:
        channels: [row, column], or [row, column, 3]; the three may be unrelated, such as three windows.
    """
    buffer = io.BytesIO()
    # Not as brightness and colours, which would mix the channels.
    form = {"keep_rgb": True} if channels.ndim == 3 else {}
    Image.fromarray(np.ascontiguousarray(channels)).save(
        buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True, **form
    )
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def draw_outlines(
    masks: Sequence[tuple[int, NDArray[np.bool_]]],
    shape: tuple[int, int],
    dashed: Sequence[tuple[int, NDArray[np.bool_]]] = (),
) -> Image.Image:
    """The edges of masks [row, column] in the colours of their classes, on a transparent picture; those of others `dashed`.

    The picture of a small slice has a whole number of px for each of its pixels.
    """
    finer = max(1, OUTLINED // max(shape))
    shape = shape[0] * finer, shape[1] * finer
    thick = max(1, round(max(shape) / 512))  # px: thin, for small organs, and yet seen where the picture is small
    picture = np.zeros((*shape, 4), np.uint8)
    gaps = np.indices(shape).sum(0) // (4 * thick) % 2 == 1
    for number, (class_id, coarse) in enumerate([*masks, *dashed]):
        mask = coarse.repeat(finer, axis=0).repeat(finer, axis=1)
        edge = mask & ~ndimage.binary_erosion(mask, iterations=thick)
        picture[edge & ~gaps if number >= len(masks) else edge] = (*class_colour(class_id), 255)
    return Image.fromarray(picture)


def overlay_labels(values: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey slice with the class ids of the same shape laid over it in colour: uint8 [row, column, 3]."""
    under = np.repeat(values[..., None], 3, axis=2).astype(np.float32)
    colours = class_palette()[np.minimum(classes, len(class_palette()) - 1)].astype(np.float32)
    mixed = np.where(classes[..., None] > 0, 0.5 * under + 0.5 * colours, under)
    return np.asarray(mixed, np.uint8)
