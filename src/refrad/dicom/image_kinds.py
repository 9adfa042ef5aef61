"""Kinds of images that are no slices of a volume, recognised by header values, and the reasons to quarantine an image."""

import re
from collections.abc import Iterator
from functools import lru_cache

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from refrad.core.types import MODALITIES
from refrad.dicom.elements import Values, clean, integer_of, number_of, numbers_of, text_of, values_of
from refrad.dicom.geometry import is_plausible

__all__ = ["MENTIONED", "NAMED", "TILE_TAGS", "localizer_name_of", "reasons_of", "tiles_of"]


class _Words:
    """One of the words, which are patterns, anywhere in a text from `_plain`; a number may follow the word directly."""

    def __init__(self, *words: str) -> None:
        pattern = re.compile(rf"\b(?:{'|'.join(words)})[0-9]*\b")
        self.search = lru_cache(maxsize=4096)(pattern.search)  # the images of a series share their texts
        self.fullmatch = pattern.fullmatch


STORAGE = "1.2.840.10008.5.1.4.1.1."  # root of the SOP classes of images and of what is stored with them (PS3.4 B.5)
SECONDARY_CAPTURE = f"{STORAGE}7"
PARAMETRIC_MAP = f"{STORAGE}30"
# Of CT and MR: plain, enhanced, converted, colour
CT_AND_MR = {PARAMETRIC_MAP} | {f"{STORAGE}{number}" for number in ("2", "2.1", "2.2", "4", "4.1", "4.3", "4.4")}
# PROT is a page of text with the protocol (Siemens).
CAPTURE = _Words(
    "SCREEN ?(?:SAVE|CAPTURE|SHOT)S?", "DOSE ?(?:INFO|REPORT|RECORD)", "PATIENT PROTOCOL", "CT SOM[0-9]+ PROT"
)
# POSDISP and GSP are copies of images into which lines are drawn where slices lie (Siemens).
LOCALIZER = _Words(
    *("LOCALI[SZ]ERS?", "SCOUTS?", "SCOUTVIEW", "TOPOGRAM", "SURVIEW", "SURVEY", "SCANOGRAM", "POSDISP", "GSP"),
)
MOSAIC = _Words("MOSAIC")
# Private elements with the number of tiles: group, private creator, element (Siemens, United Imaging)
CREATOR = 0x0010
TILES = ((0x0019, "SIEMENS MR HEADER", 0x100A), (0x0065, "Image Private Header", 0x1050))
TILE_TAGS: list[int] = [Tag(group, element) for group, _, number in TILES for element in (CREATOR, number)]
# No projections, so not listed: MPR, REFORMATTED, THIN, THICK, AVERAGE and MEAN (slices, however thick), and IP alone, which is
# "in phase". MAXIMUM and MINIMUM take each pixel from several images (PS3.3 C.8.16.1.4). PJN is short for projection.
PROJECTION = _Words(
    *(
        "[A-Z]*MIPS?",
        "MIP ?(?:THIN|THICK)",
        "[A-Z]*MINIP",
        "MNIP",
        "MAXIP",
        "(?:MAX|MIN|AVG|AVERAGE|MEAN) IP",
        "MAXIMUM",
        "MINIMUM",
    ),
    r"(?<=\\)(?:MAX|MIN)(?=\\|$)",  # as a value, after REFORMATTED (General Electric)
    *("PROJ", "PROJECTIONS?", "PJN", "RAY ?SUM", "STDDEV (?:COR|SAG|TRA)"),
    *("CPR", "CURVED", "RENDER(?:ED|ING)?", "VRT?", "VOLREN", "SSD", "SHADED", "SURFACE", "PANORAM(?:A|IC)"),
    *("ENDOSCOP(?:IC|Y)", "ENDOVIEW", "FLY ?THROUGH"),
)
# Values of VolumeBasedCalculationTechnique (PS3.3 C.8.16.2.1.3) of slices. VolumetricProperties is not read: scanners write
# DISTORTED for slices without distortion correction (Siemens XA) and for curved reformats.
SLICE_TECHNIQUES = {"", "NONE", "MPR"}
# CT images in other units than HU: multi-energy CT (PS3.3 C.8.15.2.1.1.5; virtual monoenergetic images, weighted ones and those
# with a material removed are in HU), perfusion, and arithmetic between images.
MAP = _Words(
    *("MAT SPECIFIC", "MAT FRACTIONAL", "MAT VALUE BASED", "MAT MODIFIED", "HU MOD(?:IFIED)?"),
    *("(?:EFF|EFFECTIVE) ATOMIC NUM(?:BER)?", "Z ?EFF(?:ECTIVE)?", "(?:EFF|EFFECTIVE) Z"),
    *("ELECTRON DENSITY", "RHO ?Z?", "STOPPING POWER", "MAPS?"),
    "(?:CALCIUM|FAT|WATER) (?:CONCENTRATION|DENSITY|FRACTION)",
    *(
        "HAP",
        "(?:WATER|CALCIUM|FAT|LIPID|BLOOD|URIC ACID) (?:WATER|CALCIUM|FAT|LIPID|BLOOD|URIC ACID|CA)",
    ),  # "Fat(Water)"
    *("(?:R|REL)?(?:CBF|CBV|MTT|TTP|TMAX)", "TTD", "TTS", "OEF", "PBV", "PERMEABILITY", "BLOOD FLOW", "BLOOD VOLUME"),
    *("TIME TO (?:PEAK|DRAIN|START|MAX)", "TRANSIT TIME", "K ?TRANS"),
    *("SEGMENTATION", "LABEL ?MAP", "MASK"),
)
ARITHMETIC = _Words("SUB(?:TRACT(?:ION|ED)?)?", "DIVISION", "MULTIPLICATION", "STD ?DEV(?:IATION)?", "QUANTITY")
IODINE = _Words("IODINE", "[IJ]OD", "[IJ]ODKARTE")
# Words of images in HU whose name mentions iodine
WITHOUT_IODINE = _Words("REMOVED", "SUPPRESSED", "VIRTUAL", "VNC", "VUE", "VMI", "MONO", "MONOENERGETIC", "[0-9]*KEV")
# RescaleType (PS3.3 C.11.1.1.2), and units of other forms. Much plain CT has US, "unspecified".
OTHER_UNITS = _Words("OD", "MGML", "Z EFF", "ED", "EDW", "PCT", "HU MOD")
QUOTIENT = re.compile(r"%|/ *[0-9]* *(?:ML|CC|CM3?|L|G|MIN|S)\b")
HOUNSFIELD_CODES = {"[hnsf'U]", "HU"}  # UCUM, and a common misspelling
NO_UNIT_CODES = {"", "1"}
# Names of MR localizers in German and English, and the words by which a name says that slices were planned on one
LOCALIZER_NAMES = (
    *("[A-Z]*LO[CK]ALI[SZ](?:ERS?|IERUNG|ATORS?|ATEUR)", "[A-Z]*LOCAT(?:ORS?|E)", "LOCA", "LOCS?", "3PL?LOC"),
    *("[A-Z]*SCOUTS?", "[A-Z]*SURVEYS?", "PILOT", "PLAN ?SCANS?", "FAST ?VIEW"),
    *("SURVIEW", "SCANOGRAM", "TOPOGRAMM?", "(?:3|THREE|DREI) ?(?:PL|PLANES?|EBENEN)"),
)
# Names that only images that cross each other confirm, since series for diagnosis have them too
OVERVIEW_NAME = _Words("ÜBERSICHT(?:EN)?", "UEBERSICHT(?:EN)?", "POSITION(?:ING|IERUNG)", "SMART ?BRAIN")
LOCALIZER_NAME = _Words(*LOCALIZER_NAMES)
BEFORE = r"(?:NACH|AFTER|POST|OHNE|WITHOUT|NO|AUS|FROM|VOM|VON|AUF|ON|USING|PER|WIE|AS)(?: (?:DEM|DER|DEN|THE|NEUEM|NEW)){0,2}"
AFTER = r"(?:BASED|BASIERT|PLANNED|GEPLANT|GUIDED|FREE|ADAPTED|ANGEPASST)"
PLANNED_ON = re.compile(
    rf"\b{BEFORE} (?:{'|'.join(LOCALIZER_NAMES)})[0-9]*\b|\b(?:{'|'.join(LOCALIZER_NAMES)})[0-9]* {AFTER}\b"
)
NAMED, MENTIONED = "named", "mentioned"


@lru_cache(maxsize=4096)  # the images of a series share their texts
def _plain(text: str) -> str:
    """The text in capitals, with a blank for everything but letters, digits and the backslash between values."""
    return re.sub(r"[^A-ZÄÖÜ0-9\\]+", " ", text.upper())


@lru_cache(maxsize=4096)
def localizer_name_of(name: str) -> str:
    """`NAMED` if the name of a series is that of a localizer, `MENTIONED` if it may be or slices were planned on one, else ""."""
    words = _plain(name)
    if not LOCALIZER_NAME.search(words):
        return MENTIONED if OVERVIEW_NAME.search(words) else ""
    return MENTIONED if PLANNED_ON.search(words) else NAMED


def tiles_of(dataset: Dataset) -> int:
    """The number of slices that an image holds as tiles, by private elements; 0 if these say nothing."""
    for group, creator, number in TILES:
        if (
            (group, number) in dataset
            and (group, CREATOR) in dataset
            and clean(dataset[group, CREATOR].value) == creator
        ):
            try:
                value = dataset[group, number].value
                return int(float(value.decode() if isinstance(value, bytes) else value))
            except (ValueError, TypeError, ArithmeticError):
                continue
    return 0


def reasons_of(values: Values, *, has_pixels: bool, burned_in: bool | None) -> Iterator[str]:
    """Yield the reasons to quarantine an image, the most specific first.

    Args:
        values: of the header of a plain image, or of a frame under the keywords of plain images; "tiles": from `tiles_of`;
            "TypeOfFile": the ImageType of a frame's file.
        has_pixels: whether pixels follow in the file.
        burned_in: whether text is burned in; None if unknown.
    """
    modality = text_of(values, "Modality")
    image_type = _plain(f"{text_of(values, 'ImageType')}\\{text_of(values, 'TypeOfFile')}")
    sop_class = text_of(values, "SOPClassUID") or text_of(values, "MediaStorageSOPClassUID")
    is_capture = f"{sop_class}.".startswith(f"{SECONDARY_CAPTURE}.")
    is_other_class = sop_class.startswith(STORAGE) and sop_class not in CT_AND_MR and not is_capture
    if modality not in MODALITIES or is_other_class or integer_of(values, "BitsAllocated") == 1:
        yield "not_ct_or_mr"
    if not (has_pixels and (integer_of(values, "Rows") or 0) > 0 and (integer_of(values, "Columns") or 0) > 0):
        yield "no_pixels"
    if is_capture or CAPTURE.search(image_type):
        yield "secondary_capture"
    monochrome = text_of(values, "PhotometricInterpretation") in {"MONOCHROME1", "MONOCHROME2"}
    if not monochrome or (integer_of(values, "SamplesPerPixel") or 1) != 1:
        yield "colour"
    if burned_in:
        yield "burned_in"
    if LOCALIZER.search(image_type):
        yield "localizer"
    if MOSAIC.search(image_type) or max(values.get("tiles", [0])) > 1:
        yield "mosaic"
    technique = text_of(values, "VolumeBasedCalculationTechnique").upper()
    if technique not in SLICE_TECHNIQUES or PROJECTION.search(image_type):
        yield "projection"
    has_table = "ModalityLUTSequence" in values
    if len(values.get("RescaleSlope", [])) > 1 or len(values.get("RescaleIntercept", [])) > 1:
        yield "multi_valued_rescale"
    elif modality == "CT" and not (
        has_table or (number_of(values, "RescaleSlope") and number_of(values, "RescaleIntercept") is not None)
    ):
        yield "no_rescale"
    if modality == "CT" and (has_table or sop_class == PARAMETRIC_MAP or not _is_hounsfield(values, image_type)):
        yield "not_hounsfield"
    position = numbers_of(values, "ImagePositionPatient", 3)
    orientation = numbers_of(values, "ImageOrientationPatient", 6)
    if not is_plausible(position, orientation, numbers_of(values, "PixelSpacing", 2)):
        yield "no_geometry"


def _is_hounsfield(values: Values, image_type: str) -> bool:
    """Whether the rescaled values of a CT image are Hounsfield units, by its ImageType, units and, if derived, name."""
    if ARITHMETIC.search(image_type) or _is_map(image_type):
        return False
    if image_type.startswith("DERIVED") and _is_map(_plain(text_of(values, "SeriesDescription"))):
        return False
    units = text_of(values, "RescaleType").upper()
    codes = _unit_codes(values)
    return not (
        OTHER_UNITS.fullmatch(_plain(units))
        or QUOTIENT.search(units)
        or (codes and units != "HU" and not codes & HOUNSFIELD_CODES)
    )


def _is_map(words: str) -> bool:
    return bool(MAP.search(words) or (IODINE.search(words) and not WITHOUT_IODINE.search(words)))


def _unit_codes(values: Values) -> set[str]:
    """Codes of the units of the real-world values (PS3.3 C.7.6.16.2.11)."""
    mappings = [values_of(mapping) for mapping in values.get("RealWorldValueMappingSequence", [])]
    units = [values_of(code) for mapping in mappings for code in mapping.get("MeasurementUnitsCodeSequence", [])]
    return {text_of(unit, "CodeValue") for unit in units} - NO_UNIT_CODES
