"""The regions of an answer as a DICOM segmentation, and what it shares with the structured report. Both identify the patient."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import refrad
from refrad.anatomy.schema import AnatomyClass, Schema
from refrad.core.types import Box
from refrad.inference.load_image import DicomOrigin
from refrad.inference.predictor import Prediction, Region
from refrad.segmentation.dicom_seg import coded_category, coded_class, coded_side, refusal
from refrad.segmentation.source_images import SliceGrid, SourceSlice, stand_ins

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

__all__ = [
    "LIMITS",
    "NAME",
    "AnswerContext",
    "answer_segmentation",
    "box_pixels",
    "codes_of",
    "dicom_origin",
    "equipment",
    "slice_grid",
    "source_images",
]

NAME = "RadGrounder"
LIMITS = "Research use only, not for clinical use"
BODY_STRUCTURE = ("123037004", "SCT", "Body structure")  # of a phrase that names no class of the schema


@dataclass(frozen=True)
class AnswerContext:
    """What the objects state besides the answer: the digest of the model's weights, the language of the prompt, and the class schema."""

    weights: str
    language: str
    schema: Schema

    def anatomy(self, region: Region) -> AnatomyClass | None:
        """The class that a region names by its class or, without one, by its phrase."""
        if region.class_name is not None:
            return self.schema.by_name.get(region.class_name)
        phrase = region.phrase.strip().casefold()
        names = [
            entry for entry in self.schema.classes if phrase in (entry.english.casefold(), entry.german.casefold())
        ]
        return names[0] if len(names) == 1 else None


def box_pixels(box: Box, width: int, height: int) -> NDArray[np.bool_]:
    """The pixels whose centres are in a box, bool [height, width]. Args: box: x_min, y_min, x_max, y_max in px, half-open."""
    x_min, y_min, x_max, y_max = box
    across, down = np.arange(width) + 0.5, np.arange(height) + 0.5
    inside: NDArray[np.bool_] = ((down >= y_min) & (down < y_max))[:, None] & ((across >= x_min) & (across < x_max))
    return inside


def answer_segmentation(prediction: Prediction, context: AnswerContext) -> "Segmentation":
    """The regions of an answer as a binary DICOM segmentation (PS3.3 A.51) of the image, a segment for each, numbered from 1.

    A box is filled, and its label says that it is a box: "Box of liver" is no outline of the liver.

    Raises:
        ValueError: if the image is no DICOM image, has no place in the patient, or lacks identifiers, or the answer has no region.
    """
    import highdicom as hd

    origin = dicom_origin(prediction)
    height, width = prediction.image.channels.shape[1:]
    drawn = [
        (region, mask)
        for region in prediction.regions
        if (mask := region.mask if region.box is None else box_pixels(region.box, width, height)) is not None
        and mask.any()
    ]
    if not drawn:
        raise ValueError("no segmentation, since the answer has no region")
    grid = slice_grid(origin)
    if grid is None:
        raise ValueError(
            "no segmentation, since the image has no place in the patient (ImagePositionPatient, ImageOrientationPatient, PixelSpacing)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote headers
            return hd.seg.Segmentation(
                source_images=source_images(origin, grid),
                pixel_array=np.stack([mask for _, mask in drawn], -1)[None].astype(np.uint8),
                plane_positions=[hd.PlanePositionSequence("PATIENT", grid.position(0))],
                plane_orientation=hd.PlaneOrientationSequence("PATIENT", grid.orientation),
                pixel_measures=hd.PixelMeasuresSequence(grid.spacing, grid.distance),
                segmentation_type="BINARY",
                segment_descriptions=[_segment(region, number, context) for number, (region, _) in enumerate(drawn, 1)],
                series_number=910,
                manufacturer_model_name=NAME,
                device_serial_number=context.weights[:16],
                content_description=LIMITS,
                content_label="RADGROUNDER",
                transfer_syntax_uid=ExplicitVRLittleEndian,
                **equipment(f"{NAME} regions: {LIMITS}"),
            )
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(refusal(error)) from None


def dicom_origin(prediction: Prediction) -> DicomOrigin:
    """Where the image of an answer is stored.

    Raises:
        ValueError: if it is no DICOM image.
    """
    if prediction.image.origin is None:
        raise ValueError("a segmentation or report needs a DICOM image, whose study it belongs to")
    return prediction.image.origin


def slice_grid(origin: DicomOrigin) -> SliceGrid | None:
    """The place of the image in the patient, if its header has one."""
    header = origin.header
    if not (header.position and header.orientation and header.spacing):
        return None
    thickness = header.thickness or header.spacing[0]  # of one image, whose neighbours are unknown
    first, step = np.array(header.position), np.cross(header.orientation[:3], header.orientation[3:]) * thickness
    return SliceGrid(first, step, list(header.orientation), list(header.spacing), thickness)


def source_images(origin: DicomOrigin, grid: SliceGrid) -> list[Dataset]:
    """The image as highdicom reads it, with the place of `grid`.

    Raises:
        ValueError: if it lacks identifiers, or a header that is repeated is not valid.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote headers
        image = pydicom.dcmread(origin.path, stop_before_pixels=True, force=True)
        return stand_ins({0: SourceSlice(image, origin.frame)}, grid)


def equipment(description: str) -> dict[str, Any]:
    """What both objects state of themselves; each is a series of its own."""
    return {
        **{"series_instance_uid": generate_uid(), "sop_instance_uid": generate_uid(), "instance_number": 1},
        **{"manufacturer": "RefRad", "software_versions": refrad.__version__, "series_description": description},
    }


def codes_of(region: Region, context: AnswerContext) -> tuple[Any, Any, Any]:
    """Category, type and side of a region, in codes of the schema; without a class, a body structure of no side."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    anatomy = context.anatomy(region)
    if anatomy is None:
        return codes.SCT.AnatomicalStructure, hd.sr.CodedConcept(*BODY_STRUCTURE), None
    return coded_category(anatomy), coded_class(anatomy), coded_side(anatomy)


def _segment(region: Region, number: int, context: AnswerContext) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    category, kind, side = codes_of(region, context)
    label = region.phrase if region.box is None else f"Box of {region.phrase}"
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label[:64],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=NAME,
            version=refrad.__version__,
            family=codes.DCM.ArtificialIntelligence,
            source="RefRad",
            parameters={"weights": context.weights},
        ),
    )
    if side:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    return description
