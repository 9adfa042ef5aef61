"""NIfTI files of version 1 or 2, plain or compressed, also inside of .zip files: their bytes, headers, values and affines.

Affines are in NIfTI's coordinates: x to the right, y to the front, z to the head (RAS+), here always in mm.
"""

import errno
import math
import os
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

__all__ = [
    "SURPLUS",
    "NiftiError",
    "affine_of",
    "header_of_bytes",
    "image_class_of",
    "is_regular",
    "open_volume_file",
    "read_content",
    "read_header",
    "shape_of",
    "stored_values",
]

GZIP = b"\x1f\x8b"
HEAD = nib.Nifti2Header.sizeof_hdr  # bytes that tell the kind, and hold the header of either
BLOCK = 4096  # bytes of a compressed file that hold the header of nearly all
SURPLUS = 1 << 20  # bytes that may follow the voxels
PART = 1 << 24  # bytes decompressed at once
OFFSETS = 1 << 40  # beyond those of the voxels in any file
FLATTEST = 1e-6  # ratio of the singular values of an affine, below which its voxels have no volume
LONGEST_ROUNDED = 0.01  # by which rounding may make the square of a quaternion's length larger than 1
LARGEST_SHIFT = 0.4  # voxels between sform and qform; below half a voxel, so that each voxel stays itself
LARGEST_RATIO = 1.2  # between the widths of a voxel by sform and pixdim; a tilted gantry makes up to 1 / cos 30 degrees
MM_OF_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}  # NIFTI_UNITS_METER, _MM, _MICRON; others are taken for mm


class NiftiError(ValueError):
    """A file is no image that can be used.

    `fault` is "not_nifti", "unreadable" (cut, a wrong checksum, half of a pair, surplus bytes), "not_3d", "empty" (an axis
    without elements), "no_numbers" (colours or complex numbers), "no_geometry" (no affine, or one without volume), or
    "affines_differ" (sform and qform place a voxel differently, or sform and pixdim give other voxel sizes).
    """

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


@contextmanager
def open_volume_file(folder: Path, path: str) -> Iterator[BinaryIO]:
    """The bytes of a file below `folder` as they are stored; `path` may lead into a .zip file as if it were a folder.

    Names are found also where the disk has letters with separate accents, as a Mac writes them, and the path has not, or reversed.

    Raises:
        FileNotFoundError: if there is no such file or member.
        NiftiError: if the path leaves the folder, or the .zip file is damaged or encrypted.
        OSError: if it cannot be read.
    """
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/"):
        raise NiftiError("unreadable")
    stored = partial(_as_stored, is_there=lambda form: (folder / form).exists())
    for count, part in enumerate(parts[:-1], 1):
        if part.lower().endswith(".zip") and (archive := folder / stored("/".join(parts[:count]))).is_file():
            with _member(archive, "/".join(parts[count:])) as member:
                yield member
            return
    full_path = folder / stored(path)
    if full_path.exists() and not full_path.is_file():  # a pipe or a device would never end
        raise NiftiError("unreadable")
    with full_path.open("rb") as file:
        yield file


def _as_stored(path: str, is_there: Callable[[str], bool]) -> str:
    """The path in the form of Unicode in which it is there; as it is if it is there in none."""
    forms = (path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD")))
    return path if path.isascii() else next(filter(is_there, forms), path)


@contextmanager
def _member(archive: Path, name: str) -> Iterator[BinaryIO]:
    status = archive.stat()
    try:
        directory = _directory(archive, status.st_size, status.st_mtime_ns, os.getpid())
        member = directory.open(_as_stored(name, directory.NameToInfo.__contains__))
    except KeyError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(archive)) from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError):  # damaged, encrypted, compressed in another way
        raise NiftiError("unreadable") from None
    with member:
        try:
            yield cast("BinaryIO", member)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise NiftiError("unreadable") from None


@lru_cache(maxsize=1)
def _directory(archive: Path, _size: int, _time: int, _process: int) -> zipfile.ZipFile:
    """The open archive: one of many members is asked for them in a row. Processes share no place in a file."""
    return zipfile.ZipFile(archive)


def read_header(file: BinaryIO) -> Any:
    """The header of a NIfTI image, a nibabel header, of which only the first bytes are read and decompressed.

    Raises:
        NiftiError: "not_nifti" or "unreadable".
    """
    head = file.read(BLOCK)
    if head.startswith(GZIP):
        head = _first_bytes(head, file)
    return header_of_bytes(head)


def _first_bytes(block: bytes, file: BinaryIO) -> bytes:
    """The first decompressed bytes of a gzip stream that begins with `block`."""
    decompressor = zlib.decompressobj(31)
    head = b""
    try:
        while block and len(head) < HEAD:
            if decompressor.eof:  # a file may be several streams in a row
                decompressor = zlib.decompressobj(31)
            head += decompressor.decompress(block, HEAD - len(head))
            block = decompressor.unconsumed_tail or decompressor.unused_data or file.read(BLOCK)
    except zlib.error:
        raise NiftiError("unreadable") from None
    return head


def header_of_bytes(head: bytes | bytearray) -> Any:
    """The nibabel header of a NIfTI file by its first bytes.

    Raises:
        NiftiError: "not_nifti" or "unreadable".
    """
    if not head:
        raise NiftiError("unreadable")
    kind = image_class_of(head).header_class
    if len(head) < kind.sizeof_hdr:
        raise NiftiError("unreadable")
    try:
        header = kind(bytes(head[: kind.sizeof_hdr]), check=False)
        header.get_data_dtype()
    except (nib.spatialimages.HeaderDataError, KeyError, ValueError):  # an unknown type of voxels
        raise NiftiError("unreadable") from None
    return header


def image_class_of(content: bytes | bytearray) -> Any:
    """The class of NIfTI image that a file is, by its first bytes.

    Raises:
        NiftiError: "unreadable" for a header whose voxels are in another file, else "not_nifti".
    """
    if content[344:347] == b"n+1":
        return nib.Nifti1Image
    if content[4:7] == b"n+2":
        return nib.Nifti2Image
    is_half = content[344:347] == b"ni1" or content[4:7] == b"ni2"
    raise NiftiError("unreadable" if is_half else "not_nifti")


def read_content(file: Any) -> bytearray:
    """The bytes of a NIfTI file, decompressed to the end, so that its checksum is compared; surplus ones are not kept.

    Raises:
        NiftiError: "not_nifti" or "unreadable".
    """
    is_packed = file.peek(2)[:2] == GZIP
    try:
        return _content(igzip.open(file) if is_packed else file)  # type: ignore[no-untyped-call]
    except (EOFError, igzip.BadGzipFile, zlib.error, isal_zlib.error):  # type: ignore[misc]
        raise NiftiError("unreadable") from None


def _content(file: Any) -> bytearray:
    head = file.read(HEAD)
    header = header_of_bytes(head)
    length, content = _length(header), bytearray(head)
    while (missing := length - len(content)) > 0 and (
        part := file.read(min(missing, PART))
    ):  # never as many as it claims
        content += part
    if missing > 0 or len(file.read(SURPLUS + 1)) > SURPLUS:
        raise NiftiError("unreadable")
    return content


def _length(header: Any) -> int:
    """Bytes of a file by its header."""
    sizes = [int(size) for size in header.get_data_shape()]
    if min(sizes, default=0) < 0 or not header.sizeof_hdr <= header["vox_offset"] < OFFSETS:  # also not a number
        raise NiftiError("unreadable")
    return int(header["vox_offset"]) + math.prod(sizes) * int(header.get_data_dtype().itemsize)


def shape_of(header: Any) -> tuple[int, int, int]:
    """The sizes of the three axes; axes of one element behind the third do not count.

    Raises:
        NiftiError: "not_3d" or "empty"; "no_numbers" if the voxels are no single real numbers.
    """
    sizes = [int(size) for size in header.get_data_shape()]
    if len(sizes) < 3 or any(size != 1 for size in sizes[3:]):
        raise NiftiError("not_3d")
    if min(sizes) < 1:
        raise NiftiError("empty")
    if header.get_data_dtype().kind not in "biuf":
        raise NiftiError("no_numbers")
    return sizes[0], sizes[1], sizes[2]


def stored_values(header: Any, content: bytes | bytearray) -> NDArray[Any]:
    """Values as stored, not scaled: a view of `content` with the header's type, in the order of the file's three axes.

    Raises:
        NiftiError: as `shape_of`.
    """
    shape = shape_of(header)
    values = np.frombuffer(content, header.get_data_dtype(), math.prod(shape), int(header["vox_offset"]))
    return values.reshape(shape, order="F")


def affine_of(header: Any) -> NDArray[np.float64]:
    """The affine that a header gives, float64 [4, 4], RAS+ mm: the sform before the qform.

    Both must agree on each voxel, and the sform with the voxel sizes (pixdim). Lengths in metres or micrometres (xyzt_units) become
    mm, the origin as well, as ITK reads them; nibabel leaves them as they are.

    Raises:
        NiftiError: "no_geometry" or "affines_differ".
    """
    sform, code = header.get_sform(coded=True)
    forms = [np.asarray(sform, np.float64)] if code > 0 else []
    if (qform := _qform(header)) is not None:
        forms.append(qform)
    if not forms or not is_regular(forms[0]):
        raise NiftiError("no_geometry")
    sizes = [int(size) for size in header.get_data_shape()[:3]]
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in sizes], [1], indexing="ij")).reshape(4, -1)
    shift = np.linalg.norm((forms[0] - forms[-1]) @ corners, axis=0).max()
    if shift > LARGEST_SHIFT * np.linalg.norm(forms[0][:3, :3], axis=0).min():
        raise NiftiError("affines_differ")
    if code > 0 and not _is_sized_alike(forms[0], header["pixdim"][1:4]):
        raise NiftiError("affines_differ")
    affine = forms[0].copy()
    affine[:3] *= MM_OF_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    return affine


def _qform(header: Any) -> NDArray[np.float64] | None:
    """The affine of the qform, in the units of the header; None if there is none or its numbers make none.

    By method 2 of nifti1.h. Where a first pixdim is neither 1 nor -1, nibabel takes 1 and ITK its sign. A quaternion that
    rounding made too long is taken as of length 1. After half a turn the real part is 0, and its square all rounding: a
    root of that would turn the image by a milliradian.
    """
    first, *pixdim = header["pixdim"][:4].astype(np.float64)
    imaginary = np.array([header[f"quatern_{axis}"] for axis in "bcd"], np.float64)
    rest = 1 - float(imaginary @ imaginary)  # square of the real part
    if header["qform_code"] <= 0 or not (min(pixdim) > 0 and rest > -LONGEST_ROUNDED) or (first < 0 and first != -1):
        return None
    rounding = 3 * np.finfo(header["quatern_b"].dtype).eps  # as nibabel has it
    affine = np.eye(4)
    affine[:3, :3] = nib.quaternions.quat2mat([math.sqrt(rest) if rest > rounding else 0.0, *imaginary]) * pixdim
    affine[:3, 2] *= -1 if first == -1 else 1
    affine[:3, 3] = [header[f"qoffset_{axis}"] for axis in "xyz"]
    return affine if is_regular(affine) else None


def _is_sized_alike(sform: NDArray[np.float64], pixdim: NDArray[np.floating[Any]]) -> bool:
    """Whether an sform has about the voxel sizes of pixdim, by which ITK goes; sizes that are none contradict nothing."""
    ratios = np.linalg.norm(sform[:3, :3], axis=0) / np.where(np.isfinite(pixdim) & (pixdim > 0), pixdim, np.nan)
    return not (np.nanmax(np.abs(np.log(ratios)), initial=0.0) > math.log(LARGEST_RATIO))


def is_regular(affine: NDArray[np.float64]) -> bool:
    """Whether an affine [4, 4] has finite numbers only, and its voxels have a volume."""
    if not np.isfinite(affine).all():
        return False
    widths = np.linalg.svd(affine[:3, :3], compute_uv=False)
    return bool(widths[-1] > FLATTEST * widths[0])
