"""Flags of implausible label volumes, before a run."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from refrad.anatomy.schema import load_schema
from refrad.segmentation.plausibility import find_flags, load_norms

__all__ = ["main"]


def main(masks: list[Path], *, task: str, schema: Path, norms: Path) -> None:
    """Print the flags of label volumes (NIfTI, native ids of --task total or total_mr) that are anatomically implausible.

    On masks that are known to be correct, each flag is a false positive: count them before flags quarantine volumes.
    """
    anatomy, bounds = load_schema(schema), load_norms(norms)
    organs = flagged_masks = flag_count = 0
    for path in masks:
        image: Any = nib.load(path)  # type: ignore[attr-defined]
        classes = anatomy.native_lut(task)[np.asarray(image.dataobj).astype(np.uint8)]
        flags = find_flags(classes, image.affine, anatomy, bounds)
        organs += len(np.unique(classes)) - 1
        flagged_masks, flag_count = flagged_masks + bool(flags), flag_count + len(flags)
        for flag in flags:
            name = anatomy.by_id[flag.class_id].english if flag.class_id else "the volume"
            value = "" if flag.value is None else f": {flag.value:.1f}, plausible {flag.low:.1f} to {flag.high:.1f}"
            print(f"{path.name}: {flag.flag} of {name}{value}")
    print(f"{len(masks)} masks, {flagged_masks} of them with a flag; {organs} organs, {flag_count} flags")
