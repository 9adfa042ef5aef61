"""Views of an image: how it fills the model's square.

Boxes and masks follow. No view is ever mirrored: left stays left.
"""

from dataclasses import dataclass, replace
from math import ceil, cos, radians, sin
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refrad.core.types import Box

__all__ = ["WHOLE", "View", "box_in_image", "box_in_view", "mask_in_image", "render_view", "whole_view"]

BORDER = 0.25  # most of the image's side by which it is widened beyond what a view shows


@dataclass(frozen=True)
class View:
    """A window onto an image, and a change of its intensity.

    window: x_min, y_min, x_max, y_max as shares of width and height. turn: degrees by which what it shows is turned about the
    window's middle, clockwise. aspect: width / height of the image in px, so that a turn keeps shapes. gamma, contrast (a
    factor about mid-grey) and brightness (added, as a share of the range): in this order.
    """

    window: Box
    gamma: float = 1.0
    brightness: float = 0.0
    contrast: float = 1.0
    turn: float = 0.0
    aspect: float = 1.0

    @property
    def geometry(self) -> "View":
        """The same view of intensities as they are."""
        return replace(self, gamma=1.0, brightness=0.0, contrast=1.0)


WHOLE = View((0.0, 0.0, 1.0, 1.0))


def whole_view(size: tuple[int, int], resize: Literal["stretch", "pad"]) -> View:
    """The view that shows all of an image of `size` (width, height in px) in a square.

    "stretch" gives width and height the square's side, whatever their ratio. "pad" keeps the proportions: the longer side fills
    the square, and equal black borders are at both ends of the shorter one.
    """
    width, height = size
    aspect = width / height
    x, y = (0.5 - max(size) / (2 * side) for side in size) if resize == "pad" else (0.0, 0.0)
    return View((x, y, 1 - x, 1 - y), aspect=aspect)


def box_in_view(box: Box, view: View, min_share: float = 0.0, outline: NDArray[np.float64] | None = None) -> Box | None:
    """A box (shares of width and height of the image) in a view (shares of those of the view), clipped to it.

    None if nothing of it, or less than the share `min_share` of its area, is inside. A view that is turned takes the box anew from
    `outline`, the corners of what the box surrounds, float64 [points, 2] x and y as shares; without one from the box's own
    corners, which makes it larger than need be.
    """
    left, top, right, bottom = view.window
    if view.turn:
        return _turned_box(_corners(box) if outline is None else outline, view, min_share)
    x_min, x_max = ((min(max(x, left), right) - left) / (right - left) for x in (box[0], box[2]))
    y_min, y_max = ((min(max(y, top), bottom) - top) / (bottom - top) for y in (box[1], box[3]))
    inside = (x_max - x_min) * (right - left) * (y_max - y_min) * (bottom - top)
    if inside < min_share * (box[2] - box[0]) * (box[3] - box[1]) or inside <= 0:
        return None
    return x_min, y_min, x_max, y_max


def _corners(box: Box) -> NDArray[np.float64]:
    x_min, y_min, x_max, y_max = box
    return np.array([(x_min, y_min), (x_max, y_min), (x_min, y_max), (x_max, y_max)])


def _turned_box(points: NDArray[np.float64], view: View, min_share: float) -> Box | None:
    """The box of points of the image in a turned view, clipped to it."""
    corner, span = np.array(view.window[:2]), np.subtract(view.window[2:], view.window[:2])
    turned = 0.5 + (points - corner - span / 2) / span @ _turn(view).T
    (x_min, y_min), (x_max, y_max) = turned.min(0).tolist(), turned.max(0).tolist()
    x, y, x_end, y_end = (min(max(value, 0.0), 1.0) for value in (x_min, y_min, x_max, y_max))
    inside = (x_end - x) * (y_end - y)
    if inside < min_share * (x_max - x_min) * (y_max - y_min) or inside <= 0:
        return None
    return x, y, x_end, y_end


def _turn(view: View) -> NDArray[np.float64]:
    """The matrix of the turn for a step in the window, both as shares of its sides: float64 [2, 2]. It is a turn in px."""
    left, top, right, bottom = view.window
    aspect = (right - left) / (bottom - top) * view.aspect
    cosine, sine = cos(radians(view.turn)), sin(radians(view.turn))
    return np.array([[cosine, -sine / aspect], [sine * aspect, cosine]])


def box_in_image(box: Box, view: View) -> Box:
    """The way back of `box_in_view`, for a view that is not turned: shares of the view to shares of the image, clipped to it."""
    left, top, right, bottom = view.window
    x_min, x_max = (min(max(left + x * (right - left), 0.0), 1.0) for x in (box[0], box[2]))
    y_min, y_max = (min(max(top + y * (bottom - top), 0.0), 1.0) for y in (box[1], box[3]))
    return x_min, y_min, x_max, y_max


def mask_in_image(mask: NDArray[np.bool_], view: View, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask bool [side, side] of a whole view as one of the image, bool [height, width]; `size` is width and height, px."""
    side = len(mask)
    image = box_in_view(WHOLE.window, view) or WHOLE.window
    x_min, y_min, x_max, y_max = (share * side for share in image)
    drawn = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST, box=(x_min, y_min, x_max, y_max))
    return np.asarray(drawn, bool)


def render_view(
    image: Image.Image, view: View, size: int, resample: Image.Resampling = Image.Resampling.BILINEAR
) -> NDArray[np.uint8]:
    """The view of an RGB image as uint8 [size, size, 3]; bilinear comes with antialiasing.

    The image may have been stretched: shares stay shares.
    """
    rendered = _turned(image, view, size, resample) if view.turn else _straight(image, view, size, resample)
    if view == view.geometry:
        return rendered
    levels = (np.arange(256) / 255) ** view.gamma
    if view.contrast != 1:
        levels = 0.5 + (levels - 0.5) * view.contrast
    levels = levels + view.brightness
    return np.take(np.asarray(np.round(levels.clip(0, 1) * 255), np.uint8), rendered)


def _straight(image: Image.Image, view: View, size: int, resample: Image.Resampling) -> NDArray[np.uint8]:
    width, height = image.size
    left, top, right, bottom = view.window
    beyond = max(0.0, -left, right - 1), max(0.0, -top, bottom - 1)
    border_x = border_y = 0
    if any(beyond):
        widened = [min(max(beyond), excess + BORDER) for excess in beyond]
        border_x = 0 if (left, right) == (0, 1) else ceil(widened[0] * width)  # what ends with the image stays crisp
        border_y = 0 if (top, bottom) == (0, 1) else ceil(widened[1] * height)
        wider = Image.new("RGB", (width + 2 * border_x, height + 2 * border_y))
        wider.paste(image, (border_x, border_y))
        image = wider
    window = (left * width + border_x, top * height + border_y, right * width + border_x, bottom * height + border_y)
    return np.asarray(image.resize((size, size), resample, box=window))


def _turned(image: Image.Image, view: View, size: int, resample: Image.Resampling) -> NDArray[np.uint8]:
    """Turning does not antialias, so a picture is brought to its final scale first, with enough around it."""
    corner, span = np.array(view.window[:2]), np.subtract(view.window[2:], view.window[:2])
    back = np.linalg.inv(_turn(view))
    if resample != Image.Resampling.NEAREST:
        x_min, y_min, x_max, y_max = (float(value) for value in (*(corner - span / 2), *(corner + span * 1.5)))
        image = Image.fromarray(_straight(image, View((x_min, y_min, x_max, y_max)), 2 * size, resample))
        corner, span = np.array([0.25, 0.25]), np.array([0.5, 0.5])
    scale = (span * image.size)[:, None] * back / size  # px of the square to px of the image
    start = (corner + span / 2) * image.size - scale @ (size / 2, size / 2)
    matrix = (*scale[0], start[0], *scale[1], start[1])
    return np.asarray(image.transform((size, size), Image.Transform.AFFINE, matrix, resample))
