"""Images of one stack at the same place: which of them are copies, by their pixels."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refrad.dicom.copies import is_same_place, preference
from refrad.dicom.geometry import SAME_POSITION, normal_of, positions_along
from refrad.dicom.headers import Header
from refrad.dicom.pixels import read_pixels
from refrad.dicom.reasons import QuarantineError

__all__ = ["find_copies"]

# Mean difference of a lossy copy, as a share of the standard deviation. Two phases of a CT differ by more through noise alone.
DIFFERENCE_OF_LOSSY = 0.01
GROUPS_AT_ONCE = 64  # whose images are in memory together


def find_copies(folder: Path, headers: Sequence[Header]) -> tuple[list[int], list[int]]:
    """The images of a stack of which each shows another place, and their copies, as indices into `headers`.

    Images at one place, or of one UID at nearly one place, are copies if their values are equal after rescaling; the best is
    kept. A copy that cannot be decoded is never kept if another can. Pixels are read only where places repeat.

    Args:
        folder: of the delivery.
        headers: of the images of a stack, with paths below `folder`.

    Raises:
        QuarantineError: "four_dimensional", if images at one place differ.
        MemoryError: if the memory does not suffice.
        OSError: if the storage fails.
    """
    heights = positions_along([header.position for header in headers], normal_of(headers[0].orientation))
    is_one_each = len({header.instance_key for header in headers}) == len(headers)
    if is_one_each and np.all(np.diff(np.sort(heights)) >= SAME_POSITION):
        return list(range(len(headers))), []
    groups = _groups(headers, heights)
    repeated = [group for group in groups if len(group) > 1]
    if not repeated:
        return list(range(len(headers))), []
    chosen = [group[0] for group in groups if len(group) == 1]
    copies: list[int] = []
    # Most stacks with repeated positions are no copies, which the middle shows better than an empty image at an end.
    middle = repeated.pop(len(repeated) // 2)
    batches = [repeated[start : start + GROUPS_AT_ONCE] for start in range(0, len(repeated), GROUPS_AT_ONCE)]
    for batch in [[middle], *batches]:
        values = _values(folder, headers, sorted(number for group in batch for number in group))
        for group in batch:
            readable = [number for number in group if number in values]
            first = readable[0] if readable else group[0]
            for number in readable[1:]:
                same_uid = headers[number].instance_key == headers[first].instance_key
                lossy = same_uid and headers[number].compressed and not headers[first].compressed
                if not _are_equal(values[first], values[number], DIFFERENCE_OF_LOSSY if lossy else 0):
                    raise QuarantineError("four_dimensional")
            chosen.append(first)
            copies += (number for number in group if number != first)
    return sorted(chosen), sorted(copies)


def _groups(headers: Sequence[Header], heights: NDArray[np.float64]) -> list[list[int]]:
    """The images at each place, the best first; `heights` are the positions along the normal, mm."""
    order = sorted(range(len(headers)), key=lambda number: preference(headers[number]))
    of_uid: dict[str, list[int]] = {}
    of_height: dict[int, list[int]] = {}
    groups: list[list[int]] = []
    for number in order:
        header = headers[number]
        cell = int(np.floor(heights[number] / SAME_POSITION))
        near = [group for step in (-1, 0, 1) for group in of_height.get(cell + step, ())]
        same = [group for group in near if _is_at(header, headers[groups[group][0]])]
        same += [group for group in of_uid.get(header.instance_key, ()) if _is_copy(header, headers[groups[group][0]])]
        if same:
            groups[same[0]].append(number)
            continue
        of_uid.setdefault(header.instance_key, []).append(len(groups))
        of_height.setdefault(cell, []).append(len(groups))
        groups.append([number])
    return groups


def _is_at(first: Header, second: Header) -> bool:
    """Whether two images lie at one place."""
    return bool(np.linalg.norm(np.subtract(first.position, second.position)) < SAME_POSITION)


def _is_copy(first: Header, second: Header) -> bool:
    """Whether two images of one UID have one number and lie at the same place within the decimals of their headers."""
    numbers = {first.instance_number, second.instance_number}
    return numbers != {None} and len(numbers - {None}) == 1 and is_same_place(first, second)


def _values(folder: Path, headers: Sequence[Header], numbers: Sequence[int]) -> dict[int, NDArray[Any]]:
    """Number of an image to its values after rescaling [row, column]; without the images that cannot be decoded."""
    values: dict[int, NDArray[Any]] = {}
    numbers = sorted(numbers, key=lambda number: (headers[number].path, headers[number].frame))
    for _, of_file in groupby(numbers, lambda number: headers[number].path):
        images = list(of_file)
        try:
            for number, stored in zip(images, read_pixels(folder, [headers[i] for i in images]), strict=False):
                values[number] = _rescaled(stored, headers[number])
        except QuarantineError:
            continue
    return values


def _rescaled(stored: NDArray[Any], header: Header) -> NDArray[Any]:
    """Values after rescaling, rounded to HU or to 32 bits, so that those of another scale compare equal."""
    values = stored * np.float64(header.slope) + header.intercept
    return np.asarray(np.rint(values) if header.modality == "CT" else values, np.float32)


def _are_equal(first: NDArray[Any], second: NDArray[Any], share: float) -> bool:
    """Whether the mean difference of the values is at most this share of their standard deviation."""
    if first.shape != second.shape or not share:
        return np.array_equal(first, second)
    return bool(np.abs(first - second).mean() <= share * first.std())
