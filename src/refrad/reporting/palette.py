"""Colours of classes, the same in all pictures and pages: as different as so many bright colours can be."""

import colorsys
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from refrad.core.types import SEG_TOKENS

__all__ = ["class_colour", "class_palette", "colour_lab", "css_colour"]

HUES, LIGHTNESSES, SATURATIONS = np.arange(0, 1, 1 / 48), (0.45, 0.55, 0.65, 0.75, 0.85), (0.35, 0.65, 1.0)  # of HLS
DARKEST, BRIGHTEST = 48, 86  # L* of CIELAB: a line is seen on a black picture and on a white page
NEIGHBOURS = 12  # ids before one, which often are in the same picture, such as lobes, vertebrae and ribs


def class_colour(class_id: int) -> tuple[int, int, int]:
    """The colour of a class, RGB 0..255."""
    red, green, blue = class_palette()[1 + (class_id - 1) % (SEG_TOKENS - 1)]
    return int(red), int(green), int(blue)


def css_colour(class_id: int) -> str:
    """The colour of a class in CSS."""
    return "rgb({},{},{})".format(*class_colour(class_id))


@cache
def class_palette() -> NDArray[np.uint8]:
    """The colours of all class ids, uint8 [128, 3]; 0, which is no class, is black.

    First the set: each colour is the one farthest from those before it. Then the order: each id has the unused colour that is farthest
    from those of the ids just before it. Distances are those of CIELAB.
    """
    colours = [colorsys.hls_to_rgb(*values) for values in product(HUES, LIGHTNESSES, SATURATIONS)]
    candidates = np.unique(np.rint(255 * np.array(colours)).astype(np.uint8), axis=0)
    lightness = colour_lab(candidates)[:, 0]
    candidates = candidates[(lightness > DARKEST) & (lightness < BRIGHTEST)]
    lab = colour_lab(candidates)
    nearest = np.linalg.norm(lab - lab[0], axis=1)
    chosen = [0]
    while len(chosen) < SEG_TOKENS - 1:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
    distances = np.linalg.norm(lab[chosen][:, None] - lab[chosen], axis=2)
    order, unused = [0], list(range(1, len(chosen)))
    while unused:
        apart = distances[np.ix_(unused, order[-NEIGHBOURS:])].min(axis=1)
        order.append(unused.pop(int(np.argmax(apart))))
    return np.concatenate([np.zeros((1, 3), np.uint8), candidates[chosen][order]])


def colour_lab(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Colours sRGB uint8 [n, 3] in CIELAB (D65), float64 [n, 3]; formulas of IEC 61966-2-1 and CIE 15."""
    shares = colours / 255
    linear = np.where(shares > 0.04045, ((shares + 0.055) / 1.055) ** 2.4, shares / 12.92)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ matrix.T / matrix.sum(axis=1)
    curved = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = curved.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
