"""Class masks for other programs: DICOM segmentations, and one binary NIfTI image a class."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import refrad
from refrad.anatomy.schema import AnatomyClass, Schema
from refrad.segmentation.source_images import SliceGrid, SourceSlice, stand_ins

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.sr.coding import Code

__all__ = [
    "SegmentationKind",
    "coded_category",
    "coded_class",
    "coded_side",
    "dicom_segmentation",
    "nifti_of_classes",
    "refusal",
]

SegmentationKind = Literal["labelmap", "binary"]
SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}  # SNOMED CT
ABNORMAL = {"367643001"}  # SNOMED CT: cyst, which is no structure of the normal body


def nifti_of_classes(
    classes: NDArray[np.uint8], affine: NDArray[np.float64], schema: Schema
) -> Iterator[tuple[str, Any]]:
    """Yield name and binary image (NIfTI, uint8, 0 or 1) of each class that is present.

    Args:
        classes: class ids uint8 [column, row, slice].
        affine: RAS+ mm, [4, 4].
        schema: names of the classes.
    """
    for class_id in _present_classes(classes):
        image: Any = nib.Nifti1Image((classes == class_id).astype(np.uint8), affine)  # type: ignore[no-untyped-call]
        image.header.set_xyzt_units("mm")
        yield schema.by_id[class_id].name, image


def dicom_segmentation(
    classes: NDArray[np.uint8],
    affine: NDArray[np.float64],
    slices: Mapping[int, SourceSlice],
    schema: Schema,
    segmenter: str,
    *,
    kind: SegmentationKind = "labelmap",
    colours: Mapping[int, tuple[int, int, int]] | None = None,
) -> "Segmentation":
    """A DICOM segmentation of a volume, which keeps patient, study and frame of reference of its images.

    Kind labelmap (PS3.3 A.51, SOP class Label Map Segmentation) holds every slice once, and its segment numbers are the class ids.
    Kind binary, which older viewers read, holds a frame for each class and slice where the class is; its segments are numbered
    from 1 in the order of the class ids.

    Args:
        classes: class ids uint8 [column, row, slice].
        affine: RAS+ mm, [4, 4], of the classes.
        slices: slice index to its image: single images of one series, or frames of one file. Slices may lack an image.
        schema: names and codes of the classes.
        segmenter: name of the segmenter that made the labels.
        kind: labelmap or binary.
        colours: recommended colour of each class, RGB 0..255, by class id.

    Raises:
        ValueError: if there are no classes, or the images lack identifiers that the segmentation must refer to, or other
            headers that it must repeat are missing or not valid. The message names keywords, and quotes no value.
    """
    present = _present_classes(classes)
    if not present:
        raise ValueError("the volume has no class at all")
    grid = SliceGrid.of(affine)
    sources = stand_ins(slices, grid)
    numbers = {class_id: class_id if kind == "labelmap" else number for number, class_id in enumerate(present, 1)}
    lut = np.zeros(256, np.uint8)
    lut[list(numbers)] = list(numbers.values())
    labels = np.ascontiguousarray(lut[classes].T)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote headers
            descriptions = [
                _description(schema.by_id[class_id], number, segmenter, (colours or {}).get(class_id))
                for class_id, number in numbers.items()
            ]
            return _segmentation(labels, grid, sources, descriptions, segmenter, kind)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(refusal(error)) from None


def refusal(error: Exception) -> str:
    """Why highdicom refuses the headers: the keywords that its message names, never the message, which may quote a name."""
    keywords = [word for word in re.findall(r"\b[A-Z]\w+", str(error)) if tag_for_keyword(word) is not None]
    about = (
        f": {', '.join(dict.fromkeys(keywords))} is missing or not valid" if keywords else f" ({type(error).__name__})"
    )
    return f"highdicom refuses the headers of the images{about}"


def _present_classes(classes: NDArray[np.uint8]) -> list[int]:
    """The class ids that occur, in their order, without the background (0)."""
    ids: list[int] = (np.flatnonzero(np.bincount(classes.ravel(), minlength=256)[1:]) + 1).tolist()
    return ids


def _segmentation(
    labels: NDArray[np.uint8],
    grid: SliceGrid,
    sources: Sequence[Dataset],
    descriptions: Sequence[Any],
    segmenter: str,
    kind: SegmentationKind,
) -> "Segmentation":
    """A segmentation of segment numbers [slice, row, column]. Each plane has its own position, since slices of a tilted gantry are no box."""
    import highdicom as hd

    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=labels,
        plane_positions=[hd.PlanePositionSequence("PATIENT", grid.position(index)) for index in range(len(labels))],
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", grid.orientation),
        pixel_measures=hd.PixelMeasuresSequence(grid.spacing, grid.distance, grid.distance),
        segmentation_type=kind.upper(),
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=900,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="RefRad",
        manufacturer_model_name=segmenter,
        software_versions=refrad.__version__,
        device_serial_number="0",
        series_description="Automatic segmentation",
        omit_empty_frames=kind == "binary",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _description(
    anatomy_class: AnatomyClass, number: int, segmenter: str, colour: tuple[int, int, int] | None
) -> "SegmentDescription":
    import highdicom as hd
    from pydicom.sr.codedict import codes

    algorithm = hd.AlgorithmIdentificationSequence(
        name=segmenter, version=refrad.__version__, family=codes.DCM.ArtificialIntelligence
    )
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=anatomy_class.english[:64],
        segmented_property_category=coded_category(anatomy_class),
        segmented_property_type=coded_class(anatomy_class),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        display_color=hd.color.CIELabColor.from_rgb(*colour) if colour else None,
    )
    if side := coded_side(anatomy_class):
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    return description


def coded_category(anatomy_class: AnatomyClass) -> "Code":
    """The SNOMED CT code of what a class is: an anatomical structure, or a morphologically abnormal one, as a cyst."""
    from pydicom.sr.codedict import codes

    abnormal = anatomy_class.snomed in ABNORMAL
    category: Code = codes.SCT.MorphologicallyAbnormalStructure if abnormal else codes.SCT.AnatomicalStructure
    return category


def coded_class(anatomy_class: AnatomyClass) -> "CodedConcept":
    """The SNOMED CT code of a class, or a private one (99REFRAD, the class id) where the schema gives none.

    The code names the organ of either side; `coded_side` gives the side.
    """
    import highdicom as hd

    meaning = " ".join(word for word in anatomy_class.english.split() if word != anatomy_class.side)
    return hd.sr.CodedConcept(
        anatomy_class.snomed or str(anatomy_class.id),
        "SCT" if anatomy_class.snomed else "99REFRAD",
        meaning[:64],
    )


def coded_side(anatomy_class: AnatomyClass) -> "CodedConcept | None":
    """The SNOMED CT code of the side of a class, or None."""
    import highdicom as hd

    if not anatomy_class.side:
        return None
    value, meaning = SIDES[anatomy_class.side]
    return hd.sr.CodedConcept(value, "SCT", meaning)
