"""Windows: values of a slice to the three channels of an image of the dataset, and to one grey picture for a person."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BONE",
    "BRAIN",
    "DISPLAY_WINDOWS",
    "LUNG",
    "MEDGEMMA_WINDOWS",
    "SOFT_TISSUE",
    "DisplayWindow",
    "display_grey",
    "scale_mr",
    "window_ct",
    "window_of_classes",
]

MEDGEMMA_WINDOWS = ((2250.0, -100.0), (350.0, 40.0), (80.0, 40.0))  # wide, soft tissue, brain


class DisplayWindow(NamedTuple):
    """A window in which a person reads a CT image: its name, width and level, HU."""

    name: str
    width: float
    level: float


SOFT_TISSUE = DisplayWindow("soft tissue", 400.0, 40.0)
LUNG = DisplayWindow("lung", 1500.0, -600.0)
BONE = DisplayWindow("bone", 1800.0, 400.0)
BRAIN = DisplayWindow("brain", 80.0, 40.0)
DISPLAY_WINDOWS = (SOFT_TISSUE, LUNG, BRAIN, BONE)  # of several that fit equally well, the first
# First word of a class name to its window, so that classes that a site adds ("lung_nodule") have one; others are soft tissue.
WINDOW_OF_WORD = {
    "brain": BRAIN,
    "clavicula": BONE,
    "femur": BONE,
    "hip": BONE,
    "humerus": BONE,
    "lung": LUNG,
    "rib": BONE,
    "sacrum": BONE,
    "scapula": BONE,
    "skull": BONE,
    "sternum": BONE,
    "trachea": LUNG,
    "vertebrae": BONE,
}
MR_RANGE = (1, 99)  # percentiles of a slice


def window_of_classes(names: Iterable[str]) -> DisplayWindow:
    """The window that suits most of some classes; soft tissue for none.

    Args:
        names: of classes of the schema, such as "lung_upper_lobe_left"; a repeated one counts once.
    """
    counts = Counter(WINDOW_OF_WORD.get(name.lower().split("_")[0], SOFT_TISSUE) for name in set(names))
    return max(DISPLAY_WINDOWS, key=lambda window: counts[window])


def display_grey(values: NDArray[Any], modality: str, window: DisplayWindow = SOFT_TISSUE) -> NDArray[np.uint8]:
    """A slice in grey for a person, uint8 of the same shape: CT in a window, MR between its 1st and 99th percentile.

    Args:
        values: [row, column]; HU if `modality` is "CT".
        modality: "CT" or "MR".
        window: of CT.
    """
    image = np.asarray(values, dtype=np.float32)
    if modality == "CT":
        return _to_bytes(image, window.level - window.width / 2, window.level + window.width / 2)
    low, high = np.percentile(image, MR_RANGE)
    return _to_bytes(image, float(low), float(high))


def window_ct(hu: NDArray[Any], windows: Sequence[Sequence[float]] = MEDGEMMA_WINDOWS) -> NDArray[np.uint8]:
    """CT values through windows, uint8 [channels, height, width].

    Args:
        hu: Hounsfield units, of any number type, [height, width].
        windows: width and level of each channel, HU.

    Returns:
        uint8 [channels, height, width]; 0 at or below level - width / 2, 255 at or above level + width / 2, linear between.
    """
    values = np.asarray(hu, dtype=np.float32)
    return np.stack([_to_bytes(values, level - width / 2, level + width / 2) for width, level in windows])


def scale_mr(values: NDArray[Any]) -> NDArray[np.uint8]:
    """MR values over the range of the image, three times: 0 is its minimum, 255 its maximum; a constant image is 0.

    Args:
        values: [height, width], of any number type and unit.

    Returns:
        uint8 [3, height, width].
    """
    values = np.asarray(values, dtype=np.float32)
    return np.stack([_to_bytes(values, float(values.min()), float(values.max()))] * 3)


def _to_bytes(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    share = (values - low) / ((high - low) or 1)
    return np.asarray(np.rint(np.clip(share, 0, 1) * 255), dtype=np.uint8)
