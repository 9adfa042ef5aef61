"""Passes, phases and repetitions of one series, told apart by what differs between them.

Positions that are shown more than once need a division that leaves each once. Passes at positions of their own must not be
stacked into one volume either. A division is taken only if its parts are volumes: regular grids, or all positions once.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from refrad.dicom.attributes import DIVIDE_REPETITIONS, divisions_by_value
from refrad.dicom.geometry import SAME_POSITION, normal_of, positions_along
from refrad.dicom.headers import Header
from refrad.dicom.stack import irregularity_of
from refrad.dicom.times import HALF_A_DAY

__all__ = [
    "FEWEST_SLICES",
    "by_passes",
    "by_repetition",
    "heights_of",
    "is_grid",
    "repetitions",
]

REGULAR = 0.02  # largest deviation of a distance between slices of a pass, as a share of their median
FEWEST_SLICES = 5  # of a pass
FEWEST_POSITIONS = 3  # of a dynamic series
MOST_PASSES = 8  # that gaps between times may show
SHORTEST = 0.2  # share of a stack that a pass covers


def by_repetition(headers: Sequence[Header], group: list[int], names: Sequence[str]) -> list[list[int]]:
    """Divide by what leaves the fewest repeated positions, in as few parts as possible, until nothing helps.

    Args:
        headers: of the series.
        group: images of one geometry, as indices into `headers`.
        names: attributes that may divide; with any of them, times may too.
    """
    repeated = repetitions(headers, group)
    if not repeated or not names:
        return [group]
    best: tuple[int, int, str, list[list[int]]] | None = None
    for name, parts in (*divisions_by_value(headers, group, names), *_by_times(headers, group)):
        left = sum(repetitions(headers, part) for part in parts)
        # Parts of single images (by times, for example) would leave nothing of the volume.
        if left < repeated and 2 * len(parts) <= len(group) and (best is None or (left, len(parts)) < best[:2]):
            best = left, len(parts), name, parts
    if best is None:
        return [group]
    remaining_names = [name for name in names if name != best[2]]
    return [finer for part in best[3] for finer in by_repetition(headers, part, remaining_names)]


def _by_times(headers: Sequence[Header], group: list[int]) -> Iterator[tuple[str, list[list[int]]]]:
    """Yield the passes of a dynamic series that shows all positions in each pass, or phases and stations of other coverage."""
    heights = heights_of(headers, group)
    for times in _times(headers, group):
        parts = _whole_passes(heights, times)
        if parts is None:
            parts = next((p for p in _between_gaps(times) if _are_phases(headers, group, heights, p)), None)
        if parts:
            yield "times", [[group[i] for i in part] for part in parts]


def _whole_passes(heights: NDArray[np.float64], times: NDArray[np.float64]) -> list[list[int]] | None:
    """The images of each pass if it is certain: the k-th images of all positions, all before the next ones begin.

    Every position must be shown equally often; the last of three or more passes may have ended early.
    """
    by_height = np.argsort(heights, kind="stable")
    position = np.zeros(len(heights), dtype=np.int64)
    position[by_height[1:]] = np.cumsum(np.diff(heights[by_height]) >= SAME_POSITION)
    counts = np.bincount(position)
    passes = int(counts.max())
    is_cut_off = counts.min() == passes - 1 and passes > 2
    if len(counts) < FEWEST_POSITIONS or passes < 2 or not (counts.min() == passes or is_cut_off):
        return None
    order = np.lexsort((times, position))
    turn = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    parts = [order[turn == number] for number in range(passes)]
    if any(times[earlier].max() >= times[later].min() for earlier, later in pairwise(parts)):
        return None
    return [sorted(part.tolist()) for part in parts]


def _are_phases(
    headers: Sequence[Header], group: list[int], heights: NDArray[np.float64], parts: list[list[int]]
) -> bool:
    """Whether parts are grids that cover much of the stack, or only a few images, as those that watch the contrast arrive.

    MR acquires every second slice first, so its parts must also show neighbouring positions.
    """
    large = [part for part in parts if len(part) >= FEWEST_SLICES]
    if headers[group[0]].modality != "CT" and any(_step(heights[part]) > 1.5 * _step(heights) for part in large):
        return False
    least = SHORTEST * np.ptp(heights)
    return bool(large) and all(
        np.ptp(heights[part]) >= least and _irregularity(headers, [group[i] for i in part]) is None for part in large
    )


def _step(heights: NDArray[np.float64]) -> float:
    """The usual distance between neighbouring positions, mm."""
    distances = np.diff(np.sort(heights))
    return float(np.median(distances[distances >= SAME_POSITION]))


def by_passes(headers: Sequence[Header], group: list[int]) -> list[list[int]]:
    """Divide a stack that shows each position once, if it consists of passes that have positions of their own.

    The whole is kept if it is a grid, unless it is CT, and passes of it cover the same range: phases of which each fills
    the gaps of the other. MR is often acquired that way. If the whole is no grid, passes must be grids. A missing slice
    is no reason to cut a stack where it is missing, so passes must then overlap, too.
    """
    if len(group) < 2 * FEWEST_SLICES or repetitions(headers, group):
        return [group]
    is_ct = headers[group[0]].modality == "CT"
    reason = _irregularity(headers, group)
    if not is_ct and reason in (None, "slice_missing"):
        return [group]
    heights = heights_of(headers, group)
    share = 0.5 if reason is None else 0.0
    for parts in sorted(_passes(headers, group, heights, is_ct), key=len):
        if len(parts) < 2 or min(len(part) for part in parts) < FEWEST_SLICES:
            continue
        apart = _without_overlap([heights[part] for part in parts], share)
        if any(reason != "spacing_irregular" or np.ptp(heights[parts[i]]) < SHORTEST * np.ptp(heights) for i in apart):
            continue
        members = [[group[i] for i in part] for part in parts]
        if all(_irregularity(headers, part) is None for part in members):
            return members
    return [group]


def _passes(
    headers: Sequence[Header], group: list[int], heights: NDArray[np.float64], is_ct: bool
) -> Iterator[list[list[int]]]:
    """Yield possible divisions, as indices into the group: by values, by gaps between times, and where a scan returns."""
    index = {number: i for i, number in enumerate(group)}
    for _, parts in divisions_by_value(headers, group, DIVIDE_REPETITIONS):
        yield [[index[number] for number in part] for part in parts]
    for times in _times(headers, group):
        yield from _between_gaps(times)
        if is_ct:
            yield _between_returns(heights, times)
    numbers = [headers[number].instance_number for number in group]
    if is_ct and all(number is not None for number in numbers):
        yield _between_returns(heights, np.array(numbers, dtype=float))


def _times(headers: Sequence[Header], group: list[int]) -> Iterator[NDArray[np.float64]]:
    """Yield the times of each kind that all images have and that differ, s."""
    kinds = zip(*((*headers[number].times, headers[number].trigger_time) for number in group), strict=False)
    for kind in kinds:
        if None in kind or len(set(kind)) < 2:
            continue
        times = np.array(kind, dtype=float)
        if (
            HALF_A_DAY < np.ptp(times) < 2 * HALF_A_DAY
        ):  # past midnight, and the date is none or still that of the day before
            times[times < times.min() + HALF_A_DAY] += 2 * HALF_A_DAY
        yield times


def _between_gaps(times: NDArray[np.float64]) -> Iterator[list[list[int]]]:
    """Yield divisions at the longest gap between times, at the two longest, ..., where these differ from all others."""
    order = np.argsort(times, kind="stable")
    gaps = np.diff(times[order])
    longest = np.argsort(-gaps, kind="stable")
    for count in range(1, min(MOST_PASSES, len(gaps))):
        if gaps[longest[count - 1]] > gaps[longest[count]]:
            yield [part.tolist() for part in np.split(order, np.sort(longest[:count]) + 1)]


def _between_returns(heights: NDArray[np.float64], times: NDArray[np.float64]) -> list[list[int]]:
    """A division where a scan that moves one way jumps back to begin again."""
    order = np.lexsort((heights, times))
    steps = np.diff(heights[order])
    direction = 1 if np.count_nonzero(steps > 0) * 2 > len(steps) else -1
    return [part.tolist() for part in np.split(order, np.flatnonzero(steps * direction < 0) + 1)]


def _without_overlap(parts: Sequence[NDArray[np.float64]], share: float) -> list[int]:
    """Indices of the parts that share no more than this share of the shorter range with any other."""
    alone = []
    for i, part in enumerate(parts):
        overlaps = [
            (min(part.max(), others.max()) - max(part.min(), others.min())) / min(np.ptp(part), np.ptp(others))
            for k, others in enumerate(parts)
            if k != i
        ]
        if max(overlaps) <= share:
            alone.append(i)
    return alone


def is_grid(headers: Sequence[Header], group: Sequence[int]) -> bool:
    """Whether parallel images are a regular grid by more than chance: at least five, each position once."""
    return len(group) >= FEWEST_SLICES and not repetitions(headers, group) and _irregularity(headers, group) is None


def _irregularity(headers: Sequence[Header], group: Sequence[int]) -> str | None:
    """Why the images are no regular grid; None if they are one."""
    first = headers[group[0]]
    return irregularity_of(
        [headers[number].position for number in group],
        first.orientation,
        first.spacing,
        spacing_tolerance=REGULAR,
        decimals=[headers[number].decimals for number in group],
    )


def repetitions(headers: Sequence[Header], group: Sequence[int]) -> int:
    """Number of images whose position another image of the group has already."""
    return int(np.count_nonzero(np.diff(np.sort(heights_of(headers, group))) < SAME_POSITION))


def heights_of(headers: Sequence[Header], group: Sequence[int]) -> NDArray[np.float64]:
    """Position of each image along the normal of the first, float64 [n], mm."""
    return positions_along([headers[number].position for number in group], normal_of(headers[group[0]].orientation))
