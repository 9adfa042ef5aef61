"""The header of a delivered NIfTI file, in the same form as that of a DICOM image."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refrad.core.types import MODALITIES
from refrad.dicom.headers import Header
from refrad.dicom.nested_keys import nested_key
from refrad.dicom.reasons import QuarantineError
from refrad.dicom.scan import is_error_of_one_file, is_storage_error, without_path
from refrad.formats.nifti import NiftiError, affine_of, is_regular, open_volume_file, read_header, shape_of
from refrad.nifti.canonical import CanonicalGrid, canonical_grid
from refrad.nifti.volume_entry import VolumeEntry

__all__ = ["described_header", "grid_of", "header_of_entry", "header_of_grid", "instance_numbers", "reason_of_error"]

REASON_OF_FAULT = {
    "not_nifti": "not_nifti",
    "unreadable": "unreadable",
    "not_3d": "not_3d",
    "empty": "no_pixels",
    "no_numbers": "no_grey_values",
    "no_geometry": "no_geometry",
    "affines_differ": "affines_differ",
}
REASON_OF_NUMBER = dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG), "missing_file")
REASON_OF_NUMBER |= dict.fromkeys((errno.EISDIR, errno.EACCES, errno.EPERM), "unreadable")
UPRIGHT = 0.5  # least share of the step between slices that is along the body, for images numbered from head or feet


def header_of_entry(folder: Path, entry: VolumeEntry) -> Header:
    """The header of a file of a delivery, one for the whole volume, with the reason if it is none; reads the first bytes only.

    Position, orientation and spacing are those of the canonical volume (`refrad.nifti.canonical`).

    Args:
        folder: of the delivery.
        entry: with the path of the file below `folder`; a .zip file counts as a folder.

    Raises:
        OSError: if the machine is at fault, without the path.
    """
    header = described_header(entry)
    if header.reason is not None:
        return header
    try:
        with open_volume_file(folder, entry.path) as file:
            grid = grid_of(read_header(file), entry)
    except Exception as error:  # a broken file makes libraries raise nearly anything
        return header._replace(reason=reason_of_error(error))
    return header_of_grid(header, grid, entry)


def described_header(entry: VolumeEntry) -> Header:
    """The header by the entry alone, without geometry. A file without keys or modality has no owner."""
    keys = (entry.patient, entry.study, entry.series)
    reason = entry.problem or ("" if all(keys) else "no_key")
    if not reason and entry.modality not in MODALITIES:
        reason = "not_ct_or_mr" if entry.modality else "no_modality"
    return Header(
        entry.path,
        reason=reason or None,
        modality=entry.modality if all(keys) else "",
        split=entry.split,
        nested_keys=True,
        patient_id=entry.patient,
        accession_number=entry.accession_number,
        study_uid=entry.study,
        series_uid=entry.series,
        instance_uid=nested_key(*keys),
        manufacturer=entry.manufacturer,
        series_number=entry.series_number,
        study_date=entry.study_date,
        sex=entry.sex,
        age=entry.age,
        body_part=entry.body_part,
        contrast=entry.contrast,
        frame_of_reference=entry.frame_of_reference and nested_key(entry.patient, entry.frame_of_reference),
    )


def grid_of(file_header: Any, entry: VolumeEntry) -> CanonicalGrid:
    """The canonical grid of a file, by its nibabel header and the entry, whose affine comes first.

    Raises:
        NiftiError, QuarantineError: if there is none.
    """
    shape = shape_of(file_header)
    affine = _affine_of_entry(entry) if entry.affine else affine_of(file_header)
    *_, slice_axis = file_header.get_dim_info()
    return canonical_grid(shape, affine, entry.modality, slice_axis)


def _affine_of_entry(entry: VolumeEntry) -> NDArray[np.float64]:
    """The affine that an entry gives, float64 [4, 4], RAS+ mm.

    Raises:
        QuarantineError: "no_geometry" if it is none.
    """
    affine = np.eye(4)
    try:
        affine[:3] = np.reshape([float(number) for number in entry.affine.split()], (3, 4))
    except ValueError:
        raise QuarantineError("no_geometry") from None
    if not is_regular(affine):
        raise QuarantineError("no_geometry")
    return affine


def header_of_grid(header: Header, grid: CanonicalGrid, entry: VolumeEntry) -> Header:
    """The header with the geometry of a canonical volume, and the image number of its first slice."""
    columns, rows, slices = grid.shape
    return header._replace(
        slices=slices,
        columns=columns,
        rows=rows,
        position=grid.position,
        orientation=grid.orientation,
        spacing=grid.spacing,
        instance_number=instance_numbers(grid, entry.numbering)[0],
    )


def instance_numbers(grid: CanonicalGrid, numbering: str) -> list[int | None]:
    """The image numbers of the slices, in their order: from 1 at the head or at the feet; None where nothing says so.

    Images that are stacked across the body have no first one at head or feet.

    Args:
        grid: of the volume.
        numbering: "head", "feet" or "".
    """
    slices = grid.shape[2]
    step = grid.affine[:3, 2]
    share = step[2] / np.linalg.norm(step)
    if not numbering or abs(share) < UPRIGHT:
        return [None] * slices
    is_from_feet = (numbering == "feet") == (share > 0)
    return list(range(1, slices + 1)) if is_from_feet else list(range(slices, 0, -1))


def reason_of_error(error: Exception) -> str:
    """The reason for which a file is quarantined that raised an error as it was read.

    Raises:
        MemoryError: as it is.
        OSError: if the machine is at fault, without the path.
    """
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, QuarantineError):
        return error.reason
    if isinstance(error, NiftiError):
        return REASON_OF_FAULT[error.fault]
    if not is_storage_error(error):
        return "unreadable"
    if not is_error_of_one_file(error):
        raise without_path(error) from None
    return REASON_OF_NUMBER.get(error.errno or 0, "storage_error")
