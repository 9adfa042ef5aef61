"""A scanner: turns a volume into DICOM Part 10 files as an archive exports them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

__all__ = ["MANUFACTURER", "PLANES", "Series", "grid", "write_capture", "write_series"]

MANUFACTURER = "RefRad demo scanner"

# Direction of a row and of a column of the image, in LPS+.
PLANES: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "prone": ((-1, 0, 0), (0, -1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "oblique": ((1, 0, 0), (0, float(np.cos(0.2)), float(np.sin(0.2)))),
}
SYNTAXES = {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian, "rle": RLELossless}


@dataclass(frozen=True)
class Series:
    """Attributes that the files of one series share. `headers` are DICOM keywords and values of patient and study."""

    modality: str
    number: int
    uid: str
    headers: Mapping[str, str]
    position: str = "HFS"
    syntax: str = "explicit"
    descending: bool = False
    localizer: bool = False


def grid(
    plane: str, centre: Sequence[float] | NDArray[np.float64], fov: float, thickness: float, shape: tuple[int, int, int]
) -> NDArray[np.float64]:
    """RAS affine 4 x 4 of a series: array [column, row, slice] of `shape` around `centre` (RAS mm).

    Args:
        plane: a key of PLANES.
        centre: RAS mm.
        fov: field of view along a row, in mm; pixels are square.
        thickness: distance between slices, in mm.
        shape: columns, rows, slices.
    """
    row, column = (np.array(direction, float) for direction in PLANES[plane])
    lps = np.column_stack([row * fov / shape[0], column * fov / shape[0], np.cross(row, column) * thickness])
    ras = np.diag([-1.0, -1.0, 1.0]) @ lps
    affine = np.eye(4)
    affine[:3, :3] = ras
    affine[:3, 3] = np.array(centre) - ras @ ((np.array(shape) - 1) / 2)
    return affine


def write_series(
    volume: NDArray[np.int16], affine: NDArray[np.float64], series: Series, paths: Sequence[Path]
) -> list[str]:
    """Write one file a slice.

    Args:
        volume: int16 [column, row, slice], HU for CT.
        affine: RAS mm, 4 x 4, of the array indices; its axes must be orthogonal.
        series: attributes that the files share.
        paths: one a slice, in the order of the array.

    Returns:
        SOP instance UIDs in the order of the array.
    """
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    directions = lps[:3, :2] / spacing[:2]
    count = volume.shape[2]
    uids: list[str] = []
    for k, path in enumerate(paths):
        number = count - k if series.descending else k + 1
        uid = generate_uid(entropy_srcs=[series.uid, str(k)])
        dataset = _base(series, uid)
        dataset.InstanceNumber = number
        dataset.ImageOrientationPatient = [format_number_as_ds(float(v)) for v in directions.T.ravel()]
        dataset.ImagePositionPatient = [format_number_as_ds(float(v)) for v in lps[:3] @ [0, 0, k, 1]]
        dataset.PixelSpacing = [format_number_as_ds(float(spacing[1])), format_number_as_ds(float(spacing[0]))]
        dataset.SliceThickness = format_number_as_ds(float(spacing[2]))
        _pixels(dataset, volume[:, :, k].T, series)
        _write(dataset, path, SYNTAXES[series.syntax])
        uids.append(uid)
    return uids


def write_capture(path: Path, headers: Mapping[str, str], uid: str) -> None:
    """Write a dose report as archives hold them: a colour secondary capture with no place in the patient."""
    dataset = _base(Series("CT", 999, uid, headers), generate_uid(entropy_srcs=[uid, "capture"]))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    dataset.InstanceNumber = 1
    dataset.Rows = dataset.Columns = 32
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = bytes(32 * 32 * 3)
    _write(dataset, path, ExplicitVRLittleEndian)


def _base(series: Series, uid: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    storage = CTImageStorage if series.modality == "CT" else MRImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = storage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID(uid)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in series.headers.items():
        setattr(dataset, keyword, value)
    dataset.Modality = series.modality
    dataset.Manufacturer = MANUFACTURER
    dataset.SeriesInstanceUID = series.uid
    dataset.SeriesNumber = series.number
    dataset.PatientPosition = series.position
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[series.uid, "frame"])
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if series.localizer else "AXIAL"]
    return dataset


def _pixels(dataset: Dataset, image: NDArray[np.int16], series: Series) -> None:
    """Stored values: CT unsigned with the usual intercept, MR as they are."""
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    if series.modality == "CT":
        dataset.PixelRepresentation = 0
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
        dataset.KVP = "120"
        stored = np.clip(image.astype(np.int32) + 1024, 0, 65535).astype("<u2")
    else:
        dataset.PixelRepresentation = 1
        dataset.ScanningSequence, dataset.SequenceVariant = "SE", "SK"
        dataset.RepetitionTime, dataset.EchoTime, dataset.MagneticFieldStrength = "2000", "80", "1.5"
        stored = image.astype("<i2")
    dataset.PixelData = np.ascontiguousarray(stored).tobytes()


def _write(dataset: Dataset, path: Path, syntax: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else UID(syntax)
    if syntax == RLELossless:
        dataset.compress(RLELossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
