"""Division of series into volumes, so that every position in a volume is shown once.

Images of another size, orientation or kind never share a volume. Other attributes (acquisition, time, b-value, ...)
divide a series only where positions repeat or passes interleave, since many scanners count acquisitions slice by slice.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from refrad.dicom.attributes import DIVIDE_REPETITIONS, by_attributes
from refrad.dicom.copies import claimed_copies
from refrad.dicom.geometry import SAME_POSITION
from refrad.dicom.headers import Header
from refrad.dicom.localizers import localizers_by_name
from refrad.dicom.repetitions import (
    FEWEST_SLICES,
    by_passes,
    by_repetition,
    heights_of,
    is_grid,
    repetitions,
)
from refrad.dicom.scattering import LEAST, is_scattered

__all__ = ["QuarantinedImage", "VolumeMember", "divide_into_volumes"]

KIND = ("modality", "rows", "columns", "image_type", "echo_time")
FRAME = ("frame_of_reference",)
ALWAYS_DIVIDE = (*KIND, *FRAME)
# In these, copies of one image agree, unless one has lost the value; what is read from them may be altered in the others.
ATTRIBUTES_OF_COPIES = (*DIVIDE_REPETITIONS, "echo_time")
SAME_DIRECTION = 0.02  # difference of a direction's components; about 1 degree
SAME_SPACING = 0.001  # share of the pixel spacing


class VolumeMember(NamedTuple):
    """An image of a volume: the keys of the image and of the volume."""

    instance: str
    volume: str


class QuarantinedImage(NamedTuple):
    """An image of no volume: the reason, and the key of the image, which is None for a file without a modality."""

    reason: str
    instance: str | None


def divide_into_volumes(
    headers: Sequence[Header],
    *,
    split: bool = True,
    keep_one: bool = True,
    ambiguous: Container[str] = (),
) -> list[VolumeMember | QuarantinedImage]:
    """The volume of each image of a series, or of several; same order as `headers`.

    `headers` must be sorted by path so that the result is stable.

    Args:
        headers: whole series; the result for one series does not depend on the others, except by `ambiguous`.
        split: divide repetitions of all positions by the attribute that distinguishes them; otherwise they stay together, and
            the volume will be quarantined as four-dimensional.
        keep_one: keep one of several indistinguishable images of a position, if such positions are the exception. If they are
            the rule, or if this is False, all stay; then those of equal pixels are taken once, and others are quarantined.
        ambiguous: instance keys that other series have too.

    Images that claim to be copies of one image are in the volume of the best of them, whatever their kind, and the pixels decide.

    Keys are unique, except for copies of one kind: where several images have the same UID, the path is added.
    """
    reasons = [header.reason for header in headers]
    for number in localizers_by_name(headers):
        reasons[number] = "localizer"
    series: dict[tuple[str, str, str], list[int]] = {}
    for number, header in enumerate(headers):
        if reasons[number] is None:
            series.setdefault((header.patient_key, header.study_key, header.series_key), []).append(number)
    by = DIVIDE_REPETITIONS if split else ()
    original_of: dict[int, int] = {}
    groups: list[list[int]] = []
    for members in series.values():
        claims = claimed_copies(headers, members, ATTRIBUTES_OF_COPIES)
        original_of |= {copy: first for first, *copies in claims for copy in copies}
        groups += _divide(headers, sorted(claim[0] for claim in claims), reasons, by, keep_one)
    _add_copies(groups, original_of, reasons, keep_one)
    keys = _unique_keys(headers, reasons, ambiguous, original_of)
    volumes: dict[int, str] = {}
    for group in groups:
        volumes |= dict.fromkeys(group, f"volume|{min((keys[number] or '' for number in group), default='')}")
    images: list[VolumeMember | QuarantinedImage] = []
    for number, (key, reason) in enumerate(zip(keys, reasons, strict=True)):
        if reason is None:
            assert key is not None  # a file without a modality has a reason
            images.append(VolumeMember(key, volumes[number]))
        else:
            images.append(QuarantinedImage(reason, key))
    return images


def _divide(
    headers: Sequence[Header],
    members: list[int],
    reasons: list[str | None],
    by: Sequence[str],
    keep_one: bool,
) -> Iterable[list[int]]:
    """Yield the groups of one series; set the reason of the images that are in no group."""
    for kind in by_attributes(headers, members, KIND):
        grids = _grids_of_scattered_frames(headers, kind, reasons, by, keep_one)
        left = set(kind).difference(*grids)
        frames = by_attributes(headers, [number for number in kind if number in left and not reasons[number]], FRAME)
        for part in chain(grids, *(_parts(headers, frame, by) for frame in frames)):
            unique = _without_rare_repetitions(headers, part) if keep_one else part
            for number in set(part) - set(unique):
                reasons[number] = "duplicate"
            yield unique


def _parts(headers: Sequence[Header], group: list[int], by: Sequence[str]) -> Iterator[list[int]]:
    """Yield the images of one geometry, stack, repetition and pass."""
    for aligned in _by_geometry(headers, group):
        for stack in _by_stacks(headers, aligned):
            for phase in by_repetition(headers, stack, by):
                yield from by_passes(headers, phase)


def _by_stacks(headers: Sequence[Header], group: list[int]) -> list[list[int]]:
    """The stacks of a multi-frame image (PS3.3 C.7.6.16.2.2.4), unless all together are one grid."""
    stacks = by_attributes(headers, group, ["stack"])
    whole = len(stacks) < 2 or min(len(stack) for stack in stacks) < FEWEST_SLICES or is_grid(headers, group)
    return [group] if whole else stacks


def _grids_of_scattered_frames(
    headers: Sequence[Header], kind: list[int], reasons: list[str | None], by: Sequence[str], keep_one: bool
) -> list[list[int]]:
    """The regular grids of images that have nearly a frame of reference each, which then tells nothing.

    The other images of such frames have the reason "frames_of_reference_differ".
    """
    frames = Counter(headers[number].frame_of_reference for number in kind)
    if sum(images < LEAST for images in frames.values()) < LEAST:
        return []
    grids: list[list[int]] = []
    for aligned in _by_geometry(headers, kind):
        if not is_scattered(len(aligned), len({headers[number].frame_of_reference for number in aligned})):
            continue
        parts = list(_parts(headers, aligned, by))
        grids_here = [
            part for part in parts if is_grid(headers, _without_rare_repetitions(headers, part) if keep_one else part)
        ]
        grids += grids_here
        left = set(aligned).difference(*grids_here)
        for frame in by_attributes(headers, sorted(left), FRAME):
            if len(frame) < LEAST:
                for number in frame:
                    reasons[number] = "frames_of_reference_differ"
    return grids


def _add_copies(
    groups: list[list[int]], original_of: dict[int, int], reasons: list[str | None], keep_one: bool
) -> None:
    """Add copies to the groups of their originals; where they are the exception and `keep_one`, set the reason "duplicate"."""
    copies_of: dict[int, list[int]] = {}
    for copy, original in original_of.items():
        copies_of.setdefault(original, []).append(copy)
        if reasons[original]:
            reasons[copy] = "duplicate"
    for group in groups:
        copies = [copy for original in group for copy in copies_of.get(original, ())]
        if keep_one and 2 * len(copies) < len(group):
            for copy in copies:
                reasons[copy] = "duplicate"
        else:
            group += copies


def _by_geometry(headers: Sequence[Header], group: list[int]) -> Iterable[list[int]]:
    """Yield the images whose orientation and pixel spacing are those of the first, then repeat with the remaining ones."""
    directions = np.array([headers[number].orientation for number in group])
    spacings = np.array([headers[number].spacing for number in group])
    left = np.arange(len(group))
    while len(left):
        same = np.all(np.abs(directions[left] - directions[left[0]]) <= SAME_DIRECTION, axis=1)
        same &= np.all(np.abs(spacings[left] / spacings[left[0]] - 1) <= SAME_SPACING, axis=1)
        yield [group[i] for i in left[same]]
        left = left[~same]


def _without_rare_repetitions(headers: Sequence[Header], group: list[int]) -> list[int]:
    """One image for each position, that of the lowest instance number, unless half of the positions or more are repeated."""
    repeated = repetitions(headers, group)
    if not repeated or 2 * repeated >= len(group) - repeated:
        return group
    candidates = sorted(
        group, key=lambda number: (headers[number].instance_number or 0, headers[number].instance_key, number)
    )
    heights = heights_of(headers, candidates)
    chosen: list[int] = []
    for i in np.lexsort((np.arange(len(candidates)), np.round(heights / SAME_POSITION))):
        if not chosen or heights[i] - heights[chosen[-1]] >= SAME_POSITION:
            chosen.append(int(i))
    return sorted(candidates[i] for i in chosen)


def _unique_keys(
    headers: Sequence[Header],
    reasons: Sequence[str | None],
    ambiguous: Container[str],
    original_of: Mapping[int, int],
) -> list[str | None]:
    """The key of each image, with the path where a used image has the UID of another used one.

    A copy has the key of its original, unless it is of another kind: then both become volumes if their pixels differ.
    """
    used = Counter(
        header.instance_key
        for number, (header, reason) in enumerate(zip(headers, reasons, strict=True))
        if reason is None and number not in original_of
    )

    def key(number: int) -> str | None:
        header = headers[number]
        if not header.modality:
            return None
        is_unique = used[header.instance_key] < 2 and header.instance_key not in ambiguous
        if reasons[number] is None and number in original_of:
            original = headers[original_of[number]]
            if _kind(header) == _kind(original):
                header = original
            else:
                is_unique = False
        return header.instance_key if is_unique else f"{header.instance_key}|{header.path}"

    return [key(number) for number in range(len(headers))]


def _kind(header: Header) -> tuple[object, ...]:
    return tuple(getattr(header, name) for name in ALWAYS_DIVIDE)
