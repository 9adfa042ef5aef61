"""Label volumes of a site, as files: one file of many labels, or a folder with one file for each class.

The files are untrusted: stage masks reads them in a sandbox. Sides cannot be checked here: an affine that swaps left and right is as
valid as the right one.
"""

import errno
import gzip
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refrad.dicom.scan import is_error_of_one_file, is_storage_error
from refrad.segmentation.base import UnsegmentableError
from refrad.segmentation.labels import LARGEST_SHIFT

__all__ = [
    "OUTSIDE",
    "SHARED",
    "UNKNOWN_FILES",
    "DeliveredLabels",
    "class_of_file",
    "files_of_mask",
    "is_failing_storage",
    "read_labels",
]

ENDINGS = (".nii.gz", ".nii")
PAIR = (".hdr", ".img")  # header and voxels in two files
OF_THE_FILE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
}  # a name or permission is at fault
ROUNDING = 1e-2  # of stored labels that a float or a scale factor made inexact
SURPLUS = 1 << 20  # bytes that may follow the voxels
PART = 1 << 24  # bytes decompressed at once
GREYEST = 0.5  # share of neighbouring voxels with different labels: of true ones 0.01, at 24 mm 0.25; of images 0.9
SAMPLES = 32  # slices in which neighbours are compared
LARGEST_SHARED = 0.01  # share of the labelled voxels that two classes may claim
SAME_GRID = 1e-3  # mm or mm a voxel, difference of the affines of one grid
FLATTEST = 1e-6  # ratio of the singular values of an affine, below which its voxels have no volume

UNKNOWN_FILES = "files of a class that the task does not have"
OUTSIDE = "labels that the task does not have"
SHARED = "voxels of two classes, given to the smaller one"


class DeliveredLabels(NamedTuple):
    """Labels uint8 [column, row, slice], native ids of a task; affine float64 [4, 4], RAS+ mm; and counts of what was not clear."""

    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    notes: Mapping[str, int]


def is_failing_storage(error: OSError) -> bool:
    """Whether the disk or file server failed for a file; it is not at fault for a file that is gone, closed or damaged."""
    return is_storage_error(error) and is_error_of_one_file(error) and error.errno not in OF_THE_FILE


def files_of_mask(path: Path) -> list[Path]:
    """The files that make up a mask: the file, both files of a NIfTI pair, or all NIfTI files of a folder, hidden ones excepted."""
    if path.is_dir():
        files = (file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        return sorted(file for file in files if file.name.lower().endswith(ENDINGS))
    if path.suffix.lower() in PAIR:
        return sorted(file for file in path.parent.iterdir() if file.stem == path.stem and file.suffix.lower() in PAIR)
    return [path]


def read_labels(path: Path, native_ids: Mapping[str, int]) -> DeliveredLabels:
    """The label volume of a file or a folder.

    A file with the names of its labels in its header, as TotalSegmentator writes them, is read by these names; without names its
    labels are native ids. In a folder, each file is named by its class, such as liver.nii.gz, and is 0 outside of it.

    Args:
        path: NIfTI file, or folder of NIfTI files.
        native_ids: name of each class of the task to its native id.

    Raises:
        UnsegmentableError: with the reason code, for any fault of a file.
        MemoryError: if the memory does not suffice.
    """
    try:
        return _read_classes(path, native_ids) if path.is_dir() else _read_multi_label(path, native_ids)
    except (MemoryError, UnsegmentableError):
        raise
    except OSError as error:
        if is_failing_storage(error):
            raise UnsegmentableError("storage_error", Path(error.filename or path)) from None
        raise UnsegmentableError("unreadable_mask") from None
    except Exception:  # decoders raise anything; their messages quote paths
        raise UnsegmentableError("unreadable_mask") from None


def _read_multi_label(path: Path, native_ids: Mapping[str, int]) -> DeliveredLabels:
    image = _load(path)
    values, affine = _voxels(image), _affine(image)
    with np.errstate(invalid="ignore"):
        rounded = np.rint(values) if values.dtype.kind == "f" else values
        is_whole = values is rounded or bool((np.abs(values - rounded) <= ROUNDING).all())
    if not is_whole or rounded.min() < 0 or rounded.max() > 255:
        raise UnsegmentableError("mask_not_labels")
    labels = rounded.astype(np.uint8)
    if _is_picture(labels):
        raise UnsegmentableError("mask_not_labels")
    present = np.flatnonzero(np.bincount(labels.ravel(order="K"), minlength=256)[1:]) + 1
    names = _names_in_header(image)
    if not names:
        return DeliveredLabels(labels, affine, {OUTSIDE: len(set(present.tolist()) - set(native_ids.values()))})
    lut = np.zeros(256, np.uint8)
    for label, name in names.items():
        lut[label] = native_ids.get(name, 0)
    if len(present) and not lut[present].any():
        raise UnsegmentableError("mask_unknown_classes")
    return DeliveredLabels(lut[labels], affine, {OUTSIDE: int(np.count_nonzero(lut[present] == 0))})


def _read_classes(folder: Path, native_ids: Mapping[str, int]) -> DeliveredLabels:
    files = files_of_mask(folder)
    if not files:
        raise UnsegmentableError("mask_missing")
    of_task = [(native_ids[name], file) for file in files if (name := class_of_file(file)) in native_ids]
    if not of_task:
        raise UnsegmentableError("mask_unknown_classes")
    if len({label for label, _ in of_task}) < len(of_task):  # liver.nii and liver.nii.gz
        raise UnsegmentableError("mask_classes_overlap")
    labels: NDArray[np.uint8] | None = None
    affine = np.eye(4)
    shared, sizes = 0, np.zeros(256, np.int64)
    for label, file in of_task:
        image = _load(file)
        mask = _binary(_voxels(image))
        if labels is None:
            labels, affine = np.zeros(mask.shape, np.uint8, order="F"), _affine(image)
        elif mask.shape != labels.shape or not np.allclose(_affine(image), affine, rtol=0, atol=SAME_GRID):
            raise UnsegmentableError("mask_grids_differ")
        sizes[label] = np.count_nonzero(mask)
        is_claimed = mask & (labels > 0)
        if is_claimed.any():
            shared += int(np.count_nonzero(is_claimed))
            mask &= (labels == 0) | (sizes[labels] > sizes[label])
        labels[mask] = label
    assert labels is not None
    if shared > LARGEST_SHARED * np.count_nonzero(labels):
        raise UnsegmentableError("mask_classes_overlap")
    return DeliveredLabels(labels, affine, {UNKNOWN_FILES: len(files) - len(of_task), SHARED: shared})


def _is_picture(labels: NDArray[np.uint8]) -> bool:
    """Whether the labels change from voxel to voxel, as grey values of 8 bits do."""
    slices = np.unique(np.linspace(0, labels.shape[2] - 1, min(SAMPLES, labels.shape[2])).astype(int))
    left, right = labels[:-1, :, slices], labels[1:, :, slices]
    is_inside = (left > 0) & (right > 0)
    differing = int(np.count_nonzero(is_inside & (left != right)))
    return differing > GREYEST * int(np.count_nonzero(is_inside))


def class_of_file(file: Path) -> str:
    """The class that a file of one class is named by."""
    name = file.name.lower()
    return _class_name(next(name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)))


def _class_name(text: str) -> str:
    """A name as TotalSegmentator spells classes: in lower case, with underscores between the words."""
    return re.sub(r"[\s_.-]+", "_", text.strip().lower())


def _binary(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a file of one class is not 0; all other values must be one whole number."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            rounded = np.rint(values)
            if not (np.abs(values - rounded) <= ROUNDING).all():
                raise UnsegmentableError("mask_not_binary")
        values = rounded
    top = values.max()
    is_class: NDArray[np.bool_] = values == top
    if top < 0 or not (is_class | (values == 0)).all():
        raise UnsegmentableError("mask_not_binary")
    return is_class if top else np.zeros_like(is_class)


def _load(path: Path) -> Any:
    """The NIfTI image of a file, by its content: its name may lack the ending of compressed files, or have it wrongly."""
    if path.suffix.lower() in PAIR:
        image: Any = nib.load(path)  # type: ignore[attr-defined]
        if not isinstance(image, nib.Nifti1Pair):
            raise UnsegmentableError("mask_not_nifti")  # Analyze, which knows no sides
        return image
    content = _content(path)
    image = _kind(content).from_bytes(content)
    if _length(image.header) > len(content):
        raise UnsegmentableError("unreadable_mask")
    return image


def _content(path: Path) -> bytes:
    """The bytes of a NIfTI file, decompressed to the end, so that its checksum is compared; surplus ones are not kept."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_packed else path.open("rb") as file:
        head = file.read(nib.Nifti2Header.sizeof_hdr)
        if not head:
            raise UnsegmentableError("unreadable_mask")
        kind = _kind(head).header_class
        header = kind(head[: kind.sizeof_hdr], check=False)
        missing, parts = _length(header) - len(head), [head]
        while missing > 0 and (part := file.read(min(missing, PART))):  # never as many bytes as the header claims
            parts.append(part)
            missing -= len(part)
        if len(file.read(SURPLUS + 1)) > SURPLUS:
            raise UnsegmentableError("unreadable_mask")
    return b"".join(parts)


def _kind(content: bytes) -> Any:
    """The class of NIfTI image that a file is, by its first bytes."""
    if content[344:347] == b"n+1":
        return nib.Nifti1Image
    if content[4:7] == b"n+2":
        return nib.Nifti2Image
    is_half = content[344:347] == b"ni1" or content[4:7] == b"ni2"  # a header whose voxels are in another file
    raise UnsegmentableError("unreadable_mask" if is_half else "mask_not_nifti")


def _length(header: Any) -> int:
    """Bytes of a file by its header."""
    voxels = math.prod(map(int, header.get_data_shape())) * int(header.get_data_dtype().itemsize)
    return int(header["vox_offset"]) + voxels


def _voxels(image: Any) -> NDArray[Any]:
    """Numbers [column, row, slice], scaled as the header tells; axes of one element behind the third are dropped."""
    if len(image.shape) < 3 or any(size != 1 for size in image.shape[3:]):
        raise UnsegmentableError("mask_not_3d")
    if image.header.get_data_dtype().kind not in "biuf":
        raise UnsegmentableError("mask_not_labels")
    values: NDArray[Any] = np.asanyarray(image.dataobj)
    if not values.size:
        raise UnsegmentableError("mask_not_3d")
    return values.squeeze(tuple(range(3, values.ndim)))


def _affine(image: Any) -> NDArray[np.float64]:
    """The affine of an image whose header gives it, by the sform before the qform; refused if both do not agree on each voxel."""
    forms = []
    for form in (image.header.get_sform, image.header.get_qform):
        try:
            affine, code = form(coded=True)
        except nib.spatialimages.HeaderDataError:
            continue
        if code > 0 and affine is not None:
            forms.append(np.asarray(affine, np.float64))
    if not forms or not all(_is_regular(affine) for affine in forms):
        raise UnsegmentableError("mask_no_geometry")
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in image.shape[:3]], [1], indexing="ij")).reshape(4, -1)
    shift = np.linalg.norm((forms[0] - forms[-1]) @ corners, axis=0).max()
    if shift > LARGEST_SHIFT * np.linalg.norm(forms[0][:3, :3], axis=0).min():
        raise UnsegmentableError("mask_no_geometry")
    return forms[0]


def _is_regular(affine: NDArray[np.float64]) -> bool:
    if not np.isfinite(affine).all():
        return False
    widths = np.linalg.svd(affine[:3, :3], compute_uv=False)
    return bool(widths[-1] > FLATTEST * widths[0])


def _names_in_header(image: Any) -> dict[int, str]:
    """Labels and their names from the table of labels in the extended header; empty if there is none."""
    for extension in image.header.extensions:
        content = extension.get_content()
        content = content.encode() if isinstance(content, str) else content
        if not isinstance(content, bytes) or b"<LabelTable" not in content:
            continue
        try:
            table = ElementTree.fromstring(content.strip(b"\0 \r\n\t"))
            names = {int(entry.get("Key", "")): _class_name(entry.text or "") for entry in table.iter("Label")}
        except (ElementTree.ParseError, ValueError):
            continue
        return {label: name for label, name in names.items() if 0 < label < 256}
    return {}
