"""From the files of one volume to its place in the store: all that touches headers and pixels, in one call.

It is made to be called in a process with limits (`refrad.core.sandbox`), once for each volume.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from refrad.dicom.geometry import Stack, check_stack, regular_runs
from refrad.dicom.headers import Header, ImageRules
from refrad.dicom.pixels import read_pixels
from refrad.dicom.reasons import TREATABLE, QuarantineError
from refrad.dicom.scan import headers_of_file
from refrad.dicom.volume_store import assemble, store_volume

__all__ = ["ConversionJob", "Converted", "GeometryCriteria", "convert"]

GAPS = ("slice_missing", "spacing_irregular")
# The index has decided what to do about these, and only images that it uses come here.
AS_INDEXED = ImageRules(accepted=TREATABLE)


class GeometryCriteria(NamedTuple):
    """When a stack of slices is a volume; see `refrad.dicom.geometry.check_stack`."""

    minimum_slices: int
    spacing_tolerance: float
    angle_tolerance: float
    sheared: bool


class ConversionJob(NamedTuple):
    """The images of one stack: paths below `folder` and frames, and what to make of them.

    `split`: a stack with gaps or changing distances becomes several volumes, one for each of its regular runs.
    """

    volume: str
    folder: Path
    frames: Sequence[tuple[str, int]]
    modality: str
    gate: GeometryCriteria
    store: Path
    split: bool = False


class Converted(NamedTuple):
    """What became of a stack or a part of it: `reason` why it is quarantined, or the rest. `header` is that of its first image.

    `members`: which of the images it is made of; None: all. `order` of `stack` counts these. `part`: of a split stack, from 1.
    `numbers`: instance number of each slice, in the order of `stack`.
    """

    reason: str | None = None
    header: Header | None = None
    members: Sequence[int] | None = None
    part: int | None = None
    stack: Stack | None = None
    numbers: Sequence[int | None] = ()
    treated: Sequence[str] = ()
    digest: str | None = None
    file: str | None = None


def convert(images: ConversionJob) -> list[Converted]:
    """Check the geometry of the images, and if it holds, write their volume into the store.

    Returns:
        One, unless the stack is split: then one for each run, and last the images that no run has, with the reason to split.

    Raises:
        MemoryError: if the memory does not suffice.
        OSError: if the storage fails.
    """
    try:
        headers = _headers(images)
    except QuarantineError as quarantined:
        return [Converted(quarantined.reason)]
    whole = _converted(images, headers)
    reason = whole.reason
    if reason is None or reason not in GAPS or not images.split:
        return [whole]
    runs = regular_runs(
        [header.position for header in headers],
        headers[0].orientation,
        headers[0].spacing,
        minimum_slices=images.gate.minimum_slices,
        spacing_tolerance=images.gate.spacing_tolerance,
    )
    parts = []
    for number, run in enumerate(runs, 1):
        part = _converted(images, [headers[member] for member in run])
        treated = () if part.reason else (reason, *part.treated)
        parts.append(part._replace(members=run.tolist(), part=number, treated=treated))
    rest = sorted(set(range(len(headers))).difference(*(run.tolist() for run in runs)))
    return [*parts, *([Converted(reason, headers[rest[0]], rest)] if rest else [])]


def _converted(images: ConversionJob, headers: Sequence[Header]) -> Converted:
    """The volume of all of these headers, or the reason why there is none."""
    try:
        stack = check_stack(
            [header.position for header in headers],
            [header.orientation for header in headers],
            headers[0].spacing,
            **images.gate._asdict(),
        )
        ordered = [headers[number] for number in stack.order]
        voxels = assemble(
            read_pixels(images.folder, ordered),
            [header.slope for header in ordered],
            [header.intercept for header in ordered],
            images.modality,
        )
    except QuarantineError as quarantined:
        return Converted(quarantined.reason, headers[0])
    digest, file = store_volume(voxels, stack.affine, images.store)
    treated = ["gantry_tilt"] if stack.tilt > images.gate.angle_tolerance else []
    numbers = [header.instance_number for header in ordered]
    return Converted(None, headers[0], None, None, stack, numbers, treated, digest, file)


def _headers(images: ConversionJob) -> list[Header]:
    """The headers of the images, read again: positions are in no table.

    Raises:
        QuarantineError: if a file is no longer what the index saw.
    """
    of_file = {
        path: headers_of_file(images.folder, path, AS_INDEXED) for path in dict.fromkeys(p for p, _ in images.frames)
    }
    headers = [of_file[path][frame] for path, frame in images.frames if frame < len(of_file[path])]
    if len(headers) < len(images.frames):
        raise QuarantineError("unreadable")
    for header in headers:
        if header.reason:
            raise QuarantineError(header.reason)
    return headers
