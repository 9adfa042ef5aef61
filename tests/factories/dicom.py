"""DICOM files as a scanner writes them, one at a time, and the volumes that stages index and volumes make of them."""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import polars as pl
import pydicom
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from scipy.spatial.transform import Rotation
from tests.factories.options import fingerprint

from refrad.core.contracts import SliceTable, VolumeTable
from refrad.core.tables import read_table
from refrad.dicom.headers import Header
from refrad.privacy.pseudonyms import Pseudonyms
from refrad.stages import index, volumes

KEY = bytes(range(32))
RAS = np.diag([-1, -1, 1])  # from DICOM's patient coordinates to NIfTI's
PLAIN_CT: Mapping[str, Any] = {  # elements of a usable slice, of 4 x 5 pixels
    "SOPClassUID": CTImageStorage,
    "SOPInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.4",
    "StudyInstanceUID": "1.2.5",
    "PatientID": "P1",
    "Modality": "CT",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "Rows": 4,
    "Columns": 5,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "ImagePositionPatient": [1, 2, 3],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.5, 0.25],
    "RescaleSlope": 1,
    "RescaleIntercept": -1024,
}


class WriteSlice(Protocol):
    """The type of `write_dicom`."""

    def __call__(self, path: Path, pixels: np.ndarray, **attributes: Any) -> Path: ...


def dataset_of(**attributes: Any) -> Dataset:
    """A data set of these attributes; one of None is left out."""
    dataset = Dataset()
    for name, value in attributes.items():
        if value is not None:
            setattr(dataset, name, value)
    return dataset


def plain_header(number: int, **attributes: Any) -> Header:
    """The header of a usable slice of a series, `number` mm along z unless `attributes` say otherwise."""
    plain = {
        "path": f"{number:06}",
        "modality": "CT",
        "patient_id": "P",
        "study_uid": "S",
        "series_uid": "1",
        "instance_uid": str(number),
        "rows": 4,
        "columns": 4,
        "position": (0.0, 0.0, float(number)),
        "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "spacing": (1.0, 1.0),
    }
    return Header(**(plain | attributes))


def write_dicom(path: Path, pixels: np.ndarray, **attributes: Any) -> Path:
    """Write `pixels` ([frame,] row, column; 16 bits) as a DICOM file; an attribute of None is left out."""
    modality = attributes.get("Modality", "CT")
    defaults = {
        **PLAIN_CT,
        "SOPClassUID": MRImageStorage if modality == "MR" else CTImageStorage,
        "SOPInstanceUID": f"1.2.3.{zlib.crc32(str(path).encode())}",
        "FrameOfReferenceUID": "1.2.6",
        "Modality": modality,
        "Manufacturer": "Test",
        "StudyDate": "20240229",
        "ImagePositionPatient": [0, 0, 0],
        "PixelSpacing": [1, 1],
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "RescaleSlope": 1 if modality == "CT" else None,
        "RescaleIntercept": 0 if modality == "CT" else None,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "NumberOfFrames": len(pixels) if pixels.ndim == 3 else None,
        "PixelData": pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(),
    }
    dataset = dataset_of(**(defaults | attributes))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = defaults["SOPClassUID"]
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or defaults["SOPInstanceUID"]
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@dataclass(frozen=True)
class MadeVolumes:
    """Tables, store and metrics of one shard after stages index and volumes."""

    volumes: pl.DataFrame
    slices: pl.DataFrame
    store: Path
    metrics: dict[str, Any]
    index: dict[str, Any]
    pseudonyms: Pseudonyms


def make_volumes(
    dicom: Path,
    out: Path,
    shards: int = 1,
    shard: int = 0,
    index_options: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    **volumes_options: Any,
) -> MadeVolumes:
    """Both stages over a delivery; tables, store and metrics of one shard lie in `out`."""
    out.mkdir(exist_ok=True)
    if not (out / "key").exists():
        (out / "key").write_bytes(KEY)
        (out / "key").chmod(0o600)
    common = {
        "dicom": dicom,
        "key": out / "key",
        "instances": out / "instances.parquet",
        "files": out / "files.parquet",
    }
    roomy = {"burned_in_rules": [], "memory_gb": 4.0} | dict(index_options)
    index.run(
        **common,
        reports=out,
        metrics=out / "index.json",
        shards=shards,
        fingerprint=fingerprint("index", **roomy),
    )
    small = {"minimum_slices": 3, "memory_gb": 4.0, "seconds": 60.0} | volumes_options
    tables = {"volumes": out / "volumes.parquet", "slices": out / "slices.parquet"}
    volumes.run(
        **common,
        **tables,
        store=out / "store",
        shard=shard,
        metrics=out / "volumes.json",
        fingerprint=fingerprint("volumes", **small),
    )
    return MadeVolumes(
        volumes=read_table(tables["volumes"], VolumeTable),
        slices=read_table(tables["slices"], SliceTable),
        store=out / "store",
        metrics=json.loads((out / "volumes.json").read_text()),
        index=json.loads((out / "index.json").read_text()),
        pseudonyms=Pseudonyms(KEY),
    )


def only_volume(made: MadeVolumes) -> dict[str, Any]:
    """The row of the only volume."""
    (row,) = made.volumes.to_dicts()
    return row


def instance_of(made: MadeVolumes, path: Path) -> str:
    """The pseudonym of a file's image."""
    return made.pseudonyms.instance(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


@st.composite
def stacks(draw):
    """A regular stack with any orientation, spacing and size, its slices in any order under any names: a strategy of hypothesis."""
    count = draw(st.integers(3, 7))
    seed = draw(st.integers(0, 2**32 - 1))
    turn = Rotation.random(random_state=seed).as_matrix()
    if draw(st.booleans()):  # one of the 24 ways to turn a cube: feet first, prone, sagittal, ...
        turn = Rotation.create_group("O").as_matrix()[seed % 24]
    shape = (count, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    return SimpleNamespace(
        turn=turn,
        lean=draw(st.sampled_from([0.0, 0.0, 0.2, -0.5])),  # tangent of the gantry's tilt
        step=draw(st.floats(0.3, 12)),
        spacing=[round(draw(st.floats(0.1, 8)), 6) for _ in range(2)],
        first=[draw(st.floats(-900, 900)) for _ in range(3)],
        pixels=np.random.default_rng(seed).integers(-1024, 3072, shape, dtype=np.int16),
        order=draw(st.permutations(range(count))),
        paths=draw(
            st.lists(
                st.from_regex(r"([a-z]{1,3}/){0,3}[A-Z0-9 ._äß-]{1,8}[a-z]", fullmatch=True),
                min_size=count,
                max_size=count,
                unique=True,
            )
        ),
        modality=draw(st.sampled_from(["CT", "MR"])),
        scales=[(draw(st.sampled_from([1, 2, 0.5])), draw(st.sampled_from([0, -1024, 7]))) for _ in range(count)],
    )
