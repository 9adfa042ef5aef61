"""Data sets of DICOM files, with and without preamble and file meta information, and where their pixels lie."""

import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import pydicom
from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import VR

__all__ = ["NO_PIXELS", "PIXELS", "UNDEFINED", "StoredPixels", "pixels_after", "read_dataset"]

UNDEFINED = 0xFFFFFFFF  # length of encapsulated pixels, and of some sequences
START = 512  # bytes that show whether a file without preamble is DICOM
BEGINNINGS = (0x0002, 0x0008)  # groups of the first elements of a file
LONGEST = 1024  # bytes of the values at the beginning, which are codes, UIDs and times
LONG_LENGTHS = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}  # PS3.5 7.1.2
STANDARD = "1.2.840.10008."  # the root of the UIDs of the standard
PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}


class StoredPixels(NamedTuple):
    """The pixels of a file: the keyword of their element, the offset of its value in the file, and its length in bytes.

    `offset` is 0 if they are deflated, and so is `length`; `length` may also be `UNDEFINED`.
    """

    keyword: str
    offset: int
    length: int


NO_PIXELS = StoredPixels("", 0, 0)


def read_dataset(file: BinaryIO, tags: Sequence[int] | None, *, with_pixels: bool = False) -> FileDataset:
    """The elements of these tags (None: all), up to the pixels; `file` then stands at the tag of the pixels, unless they are deflated.

    With `with_pixels`, the pixels and what follows them too.

    The file meta information always has a transfer syntax: without one it is that of the elements themselves.

    Raises:
        InvalidDicomError: if the file is no DICOM file.
        Exception: if it is a broken one; pydicom raises nearly anything.
    """
    start = file.read(START)
    has_preamble = start[128:132] == b"DICM"
    if not (has_preamble or _begins_like_a_dataset(start)):
        raise InvalidDicomError
    file.seek(0)
    dataset = pydicom.dcmread(
        file, stop_before_pixels=not with_pixels, force=True, specific_tags=None if tags is None else list(tags)
    )
    if not has_preamble and not str(dataset.get("SOPClassUID", "")).startswith(STANDARD):
        raise InvalidDicomError
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _begins_like_a_dataset(start: bytes) -> bool:
    """Whether the first three elements are of the first groups, in the order of their tags, with representations and lengths that fit."""
    return any(_has_elements(start, order, explicit) for order, explicit in (("<", False), ("<", True), (">", True)))


def _has_elements(start: bytes, order: str, explicit: bool) -> bool:
    position, last = 0, -1
    for _ in range(3):
        if position + 12 > len(start):
            return False
        group, number = struct.unpack_from(f"{order}HH", start, position)
        tag = group << 16 | number
        if group not in BEGINNINGS or tag <= last or (number and tag not in DicomDictionary):
            return False
        representation = start[position + 4 : position + 6].decode("latin-1")
        if explicit and representation not in VR.__members__:
            return False
        is_short = explicit and representation not in LONG_LENGTHS
        head = 12 if explicit and not is_short else 8
        (length,) = struct.unpack_from(
            f"{order}{'H' if is_short else 'L'}", start, position + head - (2 if is_short else 4)
        )
        if length > LONGEST or length % 2:
            return False
        position, last = position + head + length, tag
    return True


def pixels_after(file: BinaryIO, syntax: str) -> StoredPixels:
    """The pixels of a file that was read up to them."""
    if syntax == DeflatedExplicitVRLittleEndian:  # inflated in memory: the file does not show whether pixels follow
        return StoredPixels("PixelData", 0, 0)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    head = file.read(8 if syntax == ImplicitVRLittleEndian else 12)
    if len(head) < 8:
        return NO_PIXELS
    group, number = struct.unpack_from(f"{order}HH", head)
    keyword = PIXELS.get(group << 16 | number)
    if keyword is None:
        return NO_PIXELS
    (length,) = struct.unpack(f"{order}L", head[-4:])
    return StoredPixels(keyword, file.tell(), length)
