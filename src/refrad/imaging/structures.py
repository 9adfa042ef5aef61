"""What is in every slice: classes with area and box, without the stray voxels that stretch boxes.

Masks and boxes of a slice come from the same rule, so they always agree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["OutlierRule", "SliceStructure", "class_mask", "find_structures", "kept_pieces"]

CONNECTED = np.ones((3, 3), bool)  # pixels that touch at a corner belong together


@dataclass(frozen=True)
class OutlierRule:
    """Which connected pieces of a class in a slice count.

    A piece is kept if it has at least `minimum_area_mm2` and at least `minimum_share` of the largest piece's area.
    """

    minimum_area_mm2: float
    minimum_share: float


@dataclass(frozen=True)
class SliceStructure:
    """A class in a slice. Box half-open in px, x along the first array axis (DICOM columns), y along the second (rows)."""

    index: int
    class_id: int
    x_min: int
    y_min: int
    x_max: int
    y_max: int
    area: int
    components: int


def kept_pieces(
    labels: NDArray[np.uint8], pixel_mm2: float, rule: OutlierRule
) -> tuple[NDArray[np.int32], list[tuple[int, int, tuple[slice, slice], int]]]:
    """Connected pieces of equal label in a slice, outliers removed.

    Args:
        labels: class ids uint8 [column, row]; 0 is background.
        pixel_mm2: area of a pixel.
        rule: what to keep.

    Returns:
        An image int32 [column, row] of piece numbers (0 elsewhere and for outliers), and for each kept piece: its number,
        class id, bounding slices and area in px.
    """
    pieces = np.zeros(labels.shape, np.int32)
    count = 0
    # Each class is labelled inside its own bounding box only: most classes cover a small part of the slice.
    for class_id, box in enumerate(ndimage.find_objects(labels), 1):
        if box is not None:
            here, n = ndimage.label(labels[box] == class_id, CONNECTED)
            pieces[box] += np.where(here > 0, here + count, 0)
            count += n
    if not count:
        return pieces, []
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(pieces)
    owner = np.zeros(count + 1, np.int64)
    owner[pieces] = labels
    largest = np.zeros(256, np.int64)
    np.maximum.at(largest, owner[1:], areas[1:])
    keep = (areas * pixel_mm2 >= rule.minimum_area_mm2) & (areas >= rule.minimum_share * largest[owner])
    keep[0] = False
    pieces[~keep[pieces]] = 0
    return pieces, [(n, int(owner[n]), boxes[n - 1], int(areas[n])) for n in range(1, count + 1) if keep[n]]


def find_structures(
    labels: NDArray[np.uint8], lut: NDArray[np.uint8], spacing: tuple[float, float], rule: OutlierRule
) -> list[SliceStructure]:
    """All classes of all slices of a label volume.

    Args:
        labels: native ids uint8 [column, row, slice].
        lut: uint8 [256], native id to class id.
        spacing: mm between columns and between rows.
        rule: the outlier rule.
    """
    found = []
    classes = lut[labels]
    for index in range(labels.shape[2]):
        _, pieces = kept_pieces(np.ascontiguousarray(classes[:, :, index]), spacing[0] * spacing[1], rule)
        grouped: dict[int, list[tuple[tuple[slice, slice], int]]] = {}
        for _, class_id, box, area in pieces:
            grouped.setdefault(class_id, []).append((box, area))
        for class_id, parts in sorted(grouped.items()):
            found.append(
                SliceStructure(
                    index=index,
                    class_id=class_id,
                    x_min=min(box[0].start for box, _ in parts),
                    y_min=min(box[1].start for box, _ in parts),
                    x_max=max(box[0].stop for box, _ in parts),
                    y_max=max(box[1].stop for box, _ in parts),
                    area=sum(area for _, area in parts),
                    components=len(parts),
                )
            )
    return found


def class_mask(
    labels: NDArray[np.uint8], lut: NDArray[np.uint8], class_id: int, spacing: tuple[float, float], rule: OutlierRule
) -> NDArray[np.bool_]:
    """The mask bool [row, column] of a class in one slice, as the DICOM image lies, after the outlier rule.

    Args:
        labels: native ids uint8 [column, row] of the slice.
        lut: uint8 [256], native id to class id.
        class_id: whose mask.
        spacing: mm between columns and between rows.
        rule: the outlier rule.
    """
    classes = lut[labels]
    pieces, _ = kept_pieces(np.where(classes == class_id, classes, 0).astype(np.uint8), spacing[0] * spacing[1], rule)
    return (pieces > 0).T
