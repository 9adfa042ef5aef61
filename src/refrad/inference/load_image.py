"""An image of a DICOM file, a NIfTI or a picture, windowed as in the shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refrad.core.types import MODALITIES
from refrad.dicom.hanging import Turn, plane_of, radiological_turn
from refrad.dicom.headers import Header, ImageRules
from refrad.dicom.pixels import read_pixels
from refrad.dicom.reasons import REASONS, TREATABLE, QuarantineError
from refrad.dicom.scan import headers_of_file
from refrad.dicom.side_marks import slice_directions
from refrad.dicom.slices import image_at
from refrad.dicom.windows import scale_mr, window_ct

__all__ = ["SUFFIXES", "DicomOrigin", "LoadedImage", "is_image", "load_image"]

SUFFIXES = (".dcm", ".png", ".jpg", ".jpeg", ".nii", ".nii.gz")
BY_ITSELF = ImageRules(accepted=TREATABLE | {"no_geometry"})
OUTSIDE_BODY = -500.0  # HU; values below it make a NIfTI a CT


@dataclass(frozen=True)
class DicomOrigin:
    """Where an image is stored: its DICOM file, its frame from 0 (None of a single image), and its header. It identifies a patient."""

    path: Path
    frame: int | None
    header: Header


@dataclass(frozen=True)
class LoadedImage:
    """An image in its own resolution, windowed.

    Attributes:
        channels: uint8 [3, height, width]; of DICOM and pictures as stored, of NIfTI as a radiologist reads it.
        modality: CT or MR; empty for a picture.
        note: how the image was understood, for people to check.
        turn: from `channels` to the same image as a radiologist reads it; None if the file does not tell.
        origin: of an image in DICOM; else None.
    """

    channels: NDArray[np.uint8]
    modality: str
    note: str
    turn: Turn | None = None
    origin: DicomOrigin | None = None


def load_image(
    path: Path, windows: Sequence[Sequence[float]], index: int | None = None, modality: str | None = None
) -> LoadedImage:
    """Read an image as the shards do: CT through the windows, all else over its range.

    Args:
        path: a DICOM file (by .dcm, or no suffix), a NIfTI (.nii, .nii.gz) or a picture (.png, .jpg).
        windows: width and level of the three channels, HU.
        index: which image of several, from 0: frames of a DICOM file, places along the third array axis of a NIfTI. None: the
            middle one.
        modality: of a NIfTI, CT or MR; None: one that holds values below -500 is a CT.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read as an image, or `index` is beyond it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if modality not in (None, *MODALITIES):
        raise ValueError(f"modality is {modality}: it must be CT or MR")
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _nifti(path, windows, index, modality)
    if name.endswith((".png", ".jpg", ".jpeg")):
        return _picture(path)
    if name.endswith(".dcm") or _is_dicom(path):
        return _dicom(path, windows, index)
    raise ValueError(f"{path.name}: neither DICOM nor {', '.join(SUFFIXES[1:])}")


def is_image(path: Path) -> bool:
    """Whether a file is one that `load_image` would read, by its suffix or, without a known one, by its first bytes."""
    return path.is_file() and (path.name.lower().endswith(SUFFIXES) or _is_dicom(path))


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _windowed(values: NDArray[Any], modality: str, windows: Sequence[Sequence[float]]) -> NDArray[np.uint8]:
    return window_ct(values, windows) if modality == "CT" else scale_mr(values)


def _chosen(index: int | None, count: int, path: Path) -> int:
    if index is None:
        return count // 2
    if not 0 <= index < count:
        raise ValueError(f"{path.name}: image {index} of {count}: the first one is 0, the last one {count - 1}")
    return index


def _dicom(path: Path, windows: Sequence[Sequence[float]], index: int | None) -> LoadedImage:
    """By the rules of stages index and volumes, but a lone image needs no place in the patient."""
    headers = headers_of_file(path.parent, path.name, BY_ITSELF)
    chosen = _chosen(index, len(headers), path)
    header = headers[chosen]
    if header.reason:
        raise ValueError(f"{path.name}: {REASONS[header.reason]} RadGrounder knows slices of CT and MR.")
    try:
        (values,) = read_pixels(path.parent, [header])
    except QuarantineError as error:
        raise ValueError(f"{path.name}: {error}") from None
    if header.modality == "CT":
        values = values * header.slope + header.intercept
    note = f"{header.modality}, {values.shape[1]} x {values.shape[0]} px"
    note += f", image {chosen} of {len(headers)}" if len(headers) > 1 else ""
    turn = radiological_turn(header.orientation[:3], header.orientation[3:]) if header.orientation else None
    origin = DicomOrigin(path, header.frame if header.frames > 1 else None, header)
    return LoadedImage(_windowed(values, header.modality, windows), header.modality, note, turn, origin)


def _nifti(path: Path, windows: Sequence[Sequence[float]], index: int | None, modality: str | None) -> LoadedImage:
    try:
        image: Any = nib.load(path)  # type: ignore[attr-defined]
        values = np.asarray(image.dataobj, np.float32)
    except Exception as error:
        raise ValueError(f"{path.name}: cannot be read as NIfTI ({type(error).__name__})") from None
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or not np.isfinite(values).all():
        raise ValueError(f"{path.name}: not one volume of finite values (shape {values.shape})")
    kind = modality or ("CT" if values.min() < OUTSIDE_BODY else "MR")
    guessed = "" if modality else " by its values"
    chosen = _chosen(index, values.shape[2], path)
    directions = slice_directions(image.affine)
    slab = radiological_turn(*directions).image(image_at(values, chosen))
    note = f"{kind}{guessed}, {plane_of(*directions)}, {slab.shape[1]} x {slab.shape[0]} px, slice {chosen} of {values.shape[2]}"
    return LoadedImage(_windowed(slab, kind, windows), kind, note, Turn())


def _picture(path: Path) -> LoadedImage:
    try:
        with Image.open(path) as image:
            values = np.asarray(
                image if image.mode in ("L", "RGB") or image.mode.startswith("I") else image.convert("RGB")
            )
    except Exception as error:
        raise ValueError(f"{path.name}: cannot be read as a picture ({type(error).__name__})") from None
    note = f"a picture of {values.shape[1]} x {values.shape[0]} px"
    if values.ndim == 3 and (values != values[..., :1]).any():
        return LoadedImage(
            np.ascontiguousarray(values.transpose(2, 0, 1)), "", f"{note}, its colours as the three windows"
        )
    grey = values[..., 0] if values.ndim == 3 else values
    return LoadedImage(scale_mr(grey), "", f"{note}, over its range")
