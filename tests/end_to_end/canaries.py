"""Identifiers planted wherever an archive may hold some, to be found nowhere after a run."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.uid import SecondaryCaptureImageStorage

WORD = "KANARI"  # part of each planted text
NAME = "Kanarivogel"  # of a relative, who also stands in a report
DATE = "19110109"
UID = "1.2.826.0.1.999.55555.77777"
PLANTED = [WORD, NAME, DATE, "1911-01-09", UID]

# One attribute of each VR that holds text.
ATTRIBUTES = {
    "RetrieveAETitle": "KANARI_AE",
    "BodyPartExamined": "KANARI_CS",
    "PatientBirthDate": DATE,
    "AcquisitionDateTime": f"{DATE}101010",
    "CountryOfResidence": "KANARI_LO",
    "SeriesDescription": "KANARI_SERIES",
    "ContrastBolusAgent": "KANARI_AGENT",
    "ProtocolName": "KANARI_PROTOCOL",
    "PatientComments": "KANARI_LT",
    "OtherPatientNames": f"{NAME}^Zenobia",
    "PatientTelephoneNumbers": "KANARI_SH",
    "InstitutionAddress": "KANARI_ST",
    "LongCodeValue": "KANARI_UC",
    "IrradiationEventUID": UID,
    "RetrieveURI": "http://kanari.example/KANARI_UR",
    "TextValue": "KANARI_UT",
}


def plant(delivery: Path) -> None:
    """Change the DICOM files and one report of a delivery of the demo, and add images with text in their pixels."""
    for path in sorted((delivery / "dicom").rglob("*")):
        if path.is_file() and path.name != "README":
            dataset = pydicom.dcmread(path)
            plant_identifiers(dataset)
            dataset.save_as(path)
            path.rename(path.with_name(f"KANARI_{path.name}"))
    for folder in sorted((delivery / "dicom").iterdir()):
        if folder.is_dir():
            folder.rename(folder.with_name(f"KANARI {NAME} {folder.name}"))
    example = next(path for path in sorted((delivery / "dicom").rglob("KANARI_*")) if path.is_file())
    for number in range(6):
        _with_text(example, number, captured=number == 5)
    broken = example.parent / "KANARI_broken"
    broken.write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + b"KANARI" * 9)
    reports = delivery / "reports.csv"
    text = reports.read_text(encoding="utf-8")
    for heading in ("Befund:\n", "Findings:\n"):
        text = text.replace(heading, f"{heading}{NAME} Zenobia. ", 1)
    reports.write_text(text, encoding="utf-8")


def plant_identifiers(dataset: Dataset) -> None:
    """Set an attribute of each VR, private attributes and one in a sequence."""
    for keyword, value in ATTRIBUTES.items():
        setattr(dataset, keyword, value)
    dataset[0x0009, 0x0010] = DataElement((0x0009, 0x0010), "LO", "KANARI PRIVATE")
    dataset[0x0009, 0x1001] = DataElement((0x0009, 0x1001), "UN", b"KANARI_UN ")
    dataset[0x0009, 0x1002] = DataElement((0x0009, 0x1002), "LT", "KANARI_PRIVATE")
    item = Dataset()
    item.ScheduledProcedureStepDescription = "KANARI_SQ"
    item.RequestingPhysician = f"{NAME}^Deep"
    dataset.RequestAttributesSequence = [item]


def _with_text(example: Path, number: int, captured: bool) -> None:
    """A slice with a name in its pixels; one says so itself, one is a screen capture."""
    dataset = pydicom.dcmread(example)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{number}"
    dataset.SeriesInstanceUID = f"{UID}.9{int(captured)}"
    dataset.ImagePositionPatient = [0, 0, 5 * number]
    picture = Image.new("L", (dataset.Columns, dataset.Rows))
    ImageDraw.Draw(picture).text((2, 2), NAME, fill=255)
    if captured:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    else:
        dataset.BurnedInAnnotation = "YES"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset["PixelData"] = DataElement("PixelData", "OW", (np.asarray(picture) * 8).astype("<i2").tobytes())
    dataset.save_as(example.with_name(f"KANARI_text_{number}"))


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder` by name, with its bytes as they are and, of packed ones, unpacked."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        if path.suffix == ".gz":
            content += gzip.decompress(content)
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            pictures = [name for name, kind in frame.schema.items() if "Binary" in str(kind)]
            content += frame.drop(pictures).write_json().encode()
        yield str(path.relative_to(folder)), content
