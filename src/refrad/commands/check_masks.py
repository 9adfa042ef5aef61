"""The command `refrad check-masks`."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from refrad.anatomy.schema import load_schema
from refrad.segmentation.plausibility import find_flags, load_norms

__all__ = ["main"]


def main(*, masks: list[Path], task: str, schema: Path, norms: Path) -> None:
    """Say which of some label volumes (NIfTI, native ids of --task total or total_mr) do not look like a human being.

    On masks that are known to be right, each flag is a false positive: a site may count them before it quarantines anything.
    """
    anatomy, bounds = load_schema(schema), load_norms(norms)
    organs = flagged = told = 0
    for path in masks:
        image: Any = nib.load(path)  # type: ignore[attr-defined]
        classes = anatomy.native_lut(task)[np.asarray(image.dataobj).astype(np.uint8)]
        flags = find_flags(classes, image.affine, anatomy, bounds)
        organs += len(np.unique(classes)) - 1
        flagged, told = flagged + bool(flags), told + len(flags)
        for one in flags:
            name = anatomy.by_id[one.class_id].english if one.class_id else "the volume"
            value = "" if one.value is None else f": {one.value:.1f}, plausible {one.low:.1f} to {one.high:.1f}"
            print(f"{path.name}: {one.flag} of {name}{value}")
    print(f"{len(masks)} masks, {flagged} of them with a flag; {organs} organs, {told} flags")
