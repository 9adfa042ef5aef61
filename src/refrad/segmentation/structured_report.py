"""Grounded sentences as a DICOM structured report that refers to the segmentation and to the images."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import generate_uid

import refrad
from refrad.anatomy.schema import Schema
from refrad.core.types import Language
from refrad.segmentation.dicom_seg import coded_category, coded_class, coded_side
from refrad.segmentation.source_images import SliceGrid, SourceSlice, stand_ins

if TYPE_CHECKING:
    from highdicom.seg import Segmentation
    from highdicom.sr import (
        Comprehensive3DSR,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        ReferencedSegmentationFrame,
    )

__all__ = ["LANGUAGE_CODES", "GroundedPhrase", "GroundedSentence", "structured_report"]

LANGUAGE_CODES = {"de": ("de", "German"), "en": ("en", "English")}  # RFC 5646


@dataclass(frozen=True)
class GroundedPhrase:
    """A phrase of a sentence, with the class that it names and the area of the class in the image, in mm²."""

    text: str
    class_id: int
    area_mm2: float


@dataclass(frozen=True)
class GroundedSentence:
    """A sentence about one image.

    Attributes:
        text: the sentence.
        index: of the slice in the volume.
        phrases: in the order of the sentence.
    """

    text: str
    index: int
    phrases: Sequence[GroundedPhrase]


def structured_report(
    sentences: Sequence[GroundedSentence],
    language: Language,
    segmentation: "Segmentation",
    affine: NDArray[np.float64],
    slices: Mapping[int, SourceSlice],
    schema: Schema,
) -> "Comprehensive3DSR":
    """A measurement report (PS3.16, TID 1500) with one planar region (TID 1410) for each phrase.

    A region refers to segment and frame of the segmentation and to the image; it holds class, side and area, and as text the
    sentence (Comment) and the phrase.

    Args:
        sentences: of one volume, in one language.
        language: of the sentences.
        segmentation: of the volume, by `dicom_segmentation`; it has the classes of all phrases in their slices.
        affine: RAS+ mm, [4, 4], of the volume.
        slices: slice index to its image, at least of the slices of the sentences.
        schema: names and codes of the classes.

    Raises:
        ValueError: if the segmentation lacks a class in the slice of its phrase, or the images lack identifiers.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    pieces = {sentence.index: slices[sentence.index] for sentence in sentences}
    sources = {image.SOPInstanceUID: image for image in stand_ins(pieces, SliceGrid.of(affine))}
    frames = _frames(segmentation, affine)
    segments = {segment.SegmentLabel: segment.SegmentNumber for segment in segmentation.SegmentSequence}
    regions = []
    for number, (sentence, phrase) in enumerate((s, p) for s in sentences for p in s.phrases):
        segment = segments.get(schema.by_id[phrase.class_id].english[:64])
        frame = frames.get((segment, sentence.index)) or frames.get((None, sentence.index))
        if segment is None or frame is None:
            raise ValueError(f"the segmentation has no {schema.by_id[phrase.class_id].name} in slice {sentence.index}")
        piece = pieces[sentence.index]
        source = hd.sr.SourceImageForSegmentation(
            piece.image.SOPClassUID, piece.image.SOPInstanceUID, None if piece.frame is None else [piece.frame + 1]
        )
        region = hd.sr.ReferencedSegmentationFrame(
            segmentation.SOPClassUID, segmentation.SOPInstanceUID, frame, segment, source
        )
        regions.append(_region(sentence, phrase, f"phrase {number + 1}", region, schema))
    code, meaning = LANGUAGE_CODES[language]
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(), name="RefRad", manufacturer_name="RefRad", model_name=refrad.__version__
    )
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(
            observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device)
        ),
        procedure_reported=codes.cid100.CTUnspecifiedBodyRegion
        if next(iter(sources.values())).get("Modality") == "CT"
        else codes.cid100.MRIUnspecifiedBodyRegion,
        imaging_measurements=regions,
        title=codes.cid7021.ImagingMeasurementReport,
        language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(
            hd.sr.CodedConcept(code, "RFC5646", meaning)
        ),
        # Of multi-frame images highdicom makes no library: it looks for the geometry outside of their frames.
        referenced_images=[image for image in sources.values() if "PixelSpacing" in image] or None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote headers
        return hd.sr.Comprehensive3DSR(
            evidence=[*sources.values(), segmentation],
            content=report,
            series_instance_uid=generate_uid(),
            series_number=901,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="RefRad",
            series_description=f"Grounded sentences, {meaning}",
            specific_character_set="ISO_IR 192",  # UTF-8, whatever the images have: highdicom would leave it out
        )


def _frames(segmentation: "Segmentation", affine: NDArray[np.float64]) -> dict[tuple[int | None, int], int]:
    """Segment number (None: a label map, where a frame holds all) and slice index to the frame, which counts from 1."""
    from_lps = np.linalg.inv(affine) @ np.diag([-1.0, -1.0, 1.0, 1.0])
    frames = {}
    for number, groups in enumerate(segmentation.PerFrameFunctionalGroupsSequence, 1):
        position = [*map(float, groups.PlanePositionSequence[0].ImagePositionPatient), 1.0]
        index = round(float((from_lps @ position)[2]))
        identification = groups.get("SegmentIdentificationSequence")
        frames[identification[0].ReferencedSegmentNumber if identification else None, index] = number
    return frames


def _region(
    sentence: GroundedSentence,
    phrase: GroundedPhrase,
    identifier: str,
    segment: "ReferencedSegmentationFrame",
    schema: Schema,
) -> "PlanarROIMeasurementsAndQualitativeEvaluations":
    import highdicom as hd
    from pydicom.sr.codedict import codes

    anatomy_class = schema.by_id[phrase.class_id]
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=generate_uid(), identifier=identifier),
        referenced_segment=segment,
        finding_category=coded_category(anatomy_class),
        finding_type=coded_class(anatomy_class),
        finding_sites=[hd.sr.FindingSite(coded_class(anatomy_class), laterality=coded_side(anatomy_class))],
        measurements=[hd.sr.Measurement(codes.SCT.Area, phrase.area_mm2, codes.UCUM.SquareMillimeter)],
    )
    texts = {
        codes.DCM.Comment: sentence.text,
        hd.sr.CodedConcept("phrase", "99REFRAD", "Phrase of the sentence"): phrase.text,
    }
    for name, text in texts.items():
        group[0].ContentSequence.append(
            hd.sr.TextContentItem(name, text, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS)
        )
    return group
