"""Label volumes of a site, as files: one file of many labels, or a folder with one file for each class.

The files are untrusted: stage masks reads them in a sandbox. Sides cannot be checked here: an affine that swaps left and right is as
valid as the right one.
"""

import errno
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refrad.dicom.scan import is_error_of_one_file, is_storage_error
from refrad.formats.nifti import NiftiError, affine_of, image_class_of, read_content, shape_of
from refrad.nifti.volume_entry import ENDINGS
from refrad.segmentation.base import UnsegmentableError

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

# Names of the same organs in AbdomenAtlas and Merlin Plus (github.com/MrGiovanni/MerlinPlus).
OTHER_NAMES = {"gall_bladder": "gallbladder", "bladder": "urinary_bladder", "postcava": "inferior_vena_cava"}
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
GREYEST = 0.5  # share of neighbouring voxels with different labels: of true ones 0.01, at 24 mm 0.25; of images 0.9
SAMPLES = 32  # slices in which neighbours are compared
LARGEST_SHARED = 0.01  # share of the labelled voxels that two classes may claim
SAME_GRID = 1e-3  # mm or mm a voxel, difference of the affines of one grid

REASON_OF_FAULT = {
    "not_nifti": "mask_not_nifti",
    "unreadable": "unreadable_mask",
    "not_3d": "mask_not_3d",
    "empty": "mask_not_3d",
    "no_numbers": "mask_not_labels",
    "no_geometry": "mask_no_geometry",
    "affines_differ": "mask_no_geometry",
}

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
    except NiftiError as error:
        raise UnsegmentableError(REASON_OF_FAULT[error.fault]) from None
    except OSError as error:
        if is_failing_storage(error):
            raise UnsegmentableError("storage_error", Path(error.filename or path)) from None
        raise UnsegmentableError("unreadable_mask") from None
    except Exception:  # decoders raise anything; their messages quote paths
        raise UnsegmentableError("unreadable_mask") from None


def _read_multi_label(path: Path, native_ids: Mapping[str, int]) -> DeliveredLabels:
    image = _load(path)
    values, affine = _voxels(image), affine_of(image.header)
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
            labels, affine = np.zeros(mask.shape, np.uint8, order="F"), affine_of(image.header)
        elif mask.shape != labels.shape or not np.allclose(affine_of(image.header), affine, rtol=0, atol=SAME_GRID):
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
    name = re.sub(r"[\s_.-]+", "_", text.strip().lower())
    return OTHER_NAMES.get(name, name)


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
    with path.open("rb") as file:
        content = read_content(file)
    return image_class_of(content).from_bytes(bytes(content))


def _voxels(image: Any) -> NDArray[Any]:
    """Numbers [column, row, slice], scaled as the header tells; axes of one element behind the third are dropped."""
    shape = shape_of(image.header)
    values: NDArray[Any] = np.asanyarray(image.dataobj)
    return values.reshape(shape, order="A")


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
