"""Masks of other programs as COCO run lengths: plain and compressed run lengths and polygons, checked before pycocotools reads them.

pycocotools never returns from run lengths that do not add up to the size of their image, and polygons far outside of it fill the
memory; it refuses neither.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from refrad.evaluation.metrics.grounding import RunLengths

__all__ = ["Polygons", "decode_counts", "draw_polygons", "read_mask"]

Polygons = list[list[float]]
"""Each x1, y1, x2, y2, ..., px of the image; the mask is their union."""

FORMS = 'a mask is {"size": [height, width], "counts": COCO run lengths}, or a COCO polygon'
MOST_PIXELS = 2**31  # pycocotools counts pixels in 32 bits
LONGEST_COUNT = 7  # characters of a compressed count: 5 bits each, for at most 32 bits


def read_mask(value: Any) -> RunLengths | Polygons:
    """A mask in any form of COCO: run lengths, plain or compressed, and polygons with their `size`, as compressed run lengths.

    A polygon alone (a list of coordinates, or a list of such lists) is returned as it is, for `draw_polygons`.

    Raises:
        ValueError: in one sentence, without the values, if the mask is not of these forms or does not fill its image.
    """
    if isinstance(value, list):
        return _polygons(value)
    if not isinstance(value, Mapping) or "size" not in value or not {"counts", "polygons"} & value.keys():
        raise ValueError(FORMS)
    height, width = _size(value["size"])
    if "counts" not in value:
        return draw_polygons(_polygons(value["polygons"]), height, width)
    counts = value["counts"]
    if isinstance(counts, str):
        lengths = decode_counts(counts)
    elif isinstance(counts, list) and all(type(length) is int for length in counts):
        if any(not 0 <= length <= MOST_PIXELS for length in counts):
            raise ValueError("the run lengths of a mask (counts) are whole numbers from 0 to height x width")
        lengths = np.array(counts, np.int64)
    else:
        raise ValueError("the run lengths of a mask (counts) are a list of whole numbers, or COCO's compressed text")
    if int(lengths.sum()) != height * width:
        raise ValueError(f"the run lengths of a mask (counts) must add up to height x width, {height} x {width} px")
    if isinstance(counts, str) and lengths[1:].all():
        return {"size": [height, width], "counts": counts}
    return _compressed(_joined(lengths), height, width)


def decode_counts(text: str) -> NDArray[np.int64]:
    """The run lengths in COCO's compressed text, int64 [runs]; of background first.

    Each run length is written in characters of 6 bits from "0" on: 5 bits of the number, lowest first, and one that another
    character follows; from the fourth on, as the difference to the run length before the previous one. Source: `rleToString` of cocoapi's maskApi.c.

    Raises:
        ValueError: if the text is not of this form, or a run length is negative.
    """
    if not text or not text.isascii():
        raise ValueError("the run lengths of a mask (counts) are no compressed text of COCO")
    bits = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - ord("0")
    last = np.flatnonzero(bits & 32 == 0)  # the last character of each number
    if bits.min() < 0 or bits.max() > 63 or bits[-1] & 32:
        raise ValueError("the run lengths of a mask (counts) are no compressed text of COCO")
    characters = np.diff(last, prepend=-1)
    if characters.max() > LONGEST_COUNT:
        raise ValueError("the run lengths of a mask (counts) are no compressed text of COCO")
    first = last - characters + 1
    shifts = 5 * (np.arange(len(bits)) - np.repeat(first, characters))
    numbers = np.add.reduceat((bits & 31) << shifts, first)
    numbers -= np.where(bits[last] & 16, 1 << 5 * characters, 0)  # the highest bit is the sign
    for parity in (1, 2):
        numbers[parity::2] = numbers[parity::2].cumsum()
    if numbers.min() < 0:
        raise ValueError("the run lengths of a mask (counts) must not be negative")
    return numbers


def draw_polygons(polygons: Polygons, height: int, width: int) -> RunLengths:
    """The union of polygons as run lengths of an image of height x width px, drawn as pycocotools does it.

    Raises:
        ValueError: if a polygon reaches further beyond the image than its width or height, or all are within its first pixel.
    """
    ends = [(min(polygon[axis::2]), max(polygon[axis::2])) for polygon in polygons for axis in (0, 1)]
    sides = [width, height] * len(polygons)
    if any(low < -side or high > 2 * side for (low, high), side in zip(ends, sides, strict=True)):
        raise ValueError(f"a polygon reaches beyond its image of {height} x {width} px (height x width)")
    if max(high for _, high in ends) <= 1 < max(height, width):
        raise ValueError("the coordinates of a polygon are pixels, not shares of the image")
    drawn = coco.merge(coco.frPyObjects(polygons, height, width))
    return {"size": [height, width], "counts": drawn["counts"].decode("ascii")}


def _size(size: Any) -> tuple[int, int]:
    if not isinstance(size, list) or len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise ValueError("the size of a mask is [height, width], two positive whole numbers")
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError("the size of a mask is more than 2^31 px")
    return size[0], size[1]


def _polygons(value: Any) -> Polygons:
    parts: Sequence[Any] = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    for part in parts:
        if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
            raise ValueError(f"{FORMS}: x and y of three or more corners, or a list of such lists")
        if any(type(number) not in (int, float) or not isfinite(number) for number in part):
            raise ValueError("the coordinates of a polygon are finite numbers")
    return [[float(number) for number in part] for part in parts]


def _joined(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Run lengths without empty runs, but for the first: pycocotools' IoU ends at a place where both masks have one."""
    values = np.arange(len(lengths)) % 2
    filled = lengths > 0
    lengths, values = lengths[filled], values[filled]
    first = np.flatnonzero(np.diff(values, prepend=-1))
    joined = np.add.reduceat(lengths, first)
    return joined if values[0] == 0 else np.insert(joined, 0, 0)


def _compressed(lengths: NDArray[np.int64], height: int, width: int) -> RunLengths:
    drawn = coco.frPyObjects({"size": [height, width], "counts": lengths.tolist()}, height, width)
    return {"size": [height, width], "counts": drawn["counts"].decode("ascii")}
