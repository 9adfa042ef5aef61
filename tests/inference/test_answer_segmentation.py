import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tests.factories import write_dicom
from tests.factories.answers import answer_about, mask_of
from tests.factories.oblique_series import read_with_dcmqi

from refrad.dicom.hanging import TURNS
from refrad.inference.answer_report import answer_report
from refrad.inference.answer_segmentation import AnswerContext, answer_segmentation, box_pixels
from refrad.inference.predictor import Region


@pytest.fixture(scope="module")
def context(schema):
    return AnswerContext("0123456789abcdef" * 2, "en", schema)


def ct(path, pixels=None, **headers):
    """A CT of 80 x 48 px of 1.5 x 2 mm."""
    pixels = np.zeros((48, 80), np.int16) if pixels is None else pixels
    return write_dicom(path, pixels, **({"PixelSpacing": [2, 1.5], "SliceThickness": 3} | headers))


def test_box_pixels_are_those_with_their_centre_inside():
    """Of columns 0 to 5 the centres 1.5, 2.5 and 3.5 are in 1.5 to 4.5, which is half-open; of rows the centre 0.5 alone in 0 to 1."""
    expected = np.zeros((3, 6), bool)
    expected[0, 1:4] = True
    assert np.array_equal(box_pixels((1.5, 0.0, 4.5, 1.0), 6, 3), expected)
    assert not box_pixels((2.0, 1.0, 2.0, 3.0), 6, 3).any()


@settings(max_examples=25, phases=[Phase.generate])
@given(
    turn=st.sampled_from(list(TURNS.values())),
    tilt=st.tuples(*[st.floats(-20, 20)] * 3),
    box=st.tuples(st.integers(0, 30), st.integers(0, 20), st.integers(2, 15), st.integers(2, 12)),
)
def test_region_is_where_the_reader_of_the_turned_image_saw_it(tmp_path_factory, context, turn, tilt, box):
    """A bright rectangle is stored in a slice of any orientation. The box around it in the image as a radiologist reads it, turned back,
    is in the segmentation and in the report at the same points of the patient as the bright pixels.
    """
    x, y, width, height = box
    pixels = np.full((36, 52), -1000, np.int16)
    pixels[y : y + height, x : x + width] = 1000
    axes = np.eye(3)[:2][:: -1 if turn.transpose else 1] * [
        [-1 if turn.flip_columns else 1],
        [-1 if turn.flip_rows else 1],
    ]
    right, down = axes @ Rotation.from_euler("xyz", tilt, degrees=True).as_matrix().T
    headers = {"ImageOrientationPatient": [*right, *down], "ImagePositionPatient": [-7, 5, 30]}
    folder = tmp_path_factory.mktemp("turned")
    path = ct(folder / "a.dcm", pixels, **headers)

    image = answer_about(path).image
    seen = image.turn.image(image.channels[1] > 0)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    box_seen = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    region = Region("liver", "liver", tuple(map(float, image.turn.inverse.box(box_seen, *reversed(seen.shape)))))

    segmentation = answer_segmentation(answer_about(path, region), context)
    assert np.array_equal(segmentation.pixel_array.reshape(pixels.shape) > 0, pixels > 0)
    place = {element.keyword: element.value for element in segmentation.iterall()}
    assert np.allclose(place["ImagePositionPatient"], [-7, 5, 30], atol=1e-4)
    assert np.allclose(place["ImageOrientationPatient"], [*right, *down], atol=1e-4)
    assert list(place["PixelSpacing"]) == [2, 1.5]
    answer_report(answer_about(path, region), context).save_as(folder / "sr.dcm")
    (group,) = hd.sr.srread(folder / "sr.dcm").content.get_planar_roi_measurement_groups()
    corners = group.roi.value
    assert corners.min(0).tolist() == [x, y] and corners.max(0).tolist() == [x + width, y + height]


def test_dcmtk_reads_masks_at_their_place(tmp_path, context):
    """By hand: columns 20 to 29 of 1.5 mm lie at x = -10 + 30 to -10 + 43.5 in DICOM's patient coordinates."""
    path = ct(tmp_path / "a.dcm", ImagePositionPatient=[-10, -20, 30])
    answer_segmentation(answer_about(path, Region("Leber", None, None, mask_of((48, 80), 20, 30))), context).save_as(
        tmp_path / "seg.dcm"
    )
    labels, affine = read_with_dcmqi(tmp_path / "seg.dcm", tmp_path / "read")
    across = [(affine @ [*index, 1])[0] for index in np.argwhere(labels)]
    assert (min(across), max(across)) == pytest.approx((-33.5, -20.0)) and len(across) == 48 * 10


def test_segment_of_a_box_says_that_it_is_one(tmp_path, context):
    liver, odd = Region("liver", "liver", (0.0, 0.0, 20.0, 20.0)), Region("nodule", None, (5.0, 5.0, 30.0, 40.0))
    segmentation = answer_segmentation(answer_about(ct(tmp_path / "a.dcm"), liver, odd), context)
    labels = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    assert labels == ["Box of liver", "Box of nodule"]
    codes = [segment.SegmentedPropertyTypeCodeSequence[0].CodeValue for segment in segmentation.SegmentSequence]
    assert codes == ["10200004", "123037004"]
    assert [int((frame > 0).sum()) for frame in segmentation.pixel_array] == [
        400,
        25 * 35,
    ]  # they overlap, and both are whole


def test_segmentation_belongs_to_the_study_and_states_model_and_limits(tmp_path, context):
    path = ct(tmp_path / "a.dcm", PatientName="Doe^Jane")
    region = Region("kidney", "kidney_left", (0.0, 0.0, 20.0, 20.0))
    segmentation, source = answer_segmentation(answer_about(path, region), context), pydicom.dcmread(path)
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert segmentation[keyword].value == source[keyword].value
    (series,) = segmentation.ReferencedSeriesSequence
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    (segment,) = segmentation.SegmentSequence
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == "RadGrounder" and context.weights in algorithm.AlgorithmParameters
    assert (
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    )
    assert segmentation.ContentDescription == "Research use only, not for clinical use"


def test_answer_without_a_region_has_no_segmentation(tmp_path, context):
    path = ct(tmp_path / "a.dcm")
    for regions in ([], [Region("liver", "liver", (3.0, 3.0, 3.0, 9.0))]):
        with pytest.raises(ValueError, match="no segmentation, since the answer has no region"):
            answer_segmentation(answer_about(path, *regions), context)
