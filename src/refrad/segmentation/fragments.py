"""Fragments: a few pixels of a class whose sections are usually much larger, apart from the organ itself.

The small sections at the ends of an organ touch larger ones and are no fragments, and neither are those of a thin vessel, whose
sections are all small.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema
from refrad.segmentation.plausibility import Norms

__all__ = ["FragmentRule", "find_fragments", "reference_sections"]

USUAL = 0.75  # share of a class's sections in a volume that the usual one exceeds: many are at its ends, or fragments themselves


@dataclass(frozen=True)
class FragmentRule:
    """A section is a fragment if all of this is true.

    It has at most `pixels`; it has less than `share` of the class's usual section; and no section of the class that touches it in
    the slice before or behind has more than `pixels`.
    """

    pixels: int
    share: float


def reference_sections(norms: Norms, schema: Schema) -> NDArray[np.float64]:
    """Usual section of each class in mm², float64 [256], from its reference volume V as V^(2/3); 0 where there is none.

    A ball of the volume V has 1.2 V^(2/3) in its middle, and less in all other sections.
    """
    sections = np.zeros(256)
    for name, volume_ml in norms.references_ml.items():
        if name in schema.by_name:
            sections[schema.by_name[name].id] = (1000 * volume_ml) ** (2 / 3)
    return sections


def find_fragments(
    structures: Mapping[str, NDArray[np.int32]],
    labels: NDArray[np.uint8],
    lut: NDArray[np.uint8],
    reference_px: NDArray[np.float64],
    rule: FragmentRule,
) -> NDArray[np.bool_]:
    """Which rows of `structures` are fragments.

    Args:
        structures: all structures of a volume, as `refrad.segmentation.structure_finder.find_structures` returns them.
        labels: native ids uint8 [column, row, slice] of the volume.
        lut: uint8 [256], native id to class id.
        reference_px: usual section of each class in px, float64 [256]; 0 where there is no reference.
        rule: what a fragment is.
    """
    index, class_id, area = structures["index"], structures["class_id"], structures["area"]
    is_fragment = np.zeros(len(area), bool)
    is_small = area <= rule.pixels
    is_cut = (structures["x_min"] == 0) | (structures["y_min"] == 0)
    is_cut |= (structures["x_max"] == labels.shape[0]) | (structures["y_max"] == labels.shape[1])
    candidates = []
    for number in np.unique(class_id[is_small]).tolist():
        rows = np.flatnonzero(class_id == number)
        areas = np.sort(area[rows])
        # What the field of view cuts off may be the edge of an organ: its own sections alone say what is usual there.
        usual = np.maximum(areas[int(USUAL * (len(areas) - 1))], np.where(is_cut[rows], 0, reference_px[number]))
        candidates += rows[is_small[rows] & (area[rows] < rule.share * usual)].tolist()
    if not candidates:
        return is_fragment
    is_large = ~is_small
    large = set(zip(index[is_large].tolist(), class_id[is_large].tolist(), strict=True))
    boxes = np.column_stack([structures[name] for name in ("x_min", "x_max", "y_min", "y_max")])
    for row in candidates:
        number, middle = int(class_id[row]), int(index[row])
        neighbours = [k for k in (middle - 1, middle + 1) if (k, number) in large]
        if neighbours:
            x_min, x_max, y_min, y_max = boxes[row].tolist()
            first = max(middle - 1, 0)
            is_class = lut[labels[x_min:x_max, y_min:y_max, first : middle + 2]] == number
            section = is_class[:, :, middle - first]
            neighbours = [k for k in neighbours if (section & is_class[:, :, k - first]).any()]
        is_fragment[row] = not neighbours
    return is_fragment
