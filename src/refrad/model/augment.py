"""Views of an image: other zoom, position and intensity, with the boxes following. Never mirrored: left stays left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["WHOLE", "View", "box_in_view", "random_view", "see"]

Box = tuple[float, float, float, float]

SIZES = (0.9, 1.1)  # side of the view, as a share of the image's
STRETCH = 1.06  # most that width and height of the view differ by
GAMMA = (0.8, 1.25)
SHIFT = 0.05  # of the intensity, as a share of the range
KEPT = 0.5  # least share of a box's area inside the view


@dataclass(frozen=True)
class View:
    """A window onto an image (x_min, y_min, x_max, y_max as shares of width and height) and a change of its intensity."""

    window: Box
    gamma: float = 1.0
    shift: float = 0.0


WHOLE = View((0.0, 0.0, 1.0, 1.0))


def random_view(rng: np.random.Generator) -> View:
    """Draw a view: zoom, place and proportions within SIZES and STRETCH, intensity within GAMMA and SHIFT.

    A view smaller than the image lies inside it; a larger one shows black beyond its border.
    """
    size = rng.uniform(*SIZES)
    stretch = STRETCH ** rng.uniform(-0.5, 0.5)
    sides = np.array([size * stretch, size / stretch])
    first = rng.uniform(0, 1, 2) * (1 - sides)
    x_min, y_min, x_max, y_max = (float(value) for value in (*first, *(first + sides)))
    gamma = float(np.exp(rng.uniform(*np.log(GAMMA))))
    return View((x_min, y_min, x_max, y_max), gamma, float(rng.uniform(-SHIFT, SHIFT)))


def box_in_view(box: Box, view: View) -> Box | None:
    """Where a box (shares of width and height of the image) lies in a view (shares of the view's), clipped to it.

    None if less than KEPT of its area is inside.
    """
    left, top, right, bottom = view.window
    x_min, x_max = ((min(max(x, left), right) - left) / (right - left) for x in (box[0], box[2]))
    y_min, y_max = ((min(max(y, top), bottom) - top) / (bottom - top) for y in (box[1], box[3]))
    inside = (x_max - x_min) * (right - left) * (y_max - y_min) * (bottom - top)
    if inside < KEPT * (box[2] - box[0]) * (box[3] - box[1]) or inside <= 0:
        return None
    return x_min, y_min, x_max, y_max


def see(
    image: Image.Image, view: View, size: int, resample: Image.Resampling = Image.Resampling.BILINEAR
) -> NDArray[np.uint8]:
    """The view of an RGB image as uint8 [size, size, 3]; bilinear comes with antialiasing."""
    width, height = image.size
    margin = max(0.0, *(-edge for edge in view.window[:2]), *(edge - 1 for edge in view.window[2:]))
    if margin:
        border_x, border_y = (int(np.ceil(margin * side)) for side in (width, height))
        wider = Image.new("RGB", (width + 2 * border_x, height + 2 * border_y))
        wider.paste(image, (border_x, border_y))
        image = wider
    else:
        border_x = border_y = 0
    left, top, right, bottom = view.window
    window = (left * width + border_x, top * height + border_y, right * width + border_x, bottom * height + border_y)
    seen: NDArray[np.uint8] = np.asarray(image.resize((size, size), resample, box=window))
    if (view.gamma, view.shift) == (1.0, 0.0):
        return seen
    levels = (np.arange(256) / 255) ** view.gamma + view.shift
    return np.take(np.asarray(np.round(levels.clip(0, 1) * 255), np.uint8), seen)
