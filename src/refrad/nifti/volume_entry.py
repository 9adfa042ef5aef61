"""A NIfTI file of a delivery: its path, keys and metadata, as the site gives them."""

from typing import NamedTuple

__all__ = ["COLUMNS", "ENDINGS", "KEYS", "VolumeEntry", "unnamed_entry"]

ENDINGS = (".nii.gz", ".nii")  # of the names of NIfTI files


class VolumeEntry(NamedTuple):
    """A NIfTI file of a delivery, as a table, a pattern or BIDS describes it. Absent values are "" or None.

    The fields, without `problem`, are the columns of a table of volumes (docs/nifti.md). `path` is inside the folder of the delivery;
    a .zip file in it counts as a folder. Keys and `accession_number` are private, as those of a DICOM header.

    Attributes:
        patient, study, series: keys; studies are unique within a patient, and series within a study.
        modality: "CT" or "MR".
        split: official split, "train", "validation" or "test"; "" draws one by the shares of the config.
        series_number: number that references in reports may name.
        numbering: where image number 1 of such references is: "head", "feet", or "" where image numbers are not known.
        frame_of_reference: key that volumes share if they share their coordinates.
        study_date: YYYYMMDD. sex: "M", "F" or "O". age: as DICOM has it, such as "063Y".
        contrast: "yes", "no" or "".
        affine: RAS+ mm, 12 numbers row by row separated by blanks, in place of a wrong one in the file's header.
        slope, intercept: HU (CT) = slope x stored value + intercept, in place of wrong ones in the file's header.
        problem: why the file cannot be used, whatever its content: the code of a reason, or "".
    """

    path: str
    patient: str
    study: str
    series: str
    modality: str = ""
    split: str = ""
    series_number: int | None = None
    numbering: str = ""
    accession_number: str = ""
    frame_of_reference: str = ""
    study_date: str = ""
    sex: str = ""
    age: str = ""
    body_part: str = ""
    contrast: str = ""
    manufacturer: str = ""
    affine: str = ""
    slope: float | None = None
    intercept: float | None = None
    problem: str = ""


COLUMNS = tuple(name for name in VolumeEntry._fields if name != "problem")
KEYS = ("patient", "study", "series")


def unnamed_entry(path: str) -> VolumeEntry:
    """The entry of a path of which nothing says the keys: of a file, of a .zip file whose list cannot be read, or of a linked folder."""
    name = path.lower()
    reason = "not_named" if name.endswith(ENDINGS) else "unreadable" if name.endswith(".zip") else "linked_folder"
    return VolumeEntry(path, "", "", "", problem=reason)
