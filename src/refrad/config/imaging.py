"""Options of what comes in, and of the stages up to structures."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from refrad.config.section import Section, Share

__all__ = [
    "Delivery",
    "DemoOptions",
    "Implausible",
    "IndexOptions",
    "MasksOptions",
    "Privacy",
    "StructuresOptions",
    "VolumesOptions",
    "is_demo",
]


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


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


class Delivery(Section):
    """One export of the archive."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    dicom: str
    reports: str
    references: str | None = None
    masks: str | None = None
    shards: Annotated[int, Field(ge=1, le=1000)]


def is_demo(delivery: Delivery) -> bool:
    """A delivery under demo/ is made by the workflow itself."""
    return Path(delivery.reports).parts[:1] == ("demo",)


class Privacy(Section):
    """Where the secrets lie."""

    key: str
    folder: str


class DemoOptions(Section):
    """The made-up cohort."""

    patients: Annotated[int, Field(ge=1)]
    seed: int


class IndexOptions(Section):
    """Splits, as shares of the patients; what is put aside; limits of reading a file."""

    test: Share
    validation: Share
    duplicates: Literal["keep_one", "quarantine"]
    repetitions: Literal["split", "quarantine"]
    projections: Literal["keep", "quarantine"]
    burned_in: Literal["keep", "quarantine"]
    burned_in_rules: list[
        dict[Annotated[str, AfterValidator(_known_keyword)], Annotated[str, AfterValidator(_pattern)]]
    ]
    memory_gb: Annotated[float, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)]


class VolumesOptions(Section):
    """The geometry gate; limits of making a volume."""

    minimum_slices: Annotated[int, Field(ge=2)]
    spacing_tolerance: Share
    angle_tolerance: Annotated[float, Field(ge=0, le=45)]
    gantry_tilt: Literal["shear", "quarantine"]
    gaps: Literal["split", "quarantine"]
    memory_gb: Annotated[float, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)]


class MasksOptions(Section):
    """The segmenter."""

    segmenter: Literal["totalsegmentator", "precomputed"]
    variant: Literal["fastest", "fast", "total"]
    weights: str | None
    device: Literal["cpu", "gpu"]
    rois: list[str] | None
    minutes: Annotated[float, Field(gt=0)]
    memory_gb: Annotated[float, Field(gt=0)]
    at_once: Annotated[int, Field(ge=1)]
    borrow: bool


class Implausible(Section):
    """What a flag does to its volume."""

    empty: Literal["flag", "quarantine"]
    volume: Literal["flag", "quarantine"]
    pieces: Literal["flag", "quarantine"]
    sides: Literal["flag", "quarantine"]
    elsewhere: Literal["flag", "quarantine"]


class StructuresOptions(Section):
    """Classes, the plausibility gate and the outlier rule."""

    schema_file: Annotated[str, Field(alias="schema")]
    norms: str
    implausible: Implausible
    minimum_area_mm2: Annotated[float, Field(ge=0)]
    minimum_share: Share
