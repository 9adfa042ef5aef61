"""Entries of the stores that no table of the run names: of earlier settings, of earlier deliveries, or of other runs."""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from refrad.core.entries import DamagedEntryError
from refrad.dicom.volume_store import read_grid

__all__ = ["orphans_of"]


def orphans_of(store: Path, named: Collection[str], volumes: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The entries that no table names: those on the grid of one of the volumes, and the others.

    An entry does not say whose it is. One with exactly the shape and the affine of a patient's volume is taken for
    the patient's: it was made of the volume, or with other settings.

    Args:
        store: folder of the store.
        named: names of entries in tables, relative to the store.
        volumes: NIfTI files of a patient.
    """
    entries = [path for path in sorted(store.rglob("[!.]*.nii.gz")) if path.relative_to(store).as_posix() not in named]
    grids = {grid for path in volumes if path.exists() and (grid := _grid(path))} if entries else set()
    alike = [path for path in entries if grids and _grid(path) in grids]
    return alike, [path for path in entries if path not in set(alike)]


def _grid(path: Path) -> tuple[tuple[int, int, int], bytes] | None:
    try:
        shape, affine = read_grid(path)
    except DamagedEntryError:
        return None
    return shape, np.round(affine, 3).tobytes()
