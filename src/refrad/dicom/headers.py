"""The values that the workflow reads from a DICOM header, and the reason why an image is quarantined."""

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from refrad.dicom.diffusion import Diffusion, diffusion_of
from refrad.dicom.elements import (
    CONVERTED,
    Numbers,
    Values,
    clean,
    decimals_of,
    integer_of,
    macros_of,
    number_of,
    numbers_of,
    text_of,
    values_of,
)
from refrad.dicom.header_tags import KEYWORDS
from refrad.dicom.image_kinds import localizer_name_of, reasons_of, tiles_of
from refrad.dicom.nested_keys import nested_key
from refrad.dicom.pixel_words import NATIVE, bit_range, bits_of_word
from refrad.dicom.times import Times, times_of

__all__ = ["NO_IMAGE_RULES", "Header", "ImageRules", "headers_of_dataset"]


class ImageRules(NamedTuple):
    """Rules of the site for images: reasons that quarantine no image, and rules that detect burned-in text.

    A rule is one or more pairs of DICOM keyword and regular expression, which must all match (ignoring case).
    """

    accepted: frozenset[str] = frozenset()
    burned_in: tuple[tuple[tuple[str, str], ...], ...] = ()

    @property
    def tags(self) -> list[int]:
        """Tags of the attributes that the rules read."""
        return [Tag(keyword) for rule in self.burned_in for keyword, _ in rule]


NO_IMAGE_RULES = ImageRules()


class Header(NamedTuple):
    """The header of one image (a file, or a frame of a multi-frame file).

    Absent and unreadable values are "", () or None. Strings are as in the file and private. `position` (mm) and
    `orientation` (unit vectors) are in the patient coordinates of DICOM (x to the left, y to the back, z to the head).
    `spacing` is PixelSpacing in DICOM's order: mm between rows, then mm between columns. `reason` is None for a usable
    image. `burned_in`: whether text is burned in; None if neither header nor rules decide. `localizer_name`: what the name of
    an MR series says, by `localizer_name_of`.
    `decimals`: of the numbers of `position`, as written. `times`: see `refrad.dicom.times.times_of`.
    `syntax` is the transfer syntax of the file. `bits` are stored in words of 16, from the lowest on; 0 for all other kinds
    of pixels. `bit_range`: of a pixel in its word, from the first bit to before the last, if it is not the lowest that is the
    first. `offset`: of the value of the pixels in the file, if they can be read from there as they are or are compressed;
    else 0. `stack` and `dimensions`: of a frame, by its StackID and DimensionIndexValues.
    `slices`, `split` and `nested_keys` are of a NIfTI file, which holds a whole volume and may belong to an official split. With
    `nested_keys` a study_uid is unique within the patient of one delivery, the `scope`, only, and a series_uid within the study.
    """

    path: str
    frame: int = 0
    frames: int = 1
    slices: int = 1
    reason: str | None = None
    burned_in: bool | None = None
    modality: str = ""
    split: str = ""
    nested_keys: bool = False
    scope: str = ""
    # identity
    patient_id: str = ""
    issuer: str = ""  # of the patient_id
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
    localizer_name: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    # metadata
    study_date: str = ""
    sex: str = ""
    age: str = ""
    body_part: str = ""
    contrast: str = ""
    # geometry
    columns: int = 0
    rows: int = 0
    position: Numbers = ()
    decimals: tuple[int, ...] = ()
    orientation: Numbers = ()
    spacing: Numbers = ()
    frame_of_reference: str = ""
    # attributes that distinguish images of the same position
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
    direction: Numbers = ()
    directionality: str = ""
    cardiac_phase: float | None = None
    respiratory_phase: float | None = None
    component: str = ""
    stack: str = ""
    dimensions: Numbers = ()
    thickness: float | None = None
    irradiation: str = ""
    times: Times = ()
    # pixels
    syntax: str = ""
    offset: int = 0
    bits: int = 0
    signed: bool = False
    bit_range: tuple[int, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def compressed(self) -> bool:
        """Whether the pixels are compressed, and encapsulated."""
        return self.syntax not in NATIVE

    @property
    def folder(self) -> str:
        """The folder of the file inside the delivery."""
        return PurePosixPath(self.path).parent.as_posix()

    @property
    def patient_key(self) -> str:
        """Key of the patient: PatientID; else name and birth date; else the study."""
        person = f"{self.patient_name}|{self.birth_date}" if self.patient_name and self.birth_date else ""
        return self.patient_id or person or self.study_key

    @property
    def study_key(self) -> str:
        """The study's UID, or the folder if there is none."""
        if self.nested_keys:
            return nested_key(self.scope, self.patient_id, self.study_uid)
        return self.study_uid or f"folder|{self.folder}"

    @property
    def series_key(self) -> str:
        """The series' UID, or folder, study, number, description and time if there is none."""
        if self.nested_keys:
            return nested_key(self.scope, self.patient_id, self.study_uid, self.series_uid)
        return self.series_uid or f"folder|{self.folder}|{self.study_uid}|{self.series_hint}"

    @property
    def unified_series_key(self) -> str:
        """Key of the series whatever its study: the patient, if known without the study, and the series' UID; "" without a UID."""
        patient = "" if self.patient_key == self.study_key else self.patient_key
        return f"{patient}|{self.series_uid}" if self.series_uid and not self.nested_keys else ""

    @property
    def instance_key(self) -> str:
        """The UID of the SOP instance, or the path if there is none; and the frame's number if there are several."""
        key = self.instance_uid or f"path|{self.path}"
        return key if self.frames == 1 else f"{key}|{self.frame}"


def headers_of_dataset(
    dataset: Dataset, path: str, has_pixels: bool, rules: ImageRules = NO_IMAGE_RULES
) -> list[Header]:
    """The header of a plain image, or those of all frames of an enhanced multi-frame image.

    Args:
        dataset: with its file meta information, and at least `refrad.dicom.header_tags.TAGS` and those of the rules.
        path: of the file, inside the delivery.
        has_pixels: whether pixels follow in the file.
        rules: of the site.
    """
    values = values_of(dataset.file_meta) | values_of(dataset) | {"tiles": [tiles_of(dataset)]}
    common = _common(values, path)
    frames = values.get("PerFrameFunctionalGroupsSequence", [])
    if not frames:
        return [_of_image(values, common, has_pixels, rules, dataset)]
    # Frames are counted by their descriptions: NumberOfFrames of a broken file may be anything.
    shared = (values.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    values |= macros_of(shared, KEYWORDS, CONVERTED) | {"TypeOfFile": values.get("ImageType", [])}
    shared_macros = macros_of(shared, KEYWORDS)
    common = common._replace(frames=len(frames))
    return [
        _of_image(
            values | macros_of(group, KEYWORDS, CONVERTED) | shared_macros | macros_of(group, KEYWORDS),
            common._replace(frame=number, instance_number=number + 1),
            has_pixels,
            rules,
        )
        for number, group in enumerate(frames)
    ]


def _common(values: Values, path: str) -> Header:
    """The header values that all frames of a file share."""
    hints = ("SeriesNumber", "SeriesDescription", "StudyDate", "StudyTime", "SeriesDate", "SeriesTime")
    agent = "agent" if "ContrastBolusAgentSequence" in values else ""
    return Header(
        path,
        modality=text_of(values, "Modality"),
        patient_id=text_of(values, "PatientID"),
        issuer=text_of(values, "IssuerOfPatientID"),
        patient_name=text_of(values, "PatientName"),
        birth_date=text_of(values, "PatientBirthDate"),
        accession_number=text_of(values, "AccessionNumber"),
        study_uid=text_of(values, "StudyInstanceUID"),
        series_uid=text_of(values, "SeriesInstanceUID"),
        instance_uid=text_of(values, "SOPInstanceUID") or text_of(values, "MediaStorageSOPInstanceUID"),
        names=" | ".join(sorted({clean(name) for name in values["names"]} - {""})),
        institution=text_of(values, "InstitutionName"),
        manufacturer=text_of(values, "Manufacturer"),
        series_hint="|".join(text_of(values, keyword) for keyword in hints),
        localizer_name=_localizer_name(values),
        series_number=integer_of(values, "SeriesNumber"),
        instance_number=integer_of(values, "InstanceNumber"),
        study_date=text_of(values, "StudyDate"),
        sex=text_of(values, "PatientSex"),
        age=text_of(values, "PatientAge"),
        body_part=text_of(values, "BodyPartExamined"),
        contrast=text_of(values, "ContrastBolusAgent") or agent,
        syntax=text_of(values, "TransferSyntaxUID"),
    )


def _localizer_name(values: Values) -> str:
    """Whether an MR series is a localizer by its name: the description, or the protocol's name if there is none."""
    name = text_of(values, "SeriesDescription") or text_of(values, "ProtocolName")
    return localizer_name_of(name) if text_of(values, "Modality") == "MR" else ""


def _of_image(
    values: Values, common: Header, has_pixels: bool, rules: ImageRules, dataset: Dataset | None = None
) -> Header:
    """`common` with geometry, attributes and reason of one image; `dataset` has its private elements."""
    diffusion = diffusion_of(values, dataset) if common.modality == "MR" else Diffusion()
    burned_in = _burned_in(values, rules)
    reasons = reasons_of(values, has_pixels=has_pixels, burned_in=burned_in)
    return common._replace(
        reason=next((reason for reason in reasons if reason not in rules.accepted), None),
        burned_in=burned_in,
        columns=integer_of(values, "Columns") or 0,
        rows=integer_of(values, "Rows") or 0,
        position=numbers_of(values, "ImagePositionPatient", 3),
        decimals=decimals_of(values, "ImagePositionPatient"),
        orientation=numbers_of(values, "ImageOrientationPatient", 6),
        spacing=numbers_of(values, "PixelSpacing", 2),
        frame_of_reference=text_of(values, "FrameOfReferenceUID"),
        image_type=text_of(values, "ImageType"),
        echo_time=number_of(values, "EchoTime"),
        temporal=number_of(values, "TemporalPositionIdentifier"),
        acquisition=number_of(values, "AcquisitionNumber"),
        b_value=diffusion.b_value,
        trigger_time=number_of(values, "TriggerTime"),
        inversion_time=number_of(values, "InversionTime"),
        flip_angle=number_of(values, "FlipAngle"),
        kilovolts=number_of(values, "KVP"),
        kernel=text_of(values, "ConvolutionKernel"),
        direction=diffusion.direction,
        directionality=diffusion.directionality,
        cardiac_phase=number_of(values, "NominalPercentageOfCardiacPhase"),
        respiratory_phase=number_of(values, "NominalPercentageOfRespiratoryPhase"),
        component=text_of(values, "ComplexImageComponent"),
        stack=text_of(values, "StackID"),
        dimensions=numbers_of(values, "DimensionIndexValues", len(values.get("DimensionIndexValues", []))),
        thickness=number_of(values, "SliceThickness"),
        irradiation=text_of(values, "IrradiationEventUID"),
        times=times_of(values),
        slope=number_of(values, "RescaleSlope") or 1.0,
        intercept=number_of(values, "RescaleIntercept") or 0.0,
        bits=bits_of_word(values),
        signed=integer_of(values, "PixelRepresentation") == 1,
        bit_range=bit_range(values),
    )


def _burned_in(values: Values, rules: ImageRules) -> bool | None:
    """Whether text is burned in: True if a rule matches, else the value of the header, if any."""
    for rule in rules.burned_in:
        if rule and all(re.search(pattern, text_of(values, keyword), re.IGNORECASE) for keyword, pattern in rule):
            return True
    return {"YES": True, "NO": False}.get(text_of(values, "BurnedInAnnotation").upper())
