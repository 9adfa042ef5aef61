"""From the files of one volume to its place in the store: all that touches headers and pixels, in one call.

It is made to be called in a process with limits (`refrad.imaging.apart`), once for each volume.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from refrad.imaging.delivery import headers_of_file
from refrad.imaging.geometry import Stack, check_stack
from refrad.imaging.headers import Header, Rules
from refrad.imaging.pixels import read_pixels
from refrad.imaging.reasons import TREATABLE, Quarantined
from refrad.imaging.volumes import assemble, store_volume

__all__ = ["Converted", "Gate", "Images", "convert"]

# The index has decided what to do about these, and only images that it uses come here.
AS_INDEXED = Rules(accepted=TREATABLE)


class Gate(NamedTuple):
    """When a stack of slices is a volume; see `refrad.imaging.geometry.check_stack`."""

    minimum_slices: int
    spacing_tolerance: float
    angle_tolerance: float
    sheared: bool


class Images(NamedTuple):
    """The images of one volume: paths below `folder` and frames, and what to make of them."""

    volume: str
    folder: Path
    frames: Sequence[tuple[str, int]]
    modality: str
    gate: Gate
    store: Path


class Converted(NamedTuple):
    """What became of a volume: `reason` why it is quarantined, or the rest. `header` is that of its first image.

    `numbers`: instance number of each slice, in the order of `stack`.
    """

    reason: str | None = None
    header: Header | None = None
    stack: Stack | None = None
    numbers: Sequence[int | None] = ()
    treated: str | None = None
    digest: str | None = None
    file: str | None = None


def convert(images: Images) -> Converted:
    """Check the geometry of the images, and if it holds, write their volume into the store.

    Raises:
        MemoryError: if the memory does not suffice.
        OSError: if the storage fails.
    """
    first: Header | None = None
    try:
        headers = _headers(images)
        first = headers[0]
        stack = check_stack(
            [header.position for header in headers],
            [header.orientation for header in headers],
            first.spacing,
            **images.gate._asdict(),
        )
        ordered = [headers[number] for number in stack.order]
        voxels = assemble(
            read_pixels(images.folder, ordered),
            [header.slope for header in ordered],
            [header.intercept for header in ordered],
            images.modality,
        )
    except Quarantined as quarantined:
        return Converted(quarantined.reason, first)
    digest, file = store_volume(voxels, stack.affine, images.store)
    treated = "gantry_tilt" if stack.tilt > images.gate.angle_tolerance else None
    return Converted(None, first, stack, [header.instance_number for header in ordered], treated, digest, file)


def _headers(images: Images) -> list[Header]:
    """The headers of the images, read again: positions are in no table.

    Raises:
        Quarantined: if a file is no longer what the index saw.
    """
    of_file = {
        path: headers_of_file(images.folder, path, AS_INDEXED) for path in dict.fromkeys(p for p, _ in images.frames)
    }
    headers = [of_file[path][frame] for path, frame in images.frames if frame < len(of_file[path])]
    if len(headers) < len(images.frames):
        raise Quarantined("unreadable")
    for header in headers:
        if header.reason:
            raise Quarantined(header.reason)
    return headers
