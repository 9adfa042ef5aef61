"""Pictures for the pages: colours of classes, masks and boxes over slices, pictures inside HTML."""

import base64
import colorsys
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

__all__ = [
    "class_colour",
    "data_uri",
    "draw_contact_sheet",
    "draw_outlines",
    "draw_three_views",
    "overlay_labels",
    "window_grey",
]

GOLDEN = 0.61803398875  # turns of the colour circle between neighbouring ids, so that neighbours differ most


def class_colour(class_id: int) -> tuple[int, int, int]:
    """The colour of a class, RGB 0..255: the same in all pictures and pages."""
    red, green, blue = colorsys.hls_to_rgb(class_id * GOLDEN % 1, 0.6, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)


def data_uri(picture: bytes | Image.Image) -> str:
    """A picture, or the bytes of a PNG, as a data URI."""
    if isinstance(picture, Image.Image):
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG", optimize=True)
        picture = buffer.getvalue()
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def window_grey(values: NDArray[Any], modality: str) -> NDArray[np.uint8]:
    """A slice [row, column] as uint8: CT in a soft-tissue window (width 400, level 40 HU), MR between its 1st and 99th percentile."""
    low, high = (-160.0, 240.0) if modality == "CT" else np.percentile(values, [1, 99])
    return np.asarray(np.clip((values - low) / max(high - low, 1), 0, 1) * 255, np.uint8)


def draw_outlines(
    masks: Sequence[tuple[int, NDArray[np.bool_]]],
    shape: tuple[int, int],
    dashed: Sequence[tuple[int, NDArray[np.bool_]]] = (),
) -> Image.Image:
    """The edges of masks [row, column] in the colours of their classes, on a transparent picture; those of others `dashed`."""
    thick = max(1, round(max(shape) / 256))  # px, for a line that is seen where the picture is small
    picture = np.zeros((*shape, 4), np.uint8)
    gaps = np.indices(shape).sum(0) // (4 * thick) % 2 == 1
    for number, (class_id, mask) in enumerate([*masks, *dashed]):
        edge = mask & ~ndimage.binary_erosion(mask, iterations=thick)
        picture[edge & ~gaps if number >= len(masks) else edge] = (*class_colour(class_id), 255)
    return Image.fromarray(picture)


def overlay_labels(values: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey slice with the class ids of the same shape laid over it in colour: uint8 [row, column, 3]."""
    palette = np.array([(0, 0, 0), *(class_colour(class_id) for class_id in range(1, 256))], np.float32)
    under = np.repeat(values[..., None], 3, axis=2).astype(np.float32)
    mixed = np.where(classes[..., None] > 0, 0.5 * under + 0.5 * palette[classes], under)
    return np.asarray(mixed, np.uint8)


def draw_contact_sheet(
    slices: Sequence[tuple[NDArray[np.uint8], float]], columns: int = 8, side: int = 112
) -> Image.Image:
    """Grey slices [row, column], each with its width by height in mm, in a grid of squares of `side` pixels."""
    lines = -(-len(slices) // columns)
    sheet = Image.new("L", (min(columns, len(slices)) * side, lines * side))
    for number, (values, aspect) in enumerate(slices):
        size = (side - 4) * min(1, aspect), (side - 4) * min(1, 1 / aspect)
        picture = Image.fromarray(values).resize((max(1, round(size[0])), max(1, round(size[1]))))
        corner = number % columns * side, number // columns * side
        sheet.paste(picture, (corner[0] + (side - picture.width) // 2, corner[1] + (side - picture.height) // 2))
    return sheet


def draw_three_views(
    volume: NDArray[Any],
    spacing: tuple[float, float, float],
    modality: str,
    classes: NDArray[np.uint8] | None = None,
    height: int = 220,
    at: Sequence[int] | None = None,
) -> Image.Image:
    """The middle slices across the three axes of a volume [column, row, slice] in a row, in true proportions.

    spacing: mm along the three axes. classes: ids of the same shape, laid over in colour. at: the voxel where the slices
    meet, in place of the middle.
    """
    views = []
    for axis in (2, 1, 0):
        middle = at[axis] if at else volume.shape[axis] // 2
        slab = window_grey(np.take(volume, middle, axis).T, modality)
        shaded = (
            np.repeat(slab[..., None], 3, axis=2)
            if classes is None
            else overlay_labels(slab, np.take(classes, middle, axis).T)
        )
        across, down = (spacing[side] * volume.shape[side] for side in range(3) if side != axis)
        view = Image.fromarray(shaded).resize(
            (max(1, round(height * across / down)), height), Image.Resampling.BILINEAR
        )
        # Slices are stacked feet to head; people look at them head up.
        views.append(view if axis == 2 else view.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    joined = Image.new("RGB", (sum(view.width for view in views) + 4 * (len(views) - 1), height))
    left = 0
    for view in views:
        joined.paste(view, (left, 0))
        left += view.width + 4
    return joined
