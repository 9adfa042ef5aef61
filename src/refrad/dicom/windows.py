"""Windows: values of a slice to the three channels of an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEDGEMMA_WINDOWS", "scale_mr", "window_ct"]

MEDGEMMA_WINDOWS = ((2250.0, -100.0), (350.0, 40.0), (80.0, 40.0))  # wide, soft tissue, brain


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
