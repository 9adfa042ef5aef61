"""Slices as grey pictures under a window, and masks as outlines that stay sharp at any zoom."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refrad.dicom.windows import DISPLAY_WINDOWS, MEDGEMMA_WINDOWS, DisplayWindow, display_grey, scale_mr

__all__ = ["WINDOWS", "draw_slice", "encode_grey", "nearest_channel", "outline_path"]

FULL_RANGE = "full range"
PERCENTILES = "1st to 99th percentile"
CT_WINDOWS = (*DISPLAY_WINDOWS, DisplayWindow("wide", *MEDGEMMA_WINDOWS[0]))
# Names of the windows that a reviewer may choose, by modality; the first of MR is its default.
WINDOWS = {"CT": tuple(window.name for window in CT_WINDOWS), "MR": (PERCENTILES, FULL_RANGE)}


def draw_slice(values: NDArray[Any], modality: str, window: str) -> NDArray[np.uint8]:
    """A slice in grey, uint8 of the same shape.

    Args:
        values: [row, column]; HU if `modality` is "CT".
        modality: "CT" or "MR".
        window: a name of `WINDOWS`; the default of the modality for any other.
    """
    if modality == "MR" and window == FULL_RANGE:
        return np.asarray(scale_mr(values)[0])
    chosen = next((entry for entry in CT_WINDOWS if entry.name == window), CT_WINDOWS[0])
    return display_grey(values, modality, chosen)


def nearest_channel(window: str, channels: list[tuple[float, float]]) -> int:
    """Number of the channel of a stored picture whose window (width, level, HU) is most like the one of this name."""
    chosen = next((entry for entry in CT_WINDOWS if entry.name == window), CT_WINDOWS[0])
    ends = [(level - width / 2, level + width / 2) for width, level in channels]
    low, high = chosen.level - chosen.width / 2, chosen.level + chosen.width / 2
    return min(range(len(ends)), key=lambda number: abs(ends[number][0] - low) + abs(ends[number][1] - high))


def encode_grey(grey: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a grey picture uint8 [row, column], of the same size."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def outline_path(mask: NDArray[np.bool_]) -> str:
    """The edges of a mask bool [row, column] as an SVG path in px: pixel (x, y) covers x to x + 1 and y to y + 1.

    Neighbouring edges of one line are joined, so that a path has a few bytes for each pixel of the outline.
    """
    padded = np.pad(np.asarray(mask, np.int8), 1)
    across = np.diff(padded, axis=0)[:, 1:-1] != 0  # [line between rows, column]
    down = np.diff(padded, axis=1)[1:-1].T != 0  # [line between columns, row]
    parts = [f"M{start} {line}H{end}" for line, start, end in _runs(across)]
    parts += [f"M{line} {start}V{end}" for line, start, end in _runs(down)]
    return "".join(parts)


def _runs(edges: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Runs of true values in each line: the line, the first position and the one after the last."""
    steps = np.diff(np.pad(edges.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    lines, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return list(zip(lines.tolist(), starts.tolist(), ends.tolist(), strict=True))
