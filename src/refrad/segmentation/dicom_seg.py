"""Class masks for other programs: DICOM segmentations, and one binary NIfTI image a class."""

import copy
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import refrad
from refrad.anatomy.schema import AnatomyClass, Schema

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

__all__ = ["dicom_segmentation", "nifti_of_classes"]

SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}  # SNOMED CT


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
    images: Sequence[Dataset],
    schema: Schema,
    segmenter: str,
) -> "Segmentation":
    """A DICOM label map segmentation (PS3.3 A.51, segmentation type LABELMAP) whose segment numbers are the class ids.

    Args:
        classes: class ids uint8 [column, row, slice].
        affine: RAS+ mm, [4, 4], of the classes.
        images: the DICOM files of the volume: single images of one series, or one multi-frame file.
        schema: names and codes of the classes.
        segmenter: name of the segmenter that made the labels.

    Raises:
        ValueError: if there are no classes, or the images lack identifiers that the segmentation must refer to, or other
            headers that it must repeat are not valid. The message quotes no header.
    """
    import highdicom as hd

    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        if not all(image.get(keyword) for image in images):
            raise ValueError(f"the images lack {keyword}, which a segmentation must refer to")
    present = _present_classes(classes)
    if not present:
        raise ValueError("the volume has no class at all")
    # highdicom: axes slice, row, column; LPS+.
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    labels = hd.Volume(
        np.ascontiguousarray(classes.T), lps, "PATIENT", frame_of_reference_uid=images[0].FrameOfReferenceUID
    )
    sources = [copy.copy(image) for image in images]
    for image in sources:
        if not image.get("SliceThickness"):  # may be empty in the files, but highdicom requires it
            image.SliceThickness = labels.spacing_between_slices
        if not image.get("SpecificCharacterSet", "-"):  # an empty one is the default, and highdicom refuses it
            del image.SpecificCharacterSet
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote headers
            return _segmentation(labels, sources, present, schema, segmenter)
    except (ValueError, TypeError, AttributeError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]  # never the message, which may quote a name
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        raise ValueError(f"highdicom refuses the headers of the images ({type(error).__name__} in {where})") from None


def _present_classes(classes: NDArray[np.uint8]) -> list[int]:
    """The class ids that occur, in their order, without the background (0)."""
    ids: list[int] = (np.flatnonzero(np.bincount(classes.ravel(), minlength=256)[1:]) + 1).tolist()
    return ids


def _segmentation(
    labels: Any, sources: Sequence[Dataset], present: Sequence[int], schema: Schema, segmenter: str
) -> "Segmentation":
    import highdicom as hd
    from pydicom.sr.codedict import codes

    algorithm = hd.AlgorithmIdentificationSequence(
        name=segmenter, version=refrad.__version__, family=codes.DCM.ArtificialIntelligence
    )
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=labels,
        segmentation_type=hd.seg.SegmentationTypeValues.LABELMAP,
        segment_descriptions=[_description(schema.by_id[class_id], algorithm) for class_id in present],
        series_instance_uid=generate_uid(),
        series_number=900,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="RefRad",
        manufacturer_model_name=segmenter,
        software_versions=refrad.__version__,
        device_serial_number="0",
        series_description="Automatic segmentation",
        omit_empty_frames=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _description(anatomy_class: AnatomyClass, algorithm: Any) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    code = hd.sr.CodedConcept(
        anatomy_class.snomed or str(anatomy_class.id),
        "SCT" if anatomy_class.snomed else "99REFRAD",
        anatomy_class.english[:64],
    )
    description = hd.seg.SegmentDescription(
        segment_number=anatomy_class.id,
        segment_label=anatomy_class.english[:64],
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=code,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    if anatomy_class.side:
        value, meaning = SIDES[anatomy_class.side]
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept(value, "SCT", meaning)
        ]
    return description
