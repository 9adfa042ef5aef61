"""De-identified DICOM: the basic profile of PS3.15 annex E, with keyed UIDs and shifted dates, and an allow-list of text.

The profile's table comes from a library. It lists the elements that must go; text that it does not list, and that is on no list of this
module, goes as well, since any text may hold a name. Options of the profile in use: longitudinal information with modified dates
(113107), patient characteristics (113108; the oldest are 90). Pixels are not looked at.
"""

import re
from datetime import timedelta
from functools import cache

from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, CTImageStorage, MRImageStorage

from refrad.privacy.header_fields import age_of, body_part_of, date_of, sex_of
from refrad.privacy.pseudonyms import Pseudonyms

__all__ = ["deidentify"]

TABLE = "dicomfields_2024b"
STANDARD_ROOT = "1.2.840.10008."  # root of UIDs that the standard defines: classes, syntaxes
TEXT = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "UN", "OB", "OW", "TM", "SV", "UV"})
KEPT = frozenset(
    re.findall(
        r"\w+",
        """
        SpecificCharacterSet Modality PhotometricInterpretation RescaleType ScanningSequence SequenceVariant ScanOptions
        MRAcquisitionType PatientPosition InPlanePhaseEncodingDirection LossyImageCompression LossyImageCompressionMethod
        PixelData PixelPaddingValue BurnedInAnnotation PositionReferenceIndicator PixelPresentation VolumetricProperties
        VolumeBasedCalculationTechnique ComplexImageComponent AcquisitionContrast DimensionOrganizationType
        PresentationLUTShape ImageType FrameType
        """,
    )
)
TYPES = re.compile(
    r"ORIGINAL|DERIVED|PRIMARY|SECONDARY|AXIAL|LOCALIZER|VOLUME|MIXED|NONE|M|P|R|I|ND|NORM|OTHER|RESAMPLED|REFORMATTED|MPR|"
    r"MIP|AVERAGE|CT_SOM\d?|SE|FFE|T1|T2|ADC|DIFFUSION|WATER|FAT|IN_PHASE|OUT_PHASE|M_SE|M_FFE|"
)
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
        AttributeError: if it lacks a transfer syntax.
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
        clean.SOPClassUID = dataset.file_meta.get("MediaStorageSOPClassUID") or plain
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
    clean.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    clean.file_meta.MediaStorageSOPClassUID = clean.SOPClassUID
    clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    return clean


def _cleaned(dataset: Dataset, pseudonyms: Pseudonyms, shift: timedelta) -> Dataset:
    clean = Dataset()
    for tag in dataset.keys():  # noqa: SIM118 - a broken element must not stop the others
        try:
            element = dataset[tag]
        except (ValueError, TypeError, ArithmeticError):
            continue
        if (cleaned := _element(element, pseudonyms, shift)) is not None:
            clean.add(cleaned)
    return clean


def _element(element: DataElement, pseudonyms: Pseudonyms, shift: timedelta) -> DataElement | None:
    """The de-identified element; None if it goes."""
    action = None if element.keyword in KEPT else _table().get((element.tag.group, element.tag.element))
    if element.tag.is_private or not element.keyword or element.is_empty:
        return None
    if element.VR == "UI":
        return _with(element, [_uid(str(uid), element.keyword, pseudonyms) for uid in _values(element)])
    if element.VR in {"DA", "DT"} and element.keyword != "PatientBirthDate":
        dates = [date_of(str(value)) for value in _values(element)]
        return _with(element, [(date + shift).strftime("%Y%m%d") for date in dates if date])
    if action == REMOVED:
        return None
    if element.VR == "SQ":
        return _with(element, [_cleaned(item, pseudonyms, shift) for item in element.value])
    if action == EMPTIED:
        return None if element.VR in TEXT else _with(element, [])
    if element.keyword in {"ImageType", "FrameType"}:
        return _with(element, [word if TYPES.fullmatch(word) else "OTHER" for word in map(str, _values(element))])
    return element if element.keyword in KEPT or element.VR not in TEXT | {"DA"} else None


def _with(element: DataElement, values: list[object]) -> DataElement:
    value = values[0] if len(values) == 1 and element.VR != "SQ" else values
    return DataElement(element.tag, element.VR, value if values or element.VR == "SQ" else None)


def _values(element: DataElement) -> list[object]:
    return list(element.value) if isinstance(element.value, MultiValue) else [element.value]


def _uid(uid: str, keyword: str, pseudonyms: Pseudonyms) -> UID:
    if uid.startswith(STANDARD_ROOT):
        return UID(uid)
    kind = KINDS.get(keyword)
    return _as_uid(getattr(pseudonyms, kind)(uid) if kind else pseudonyms.uid(uid))


def _as_uid(pseudonym: str) -> UID:
    return UID(f"2.25.{int(pseudonym, 16)}")


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
