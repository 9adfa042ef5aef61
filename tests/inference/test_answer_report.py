import json
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.uid import EnhancedCTImageStorage
from tests.factories import write_dicom
from tests.factories.answers import answer_about, mask_of
from tests.factories.dicom import dataset_of

from refrad.inference.answer_report import answer_report
from refrad.inference.answer_segmentation import AnswerContext, answer_segmentation
from refrad.inference.predictor import Region

LIVER = Region("Leber", "liver", (10.25, 4.0, 60.5, 24.0))
KIDNEY = Region("Niere links", "kidney_left", (50.0, 30.0, 70.0, 48.0))


@pytest.fixture
def image(tmp_path):
    """A CT of 80 x 48 px."""
    headers = {"PatientName": "Doe^Jane", "PatientID": "P77", "PixelSpacing": [2, 1.5]}
    return write_dicom(tmp_path / "a.dcm", np.zeros((48, 80), np.int16), **headers)


@pytest.fixture
def context(schema):
    return AnswerContext("0123456789abcdef" * 2, "de", schema)


def written(report, tmp_path):
    report.save_as(tmp_path / "report.dcm")
    return hd.sr.srread(tmp_path / "report.dcm")


def texts_of(dataset):
    """All text of a report."""
    return [element.value for element in dataset.iterall() if element.keyword == "TextValue"]


def test_box_is_a_closed_polyline_in_pixels_of_the_stored_image(image, context, tmp_path):
    report = written(answer_report(answer_about(image, LIVER, KIDNEY), context), tmp_path)
    first, second = report.content.get_planar_roi_measurement_groups()
    assert first.roi.value.tolist() == [[10.25, 4.0], [60.5, 4.0], [60.5, 24.0], [10.25, 24.0], [10.25, 4.0]]
    assert second.roi.value.min(0).tolist() == [50.0, 30.0] and second.roi.value.max(0).tolist() == [70.0, 48.0]
    (source,) = first.roi.ContentSequence
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(image).SOPInstanceUID


def test_region_has_code_side_and_phrase_of_its_class(image, context, tmp_path):
    report = written(answer_report(answer_about(image, LIVER, KIDNEY), context), tmp_path)
    groups = report.content.get_planar_roi_measurement_groups()
    assert [(group.finding_type.value, group.finding_type.scheme_designator) for group in groups] == [
        ("10200004", "SCT"),
        ("64033007", "SCT"),
    ]
    assert [[site.laterality and site.laterality.meaning for site in group.finding_sites] for group in groups] == [
        [None],
        ["Left"],
    ]
    assert {"Leber", "Niere links"} <= set(texts_of(report))


def test_phrase_without_a_class_gets_no_invented_code(image, context, tmp_path):
    odd = Region("Rundherd", None, (0.0, 0.0, 8.0, 8.0))
    (group,) = written(
        answer_report(answer_about(image, odd), context), tmp_path
    ).content.get_planar_roi_measurement_groups()
    assert group.finding_type.value == "123037004" and not group.finding_sites


def test_phrase_of_a_mask_has_the_class_of_its_name(context):
    assert context.anatomy(Region("Leber", None, None)).name == "liver"
    assert context.anatomy(Region("LEFT KIDNEY", None, None)).name == "kidney_left"
    assert context.anatomy(Region("beide Nieren", None, None)) is None


def test_report_belongs_to_the_study_and_states_model_and_limits(image, context, tmp_path):
    report, source = written(answer_report(answer_about(image, LIVER), context), tmp_path), pydicom.dcmread(image)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName"):
        assert report[keyword].value == source[keyword].value
    assert report.SeriesInstanceUID != source.SeriesInstanceUID
    assert report.CompletionFlag == "PARTIAL" and report.VerificationFlag == "UNVERIFIED"
    texts = texts_of(report)
    assert "RadGrounder" in texts and f"weights {context.weights}" in texts
    assert any("Die Leber." in text and "Research use only, not for clinical use" in text for text in texts)
    assert "Research use only" in report.SeriesDescription


def test_answer_without_regions_is_reported_as_text(image, context, tmp_path):
    report = written(answer_report(answer_about(image, text="Ja."), context), tmp_path)
    assert not report.content.get_planar_roi_measurement_groups()
    (group,) = report.content.get_image_measurement_groups()
    assert any(text.startswith("Ja.") for text in texts_of(group[0]))


def test_masks_are_segments_of_the_segmentation(image, context, tmp_path):
    """The second mask has no pixel: the third is the second segment."""
    masks = [mask_of((48, 80), 0, 10), mask_of((48, 80), 0, 0), mask_of((48, 80), 20, 30)]
    regions = [Region(name, None, None, mask) for name, mask in zip(("Leber", "Milz", "Galle"), masks, strict=True)]
    prediction = answer_about(image, *regions)
    with pytest.raises(ValueError, match="answers with masks, which are in a segmentation: --dicom seg sr"):
        answer_report(prediction, context)
    segmentation = answer_segmentation(prediction, context)
    report = written(answer_report(prediction, context, segmentation), tmp_path)
    groups = report.content.get_planar_roi_measurement_groups()
    references = [group.referenced_segmentation_frame[0].ReferencedSOPSequence[0] for group in groups]
    assert [reference.ReferencedSegmentNumber for reference in references] == [1, 2]
    assert {reference.ReferencedSOPInstanceUID for reference in references} == {segmentation.SOPInstanceUID}
    assert np.array_equal(segmentation.pixel_array[1] > 0, masks[2])


def test_image_without_a_place_in_the_patient_has_a_report(tmp_path, context):
    nowhere = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID"))
    image = write_dicom(tmp_path / "a.dcm", np.zeros((48, 80), np.int16), **nowhere)
    prediction = answer_about(image, LIVER)
    with pytest.raises(ValueError, match="no segmentation, since the image has no place in the patient"):
        answer_segmentation(prediction, context)
    report = written(answer_report(prediction, context), tmp_path)
    assert report.content.get_planar_roi_measurement_groups()[0].roi.value.min(0).tolist() == [10.25, 4.0]


def test_frame_of_a_multi_frame_image_is_named(tmp_path, context):
    places = [dataset_of(ImagePositionPatient=[0, 0, 5 * frame]) for frame in range(5)]
    measures = dataset_of(PixelSpacing=[2, 1.5], SliceThickness=5)
    path = write_dicom(
        tmp_path / "a.dcm",
        np.zeros((5, 48, 80), np.int16),
        SOPClassUID=EnhancedCTImageStorage,
        SharedFunctionalGroupsSequence=[
            dataset_of(
                PixelMeasuresSequence=[measures],
                PlaneOrientationSequence=[dataset_of(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
                PixelValueTransformationSequence=[dataset_of(RescaleSlope=1, RescaleIntercept=0)],
            )
        ],
        PerFrameFunctionalGroupsSequence=[dataset_of(PlanePositionSequence=[place]) for place in places],
        **dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")),
    )
    prediction = answer_about(path, LIVER, index=3)
    segmentation = answer_segmentation(prediction, context)
    report = written(answer_report(prediction, context, segmentation), tmp_path)
    (group,) = report.content.get_planar_roi_measurement_groups()
    assert group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 4


def test_refusal_quotes_no_header(tmp_path, context):
    headers = {"PatientName": "Doe^Jane", "StudyInstanceUID": None}
    image = write_dicom(tmp_path / "a.dcm", np.zeros((48, 80), np.int16), **headers)
    with pytest.raises(ValueError, match="lack StudyInstanceUID") as error:
        answer_report(answer_about(image, LIVER), context)
    assert "Doe" not in str(error.value)


def test_dcmtk_reads_the_measurement_groups(image, context, tmp_path):
    answer_report(answer_about(image, LIVER, KIDNEY), context).save_as(tmp_path / "report.dcm")
    reader, out = Path(sys.executable).with_name("tid1500reader"), tmp_path / "report.json"
    command = [reader, "--inputDICOM", tmp_path / "report.dcm", "--outputMetadata", out]
    subprocess.run(command, check=True, capture_output=True)
    answer, first, second = json.loads(out.read_text())["Measurements"]
    assert answer["measurementAlgorithmIdentification"]["AlgorithmName"] == "RadGrounder"
    assert (first["Finding"]["CodeValue"], second["Finding"]["CodeValue"]) == ("10200004", "64033007")
