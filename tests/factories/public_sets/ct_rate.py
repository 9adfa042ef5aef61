"""A made-up CT-RATE: the folders, tables and names of the real one, with small volumes and all that is known to go wrong."""

import csv
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

__all__ = ["SCANS", "SHAPE", "CtRateVolume", "hounsfield", "make_ct_rate", "ras_affine"]

SHAPE = (12, 10, 6)  # columns, rows, slices
NOT_GIVEN = "Not given."
REPORT_COLUMNS = ("VolumeName", "ClinicalInformation_EN", "Technique_EN", "Findings_EN", "Impressions_EN")
METADATA_COLUMNS = (
    *("VolumeName", "Manufacturer", "SeriesDescription", "ConvolutionKernel", "PatientSex", "PatientAge", "StudyDate"),
    *("ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns", "XYSpacing", "ZSpacing", "NumberofSlices"),
    *("RescaleIntercept", "RescaleSlope", "SliceThickness"),
)


class CtRateVolume(NamedTuple):
    """A volume of the replica, and what the metadata say of it. `folder` is the part whose folder holds its file."""

    name: str
    kernel: str
    folder: str = "train"
    z_spacing: str = "1.5"
    slope: float = 1.0
    intercept: float = -1024.0
    orientation: tuple[int, ...] = (1, 0, 0, 0, 1, 0)
    has_file: bool = True
    has_report: bool = True

    @property
    def patient(self) -> str:
        return "_".join(self.name.split("_")[:2])

    @property
    def scan(self) -> str:
        return self.name.rpartition("_")[0]


SCANS = (
    CtRateVolume("train_1_a_1", "Br40d"),
    CtRateVolume("train_1_a_2", "Bl57d"),
    CtRateVolume(
        "train_1_b_1", "Br40d", orientation=(-1, 0, 0, 0, -1, 0)
    ),  # a prone patient; two sections are "Not given."
    CtRateVolume("train_2_a_1", "Bl57d", slope=2.0),  # the number of a reconstruction is not its kernel
    CtRateVolume("train_2_a_2", "Br40d"),  # its row of the reports says something else than that of train_2_a_1
    CtRateVolume("train_3_a_1", "Br40d"),  # in the list of what shows no chest
    CtRateVolume("train_4_a_1", "Br40d", z_spacing=""),
    CtRateVolume("train_5_a_1", "Br40d"),
    CtRateVolume("train_5_b_1", "Br40d", folder="valid"),  # the patient crosses the splits
    CtRateVolume("train_6_a_1", "Br40d", has_file=False),
    CtRateVolume("train_7_a_1", "Br40d", has_report=False),
    CtRateVolume("train_14384_a_1", "Br40d"),
    CtRateVolume("train_14384_a_2", "Bl57d"),  # known to be unusable
    CtRateVolume("valid_1_a_1", "Br40d", folder="valid", intercept=-8192.0),  # padded with -8192
    CtRateVolume("valid_1_a_2", "Bl57d", folder="valid"),
    CtRateVolume("valid_2_a_1", "Br40d", folder="valid"),  # neither findings nor impression are given
)
SECTIONS = {
    "train_1_b": (NOT_GIVEN, "Non-contrast chest CT.", "The heart is enlarged.\nThe lungs are clear.", NOT_GIVEN),
    "valid_2_a": ("Cough.", "Non-contrast chest CT.", NOT_GIVEN, "not given"),
}
USUAL = ("Cough.", "Non-contrast chest CT.", "Trachea is open. A nodule is seen, in the left lung.", 'Nodule, "4 mm".')
POSITION = (-100.0, -90.0, -200.0)
XY_SPACING, Z_SPACING = 0.7, 1.5  # mm; the metadata may say something else


def ras_affine(volume: CtRateVolume) -> np.ndarray:
    """The true affine of a volume, float64 [4, 4], RAS+ mm: x and y of the scanner's LPS+ change their sign."""
    rows, columns = np.array(volume.orientation[:3]), np.array(volume.orientation[3:])
    spacing = (XY_SPACING, XY_SPACING, Z_SPACING)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([rows, columns, np.cross(rows, columns)], axis=1) * spacing
    affine[:3, 3] = POSITION
    affine[:2] *= -1
    return affine


def hounsfield(volume: CtRateVolume) -> np.ndarray:
    """The true HU of a volume, int16 [column, row, slice], no two corners alike; those of the first column may be padding."""
    number = sum(map(ord, volume.name)) % 50
    hu = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 997 - 600 + 2 * number
    hu = hu // 2 * 2  # which a slope of 2 can store
    hu[0] = -8192 if volume.intercept == -8192 else -1000
    return hu.astype(np.int16)


def make_ct_rate(root: Path, version: int = 2, masks: bool = True, volumes: tuple[CtRateVolume, ...] = SCANS) -> Path:
    """Write the replica below a folder, and return that. Version 1 has no geometry and no HU in its files."""
    for volume in volumes:
        if volume.has_file:
            _write_volume(root / "dataset", volume, version, masks)
    for folder, table in (("train", "train"), ("valid", "validation")):
        part = [volume for volume in volumes if volume.folder == folder]
        rows = [_report_row(volume) for volume in part if volume.has_report]
        _write_table(root / "dataset" / "radiology_text_reports" / f"{table}_reports.csv", REPORT_COLUMNS, rows)
        rows = [_metadata_row(volume) for volume in part]
        _write_table(root / "dataset" / "metadata" / f"{table}_metadata.csv", METADATA_COLUMNS, rows)
        listed = "train_3_a_1.nii.gz\n" if folder == "train" else ""
        (root / "dataset" / "metadata" / f"no_chest_{folder}.txt").write_text(listed, encoding="utf-8")
    return root


def _write_volume(dataset: Path, volume: CtRateVolume, version: int, masks: bool) -> None:
    path = Path(volume.folder + "_fixed" * (version == 2), volume.patient, volume.scan, f"{volume.name}.nii.gz")
    hu, affine = hounsfield(volume), ras_affine(volume)
    if version == 1:
        stored, header = ((hu - volume.intercept) / volume.slope).astype(np.uint16), np.diag([-1.0, -1.0, 1.0, 1.0])
    else:
        stored, header = hu, affine
    _write_nifti(dataset / path, stored, header)
    if masks:
        labels = np.zeros(SHAPE, np.uint8)
        labels[2:6, 2:5, 1:4] = 10  # lung_upper_lobe_left
        _write_nifti(dataset / "ts_seg" / "ts_total" / path, labels, affine)


def _write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(array, affine).to_filename(path)


def _report_row(volume: CtRateVolume) -> tuple[str, ...]:
    sections = SECTIONS.get(volume.scan, USUAL)
    if volume.name == "train_2_a_2":
        sections = (*sections[:3], "Another impression.")
    return (f"{volume.name}.nii.gz", *sections)


def _metadata_row(volume: CtRateVolume) -> tuple[object, ...]:
    about = ("Siemens Healthineers", "THORAX", f"['{volume.kernel}', '3']", "M", "063Y", "20210513")
    geometry = (
        list(POSITION),
        list(volume.orientation),
        SHAPE[1],
        SHAPE[0],
        [XY_SPACING] * 2,
        volume.z_spacing,
        SHAPE[2],
    )
    return (f"{volume.name}.nii.gz", *about, *geometry, volume.intercept, volume.slope, 1.5)


def _write_table(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
