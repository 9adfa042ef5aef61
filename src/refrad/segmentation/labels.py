"""Label volumes on disk: uint8 NIfTI in a content-addressed store, the same bytes for the same labels."""

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refrad.core.files import atomic, digest_bytes

__all__ = ["load_labels", "save_labels", "summarize_labels"]


def save_labels(path: Path, labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> None:
    """Write labels [column, row, slice] atomically. Level 6 of gzip makes a third of level 1 for labels, at little cost."""
    image: Any = nib.Nifti1Image(labels, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    with atomic(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def load_labels(path: Path) -> NDArray[np.uint8]:
    """Labels uint8 [column, row, slice]."""
    image: Any = nib.load(path)  # type: ignore[attr-defined]
    return np.asarray(image.dataobj, np.uint8)


def summarize_labels(labels: NDArray[np.uint8]) -> tuple[str, int]:
    """The digest of the voxels, and how many labels beside the background are among them."""
    return digest_bytes(labels.tobytes()), int(np.count_nonzero(np.bincount(labels.ravel(), minlength=256)[1:]))
