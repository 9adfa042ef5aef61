"""Augmentation: random views of an image, with another zoom, position, rotation and intensity.

No view is ever mirrored: left stays left.
"""

import numpy as np

from refrad.config import AugmentOptions
from refrad.model.preprocess import WHOLE, View

__all__ = ["random_view"]


def random_view(rng: np.random.Generator, options: AugmentOptions, whole: View = WHOLE) -> View:
    """Draw a view of the part that `whole` shows. Options that are switched off draw no number.

    A view smaller than the whole is inside it; a larger one shows black beyond its border.
    """
    smallest, largest = options.scale
    size = rng.uniform(smallest, largest)
    stretch = options.stretch ** rng.uniform(-0.5, 0.5)
    sides = np.array([size * stretch, size / stretch])
    first = rng.uniform(0, 1, 2) * (1 - sides)
    corner, span = np.array(whole.window[:2]), np.subtract(whole.window[2:], whole.window[:2])
    x_min, y_min, x_max, y_max = (
        float(value) for value in (*(corner + first * span), *(corner + (first + sides) * span))
    )
    gamma = float(np.exp(rng.uniform(*np.log(options.gamma))))
    brightness = float(rng.uniform(-options.brightness, options.brightness))
    if options.gamma_probability < 1 and rng.random() >= options.gamma_probability:
        gamma = 1.0
    if options.brightness_probability < 1 and rng.random() >= options.brightness_probability:
        brightness = 0.0
    low, high = options.contrast
    contrast = float(rng.uniform(low, high)) if low < high else low
    turn = float(rng.uniform(-options.rotation, options.rotation)) if options.rotation else 0.0
    return View((x_min, y_min, x_max, y_max), gamma, brightness, contrast, turn, whole.aspect)
