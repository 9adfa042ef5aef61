"""Options of the demo and the stages from index to structures."""

import importlib.util
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from refrad.config.section import Section, Share

__all__ = [
    "SEGMENTERS",
    "DemoOptions",
    "Implausible",
    "IndexOptions",
    "MasksOptions",
    "SegmenterEntry",
    "StructuresOptions",
    "VolumesOptions",
]


@dataclass(frozen=True)
class SegmenterEntry:
    """A line of the registry of segmenters.

    Attributes:
        target: "module:function" of the function `create` that makes it; the interface is in refrad/segmentation/base.py.
        reads_weights: whether it reads the folder masks.weights, which then must exist.
        cost: its seconds in a plan: of the "networks" of TotalSegmentator in workflow/rates.yaml, "none", or "unknown".
    """

    target: str
    reads_weights: bool = False
    cost: Literal["networks", "none", "unknown"] = "unknown"


SEGMENTERS: MutableMapping[str, SegmenterEntry] = {
    "totalsegmentator": SegmenterEntry(
        "refrad.segmentation.totalsegmentator:create", reads_weights=True, cost="networks"
    ),
    "precomputed": SegmenterEntry("refrad.segmentation.precomputed:create", cost="none"),
}
"""Value of masks.segmenter to its entry. The registry is here, and holds names only, so that a plan can refuse a config without
importing a segmenter."""


@cache
def _keywords() -> frozenset[str]:
    """All DICOM keywords, from pydicom's table alone: all of pydicom costs each plan and each job of a cluster 26 MB and 0.2 s."""
    package = importlib.util.find_spec("pydicom")
    assert package and package.submodule_search_locations
    path = Path(package.submodule_search_locations[0], "_dicom_dict.py")
    spec = importlib.util.spec_from_file_location("dicom_keywords", path)
    assert spec and spec.loader
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    return frozenset(entry[4] for entry in table.DicomDictionary.values() if entry[4])


def _known_keyword(keyword: str) -> str:
    if keyword not in _keywords():
        raise ValueError("no DICOM keyword")
    return keyword


def _registered(segmenter: str) -> str:
    if segmenter not in SEGMENTERS:
        raise ValueError(f"no segmenter (there are {', '.join(SEGMENTERS)})")
    return segmenter


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


class DemoOptions(Section):
    """The synthetic cohort."""

    patients: int = Field(ge=1, description="Number of synthetic patients, 1 or more, with one to four series each.")
    seed: int = Field(description="Seed of the synthetic cohort, an integer; the same seed gives the same bytes.")


class IndexOptions(Section):
    """Splits, as shares of the patients; policies for images that are not plain slices; the choice; limits of reading a file."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"include", "exclude"})

    test: Share = Field(description="Share of the patients in the test split, 0 to 1.")
    validation: Share = Field(
        description="Share of the patients in the validation split, 0 to 1; training uses the remaining patients."
    )
    patient_ids: Literal["folded", "exact"] = Field(
        description="PatientIDs in one split: folded (those that differ in case, blanks, separators, padding zeros or issuer "
        "only are in the same) or exact (equal ones only)."
    )
    duplicates: Literal["keep_one", "quarantine"] = Field(
        description="Policy for different images at one position of a series: keep_one (the lowest instance number) or "
        "quarantine."
    )
    repetitions: Literal["split", "quarantine"] = Field(
        description="Policy for phases, b-values and acquisitions in one series: split (into volumes) or quarantine."
    )
    projections: Literal["keep", "quarantine"] = Field(
        description="Policy for MIPs, renderings and curved reformats: quarantine or keep."
    )
    burned_in: Literal["keep", "quarantine"] = Field(
        description="Policy for images with text in the pixels: quarantine, or keep (with a flag in the tables)."
    )
    burned_in_rules: list[
        dict[Annotated[str, AfterValidator(_known_keyword)], Annotated[str, AfterValidator(_pattern)]]
    ] = Field(
        description="Rules that find text in the pixels in addition to the header's BurnedInAnnotation; each maps DICOM "
        "keywords to regular expressions, which must all be found."
    )
    include: str | None = Field(
        default=None,
        description="Table (CSV, columns kind and value) of the patients, studies, series, modalities, body parts and dates "
        "to use, or null for all: docs/own-data.md.",
    )
    exclude: str | None = Field(
        default=None,
        description="Table, as index.include, of what is left out, also where index.include names it; or null.",
    )
    storage_errors: int = Field(ge=0, description="Files quarantined for failing storage; one more ends the run.")
    memory_gb: float = Field(
        ge=1,
        description="Memory limit in GiB, 1 or more, for reading one header; a file that needs more is quarantined.",
    )
    seconds: float = Field(
        gt=0,
        description="Time limit in seconds, above 0, for reading one header; a file that takes longer is quarantined.",
    )


class VolumesOptions(Section):
    """Geometry checks; limits of converting a volume."""

    minimum_slices: int = Field(ge=2, description="Least number of slices of a volume, 2 or more.")
    spacing_tolerance: Share = Field(
        description="Largest deviation of a slice distance from the median, as a share of the median, 0 to 1; beyond it a "
        "slice is missing or the spacing is irregular."
    )
    angle_tolerance: float = Field(
        ge=0,
        le=45,
        description="Largest angle between slice normal and stacking direction in degrees, 0 to 45; beyond it the gantry was "
        "tilted.",
    )
    gantry_tilt: Literal["shear", "quarantine"] = Field(
        description="Policy for tilted stacks: shear (unchanged voxels, a sheared affine) or quarantine."
    )
    gaps: Literal["split", "quarantine"] = Field(
        description="Policy for stacks with missing, irregularly spaced or unreadable slices: quarantine, or split (into the "
        "regular runs)."
    )
    storage_errors: int = Field(ge=0, description="Volumes a shard loses to failing storage; one more ends the run.")
    memory_gb: float = Field(
        ge=1,
        description="Memory limit in GiB, 1 or more, for converting one volume; a volume that needs more is quarantined.",
    )
    seconds: float = Field(
        gt=0,
        description="Time limit in seconds, above 0, for converting one volume; a volume that takes longer is quarantined.",
    )


class MasksOptions(Section):
    """The segmenter and its limits."""

    RENAMED: ClassVar[dict[str, str]] = {"at_once": "concurrent_volumes"}

    segmenter: Annotated[str, AfterValidator(_registered)] = Field(
        description="Segmenter: totalsegmentator, or precomputed (label volumes of the delivery)."
    )
    variant: Literal["fastest", "fast", "total"] = Field(
        description="Resolution of the networks: fastest (6 mm), fast (3 mm) or total (1.5 mm)."
    )
    weights: str | None = Field(
        description="Folder of network weights, laid out as $TOTALSEG_WEIGHTS_PATH, or null; the demo's know synthetic "
        "bodies only."
    )
    device: Literal["cpu", "gpu"] = Field(description="Device of the networks: cpu or gpu.")
    rois: list[str] | None = Field(
        description="Names of the TotalSegmentator classes to segment, such as [liver, spleen], or null for all."
    )
    minutes: float = Field(
        gt=0,
        description="Time limit in minutes, above 0, for one volume, which is then tried once more, alone, before it is "
        "quarantined.",
    )
    memory_gb: float = Field(
        gt=0,
        description="Memory limit in GiB, above 0, of the segmenting process; a volume beyond it is treated as in "
        "masks.minutes.",
    )
    concurrent_volumes: int = Field(
        ge=1,
        description="Volumes in work at once, 1 or more: the networks process one while others are read, resampled and "
        "written.",
    )
    minimum_coverage: Share = Field(
        description="Least share, 0 to 1, of a volume that a precomputed or borrowed mask must cover; below it the mask is not "
        "used."
    )
    disagreeing: Literal["quarantine", "keep"] = Field(
        description="Policy for precomputed masks that do not fit the content of their volume: quarantine, or keep and count."
    )
    borrow: bool = Field(
        description="Whether a volume without labels gets those of another series of its study in the same frame of "
        "reference."
    )
    storage_errors: int = Field(
        ge=0, description="Given masks that a shard loses to failing storage; one more ends the run."
    )


FlagPolicy = Literal["flag", "quarantine"]


class Implausible(Section):
    """Policy for each plausibility flag."""

    empty: FlagPolicy = Field(description="Policy for volumes without any class: flag or quarantine.")
    volume: FlagPolicy = Field(
        description="Policy for volumes with an organ that is too small or too large: flag or quarantine."
    )
    pieces: FlagPolicy = Field(description="Policy for volumes with a connected organ in pieces: flag or quarantine.")
    sides: FlagPolicy = Field(description="Policy for volumes with left and right swapped: flag or quarantine.")
    elsewhere: FlagPolicy = Field(
        description="Policy for volumes with an organ outside of its body region: flag or quarantine."
    )


class StructuresOptions(Section):
    """Classes, the plausibility gate and the outlier rule."""

    schema_file: str = Field(
        alias="schema", description="Class schema, a YAML file; edit it to merge or add classes: docs/schema.md."
    )
    norms: str = Field(
        description="Plausibility norms, a YAML file: volumes of organs, their heights, sides and body regions."
    )
    implausible: Implausible = Field(
        description="Policy for volumes with implausible labels: flag (keep and report them) or quarantine (use none of "
        "their slices)."
    )
    minimum_area_mm2: float = Field(
        ge=0, description="Least area in mm², 0 or more, of a connected piece in a slice; smaller pieces are outliers."
    )
    minimum_share: Share = Field(
        description="Least area of a piece as a share, 0 to 1, of its class's largest piece in the slice; smaller pieces are "
        "outliers."
    )
    fragments: Literal["leave_out", "keep"] = Field(
        description="Policy for fragments, a few pixels apart from an organ that is usually much larger: leave_out (no box and no "
        "mask) or keep (only count them)."
    )
    fragment_px: int = Field(ge=0, description="Largest area of a fragment in px, 0 or more; 0 finds none.")
    fragment_share: Share = Field(
        description="Share, 0 to 1, of the class's usual section, below which a section of at most fragment_px is a fragment if "
        "it touches no larger one in the next slices."
    )
