"""From a delivered NIfTI file to a volume in the store, in one call that reads the file once.

Call it in a process with limits (`refrad.core.sandbox`), once for each file.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refrad.dicom.convert import AcceptedVolume, ConversionJob, GeometryCriteria, QuarantinedVolume, convert
from refrad.dicom.headers import Header
from refrad.dicom.stack import Stack, check_stack
from refrad.dicom.volume_store import store_volume
from refrad.formats.nifti import header_of_bytes, open_volume_file, read_content, stored_values
from refrad.nifti.canonical import CanonicalGrid
from refrad.nifti.headers import described_header, grid_of, header_of_grid, instance_numbers, reason_of_error
from refrad.nifti.values import scaling_of, volume_of_values
from refrad.nifti.volume_entry import VolumeEntry

__all__ = ["FileConversion", "convert_any", "convert_file"]


class FileConversion(NamedTuple):
    """A NIfTI file below `folder`, and how it is converted.

    `floor`: HU; lower values of CT become it, None keeps them.
    """

    volume: str
    folder: Path
    entry: VolumeEntry
    criteria: GeometryCriteria
    store: Path
    floor: int | None


def convert_any(job: ConversionJob | FileConversion) -> list[AcceptedVolume | QuarantinedVolume]:
    """The results of a stack of DICOM images, see `refrad.dicom.convert`, or of a NIfTI file."""
    return convert(job) if isinstance(job, ConversionJob) else convert_file(job)


def convert_file(job: FileConversion) -> list[AcceptedVolume | QuarantinedVolume]:
    """Check the geometry and the values of a file, and write its canonical volume into the store.

    Returns:
        One result. The header of a volume has the geometry of `refrad.nifti.canonical`.

    Raises:
        MemoryError: if the memory does not suffice.
        OSError: if the machine is at fault.
    """
    header = described_header(job.entry)
    if header.reason is not None:
        return [QuarantinedVolume(header.reason, header)]
    try:
        header, grid, stack, voxels = _canonical_volume(job, header)
    except Exception as error:  # a broken file makes libraries raise nearly anything
        reason = reason_of_error(error)
        return [QuarantinedVolume(reason, header, unread=job.entry.path if reason == "storage_error" else None)]
    digest, file = store_volume(voxels, stack.affine, job.store)
    treated = ["gantry_tilt"] if stack.tilt > job.criteria.angle_tolerance else []
    return [AcceptedVolume(header, stack, instance_numbers(grid, job.entry.numbering), treated, digest, file)]


def _canonical_volume(job: FileConversion, header: Header) -> tuple[Header, CanonicalGrid, Stack, NDArray[np.int16]]:
    """The volume of a file with its header, grid and stack.

    Raises:
        NiftiError, QuarantineError, OSError: if there is none.
    """
    with open_volume_file(job.folder, job.entry.path) as file:
        content = read_content(file)
    file_header = header_of_bytes(content)
    grid = grid_of(file_header, job.entry)
    stack = _stack_of_grid(grid, job.criteria)
    slope, intercept = scaling_of(file_header, job.entry)
    values = grid.view(stored_values(file_header, content))
    voxels = volume_of_values(values, slope, intercept, job.entry.modality, job.floor)
    return header_of_grid(header, grid, job.entry), grid, stack, voxels


def _stack_of_grid(grid: CanonicalGrid, criteria: GeometryCriteria) -> Stack:
    """The slices of a canonical volume as a stack, checked by the criteria for DICOM, with the grid's exact affine.

    Raises:
        QuarantineError: "too_few_slices" or "gantry_tilt".
    """
    slices = grid.shape[2]
    stack = check_stack(
        np.add(grid.position, np.arange(slices)[:, None] * grid.step),
        np.tile(grid.orientation, (slices, 1)),
        grid.spacing,
        **criteria._asdict(),
    )
    return replace(stack, affine=grid.affine)
