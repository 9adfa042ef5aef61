"""Options of the deliveries: what a site exports, as DICOM files or as NIfTI volumes, with reports."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from refrad.config.public_sets import PUBLIC_SETS
from refrad.config.section import Section

__all__ = ["Delivery", "VolumeFiles", "is_demo"]

KEYS = ("patient", "study", "series")


def _pattern_of_paths(text: str) -> str:
    try:
        names = re.compile(text).groupindex
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if missing := [key for key in KEYS if key not in names]:
        raise ValueError(f"has no group (?P<{missing[0]}>...)")
    return text


def _registered(name: str) -> str:
    if name not in PUBLIC_SETS:
        raise ValueError(f"no public set (there are {', '.join(PUBLIC_SETS)})")
    return name


class VolumeFiles(Section):
    """The NIfTI files of a delivery, and how their patients, studies and series are known."""

    folder: str = Field(description="Folder of the NIfTI files (.nii, .nii.gz, also inside of .zip files).")
    table: str | None = Field(
        default=None,
        description="Table (CSV, TSV or Parquet) with a row for each file: docs/nifti.md. Without table and pattern the folder must "
        "be a BIDS dataset.",
    )
    pattern: Annotated[str, AfterValidator(_pattern_of_paths)] | None = Field(
        default=None,
        description="Regular expression of the whole path of a file inside the folder, with the named groups patient, study and "
        "series, instead of a table.",
    )
    modality: Literal["CT", "MR"] | None = Field(
        default=None, description="Modality of the files for which neither table, pattern nor BIDS says it."
    )
    floor: int | None = Field(
        default=-1024,
        description="Lowest value of CT in HU; lower ones, which pad an image, become it. Null keeps them.",
    )

    @model_validator(mode="after")
    def is_read_in_one_way(self) -> Self:
        """A table and a pattern could contradict each other."""
        if self.table is not None and self.pattern is not None:
            raise ValueError("has a table and a pattern: name one of them")
        return self


class Delivery(Section):
    """One export of the archive."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9-][A-Za-z0-9_-]*$",  # pyarrow and pandas skip folders that begin with "_"
        description='Name of the delivery and of its folders in results: letters, digits, "-" and, but not in front, "_".',
    )
    dicom: str | None = Field(
        default=None,
        description="Folder of the DICOM files, at any depth and with any file names; or null, see volumes.",
    )
    volumes: VolumeFiles | None = Field(
        default=None, description="NIfTI files in place of dicom, or null: docs/nifti.md."
    )
    reports: str = Field(
        description="Table (CSV, TSV, Parquet or JSON lines) or folder of text files with the reports: docs/own-data.md."
    )
    references: str | None = Field(
        default=None, description="Table of report sentences tied to images by hand, or null."
    )
    masks: str | None = Field(
        default=None, description="Folder of label volumes for masks.segmenter precomputed, or null."
    )
    mask_table: str | None = Field(
        default=None, description="Table that names the label volumes, or null for masks.csv in the folder of masks."
    )
    public_set: Annotated[str, AfterValidator(_registered)] | None = Field(
        default=None,
        description="Public set that the delivery is, whose terms then go with its data, or null: docs/public-sets.md.",
    )
    shards: int = Field(
        ge=1, le=1000, description="Number of shards, 1 to 1000, and so of jobs per stage; about one per 256 patients."
    )

    @model_validator(mode="after")
    def has_images_of_one_kind(self) -> Self:
        """A delivery is DICOM or NIfTI."""
        if (self.dicom is None) == (self.volumes is None):
            raise ValueError("needs either dicom or volumes")
        return self

    @model_validator(mode="after")
    def has_masks_for_their_table(self) -> Self:
        """A table alone names files of no folder."""
        if self.mask_table is not None and self.masks is None:
            raise ValueError("has mask_table without masks, the folder of the label volumes that the table names")
        return self

    @property
    def tables(self) -> list[str | None]:
        """What the site delivered besides images and masks: the workflow reads it, and never changes it."""
        return [self.reports, self.references, self.mask_table, self.volumes.table if self.volumes else None]


def is_demo(delivery: Delivery) -> bool:
    """Whether a delivery, of which reports and images are under demo/, is made by the workflow itself."""
    return delivery.dicom is not None and all(
        Path(path).parts[:1] == ("demo",) for path in (delivery.reports, delivery.dicom)
    )
