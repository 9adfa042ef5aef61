"""From the files of one stack of slices to volumes in the store: all that reads headers and pixels, in one call.

Call it in a process with limits (`refrad.core.sandbox`), once for each stack.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from refrad.dicom.equal_images import find_copies
from refrad.dicom.headers import Header, ImageRules
from refrad.dicom.pixels import read_pixels
from refrad.dicom.reasons import TREATABLE, QuarantineError
from refrad.dicom.scan import headers_of_file
from refrad.dicom.stack import Stack, check_stack, regular_runs
from refrad.dicom.volume_store import assemble, store_volume

__all__ = ["AcceptedVolume", "ConversionJob", "GeometryCriteria", "QuarantinedVolume", "convert"]

UNREADABLE = "unreadable_pixels"
STORAGE = "storage_error"
GAPS = ("slice_missing", "spacing_irregular")
# The index has applied the rules of the site, and only images that it uses come here.
AS_INDEXED = ImageRules(accepted=TREATABLE)


class GeometryCriteria(NamedTuple):
    """The criteria for a stack of slices to be a volume; see `refrad.dicom.stack.check_stack`."""

    minimum_slices: int
    spacing_tolerance: float
    angle_tolerance: float
    sheared: bool


class ConversionJob(NamedTuple):
    """The images of one stack, as paths below `folder` and frame numbers, and how they are converted.

    Images of equal pixels at one place are taken once.
    `split`: a stack with gaps, changing distances or images that cannot be decoded or for which the storage fails becomes several
    volumes, one for each of its regular runs.
    """

    volume: str
    folder: Path
    frames: Sequence[tuple[str, int]]
    modality: str
    criteria: GeometryCriteria
    store: Path
    split: bool = False


class AcceptedVolume(NamedTuple):
    """A volume in the store, made from a stack or a part of it.

    `header` is that of the first image, as the job lists them, without the frame of reference if the images have
    several. `stack.order` and `instance_numbers` are in slice order.
    `members`: the images used, as indices into the job's frames; None: all. `part`: number among the parts of a split stack,
    from 1.
    """

    header: Header
    stack: Stack
    instance_numbers: Sequence[int | None]
    treated: Sequence[str]
    digest: str
    file: str
    members: Sequence[int] | None = None
    part: int | None = None


class QuarantinedVolume(NamedTuple):
    """A stack, or a part of it, that became no volume, with the reason code.

    `unread`: path of the file for which the storage failed. The other fields are as in `AcceptedVolume`.
    """

    reason: str
    header: Header | None = None
    members: Sequence[int] | None = None
    part: int | None = None
    unread: str | None = None


def convert(job: ConversionJob) -> list[AcceptedVolume | QuarantinedVolume]:
    """Check the geometry of the images, and write those that form a volume into the store.

    Returns:
        One result for all images; or, if they become several volumes, or are partly used, one result for each volume, and last the
        images of none: copies of others, or those outside of the regular runs of a split stack, that cannot be decoded, or of a
        file for which the storage fails.

    Raises:
        MemoryError: if the memory does not suffice.
        OSError: if the machine is at fault.
    """
    try:
        headers = _headers(job)
    except QuarantineError as error:
        return [QuarantinedVolume(error.reason, unread=error.path)]
    images = [number for number, header in enumerate(headers) if header.reason is None]
    results = _convert_images(job, headers, images) if images else []
    has_faults = any(isinstance(part, QuarantinedVolume) and part.reason in {UNREADABLE, STORAGE} for part in results)
    if job.split and (has_faults or len(images) < len(headers)):
        results = _convert_readable(job, headers)
    if len(results) == 1:
        return [results[0]._replace(members=None)]
    numbered = [result._replace(part=part) for part, result in enumerate(results, 1)]
    if isinstance(numbered[-1], QuarantinedVolume):
        numbered[-1] = numbered[-1]._replace(part=None)
    return numbered


def _convert_readable(job: ConversionJob, headers: Sequence[Header]) -> list[AcceptedVolume | QuarantinedVolume]:
    """The results for the images that can be read; then for the files for which the storage fails; last for undecodable images."""
    faults = [_fault_of(job.folder, header) for header in headers]
    readable = [number for number, fault in enumerate(faults) if fault is None]
    if not readable and STORAGE in faults:
        return [QuarantinedVolume(STORAGE, unread=headers[faults.index(STORAGE)].path)]
    treated = UNREADABLE if UNREADABLE in faults else STORAGE
    results = [
        result._replace(treated=(treated, *result.treated)) if isinstance(result, AcceptedVolume) else result
        for result in (_convert_images(job, headers, readable) if readable else [])
    ]
    unread: dict[str, list[int]] = {}
    for number, fault in enumerate(faults):
        if fault == STORAGE:
            unread.setdefault(headers[number].path, []).append(number)
    shown = headers[readable[0]] if readable else None
    results += [QuarantinedVolume(STORAGE, shown, members, unread=path) for path, members in unread.items()]
    undecoded = [number for number, fault in enumerate(faults) if fault == UNREADABLE]
    return [*results, QuarantinedVolume(UNREADABLE, headers[undecoded[0]], undecoded)] if undecoded else results


def _fault_of(folder: Path, header: Header) -> str | None:
    """Why an image cannot be read: `UNREADABLE` or `STORAGE`; None if it can."""
    if header.reason:
        return header.reason
    try:
        return None if len(list(read_pixels(folder, [header]))) == 1 else UNREADABLE
    except QuarantineError as error:
        return error.reason


def _convert_images(
    job: ConversionJob, headers: Sequence[Header], images: Sequence[int]
) -> list[AcceptedVolume | QuarantinedVolume]:
    """The results for some images of a stack, as numbers of `headers`."""
    try:
        originals, copies = find_copies(job.folder, [headers[number] for number in images])
    except QuarantineError as error:
        if error.path is not None:
            return [QuarantinedVolume(error.reason, headers[images[0]], images, unread=error.path)]
        return _convert_kinds(job, headers, images, error.reason)
    unique = [images[number] for number in originals]
    results = _convert_unique(job, headers, unique)
    if not copies:
        return results
    if len(results) == 1 and isinstance(results[0], QuarantinedVolume):
        return [results[0]._replace(header=headers[images[0]], members=images)]
    return [*results, QuarantinedVolume("duplicate", headers[images[copies[0]]], [images[number] for number in copies])]


def _convert_kinds(
    job: ConversionJob, headers: Sequence[Header], images: Sequence[int], reason: str
) -> list[AcceptedVolume | QuarantinedVolume]:
    """The results for images that differ at the same places: kinds that share UIDs are volumes, others are quarantined."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for number in images:
        kinds.setdefault((headers[number].image_type, headers[number].frame_of_reference), []).append(number)
    if len(kinds) == 1:
        return [QuarantinedVolume(reason, headers[images[0]], images)]
    return [result for members in kinds.values() for result in _convert_images(job, headers, members)]


def _convert_unique(
    job: ConversionJob, headers: Sequence[Header], images: Sequence[int]
) -> list[AcceptedVolume | QuarantinedVolume]:
    """The results for images of different places: one, or if the stack is split, one for each run and one for the others."""
    whole = _convert(job, [headers[number] for number in images])
    if isinstance(whole, AcceptedVolume) or whole.reason not in GAPS or not job.split:
        return [whole._replace(members=images)]
    return _convert_runs(job, headers, images, whole.reason)


def _convert_runs(
    job: ConversionJob, headers: Sequence[Header], images: Sequence[int], reason: str
) -> list[AcceptedVolume | QuarantinedVolume]:
    """The results for the regular runs of a stack that is split for `reason`, and for the images of no run."""
    first = headers[images[0]]
    runs = regular_runs(
        [headers[number].position for number in images],
        first.orientation,
        first.spacing,
        minimum_slices=job.criteria.minimum_slices,
        spacing_tolerance=job.criteria.spacing_tolerance,
        decimals=[headers[number].decimals for number in images],
    )
    results: list[AcceptedVolume | QuarantinedVolume] = []
    unused = set(images)
    for run in runs:
        members = [images[number] for number in run]
        result = _convert(job, [headers[number] for number in members])
        if isinstance(result, AcceptedVolume):
            result = result._replace(treated=(reason, *result.treated))
        results.append(result._replace(members=members))
        unused.difference_update(members)
    if unused:
        results.append(QuarantinedVolume(reason, headers[min(unused)], sorted(unused)))
    return results


def _convert(job: ConversionJob, headers: Sequence[Header]) -> AcceptedVolume | QuarantinedVolume:
    """The volume of all images of these headers, or the reason why there is none."""
    frames = {header.frame_of_reference for header in headers} - {""}
    header = headers[0]._replace(frame_of_reference="") if len(frames) > 1 else headers[0]
    try:
        stack = check_stack(
            [header.position for header in headers],
            [header.orientation for header in headers],
            headers[0].spacing,
            **job.criteria._asdict(),
            decimals=[header.decimals for header in headers],
        )
        ordered = [headers[number] for number in stack.order]
        voxels = assemble(
            read_pixels(job.folder, ordered),
            [header.slope for header in ordered],
            [header.intercept for header in ordered],
            job.modality,
        )
    except QuarantineError as error:
        return QuarantinedVolume(error.reason, header, unread=error.path)
    digest, file = store_volume(voxels, stack.affine, job.store)
    treated = ["frames_of_reference_differ"] if len(frames) > 1 else []
    if stack.tilt > job.criteria.angle_tolerance:
        treated.append("gantry_tilt")
    instance_numbers = [header.instance_number for header in ordered]
    return AcceptedVolume(header, stack, instance_numbers, treated, digest, file)


def _headers(job: ConversionJob) -> list[Header]:
    """The headers of the images, read again, since no table holds positions; if `split`, some may have the reason `STORAGE`.

    Raises:
        QuarantineError: if a file has changed since it was indexed, or the storage fails for it.
    """
    paths = dict.fromkeys(path for path, _ in job.frames)
    of_file = {path: headers_of_file(job.folder, path, AS_INDEXED) for path in paths}
    headers = []
    for path, frame in job.frames:
        of_path = of_file[path]
        if of_path[0].reason == STORAGE:
            if not job.split:
                raise QuarantineError(STORAGE, path)
            headers.append(of_path[0])
            continue
        if frame >= len(of_path):
            raise QuarantineError("unreadable")
        if reason := of_path[frame].reason:
            raise QuarantineError(reason)
        headers.append(of_path[frame])
    return headers
