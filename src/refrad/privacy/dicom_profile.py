"""De-identified DICOM: the basic profile of PS3.15 annex E, with keyed UIDs and shifted dates, and an allow-list of text.

The profile's table comes from a library and lists the elements that must go. Of the others these stay: numbers, sequences of
what stays, the pixels, and coded text with a term of `refrad.privacy.dicom_terms`. Any other text or binary value may hold a
name, and goes. File meta is made anew. Options of the profile in use: longitudinal information with modified dates (113107),
patient characteristics (113108; the oldest are 90). Pixels are not looked at, but comments in compressed streams and overlays
in unused bits are blanked.
"""

import math
import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cache

from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from refrad.privacy.dicom_terms import TERMS, TYPE_WORDS
from refrad.privacy.header_fields import age_of, body_part_of, date_of, sex_of
from refrad.privacy.pixel_comments import blank_comments, blank_overlay_bits
from refrad.privacy.pseudonyms import Pseudonyms

__all__ = ["deidentify"]

TABLE = "dicomfields_2024b"
SYNTAX = re.compile(r"1\.2\.840\.10008\.1\.2(\.\d{1,3}){0,3}")  # of the standard, also of later editions
NUMBERS = frozenset({"DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "AT"})  # VRs whose values are numbers
PIXELS = frozenset({"PixelData", "FloatPixelData", "DoubleFloatPixelData"})  # of the image; other binary values go
BINARY = frozenset({"OB", "OW", "OF", "OD"})  # VRs of pixels
TYPES = frozenset({"ImageType", "FrameType"})
TABLES = frozenset({"ModalityLUTSequence", "VOILUTSequence"})  # without their binary table they mean nothing
PICTURES = frozenset({"IconImageSequence"})
REPEATED = (0x5000, 0x6000)  # first groups of curves and overlays; 256 groups each
PLAIN = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
NO_DATA = 0x0008  # groups below hold commands, file meta and directories, which have no place in an image
KINDS = {  # UIDs whose pseudonyms are in the tables of the dataset too
    "SOPInstanceUID": "instance",
    "ReferencedSOPInstanceUID": "instance",
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
}
REMOVED, EMPTIED = "remove", "empty"


def deidentify(
    dataset: Dataset, pseudonyms: Pseudonyms, patient: str, *, study: str, series: str, instance: str
) -> Dataset:
    """A de-identified copy of a CT or MR image, under the pseudonyms that the tables of the dataset have for it.

    UIDs become 2.25.<number of the pseudonym>, so that they fit the tables; a multi-frame file keeps a separate one, since
    each of its frames has a pseudonym. Dates move by the patient's own shift, times go. Private attributes go, in
    sequences too.

    Raises:
        AttributeError: if it lacks a transfer syntax or its size.
        ValueError: if its transfer syntax is none of the standard.
    """
    age = age_of(
        str(dataset.get("PatientAge", "")), str(dataset.get("PatientBirthDate", "")), str(dataset.get("StudyDate", ""))
    )
    sex, part = sex_of(str(dataset.get("PatientSex", ""))), body_part_of(str(dataset.get("BodyPartExamined", "")))
    clean = _cleaned(dataset, pseudonyms, pseudonyms.date_shift(patient))
    clean.StudyInstanceUID, clean.SeriesInstanceUID = _as_uid(study), _as_uid(series)
    if not (dataset.get("PerFrameFunctionalGroupsSequence") and dataset.get("SOPInstanceUID")):
        clean.SOPInstanceUID = _as_uid(instance)
    if not dataset.get("SOPClassUID"):
        plain = MRImageStorage if dataset.get("Modality") == "MR" else CTImageStorage
        given = dataset.file_meta.get("MediaStorageSOPClassUID")
        clean.SOPClassUID = given if given and _is_standard(given) else plain
    clean.PatientID = clean.PatientName = patient
    clean.PatientBirthDate, clean.PatientSex, clean.AccessionNumber, clean.StudyID = "", sex or "", "", ""
    clean.StudyTime, clean.ReferringPhysicianName = "", ""
    if age is not None:
        clean.PatientAge = f"{age:03d}Y"
    if part:
        clean.BodyPartExamined = part
    clean.PatientIdentityRemoved, clean.LongitudinalTemporalInformationModified = "YES", "MODIFIED"
    clean.DeidentificationMethod = "RefRad: PS3.15 basic profile, dates shifted, allow-list of text"
    clean.DeidentificationMethodCodeSequence = [
        _code("113100", "Basic Application Confidentiality Profile"),
        _code("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
        _code("113108", "Retain Patient Characteristics Option"),
    ]
    clean.file_meta = FileMetaDataset()
    clean.file_meta.TransferSyntaxUID = _syntax(dataset)
    clean.file_meta.MediaStorageSOPClassUID = clean.SOPClassUID
    clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    if "PixelData" in clean:
        for keyword in (PIXELS - {"PixelData"}) & set(clean.dir()):
            del clean[keyword]
        if clean.file_meta.TransferSyntaxUID in PLAIN:
            clean.PixelData = _trimmed(clean)
            clean.PixelData = blank_overlay_bits(clean, dataset)
        else:
            clean.PixelData = blank_comments(clean.PixelData, clean.file_meta.TransferSyntaxUID)
    return clean


def _trimmed(image: Dataset) -> bytes:
    """The plain pixels of an image without what follows them; a file with too few is left as it is."""
    sizes = (image.Rows, image.Columns, image.get("SamplesPerPixel", 1), image.get("NumberOfFrames") or 1)
    length = math.prod(map(int, sizes)) * int(image.BitsAllocated) // 8
    pixels: bytes = image.PixelData
    return pixels if len(pixels) <= length else pixels[:length] + bytes(length % 2)


def _cleaned(dataset: Dataset, pseudonyms: Pseudonyms, shift: timedelta, depth: int = 0) -> Dataset:
    clean = Dataset()
    for tag in dataset.keys():  # noqa: SIM118 - a broken element must not stop the others
        try:
            element = dataset[tag]
            cleaned = _element(element, pseudonyms, shift, depth)
        except (ValueError, TypeError, ArithmeticError):
            continue
        if cleaned is not None:
            clean.add(cleaned)
    return clean


def _element(element: DataElement, pseudonyms: Pseudonyms, shift: timedelta, depth: int) -> DataElement | None:
    """The de-identified element, `depth` sequences deep; None if it goes. What no line here keeps goes."""
    tag, keyword, vr = element.tag, element.keyword, element.VR
    if tag.is_private or not keyword or tag.element == 0 or element.is_empty or _is_foreign(tag.group):
        return None
    if keyword in PIXELS:
        return element if depth == 0 and vr in BINARY and isinstance(element.value, bytes) else None
    if vr == "UI":
        return _with(element, [_uid(str(uid), keyword, pseudonyms) for uid in _values(element)])
    if vr in {"DA", "DT"} and keyword != "PatientBirthDate":
        dates = [date_of(str(value)) for value in _values(element)]
        return _with(element, [f"{date + shift:%4Y%m%d}" for date in dates if date])
    if keyword in TYPES:
        words = map(str, _values(element))
        return _with(element, [word if word in TYPE_WORDS else "OTHER" for word in words]) if vr == "CS" else None
    if keyword in TERMS:
        return _with(element, values) if (values := [v for v in _values(element) if v in TERMS[keyword]]) else None
    action = _table().get((tag.group, tag.element))
    if action == REMOVED:
        return None
    if vr == "SQ":
        return _sequence(element, pseudonyms, shift, depth)
    if vr not in NUMBERS or not NUMBERS & set(dictionary_VR(tag).split(" or ")):
        return None
    if action == EMPTIED:
        return _with(element, [])
    return element if all(map(_is_number, _values(element))) else None


def _sequence(element: DataElement, pseudonyms: Pseudonyms, shift: timedelta, depth: int) -> DataElement | None:
    if element.keyword in PICTURES:
        return None
    items: list[object] = [_cleaned(item, pseudonyms, shift, depth + 1) for item in element.value]
    if element.keyword in TABLES and not all("LUTData" in item for item in items if isinstance(item, Dataset)):
        return None
    return _with(element, items)


def _is_foreign(group: int) -> bool:
    """Is the group one of curves or overlays, or none of an image?"""
    return group < NO_DATA or any(first <= group < first + 0x100 for first in REPEATED)


def _is_number(value: object) -> bool:
    """Is it a number? Text under a VR of numbers is read as text."""
    return isinstance(value, int | float | Decimal)


def _with(element: DataElement, values: Sequence[object]) -> DataElement:
    value = values[0] if len(values) == 1 and element.VR != "SQ" else values
    return DataElement(element.tag, element.VR, value if values or element.VR == "SQ" else None)


def _values(element: DataElement) -> list[object]:
    return list(element.value) if isinstance(element.value, MultiValue | list) else [element.value]


def _uid(uid: str, keyword: str, pseudonyms: Pseudonyms) -> UID:
    if _is_standard(uid):
        return UID(uid)
    kind = KINDS.get(keyword)
    return _as_uid(getattr(pseudonyms, kind)(uid) if kind else pseudonyms.uid(uid))


def _is_standard(uid: str) -> bool:
    """Does the standard define the UID, such as that of a class? Its root alone may precede anything."""
    return UID(uid).name != uid


def _as_uid(pseudonym: str) -> UID:
    return UID(f"2.25.{int(pseudonym, 16)}")


def _syntax(dataset: Dataset) -> UID:
    """The transfer syntax of a file, if it is one of the standard."""
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    if not SYNTAX.fullmatch(syntax):
        raise ValueError("no transfer syntax of the standard")
    return syntax


@cache
def _table() -> dict[tuple[int, int], str]:
    """Tag to the action of the profile: removed or emptied. Dummy values, which it allows, are not used."""
    lists = dicom_anonymization_database_selector(TABLE)
    removed = {
        tag: REMOVED
        for name in ("X_TAGS", "X_D_TAGS", "X_Z_D_TAGS", "X_Z_TAGS")
        for tag in lists[name]
        if len(tag) == 2
    }
    emptied = {tag: EMPTIED for name in ("Z_TAGS", "D_TAGS", "Z_D_TAGS") for tag in lists[name] if len(tag) == 2}
    return removed | emptied


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
