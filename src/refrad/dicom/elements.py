"""The elements of a DICOM data set as plain values; broken elements count as absent."""

from collections.abc import Container
from typing import Any

from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

__all__ = [
    "CONVERTED",
    "Numbers",
    "Values",
    "clean",
    "decimals_of",
    "integer_of",
    "macros_of",
    "number_of",
    "numbers_of",
    "text_of",
    "values_of",
]

DICTIONARY = {tag: (entry[0], entry[4]) for tag, entry in DicomDictionary.items()}  # tag -> VR, keyword
PLAIN = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI"})
# Keywords of a frame of an enhanced image that differ from those of plain images
PLAIN_NAMES = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
    "InversionTimes": "InversionTime",
}
# Macros of functional groups (PS3.3 C.7.6.16.2, C.8.13.5, C.8.15.3) that hold values of the geometry, kind or acquisition.
# No other sequence counts: vendors repeat standard attributes in private ones with another meaning, such as the position
# of the corner of the first pixel instead of its centre.
MACROS = frozenset(
    Tag(keyword)
    for keyword in (
        "CTImageFrameTypeSequence",
        "CTReconstructionSequence",
        "CTXRayDetailsSequence",
        "CardiacSynchronizationSequence",
        "FrameContentSequence",
        "IrradiationEventIdentificationSequence",
        "MRDiffusionSequence",
        "MREchoSequence",
        "MRImageFrameTypeSequence",
        "MRModifierSequence",
        "MRTimingAndRelatedParametersSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
        "PlaneOrientationSequence",
        "PlanePositionSequence",
        "RealWorldValueMappingSequence",
        "RespiratorySynchronizationSequence",
        "TemporalPositionSequence",
    )
)
# Attributes of converted plain images for which no macro exists (PS3.3 C.7.6.16.2.25 and .26); a macro overrides them.
CONVERTED = frozenset(Tag(f"Unassigned{kind}ConvertedAttributesSequence") for kind in ("PerFrame", "Shared"))

Numbers = tuple[float, ...]
Values = dict[str, list[Any]]


def values_of(dataset: Dataset) -> Values:
    """Keyword to the values of each element that has any; "names" holds those of all person names.

    An element that does not conform to its value representation counts as absent.
    """
    values: Values = {"names": []}
    for tag, raw in list(dataset.items()):  # iterating over the data set itself would stop at a broken element
        if tag & 0x10000:  # private: has no keyword
            continue
        if isinstance(raw, RawDataElement) and raw.length == 0 and raw.VR in PLAIN:
            continue
        if isinstance(raw, RawDataElement) and (plain := _plain(raw)) is not None:
            keyword, representation, element_values = plain
        else:
            try:
                element = dataset[tag]
            except (ValueError, TypeError, ArithmeticError):
                continue
            if element.is_empty:
                continue
            is_multiple = isinstance(element.value, list | MultiValue | Sequence)
            keyword, representation = element.keyword, element.VR
            element_values = list(element.value) if is_multiple else [element.value]
        if element_values:
            values[keyword] = element_values
            if representation == "PN":
                values["names"] += element_values
    return values


def _plain(raw: RawDataElement) -> tuple[str, str, list[Any]] | None:
    """Keyword, VR and values of an element that is plain ASCII or a short number; None if pydicom must convert it.

    Most elements of a header are plain, and this is many times faster than pydicom.
    """
    entry = DICTIONARY.get(int(raw.tag))
    if entry is None or raw.value is None:
        return None
    representation = raw.VR or entry[0]
    if representation in PLAIN and raw.value.isascii() and b"\x1b" not in raw.value:
        text = raw.value.decode("ascii").strip(" \0")
        return entry[1], representation, text.split("\\") if text else []
    if representation == "US" and len(raw.value) == 2:
        return entry[1], representation, [int.from_bytes(raw.value, "little" if raw.is_little_endian else "big")]
    return None


def macros_of(group: Dataset, keywords: Container[str], macros: Container[int] = MACROS) -> Values:
    """The values of `keywords` in the `macros` of a functional group, under the keywords of plain images.

    A macro is one of the keywords too; of several items, the first counts. All sequences of the group that are none of the `macros` are ignored.
    """
    values: Values = {}
    for tag in group.keys():  # noqa: SIM118 - as above
        macro = group[tag] if tag in macros else None
        if macro is not None and macro.VR == "SQ":
            values[macro.keyword] = list(macro.value)
            for item in macro.value[:1]:
                values |= values_of(item)
    renamed = {PLAIN_NAMES.get(keyword, keyword): value for keyword, value in values.items() if keyword != "names"}
    return {keyword: value for keyword, value in renamed.items() if keyword in keywords}


def clean(value: object) -> str:
    """The value as valid UTF-8, without padding."""
    text = str(value)
    return (text if text.isascii() else text.encode(errors="replace").decode()).strip(" \0")


def text_of(values: Values, keyword: str) -> str:
    """All values as one text, joined by backslashes; "" if there is none."""
    elements = values.get(keyword)
    if not elements:
        return ""
    return clean(elements[0]) if len(elements) == 1 else "\\".join(clean(value) for value in elements)


def numbers_of(values: Values, keyword: str, count: int) -> Numbers:
    """The values as `count` numbers; () unless there are exactly as many, all finite and below 10^9."""
    elements = values.get(keyword)
    if not elements or len(elements) != count:
        return ()
    try:
        numbers = tuple([float(str(value)) for value in elements])
    except ValueError:
        return ()
    return numbers if all(abs(number) < 1e9 for number in numbers) else ()


def number_of(values: Values, keyword: str) -> float | None:
    """The value as a number; None unless there is exactly one."""
    numbers = numbers_of(values, keyword, 1)
    return numbers[0] if numbers else None


def integer_of(values: Values, keyword: str) -> int | None:
    """The value as an integer below 10^9; None unless there is exactly one."""
    number = number_of(values, keyword)
    return int(number) if number is not None and number.is_integer() else None


def decimals_of(values: Values, keyword: str) -> tuple[int, ...]:
    """The number of decimals of each value as written, without trailing zeros: 1 for "-98.8", "98.800" and "9.88e1"."""
    return tuple(_decimals(str(value)) for value in values.get(keyword, []))


def _decimals(text: str) -> int:
    mantissa, _, exponent = text.strip().lower().partition("e")
    fraction = mantissa.partition(".")[2].rstrip("0")
    try:
        return max(0, len(fraction) - int(exponent or 0))
    except ValueError:
        return len(fraction)
