"""Fixtures for the stages: DICOM files as a scanner writes them, one file at a time."""

import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage


class WriteSlice(Protocol):
    """See `write`."""

    def __call__(self, path: Path, pixels: np.ndarray, **attributes: Any) -> Path: ...


def write(path: Path, pixels: np.ndarray, **attributes: Any) -> Path:
    """Write `pixels` ([frame,] row, column; 16 bits) as a DICOM file; an attribute of None is left out."""
    modality = attributes.get("Modality", "CT")
    plain = {
        "SOPClassUID": MRImageStorage if modality == "MR" else CTImageStorage,
        "SOPInstanceUID": f"1.2.3.{zlib.crc32(str(path).encode())}",
        "SeriesInstanceUID": "1.2.4",
        "StudyInstanceUID": "1.2.5",
        "FrameOfReferenceUID": "1.2.6",
        "PatientID": "P1",
        "Modality": modality,
        "Manufacturer": "Test",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "StudyDate": "20240229",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0],
        "PixelSpacing": [1, 1],
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "RescaleSlope": 1 if modality == "CT" else None,
        "RescaleIntercept": 0 if modality == "CT" else None,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "NumberOfFrames": len(pixels) if pixels.ndim == 3 else None,
        "PixelData": pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(),
    }
    dataset = Dataset()
    for name, value in (plain | attributes).items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = plain["SOPClassUID"]
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or plain["SOPInstanceUID"]
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="session")
def write_slice() -> WriteSlice:
    """The function that writes one DICOM file."""
    return write
