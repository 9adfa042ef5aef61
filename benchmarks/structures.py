"""Structures of a label volume: one pass over all classes, against one class after the other.

python benchmarks/structures.py
"""

import time

import numpy as np
from scipy import ndimage

from refrad.imaging.structures import OutlierRule, find_structures

RULE = OutlierRule(30.0, 0.2)
SPACING = (0.8, 0.8)


def volume(side: int = 512, slices: int = 24, classes: int = 40) -> np.ndarray:
    """Label volume uint8 [column, row, slice] with ellipses of many classes."""
    r = np.random.default_rng(0)
    x, y, z = np.ogrid[:side, :side, :slices]
    labels = np.zeros((side, side, slices), np.uint8)
    for class_id in range(1, classes + 1):
        cx, cy, cz = r.uniform(0.1, 0.9, 3) * labels.shape
        rx, ry, rz = r.uniform(10, 60), r.uniform(10, 60), r.uniform(2, slices)
        labels[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1] = class_id
    return labels


def one_by_one(labels: np.ndarray) -> dict:
    """Box and area of each slice and class, as one writes it first."""
    found = {}
    for index in range(labels.shape[2]):
        for class_id in np.unique(labels[:, :, index])[1:]:
            pieces, _ = ndimage.label(labels[:, :, index] == class_id, np.ones((3, 3)))
            areas = np.bincount(pieces.ravel())[1:]
            kept = (
                np.flatnonzero(
                    (areas * SPACING[0] * SPACING[1] >= RULE.minimum_area_mm2)
                    & (areas >= RULE.minimum_share * areas.max())
                )
                + 1
            )
            if len(kept):
                xs, ys = np.nonzero(np.isin(pieces, kept))
                found[index, int(class_id)] = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, len(xs))
    return found


def main() -> None:
    """Check that both agree, and print the ratio of their times."""
    labels, lut = volume(), np.arange(256, dtype=np.uint8)
    find_structures(labels[:, :, :1], lut, SPACING, RULE)
    start = time.process_time()
    fast = {
        (s.index, s.class_id): (s.x_min, s.y_min, s.x_max, s.y_max, s.area)
        for s in find_structures(labels, lut, SPACING, RULE)
    }
    middle = time.process_time()
    slow = one_by_one(labels)
    end = time.process_time()
    if fast != slow:
        raise SystemExit("the two sides differ")
    count = labels.shape[2]
    print(
        f"{1000 * (middle - start) / count:.2f} ms a slice, one by one {1000 * (end - middle) / count:.2f} ms: {(end - middle) / (middle - start):.1f}x"
    )


if __name__ == "__main__":
    main()
