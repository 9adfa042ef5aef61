"""An answer of a model as a DICOM structured report of the image's study. It identifies the patient."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import generate_uid

import refrad
from refrad.core.types import Box
from refrad.inference.answer_segmentation import (
    LIMITS,
    NAME,
    AnswerContext,
    codes_of,
    dicom_origin,
    equipment,
    slice_grid,
    source_images,
)
from refrad.inference.predictor import Prediction, Region
from refrad.segmentation.dicom_seg import refusal
from refrad.segmentation.source_images import SliceGrid
from refrad.segmentation.structured_report import LANGUAGE_CODES

if TYPE_CHECKING:
    from highdicom.seg import Segmentation
    from highdicom.sr import ComprehensiveSR

__all__ = ["answer_report"]


def answer_report(
    prediction: Prediction, context: AnswerContext, segmentation: "Segmentation | None" = None
) -> "ComprehensiveSR":
    """An answer as a measurement report (PS3.16, TID 1500): the text in a group of the image, and a region (TID 1410) for each phrase.

    A box is a closed polyline in px of the stored image, (0, 0) at the upper left corner of its first pixel (PS3.3 C.18.6.1). A mask
    is a segment of `segmentation`.

    Raises:
        ValueError: if the image is no DICOM image or lacks identifiers, or the answer has masks and no `segmentation`.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    origin = dicom_origin(prediction)
    grid = slice_grid(origin)
    sources = source_images(origin, grid or _nowhere())
    image, frames = sources[0], None if origin.frame is None else [origin.frame + 1]
    groups: list[Any] = [
        hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(uid=generate_uid(), identifier="answer"),
            algorithm_id=_algorithm(context),
            source_images=[hd.sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID, frames)],
        )
    ]
    _add_text(groups[0], codes.DCM.Comment, f"{prediction.text or 'The answer has no text.'} [{NAME}: {LIMITS}]")
    numbers = {} if segmentation is None else _numbers(prediction, segmentation)
    for number, region in enumerate(prediction.regions, 1):
        if region.box is None:
            if segmentation is None:
                raise ValueError(
                    "no report, since the model answers with masks, which are in a segmentation: --dicom seg sr"
                )
            if number not in numbers:
                continue  # a mask without a pixel
            frame = hd.sr.ReferencedSegmentationFrame(
                segmentation.SOPClassUID,
                segmentation.SOPInstanceUID,
                numbers[number],
                numbers[number],
                hd.sr.SourceImageForSegmentation(image.SOPClassUID, image.SOPInstanceUID, frames),
            )
            reference: dict[str, Any] = {"referenced_segment": frame}
        else:
            source = hd.sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID, frames)
            reference = {"referenced_region": hd.sr.ImageRegion("POLYLINE", _corners(region.box), source)}
        groups.append(_group(region, number, reference, context))
    return _report(groups, prediction, context, [*sources, *([] if segmentation is None else [segmentation])])


def _nowhere() -> SliceGrid:
    """A grid for a report, which refers to pixels and states no place."""
    return SliceGrid(np.zeros(3), np.array([0.0, 0.0, 1.0]), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [1.0, 1.0], 1.0)


def _algorithm(context: AnswerContext) -> Any:
    import highdicom as hd

    return hd.sr.AlgorithmIdentification(NAME, refrad.__version__, [f"weights {context.weights}", LIMITS])


def _corners(box: Box) -> NDArray[np.float64]:
    """The corners of a box as a closed polyline, [5, 2], column and row."""
    x_min, y_min, x_max, y_max = box
    return np.array([[x_min, y_min], [x_max, y_min], [x_max, y_max], [x_min, y_max], [x_min, y_min]])


def _numbers(prediction: Prediction, segmentation: "Segmentation") -> dict[int, int]:
    """Number of each region with pixels, from 1, to that of its segment, which is that of its frame."""
    shown = [number for number, region in enumerate(prediction.regions, 1) if region.mask is None or region.mask.any()]
    return dict(zip(shown, range(1, len(segmentation.SegmentSequence) + 1), strict=True))


def _group(region: Region, number: int, reference: dict[str, Any], context: AnswerContext) -> Any:
    import highdicom as hd

    category, kind, side = codes_of(region, context)
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=generate_uid(), identifier=f"phrase {number}"),
        finding_category=category,
        finding_type=kind,
        finding_sites=[hd.sr.FindingSite(kind, laterality=side)] if context.anatomy(region) else None,
        algorithm_id=_algorithm(context),
        **reference,
    )
    _add_text(group, hd.sr.CodedConcept("phrase", "99REFRAD", "Phrase of the sentence"), region.phrase)
    return group


def _add_text(group: Any, name: Any, text: str) -> None:
    import highdicom as hd

    group[0].ContentSequence.append(
        hd.sr.TextContentItem(name, text, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS)
    )


def _report(
    groups: Sequence[Any], prediction: Prediction, context: AnswerContext, evidence: Sequence[Dataset]
) -> "ComprehensiveSR":
    import highdicom as hd
    from pydicom.sr.codedict import codes

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[context.weights]),
        name=NAME,
        manufacturer_name="RefRad",
        model_name=f"{refrad.__version__}, {LIMITS.lower()}",
        serial_number=context.weights,
    )
    ct = prediction.image.modality == "CT"
    code, meaning = LANGUAGE_CODES[context.language]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote headers
            report = hd.sr.MeasurementReport(
                observation_context=hd.sr.ObservationContext(
                    observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device)
                ),
                procedure_reported=codes.cid100.CTUnspecifiedBodyRegion
                if ct
                else codes.cid100.MRIUnspecifiedBodyRegion,
                imaging_measurements=groups,
                title=codes.cid7021.ImagingMeasurementReport,
                language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(
                    hd.sr.CodedConcept(code, "RFC5646", meaning)
                ),
            )
            return hd.sr.ComprehensiveSR(
                evidence=evidence,
                content=report,
                series_number=911,
                specific_character_set="ISO_IR 192",  # UTF-8, whatever the image has
                **equipment(f"{NAME} answer: {LIMITS}"),
            )
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(refusal(error)) from None
