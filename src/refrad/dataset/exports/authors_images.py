"""The pictures of the paper's released loaders: a DICOM file in zstd, its labels, and its values as an array."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pydicom
import zstandard
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from refrad.core.files import atomic
from refrad.dataset.exports.image_files import write_bytes
from refrad.dataset.image_codec import decode_mask
from refrad.dataset.shard_rows import ImageRow
from refrad.dicom.hanging import TURNS
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume

__all__ = ["ARRAY", "DICOM", "LABELS", "dicom_of", "link_image", "path_of", "with_images", "write_image"]

DICOM, LABELS, ARRAY = ("images", ".dcm.zst"), ("segments", ".npy"), ("slices", ".npy")
"""Folder and suffix of the files of an image."""


def path_of(out: Path, kind: tuple[str, str], rsopid: str) -> Path:
    """The file of an id: the loaders look in the folder of its first two letters."""
    folder, suffix = kind
    return out / folder / rsopid[:2] / f"{rsopid}{suffix}"


def dicom_of(row: ImageRow, image: NDArray[np.int16]) -> bytes:
    """A minimal DICOM file of an image int16 [row, column], HU for CT; the patient appears as pseudonyms only."""
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = CTImageStorage if row["modality"] == "CT" else MRImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[row["image_id"]])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[row["study"]])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[row["volume"]])
    dataset.Modality, dataset.PatientID, dataset.PatientName = row["modality"], row["patient"], row["patient"]
    dataset.PatientIdentityRemoved = "YES"
    dataset.InstanceNumber = row["index"] + 1
    dataset.Rows, dataset.Columns = image.shape
    dataset.PixelSpacing = [round(row["spacing_y"], 6), round(row["spacing_x"], 6)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    if row["modality"] == "CT":
        dataset.RescaleType = "HU"
    dataset.PixelData = np.ascontiguousarray(image, "<i2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = pydicom.filebase.DicomBytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return bytes(buffer.getvalue())


def with_images(rows: Iterable[ImageRow], files: Mapping[str, Path]) -> Iterator[tuple[ImageRow, NDArray[np.int16]]]:
    """Each row with its image [row, column]; rows are sorted by volume, so one volume is in memory at a time.

    Raises:
        ValueError: if the NIfTI file of a volume is not among `files`.
    """
    volume, values = None, np.zeros((0, 0, 0), np.int16)
    for row in rows:
        if row["volume"] != volume:
            volume = row["volume"]
            if volume not in files:
                raise ValueError(
                    f"volume {volume} of the dataset is not in the tables of stage volumes: give --volumes"
                )
            values, _ = read_volume(files[volume])
        yield row, TURNS[row["turn"]].image(image_at(values, row["index"]))


def write_image(out: Path, rsopid: str, row: ImageRow, image: NDArray[np.int16]) -> None:
    """Write the DICOM file, the labels uint8 [row, column], and the values float32 [row, column] of an image."""
    write_bytes(path_of(out, DICOM, rsopid), zstandard.compress(dicom_of(row, image)))
    for kind, array in ((LABELS, _labels(row)), (ARRAY, image.astype(np.float32))):
        with atomic(path_of(out, kind, rsopid)) as temporary:
            np.save(temporary, array)


def link_image(out: Path, rsopid: str, first: str) -> None:
    """Give the DICOM file and the labels of the id `first` a further name."""
    for kind in (DICOM, LABELS):
        path = path_of(out, kind, rsopid)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(path_of(out, kind, first), path)


def _labels(row: ImageRow) -> NDArray[np.uint8]:
    labels = np.zeros((row["height"], row["width"]), np.uint8)
    for structure in row["structures"]:
        labels[decode_mask(structure["rle"], row["height"], row["width"])] = structure["class_id"]
    return labels
