"""B-value and gradient direction of an MR image: public attributes, private elements of the vendors, names of sequences.

They distinguish the images of one position; nothing else uses them. Sources of the private elements: the data dictionaries
of pydicom and GDCM, and what the vendors told dcm2niix and the NA-MIC wiki.
"""

import re
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from refrad.dicom.elements import Numbers, Values, number_of, numbers_of, text_of, values_of

__all__ = [
    "DIFFUSION_KEYWORDS",
    "DIFFUSION_TAGS",
    "Diffusion",
    "diffusion_of",
    "diffusion_of_dataset",
    "is_likely_diffusion",
]

# (group, private creator in capitals) -> number of an element in its block -> what it holds, VR
PRIVATE_ELEMENTS: dict[tuple[int, str], dict[int, tuple[str, str]]] = {
    (0x0019, "SIEMENS MR HEADER"): {
        0x0C: ("b_value", "IS"),
        0x0D: ("directionality", "CS"),
        0x0E: ("direction", "FD"),
    },
    (0x0019, "GEMS_ACQU_01"): {0xBB: ("x", "DS"), 0xBC: ("y", "DS"), 0xBD: ("z", "DS")},
    (0x0043, "GEMS_PARM_01"): {0x39: ("b_value", "IS")},
    (0x2001, "PHILIPS IMAGING DD 001"): {0x03: ("b_value", "FL"), 0x04: ("directionality", "CS")},
    (0x2005, "PHILIPS MR IMAGING DD 001"): {0xB0: ("x", "FL"), 0xB1: ("y", "FL"), 0xB2: ("z", "FL")},
    (0x0065, "IMAGE PRIVATE HEADER"): {0x09: ("b_value", "FD"), 0x37: ("direction", "FD")},  # United Imaging
    (0x0029, "MMCPRIVATE"): {0x30: ("b_value", "FD")},  # Hitachi
}
GROUPS = {group for group, _ in PRIVATE_ELEMENTS}
USUAL_BLOCKS = range(0x10, 0x12)  # an archive may move a block anywhere up to FF
BIAS = 1_000_000_000  # General Electric adds it to the b-values of several in one series
LARGEST = 100_000  # s/mm2; scanners reach 40,000
TYPES = {"FD": "f8", "FL": "f4", "SL": "i4", "UL": "u4", "SS": "i2", "US": "u2"}
DIFFUSION_KEYWORDS = [
    "DiffusionBValue",
    "DiffusionDirectionality",
    "DiffusionGradientOrientation",
    "DiffusionGradientDirectionSequence",
    "SequenceName",
    "PulseSequenceName",
    "ImageComments",
    "ScanningSequence",
]
DIFFUSION_TAGS = [Tag(group, block) for group in sorted(GROUPS) for block in USUAL_BLOCKS] + [
    Tag(group, block << 8 | number)
    for (group, _), elements in PRIVATE_ELEMENTS.items()
    for number in elements
    for block in USUAL_BLOCKS
]
# "*ep_b400t", "*ep_b800#12" (the 12th direction), "ep2d b50"
B_OF_SEQUENCE = re.compile(r"(?<![a-z0-9])b(\d{1,5})(?!\d)(#\d+)?", re.IGNORECASE)
# Canon: "b=1500(0.445,0.000,0.895)"
B_OF_COMMENT = re.compile(r"(?<![a-z0-9])b\s*=\s*(\d+(?:\.\d+)?)(?:\s*\(([^()]*)\))?", re.IGNORECASE)
NUMBERS_AS_TEXT = re.compile(rb"[0-9.eE+\\ -]+\0?")
LIKELY_WORDS = ("DIFFUSION", "DWI", "TRACE", "ADC")


class Diffusion(NamedTuple):
    """The b-value in s/mm2, the gradient's direction in the vendor's own axes, and what kind of direction it is or its number."""

    b_value: float | None = None
    direction: Numbers = ()
    directionality: str = ""


def diffusion_of(values: Values, dataset: Dataset | None) -> Diffusion:
    """The diffusion weighting of an MR image.

    Args:
        values: of the attributes `DIFFUSION_KEYWORDS`.
        dataset: with the private elements of this image; None for a frame, which has none.
    """
    private = _private_values(dataset) if dataset is not None else {}
    comment = B_OF_COMMENT.search(text_of(values, "ImageComments"))
    b_values = [number_of(values, "DiffusionBValue"), *_numbers(private.get("b_value", ()))[:1]]
    kinds = [text_of(values, "DiffusionDirectionality"), *(str(kind) for kind in private.get("directionality", ()))]
    for keyword in ("SequenceName", "PulseSequenceName"):
        if name := B_OF_SEQUENCE.search(text_of(values, keyword)):
            b_values.append(float(name[1]))
            kinds.append(name[2] or "")
    if comment:
        b_values.append(float(comment[1]))
    directions = [
        numbers_of(_with_direction(values), "DiffusionGradientOrientation", 3),
        _numbers(private.get("direction", ())),
        tuple(number for axis in "xyz" for number in _numbers(private.get(axis, ()))[:1]),
        _numbers(comment[2].split(",")) if comment and comment[2] else (),
    ]
    return Diffusion(
        next((b for number in b_values if (b := _plausible(number)) is not None), None),
        next((direction for direction in directions if len(direction) == 3), ()),
        next((kind for kind in kinds if kind), ""),
    )


def diffusion_of_dataset(dataset: Dataset) -> Diffusion:
    """The diffusion weighting of an MR image with all of its elements."""
    return diffusion_of(values_of(dataset), dataset)


def is_likely_diffusion(dataset: Dataset) -> bool:
    """Whether an MR image is echo planar or called a diffusion image, so that its b-value may lie in an unusual block."""
    if dataset.get("Modality") != "MR":
        return False
    text = str(dataset.get("ImageType", "")).upper()
    return "EP" in str(dataset.get("ScanningSequence", "")) or any(word in text for word in LIKELY_WORDS)


def _plausible(b_value: float | None) -> float | None:
    """The b-value without the bias of General Electric; None if it is out of range."""
    unbiased = None if b_value is None or b_value < 0 else b_value % BIAS
    return None if unbiased is None or unbiased > LARGEST else unbiased


def _with_direction(values: Values) -> Values:
    """`values`, with the direction that an enhanced image has one sequence deeper."""
    items = [item for item in values.get("DiffusionGradientDirectionSequence", []) if isinstance(item, Dataset)]
    orientation = items[0].get("DiffusionGradientOrientation") if items else None
    return values if orientation is None else values | {"DiffusionGradientOrientation": list(orientation)}


def _private_values(dataset: Dataset) -> dict[str, Sequence[Any]]:
    """The values of `PRIVATE_ELEMENTS`, from blocks of the right creator alone."""
    private: dict[str, Sequence[Any]] = {}
    for group, block, creator in _blocks(dataset):
        for number, (name, representation) in PRIVATE_ELEMENTS.get((group, creator), {}).items():
            tag = Tag(group, block << 8 | number)
            if tag in dataset:
                private.setdefault(name, _values_of_element(dataset.get_item(tag), representation))
    return private


def _blocks(dataset: Dataset) -> Iterator[tuple[int, int, str]]:
    """Yield group, number and creator of each private block of the groups."""
    for tag in list(dataset.keys()):
        if tag & 0x10000 and tag.group in GROUPS and 0x10 <= tag.element <= 0xFF:
            value = dataset.get_item(tag).value
            creator = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            yield tag.group, tag.element, creator.strip(" \0").upper()


def _values_of_element(element: Any, representation: str) -> Sequence[Any]:
    """The values of a private element, raw or converted; without a VR, or as UN, its bytes are of `representation`."""
    value = element.value
    if not isinstance(value, bytes):
        is_multiple = not isinstance(value, str) and isinstance(value, Sequence)
        return list(value) if is_multiple else [] if value is None else [value]
    known = representation if element.VR in (None, "UN", "OB") else element.VR
    is_text = known != element.VR and NUMBERS_AS_TEXT.fullmatch(value)
    if known in TYPES and not is_text:
        kind = np.dtype(("<" if getattr(element, "is_little_endian", True) else ">") + TYPES[known])
        return [] if len(value) % kind.itemsize else [float(number) for number in np.frombuffer(value, kind)]
    return [text.strip(" \0") for text in value.decode("latin-1").split("\\")]


def _numbers(values: Sequence[Any]) -> Numbers:
    """The values as numbers; () if one of them is none."""
    try:
        numbers = tuple(float(str(value)) for value in values)
    except ValueError:
        return ()
    return numbers if all(isfinite(number) for number in numbers) else ()
