"""What the workflow takes from a DICOM header: who and what, where in space, or why an image is put aside."""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from refrad.imaging.geometry import is_plausible

__all__ = ["NO_RULES", "TAGS", "Header", "Rules", "headers_of_dataset"]

NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CAPTURE_WORDS = ("SCREEN SAVE", "SCREENSAVE", "SCREEN CAPTURE", "SCREENSHOT")
PROJECTION_WORDS = {
    "MIP",
    "MAXIP",
    "MAX IP",
    "MINIP",
    "MIN IP",
    "PROJECTION IMAGE",
    "RAYSUM",
    "VRT",
    "VOLUME RENDER",
    "SURFACE RENDER",
}
PROJECTION_WORDS |= {
    "CURVED MPR",
    "DISTORTED",
}  # of VolumeBasedCalculationTechnique and VolumetricProperties (PS3.3 C.8.16.2.1)
LOCALIZER_WORDS = ("LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM")
NOT_HOUNSFIELD = {"OD", "MGML", "Z_EFF", "ED", "EDW", "PCT"}  # of RescaleType: PS3.3 C.11.1.1.2
NAME_TAGS: list[int] = [tag for tag, entry in DicomDictionary.items() if entry[0] == "PN"]
KEYWORDS = re.findall(
    r"\w+",
    """
    SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality ImageType Manufacturer
    InstitutionName PatientID PatientBirthDate PatientSex PatientAge AccessionNumber StudyDate StudyTime SeriesDate
    SeriesTime SeriesDescription BodyPartExamined ContrastBolusAgent ContrastBolusAgentSequence SeriesNumber
    InstanceNumber AcquisitionNumber TemporalPositionIdentifier EchoTime DiffusionBValue TriggerTime InversionTime
    FlipAngle KVP ConvolutionKernel ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns
    SamplesPerPixel PhotometricInterpretation BurnedInAnnotation RescaleSlope RescaleIntercept RescaleType
    BitsAllocated BitsStored HighBit PixelRepresentation ModalityLUTSequence VolumetricProperties VolumeBasedCalculationTechnique
    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
    """,
)
TAGS = [Tag(tag) for tag in NAME_TAGS] + [Tag(keyword) for keyword in KEYWORDS]
DICTIONARY = {tag: (entry[0], entry[4]) for tag, entry in DicomDictionary.items()}  # tag -> VR, keyword
PLAIN = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI"})
# Enhanced images call some attributes of a frame by other names than plain images.
PLAIN_NAMES = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
}

Numbers = tuple[float, ...]
Values = dict[str, list[Any]]


class Rules(NamedTuple):
    """What the site decides about images: reasons that put no image aside, and rules that tell burned-in text.

    A rule is one or more pairs of DICOM keyword and regular expression, which must all be found (ignoring case).
    """

    accepted: frozenset[str] = frozenset()
    burned_in: tuple[tuple[tuple[str, str], ...], ...] = ()

    @property
    def tags(self) -> list[int]:
        """The attributes that the rules look at."""
        return [Tag(keyword) for rule in self.burned_in for keyword, _ in rule]


NO_RULES = Rules()


class Header(NamedTuple):
    """What the workflow knows of one image (a file, or a frame of a multi-frame file).

    What is absent or unreadable is "", () or None. Strings are as in the file and private. `position` (mm) and
    `orientation` (unit vectors) are in the patient coordinates of DICOM (x to the left, y to the back, z to the head).
    `spacing` is PixelSpacing in DICOM's order: mm between rows, then mm between columns. `reason` is None for a usable
    image. `burned_in`: whether text is burned in; None if neither header nor rules tell.
    `bits` are stored in words of 16, from the lowest on; 0 for all other kinds of pixels. `offset`: of such pixels in their
    file, if they can be read from there as they are; else 0.
    """

    path: str
    frame: int = 0
    frames: int = 1
    reason: str | None = None
    burned_in: bool | None = None
    modality: str = ""
    # who, which
    patient_id: str = ""
    patient_name: str = ""
    birth_date: str = ""
    accession_number: str = ""
    study_uid: str = ""
    series_uid: str = ""
    instance_uid: str = ""
    names: str = ""
    institution: str = ""
    manufacturer: str = ""
    series_hint: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    # about
    study_date: str = ""
    sex: str = ""
    age: str = ""
    body_part: str = ""
    contrast: str = ""
    # where
    columns: int = 0
    rows: int = 0
    position: Numbers = ()
    orientation: Numbers = ()
    spacing: Numbers = ()
    frame_of_reference: str = ""
    # what may tell apart several images of one place
    image_type: str = ""
    echo_time: float | None = None
    temporal: float | None = None
    acquisition: float | None = None
    b_value: float | None = None
    trigger_time: float | None = None
    inversion_time: float | None = None
    flip_angle: float | None = None
    kilovolts: float | None = None
    kernel: str = ""
    # pixels
    compressed: bool = False
    offset: int = 0
    bits: int = 0
    signed: bool = False
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def folder(self) -> str:
        """The folder of the file inside the delivery."""
        return PurePosixPath(self.path).parent.as_posix()

    @property
    def patient_key(self) -> str:
        """What stands for the patient: PatientID; else name and birth date; else the study."""
        person = f"{self.patient_name}|{self.birth_date}" if self.patient_name and self.birth_date else ""
        return self.patient_id or person or self.study_key

    @property
    def study_key(self) -> str:
        """The study's UID, or the folder if there is none."""
        return self.study_uid or f"folder|{self.folder}"

    @property
    def series_key(self) -> str:
        """The series' UID, or folder, study, number, description and time if there is none."""
        return self.series_uid or f"folder|{self.folder}|{self.study_uid}|{self.series_hint}"

    @property
    def instance_key(self) -> str:
        """The UID of the SOP instance, or the path if there is none; and the frame's number if there are several."""
        key = self.instance_uid or f"path|{self.path}"
        return key if self.frames == 1 else f"{key}|{self.frame}"


def headers_of_dataset(dataset: Dataset, path: str, has_pixels: bool, rules: Rules = NO_RULES) -> list[Header]:
    """The header of a plain image, or those of all frames of an enhanced multi-frame image.

    `dataset` needs only `TAGS`, those of the rules, and its file meta information; `has_pixels` says whether pixels
    follow in the file.
    """
    values = _values(dataset.file_meta) | _values(dataset)
    compressed = _text(values, "TransferSyntaxUID") not in NATIVE
    common = _common(values, path)._replace(compressed=compressed)
    frames = values.get("PerFrameFunctionalGroupsSequence", [])
    if not frames:
        return [_of_image(values, common, has_pixels, rules)]
    # The number is counted from the frames that are described: NumberOfFrames of a broken file may be anything.
    values |= _macros(values.get("SharedFunctionalGroupsSequence", [])[:1])
    common = common._replace(frames=len(frames))
    return [
        _of_image(
            values | _macros([group]), common._replace(frame=number, instance_number=number + 1), has_pixels, rules
        )
        for number, group in enumerate(frames)
    ]


def _values(dataset: Dataset) -> Values:
    """Keyword -> values of all elements that have any; "names" holds those of all person names.

    An element that is not what its type says counts as absent.
    """
    values: Values = {"names": []}
    for tag in dataset.keys():  # noqa: SIM118 - iterating over the data set itself would stop at a broken element
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and (plain := _plain(raw)) is not None:
            keyword, representation, found = plain
        else:
            try:
                element = dataset[tag]
            except (ValueError, TypeError, ArithmeticError):
                continue
            if element.is_empty:
                continue
            several = isinstance(element.value, MultiValue | Sequence)
            keyword, representation = element.keyword, element.VR
            found = list(element.value) if several else [element.value]
        if found:
            values[keyword] = found
            if representation == "PN":
                values["names"] += found
    return values


def _plain(raw: RawDataElement) -> tuple[str, str, list[Any]] | None:
    """Keyword, VR and values of an element that is plain ASCII or a short number; None for pydicom to convert the others.

    Most of a header is so plain, and this is many times faster.
    """
    known = DICTIONARY.get(int(raw.tag))
    if known is None or raw.value is None:
        return None
    representation = raw.VR or known[0]
    if representation in PLAIN and raw.value.isascii() and b"\x1b" not in raw.value:
        text = raw.value.decode("ascii").strip(" \0")
        return known[1], representation, text.split("\\") if text else []
    if representation == "US" and len(raw.value) == 2:
        return known[1], representation, [int.from_bytes(raw.value, "little" if raw.is_little_endian else "big")]
    return None


def _macros(groups: Iterable[Dataset]) -> Values:
    """The values inside the macros of functional groups, under the names that plain images have for them."""
    found: Values = {}
    for group in groups:
        for macro in group:
            for item in list(macro.value)[:1] if macro.VR == "SQ" else []:
                found |= _values(item)
    renamed = {PLAIN_NAMES.get(keyword, keyword): value for keyword, value in found.items() if keyword != "names"}
    return {keyword: value for keyword, value in renamed.items() if keyword in KEYWORDS}


def _common(values: Values, path: str) -> Header:
    """What all frames of a file share."""
    hints = ("SeriesNumber", "SeriesDescription", "StudyDate", "StudyTime", "SeriesDate", "SeriesTime")
    agent = "agent" if "ContrastBolusAgentSequence" in values else ""
    return Header(
        path,
        modality=_text(values, "Modality"),
        patient_id=_text(values, "PatientID"),
        patient_name=_text(values, "PatientName"),
        birth_date=_text(values, "PatientBirthDate"),
        accession_number=_text(values, "AccessionNumber"),
        study_uid=_text(values, "StudyInstanceUID"),
        series_uid=_text(values, "SeriesInstanceUID"),
        instance_uid=_text(values, "SOPInstanceUID") or _text(values, "MediaStorageSOPInstanceUID"),
        names=" | ".join(sorted({_clean(name) for name in values["names"]} - {""})),
        institution=_text(values, "InstitutionName"),
        manufacturer=_text(values, "Manufacturer"),
        series_hint="|".join(_text(values, keyword) for keyword in hints),
        series_number=_whole(values, "SeriesNumber"),
        instance_number=_whole(values, "InstanceNumber"),
        study_date=_text(values, "StudyDate"),
        sex=_text(values, "PatientSex"),
        age=_text(values, "PatientAge"),
        body_part=_text(values, "BodyPartExamined"),
        contrast=_text(values, "ContrastBolusAgent") or agent,
    )


def _of_image(values: Values, common: Header, has_pixels: bool, rules: Rules) -> Header:
    """`common` with geometry, attributes and reason of one image."""
    header = common._replace(
        columns=_whole(values, "Columns") or 0,
        rows=_whole(values, "Rows") or 0,
        position=_numbers(values, "ImagePositionPatient", 3),
        orientation=_numbers(values, "ImageOrientationPatient", 6),
        spacing=_numbers(values, "PixelSpacing", 2),
        frame_of_reference=_text(values, "FrameOfReferenceUID"),
        image_type=_text(values, "ImageType"),
        echo_time=_number(values, "EchoTime"),
        temporal=_number(values, "TemporalPositionIdentifier"),
        acquisition=_number(values, "AcquisitionNumber"),
        b_value=_number(values, "DiffusionBValue"),
        trigger_time=_number(values, "TriggerTime"),
        inversion_time=_number(values, "InversionTime"),
        flip_angle=_number(values, "FlipAngle"),
        kilovolts=_number(values, "KVP"),
        kernel=_text(values, "ConvolutionKernel"),
        slope=_number(values, "RescaleSlope") or 1.0,
        intercept=_number(values, "RescaleIntercept") or 0.0,
        burned_in=_burned_in(values, rules),
        bits=_bits_of_word(values),
        signed=_whole(values, "PixelRepresentation") == 1,
    )
    reasons = (reason for reason in _reasons(values, header, has_pixels) if reason not in rules.accepted)
    return header._replace(reason=next(reasons, None))


def _bits_of_word(values: Values) -> int:
    stored = _whole(values, "BitsStored") or 0
    plain = _whole(values, "BitsAllocated") == 16 and _whole(values, "HighBit") == stored - 1 and 0 < stored <= 16
    return stored if plain else 0


def _burned_in(values: Values, rules: Rules) -> bool | None:
    """What the header says of burned-in text, or True if a rule finds it."""
    for rule in rules.burned_in:
        if rule and all(re.search(pattern, _text(values, keyword), re.IGNORECASE) for keyword, pattern in rule):
            return True
    return {"YES": True, "NO": False}.get(_text(values, "BurnedInAnnotation").upper())


def _reasons(values: Values, header: Header, has_pixels: bool) -> Iterator[str]:
    """Why the image might be put aside. The more telling reasons come first."""
    sop_class = _text(values, "SOPClassUID") or _text(values, "MediaStorageSOPClassUID")
    image_type = header.image_type.upper().replace("_", " ")
    if header.modality not in {"CT", "MR"}:
        yield "not_ct_or_mr"
    if not (has_pixels and header.rows > 0 and header.columns > 0):
        yield "no_pixels"
    if f"{sop_class}.".startswith(f"{SECONDARY_CAPTURE}.") or any(word in image_type for word in CAPTURE_WORDS):
        yield "secondary_capture"
    monochrome = _text(values, "PhotometricInterpretation") in {"MONOCHROME1", "MONOCHROME2"}
    if not monochrome or (_whole(values, "SamplesPerPixel") or 1) != 1:
        yield "colour"
    if header.burned_in:
        yield "burned_in"
    if any(word in image_type for word in LOCALIZER_WORDS):
        yield "localizer"
    made_by = [_text(values, keyword) for keyword in ("VolumetricProperties", "VolumeBasedCalculationTechnique")]
    if PROJECTION_WORDS & {word.upper().replace("_", " ") for word in [*image_type.split("\\"), *made_by]}:
        yield "projection"
    if len(values.get("RescaleSlope", [])) > 1 or len(values.get("RescaleIntercept", [])) > 1:
        yield "multi_valued_rescale"
    no_units = _text(values, "RescaleType").upper() in NOT_HOUNSFIELD or "ModalityLUTSequence" in values
    if header.modality == "CT" and no_units:
        yield "not_hounsfield"
    if not is_plausible(header.position, header.orientation, header.spacing):
        yield "no_geometry"


def _clean(value: object) -> str:
    """Text that any file can hold."""
    return str(value).encode(errors="replace").decode().strip(" \0")


def _text(values: Values, keyword: str) -> str:
    return "\\".join(_clean(value) for value in values.get(keyword, []))


def _numbers(values: Values, keyword: str, count: int) -> Numbers:
    """Exactly `count` numbers that are finite and below a thousand million, or none."""
    try:
        numbers = tuple(float(str(value)) for value in values.get(keyword, []))
    except ValueError:
        return ()
    return numbers if len(numbers) == count and all(abs(number) < 1e9 for number in numbers) else ()


def _number(values: Values, keyword: str) -> float | None:
    numbers = _numbers(values, keyword, 1)
    return numbers[0] if numbers else None


def _whole(values: Values, keyword: str) -> int | None:
    """A whole number that fits into 32 bits, or None."""
    number = _number(values, keyword)
    return int(number) if number is not None and number.is_integer() else None
