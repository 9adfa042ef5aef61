"""Images of one series by the values of their attributes, such as the time, the b-value or the kernel."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from refrad.dicom.headers import Header

__all__ = ["DIVIDE_REPETITIONS", "by_attributes", "divisions_by_value"]

# In order of preference
DIVIDE_REPETITIONS = (
    "temporal",
    "acquisition",
    "b_value",
    "direction",
    "directionality",
    "trigger_time",
    "cardiac_phase",
    "respiratory_phase",
    "component",
    "inversion_time",
    "flip_angle",
    "kilovolts",
    "kernel",
    "thickness",
    "contrast",
    "irradiation",
    "dimensions",
)
# Values of one setting that differ by rounding or by measurement, in the attribute's unit.
TOLERANCES = {
    "echo_time": 0.02,
    "b_value": 0.5,
    "direction": 0.001,
    "trigger_time": 0.5,
    "cardiac_phase": 0.01,
    "respiratory_phase": 0.01,
    "inversion_time": 0.1,
    "flip_angle": 0.05,
    "kilovolts": 0.5,
    "thickness": 0.005,
}


def by_attributes(headers: Sequence[Header], group: Iterable[int], names: Sequence[str]) -> list[list[int]]:
    """Images with equal values of the attributes, within `TOLERANCES`."""
    group = list(group)
    parts: dict[tuple[object, ...], list[int]] = {}
    for number, *key in zip(group, *(_classes(headers, group, name) for name in names), strict=True):
        parts.setdefault(tuple(key), []).append(number)
    return list(parts.values())


def _classes(headers: Sequence[Header], group: Sequence[int], name: str) -> list[object]:
    """The value of each image, with one number for all numbers that differ by no more than the tolerance step by step."""
    values = [getattr(headers[number], name) for number in group]
    distinct = set(values)
    if name not in TOLERANCES or len(distinct) < 2:
        return values
    if name != "direction":
        classes = _merged({value for value in distinct if value is not None}, TOLERANCES[name])
        return [classes.get(value) for value in values]
    axes = [_merged({value[axis] for value in distinct if value}, TOLERANCES[name]) for axis in range(3)]
    return [tuple(axis[number] for axis, number in zip(axes, value, strict=False)) for value in values]


def _merged(numbers: Iterable[float], tolerance: float) -> dict[float, float]:
    """Each number to the lowest of its class."""
    classes: dict[float, float] = {}
    lowest = last = -np.inf
    for number in sorted(numbers):
        lowest = number if number - last > tolerance else lowest
        classes[number] = lowest
        last = number
    return classes


def divisions_by_value(
    headers: Sequence[Header], group: list[int], names: Sequence[str]
) -> Iterator[tuple[str, list[list[int]]]]:
    """Yield each of the attributes that differs, with the images of each value; of the dimensions of a multi-frame image, each."""
    for name in names:
        parts = by_attributes(headers, group, [name])
        if len(parts) < 2:
            continue
        if name != "dimensions":
            yield name, parts
            continue
        indices = [headers[number].dimensions for number in group]
        for axis in range(min(len(index) for index in indices)):
            by_index: dict[object, list[int]] = {}
            for number, index in zip(group, indices, strict=True):
                by_index.setdefault(index[axis], []).append(number)
            if len(by_index) > 1:
                yield f"dimension {axis}", list(by_index.values())
