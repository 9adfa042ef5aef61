"""Whether a label volume fits the image that it is said to label: its own place is compared with flips and shifts of it.

Geometry cannot tell a mask of the right grid and the wrong content. Content can: the grey values of a CT or MR differ between organs
and are alike within one, so the labels explain most of their variance where the mask lies right, and less anywhere else. The share that
they explain is the correlation ratio (Roche, Malandain, Pennec, Ayache, "The Correlation Ratio as a New Similarity Measure for
Multimodal Image Registration", MICCAI 1998). CT has units, so there also organs must not lie in air, and bones must be bright.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Placement", "correlation_ratio", "find_disagreement", "placements", "sample_points", "spread_within"]

SIDE = 112  # voxels along each axis that are looked at
MOST = 60_000  # voxels that are compared
FEWEST = 1000  # labelled voxels below which nothing can be told
SHELL_MM = 5.0  # thickness of the surroundings that are a group of their own
SHIFTS_MM = (10.0, 20.0, 40.0)  # by which the mask is moved along each axis of its array
KEPT = 0.7  # least share of the voxels that a flip or shift leaves inside of the image
MANY = 5  # classes; a mask of fewer has few edges to compare
MARGIN = 0.02  # by which the correlation ratio at another place must exceed that of the mask's own, for masks of many classes
MARGIN_OF_FEW_CT = 0.1  # the same for masks of few classes
MARGIN_OF_FEW_MR = 0.3  # the same; kidneys alone in MR fitted a wrong place better by 0.29
MARGIN_OF_FLIPS = 0.1  # the same, from which a flip is the cause and not a chance among other places
CLIP_HU = (-1000.0, 400.0)  # beyond them contrast agents, metal and padding would be all of the variance
CLIP_SHARES = (1, 99)  # percentiles of MR, the same
AIR_HU = -300.0  # below it is lung or gas
BONE_HU = 100.0  # above it is bone, or contrast agent
MOST_AIR = 0.05  # share of the voxels of organs without gas that may lie in air: of right masks 0.000, of foreign ones 0.04 to 0.3
LEAST_BONE = 0.3  # share of the voxels of bones that must be bright: of right masks 0.7 to 1, of wrong ones 0 to 0.35
GUT = (
    "stomach",
    "colon",
    "small_bowel",
    "duodenum",
    "esophagus",
)  # holds gas, fluid and contrast agent, so its grey values are more alike beside it
GASSY = (*GUT, "lung_", "trachea", "skull", "brain", "face")
BONES = ("vertebrae", "rib_", "hip_", "sacrum", "femur", "humerus", "scapula", "clavicula", "sternum", "skull")


class Points(NamedTuple):
    """Voxels of a mask: indices int64 [3, n], labels uint8 [n] (0: in the shell around the labelled voxels), and how many are labelled."""

    indices: NDArray[np.int64]
    labels: NDArray[np.uint8]
    labelled: int


class Placement(NamedTuple):
    """The mask at another place: the kind ("flipped" or "shifted") and the indices int64 [3, n] that its voxels then have."""

    kind: str
    indices: NDArray[np.int64]


def find_disagreement(
    labels: NDArray[np.uint8],
    affine: NDArray[np.float64],
    volume: NDArray[Any],
    grid: NDArray[np.float64],
    native_ids: Mapping[str, int],
    *,
    is_ct: bool,
) -> str:
    """The reason code why a mask does not fit its image: mask_flipped or mask_disagrees; "" where nothing speaks against it.

    Some 25 places are compared, each in up to 2 x `MOST` voxels: a quarter of the time in which a large volume is read.

    Args:
        labels: native ids [column, row, slice] of the mask's own grid.
        affine: RAS+ mm, [4, 4], of the mask.
        volume: the image [column, row, slice], HU if `is_ct`.
        grid: RAS+ mm, [4, 4], of the image.
        native_ids: name of each class to its native id.
        is_ct: whether the image has Hounsfield units.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    points = _without(sample_points(labels, spacing), [native_ids[name] for name in GUT if name in native_ids])
    if points.labelled < FEWEST:
        return ""
    to_image = np.linalg.inv(grid) @ affine
    values, is_inside = _values_at(volume, to_image, points.indices)
    low, high = CLIP_HU if is_ct else _contrast(values)
    own = np.zeros(points.labels.size)
    own[is_inside] = np.clip(values, low, high)
    best = MARGIN if np.unique(points.labels).size > MANY else (MARGIN_OF_FEW_CT if is_ct else MARGIN_OF_FEW_MR)
    reason = "mask_disagrees" if is_ct and _is_wrong_tissue(values, points.labels[is_inside], native_ids) else ""
    for placement in placements(points.indices, labels.shape, spacing):
        others, is_kept = _values_at(volume, to_image, placement.indices)
        is_both = is_kept & is_inside
        if np.count_nonzero(is_both) < max(KEPT * np.count_nonzero(is_inside), FEWEST):
            continue
        groups = points.labels[is_both]
        here, there = own[is_both], np.clip(others[is_both[is_kept]], low, high)
        if spread_within(there, groups) >= spread_within(here, groups):
            continue  # an organ moved to the skin, half in air, has a high ratio too
        excess = correlation_ratio(there, groups) - correlation_ratio(here, groups)
        if excess > best:
            best = excess
            reason = "mask_flipped" if placement.kind == "flipped" and excess > MARGIN_OF_FLIPS else "mask_disagrees"
    return reason


def sample_points(labels: NDArray[np.uint8], spacing: NDArray[np.float64]) -> Points:
    """Voxels of a mask, on a regular coarser grid: labelled ones, and those of the shell of `SHELL_MM` around them.

    Args:
        labels: uint8 [column, row, slice].
        spacing: mm between columns, rows and slices, [3].
    """
    box = [(0, size) for size in labels.shape]
    coarse, axes = _coarse(labels, box)
    if np.count_nonzero(coarse) < SIDE**2 and coarse.shape != labels.shape:  # small organs only: look closer
        box = [_extent(labels, axis, SHELL_MM / spacing[axis]) for axis in range(3)]
        coarse, axes = _coarse(labels, box)
    steps = [float(np.diff(places).mean()) if len(places) > 1 else 1.0 for places in axes]
    widths = [2 * max(1, round(SHELL_MM / (step * mm))) + 1 for step, mm in zip(steps, spacing, strict=True)]
    is_near = ndimage.maximum_filter((coarse > 0).view(np.uint8), widths) > 0
    within = np.nonzero(is_near)
    step = max(1, within[0].size // MOST)
    within = tuple(at[::step] for at in within)
    indices = np.stack([places[at] for places, at in zip(axes, within, strict=True)])
    chosen = coarse[within]
    return Points(indices, chosen, int(np.count_nonzero(chosen)))


def _without(points: Points, labels: Sequence[int]) -> Points:
    """The points without those of some labels, native ids."""
    is_left = ~np.isin(points.labels, labels)
    left = points.labels[is_left]
    return Points(points.indices[:, is_left], left, int(np.count_nonzero(left)))


def placements(indices: NDArray[np.int64], shape: tuple[int, ...], spacing: NDArray[np.float64]) -> Iterator[Placement]:
    """The seven flips of a mask in its array, then its shifts along each axis, both ways.

    Args:
        indices: of its voxels, int64 [3, n].
        shape: of its array.
        spacing: mm between its columns, rows and slices, [3].
    """
    last = np.array(shape)[:, None] - 1
    for flips in itertools.product((False, True), repeat=3):
        if any(flips):
            yield Placement("flipped", np.where(np.array(flips)[:, None], last - indices, indices))
    for axis, mm, sign in itertools.product(range(3), SHIFTS_MM, (-1, 1)):
        voxels = round(mm / spacing[axis])
        if 0 < voxels < shape[axis]:
            moved = indices.copy()
            moved[axis] += sign * voxels
            yield Placement("shifted", moved)


def correlation_ratio(values: NDArray[np.float64], groups: NDArray[np.uint8]) -> float:
    """Share, 0 to 1, of the variance of `values` [n] that the means of their groups [n] explain; 0 where nothing varies."""
    counts = np.bincount(groups, minlength=256).astype(float)
    sums, squares = np.bincount(groups, values, 256), float(values @ values)
    total = squares - float(values.sum()) ** 2 / max(values.size, 1)
    within = squares - float((sums**2 / np.maximum(counts, 1)).sum())
    return 1.0 - within / total if total > 1e-6 * values.size else 0.0


def spread_within(values: NDArray[np.float64], groups: NDArray[np.uint8]) -> float:
    """Variance of `values` [n] around the mean of their group [n], over the labelled ones (groups above 0)."""
    is_labelled = groups > 0
    values, groups = values[is_labelled], groups[is_labelled]
    counts = np.bincount(groups, minlength=256)
    means = np.bincount(groups, values, 256) / np.maximum(counts, 1)
    return float(np.mean((values - means[groups]) ** 2)) if values.size else 0.0


def _is_wrong_tissue(values: NDArray[np.float64], labels: NDArray[np.uint8], native_ids: Mapping[str, int]) -> bool:
    """Whether organs that hold no gas lie in air, or bones are not bright, by HU [n] and native ids [n]."""
    is_bone, is_solid = np.zeros(256, bool), np.zeros(256, bool)
    for name, label in native_ids.items():
        is_bone[label], is_solid[label] = name.startswith(BONES), not name.startswith(GASSY)
    solid, bone = values[is_solid[labels]], values[is_bone[labels]]
    is_in_air = solid.size >= FEWEST and np.mean(solid < AIR_HU) > MOST_AIR
    is_dark = bone.size >= FEWEST and np.mean(bone > BONE_HU) < LEAST_BONE
    return bool(is_in_air or is_dark)


def _values_at(
    volume: NDArray[Any], to_image: NDArray[np.float64], indices: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values of the nearest voxels of the image, and which of the points are inside of it."""
    places = np.rint(to_image[:3, :3] @ indices + to_image[:3, 3:]).astype(np.int64)
    is_inside: NDArray[np.bool_] = np.all((places >= 0) & (places < np.array(volume.shape)[:, None]), axis=0)
    return volume[tuple(places[:, is_inside])].astype(np.float64), is_inside


def _contrast(values: NDArray[np.float64]) -> tuple[float, float]:
    """The range of grey values of MR, without the outer ones."""
    low, high = np.percentile(values, CLIP_SHARES) if values.size else (0.0, 0.0)
    return float(low), float(high)


def _coarse(labels: NDArray[np.uint8], box: list[tuple[int, int]]) -> tuple[NDArray[np.uint8], list[NDArray[np.int64]]]:
    """Up to `SIDE` columns, rows and slices of a box, and their places in the array."""
    strides = [max(1, -(-(stop - start) // SIDE)) for start, stop in box]
    slices = tuple(slice(start, stop, stride) for (start, stop), stride in zip(box, strides, strict=True))
    return labels[slices], [np.arange(*part.indices(size)) for part, size in zip(slices, labels.shape, strict=True)]


def _extent(labels: NDArray[np.uint8], axis: int, margin: float) -> tuple[int, int]:
    """First and last place (half-open) of labelled voxels along an axis, with a margin in voxels; the whole axis if there are none."""
    across = tuple(other for other in range(3) if other != axis)
    places = np.flatnonzero((labels > 0).any(across))
    if not places.size:
        return 0, labels.shape[axis]
    room = int(np.ceil(margin))
    return max(int(places[0]) - room, 0), min(int(places[-1]) + room + 1, labels.shape[axis])
