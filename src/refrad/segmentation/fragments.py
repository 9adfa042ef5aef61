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

USUAL = 0.75  # quantile of the sections of a class in a volume: most are at its ends, or fragments themselves


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
    area_of = dict(zip(zip(index.tolist(), class_id.tolist(), strict=True), area.tolist(), strict=True))
    small = area <= rule.pixels
    for number in np.unique(class_id[small]).tolist():
        usual = max(float(np.quantile(area[class_id == number], USUAL)), reference_px[number])
        for row in np.flatnonzero(small & (class_id == number) & (area < rule.share * usual)).tolist():
            x_min, y_min, x_max, y_max = (int(structures[name][row]) for name in ("x_min", "y_min", "x_max", "y_max"))
            box, middle = labels[x_min:x_max, y_min:y_max], int(index[row])
            section = lut[box[:, :, middle]] == number
            is_fragment[row] = not any(
                area_of.get((neighbour, number), 0) > rule.pixels
                and (section & (lut[box[:, :, neighbour]] == number)).any()
                for neighbour in (middle - 1, middle + 1)
            )
    return is_fragment
