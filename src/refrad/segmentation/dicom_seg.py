"""Class masks for other programs: DICOM segmentations, and one binary NIfTI image a class."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config
from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import validate_value

import refrad
from refrad.anatomy.schema import AnatomyClass, Schema

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.sr import CodedConcept

__all__ = [
    "SegmentationKind",
    "checked_images",
    "coded_class",
    "coded_side",
    "dicom_segmentation",
    "nifti_of_classes",
]

SegmentationKind = Literal["labelmap", "binary"]
IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")
# Required, but may be empty: type 2 of the modules Patient and General Study (PS3.3 C.7.1.1 and C.7.2.1). De-identified files lack some.
MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
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
        images: the DICOM files of the volume: single images of one series, or one multi-frame file.
        schema: names and codes of the classes.
        segmenter: name of the segmenter that made the labels.
        kind: labelmap or binary.
        colours: recommended colour of each class, RGB 0..255, by class id.

    Raises:
        ValueError: if there are no classes, or the images lack identifiers that the segmentation must refer to, or other
            headers that it must repeat are missing or not valid. The message names keywords, and quotes no value.
    """
    import highdicom as hd

    present = _present_classes(classes)
    if not present:
        raise ValueError("the volume has no class at all")
    # highdicom: axes slice, row, column; LPS+.
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    sources = checked_images(images, float(np.linalg.norm(lps[:3, 0])))
    numbers = {class_id: class_id if kind == "labelmap" else number for number, class_id in enumerate(present, 1)}
    lut = np.zeros(256, np.uint8)
    lut[list(numbers)] = list(numbers.values())
    labels = hd.Volume(
        np.ascontiguousarray(lut[classes].T), lps, "PATIENT", frame_of_reference_uid=images[0].FrameOfReferenceUID
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote headers
            descriptions = [
                _description(schema.by_id[class_id], number, segmenter, (colours or {}).get(class_id))
                for class_id, number in numbers.items()
            ]
            return _segmentation(labels, sources, descriptions, segmenter, kind)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(_refusal(error)) from None


def checked_images(images: Sequence[Dataset], thickness: float) -> list[Dataset]:
    """Copies of the images, with the headers that highdicom needs: what may be empty and is absent is added empty.

    Args:
        images: the DICOM files of a volume.
        thickness: of a slice in mm, for images that lack it.

    Raises:
        ValueError: if an identifier is missing or a header that the segmentation repeats is not valid, naming the keyword.
    """
    for keyword in IDENTIFIERS:
        if lacking := sum(not image.get(keyword) for image in images):
            raise ValueError(
                f"{lacking} of {len(images)} images lack {keyword}, which a segmentation must refer to: restore it in the archive"
            )
    sources = []
    for image in images:
        source = Dataset()  # its own elements: a shallow copy of pydicom shares them with the image
        source.update({element.tag: element for element in image})
        if "file_meta" in image.__dict__:
            source.file_meta = image.file_meta
        if not source.get("SliceThickness"):  # may be empty in the files, but highdicom requires it
            source.SliceThickness = thickness
        if not source.get("SpecificCharacterSet", "-"):  # an empty one is the default, and highdicom refuses it
            del source.SpecificCharacterSet
        for keyword in MAY_BE_EMPTY:
            if source.get(keyword) is None:
                setattr(source, keyword, "")
        sources.append(source)
    _check_repeated(sources[0])
    return sources


def _check_repeated(image: Dataset) -> None:
    """Refuse an image whose headers that the segmentation repeats do not keep to their value representation."""
    wrong = []
    for keyword in (*IDENTIFIERS, *MAY_BE_EMPTY):
        element = image[keyword]
        try:
            validate_value(element.VR, element.value, config.RAISE)
        except (ValueError, TypeError):
            wrong.append(keyword)
    if wrong:
        raise ValueError(f"not valid in the images: {', '.join(wrong)}; correct the headers in the archive")


def _refusal(error: Exception) -> str:
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
    labels: Any, sources: Sequence[Dataset], descriptions: Sequence[Any], segmenter: str, kind: SegmentationKind
) -> "Segmentation":
    import highdicom as hd

    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=labels,
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
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=coded_class(anatomy_class),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        display_color=hd.color.CIELabColor.from_rgb(*colour) if colour else None,
    )
    if side := coded_side(anatomy_class):
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    return description


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
