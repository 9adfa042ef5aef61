import json
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from tests.factories.oblique_series import AFFINE, classes_of_series, frames_of_series, images_of_series, slices_of

from refrad.segmentation.dicom_seg import dicom_segmentation
from refrad.segmentation.structured_report import GroundedPhrase, GroundedSentence, structured_report

LIVER, KIDNEY = GroundedPhrase("Leber", 5, 216.0), GroundedPhrase("Niere links", 3, 48.0)


@pytest.fixture
def images():
    return images_of_series()


def sentences():
    return [
        GroundedSentence("Leber unauffällig.", 1, [LIVER]),
        GroundedSentence("Leber und Niere links orthotop.", 2, [LIVER, KIDNEY]),
    ]


def written(slices, schema, tmp_path, kind="labelmap", texts=None, language="de"):
    """Paths of a segmentation and of its report."""
    segmentation = dicom_segmentation(classes_of_series(), AFFINE, slices, schema, "x", kind=kind)
    report = structured_report(texts or sentences(), language, segmentation, AFFINE, slices, schema)
    paths = tmp_path / "seg.dcm", tmp_path / "report.dcm"
    for path, dataset in zip(paths, (segmentation, report), strict=True):
        dataset.save_as(path)
    return paths


def evaluations(path, tmp_path):
    """The measurement groups, as DCMTK reads them."""
    reader, out = Path(sys.executable).with_name("tid1500reader"), tmp_path / "report.json"
    subprocess.run([reader, "--inputDICOM", path, "--outputMetadata", out], check=True, capture_output=True)
    return json.loads(out.read_text())["Measurements"]


def test_each_phrase_is_a_region_with_its_sentence(images, schema, tmp_path):
    _, report = written(slices_of(images), schema, tmp_path)
    groups = evaluations(report, tmp_path)
    texts = [
        {item["conceptCode"]["CodeMeaning"]: item["conceptValue"] for item in group["qualitativeEvaluations"]}
        for group in groups
    ]
    assert [(text["Comment"], text["Phrase of the sentence"]) for text in texts] == [
        ("Leber unauffällig.", "Leber"),
        ("Leber und Niere links orthotop.", "Leber"),
        ("Leber und Niere links orthotop.", "Niere links"),
    ]
    assert [group["Finding"]["CodeValue"] for group in groups] == ["10200004", "10200004", "64033007"]
    assert [group.get("Laterality", {}).get("CodeMeaning") for group in groups] == [None, None, "Left"]
    assert [float(group["measurementItems"][0]["value"]) for group in groups] == [216.0, 216.0, 48.0]


@pytest.mark.parametrize("kind", ["labelmap", "binary"])
def test_region_refers_to_the_frame_and_the_image_of_its_slice(images, schema, tmp_path, kind):
    segmentation, report = written(slices_of(images), schema, tmp_path, kind)
    groups = hd.sr.srread(report).content.get_planar_roi_measurement_groups()
    plain = pydicom.dcmread(segmentation)
    classes = classes_of_series()
    for group, phrase, index in zip(groups, [LIVER, LIVER, KIDNEY], [1, 2, 2], strict=True):
        frame, source = (item.ReferencedSOPSequence[0] for item in group.referenced_segmentation_frame)
        assert frame.ReferencedSOPInstanceUID == plain.SOPInstanceUID
        assert source.ReferencedSOPInstanceUID == images[index].SOPInstanceUID
        pixels = plain.pixel_array[int(frame.ReferencedFrameNumber) - 1]
        number = frame.ReferencedSegmentNumber
        shown = pixels == (number if kind == "labelmap" else 1)
        assert np.array_equal(shown, phrase.class_id == classes[:, :, index].T)
        (segment,) = [segment for segment in plain.SegmentSequence if segment.SegmentNumber == number]
        assert segment.SegmentLabel == schema.by_id[phrase.class_id].english


def test_report_is_of_the_study_and_lists_its_evidence(images, schema, tmp_path):
    segmentation, report = written(slices_of(images), schema, tmp_path)
    plain = pydicom.dcmread(report)
    assert plain.StudyInstanceUID == images[0].StudyInstanceUID and plain.PatientID == "P"
    (study,) = plain.CurrentRequestedProcedureEvidenceSequence
    listed = {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert listed == {images[1].SOPInstanceUID, images[2].SOPInstanceUID, pydicom.dcmread(segmentation).SOPInstanceUID}


@pytest.mark.parametrize(("language", "meaning"), [("de", "German"), ("en", "English")])
def test_report_states_its_language(images, schema, tmp_path, language, meaning):
    _, report = written(slices_of(images), schema, tmp_path, language=language)
    items = [item for item in pydicom.dcmread(report).ContentSequence if item.ValueType == "CODE"]
    languages = [item for item in items if item.ConceptNameCodeSequence[0].CodeValue == "121049"]
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in languages] == [meaning]


def test_frame_of_a_multi_frame_image_is_named(schema, tmp_path):
    text = GroundedSentence("Leber.", 1, [LIVER])
    _, report = written(frames_of_series(), schema, tmp_path, texts=[text])
    (group,) = hd.sr.srread(report).content.get_planar_roi_measurement_groups()
    assert group.referenced_segmentation_frame[1].ReferencedSOPSequence[0].ReferencedFrameNumber == 8


def test_class_that_the_slice_lacks_is_refused(images, schema):
    segmentation = dicom_segmentation(classes_of_series(), AFFINE, slices_of(images), schema, "x", kind="binary")
    text = GroundedSentence("Niere links.", 1, [KIDNEY])
    with pytest.raises(ValueError, match="no kidney_left in slice 1"):
        structured_report([text], "de", segmentation, AFFINE, slices_of(images), schema)
