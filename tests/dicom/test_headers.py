import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    LegacyConvertedEnhancedCTImageStorage,
    ParametricMapStorage,
    PositronEmissionTomographyImageStorage,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from tests.factories import PLAIN_CT, dataset_of

from refrad.dicom.headers import headers_of_dataset
from refrad.dicom.reasons import REASONS


def dataset(attributes=(), meta_uid="1.2.3", syntax=ExplicitVRLittleEndian):
    elements = dataset_of(**(PLAIN_CT | dict(attributes)))
    elements.file_meta = FileMetaDataset()
    elements.file_meta.TransferSyntaxUID = syntax
    if meta_uid:
        elements.file_meta.MediaStorageSOPInstanceUID = meta_uid
    return elements


def header(attributes=(), path="a/b/c.dcm", has_pixels=True, **options):
    (only,) = headers_of_dataset(dataset(attributes, **options), path, has_pixels)
    return only


def test_plain_slice_is_usable_and_has_its_geometry():
    slice_ = header({"RescaleSlope": 2, "RescaleIntercept": -1024, "EchoTime": "2.5", "InstanceNumber": 7})
    assert slice_.reason is None
    assert (slice_.rows, slice_.columns) == (4, 5)
    assert slice_.position == (1, 2, 3)
    assert slice_.spacing == (0.5, 0.25)
    assert (slice_.slope, slice_.intercept, slice_.echo_time, slice_.instance_number) == (2, -1024, 2.5, 7)
    assert not slice_.compressed
    assert header(syntax=JPEG2000Lossless).compressed


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Modality": "SR"}, "not_ct_or_mr"),
        ({"Modality": None}, "not_ct_or_mr"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1"}, "not_ct_or_mr"),
        ({"SOPClassUID": PositronEmissionTomographyImageStorage}, "not_ct_or_mr"),
        ({"SOPClassUID": RTDoseStorage}, "not_ct_or_mr"),
        ({"SOPClassUID": SegmentationStorage}, "not_ct_or_mr"),
        ({"SOPClassUID": ParametricMapStorage}, "not_hounsfield"),
        ({"BitsAllocated": 1}, "not_ct_or_mr"),
        ({"ModalityLUTSequence": [Dataset()], "RescaleSlope": None}, "not_hounsfield"),
        ({"Rows": None}, "no_pixels"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "secondary_capture"),
        ({"SOPClassUID": SecondaryCaptureImageStorage + ".2"}, "secondary_capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "secondary_capture"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"BurnedInAnnotation": "YES"}, "burned_in"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "projection"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE", "MIN_IP"]}, "projection"),
        ({"VolumeBasedCalculationTechnique": "VOLUME_RENDER"}, "projection"),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic"),
        ({"ModalityLUTSequence": [Dataset()]}, "not_hounsfield"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"RescaleSlope": [1, 2]}, "multi_valued_rescale"),
        ({"RescaleType": "MGML"}, "not_hounsfield"),
        ({"RescaleSlope": None, "RescaleIntercept": None}, "no_rescale"),
        ({"RescaleSlope": None}, "no_rescale"),
        ({"RescaleIntercept": None}, "no_rescale"),
        ({"RescaleSlope": 0}, "no_rescale"),
        ({"ImagePositionPatient": None}, "no_geometry"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "no_geometry"),
        ({"PixelSpacing": [0, 1]}, "no_geometry"),
        ({"PixelSpacing": [1]}, "no_geometry"),
    ],
)
def test_images_that_are_no_slices_have_documented_reasons(attributes, reason):
    assert header(attributes).reason == reason
    assert reason in REASONS


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]},
        {"BurnedInAnnotation": "NO"},
        {"SOPClassUID": None},
        {"SOPClassUID": "1.3.12.2.1107.5.9.1"},
        {"SOPClassUID": LegacyConvertedEnhancedCTImageStorage},
        {"RescaleType": "HU"},
        {"RescaleType": "US"},
        {"VolumetricProperties": "DISTORTED"},
        {"Modality": "MR", "RescaleType": "normalized"},
        {"Modality": "MR", "RescaleSlope": None, "RescaleIntercept": None},
    ],
)
def test_reformats_and_unusual_but_sound_slices_are_usable(attributes):
    assert header(attributes).reason is None


def test_header_without_pixels_is_no_image():
    assert header(has_pixels=False).reason == "no_pixels"


def test_broken_values_count_as_absent():
    broken = dataset({"EchoTime": None, "InstanceNumber": None})
    broken.add_new("EchoTime", "LO", "abc")
    broken.add_new("InstanceNumber", "LO", "99999999999999")
    (slice_,) = headers_of_dataset(broken, "x", has_pixels=True)
    assert slice_.reason is None
    assert slice_.echo_time is None
    assert slice_.instance_number is None


def test_person_names_are_found_anywhere_in_the_header():
    names = {"PatientName": "Doe^Jane", "OperatorsName": ["Roe^Sam", "Poe^Kim"], "ReferringPhysicianName": "Doe^Jane"}
    slice_ = header(names)
    assert slice_.patient_name == "Doe^Jane"
    assert slice_.names == "Doe^Jane | Poe^Kim | Roe^Sam"


def test_keys_are_uids_and_patient_id_where_present():
    slice_ = header()
    assert (slice_.patient_key, slice_.study_key) == ("P1", "1.2.5")
    assert (slice_.series_key, slice_.instance_key) == ("1.2.4", "1.2.3")


EMPTY = dict.fromkeys(["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"], "")


def test_keys_without_uids_use_file_meta_and_folder():
    first, second = header(EMPTY, path="s/1", meta_uid="9.1"), header(EMPTY, path="s/2", meta_uid="9.2")
    assert (first.instance_key, second.instance_key) == ("9.1", "9.2")
    assert first.series_key == second.series_key
    assert first.study_key == second.study_key
    assert first.patient_key == second.patient_key
    elsewhere = header(EMPTY, path="t/1", meta_uid="9.3")
    assert elsewhere.series_key != first.series_key
    assert elsewhere.patient_key != first.patient_key
    other_series = header(EMPTY | {"SeriesNumber": 2}, path="s/3")
    assert other_series.series_key != first.series_key
    assert other_series.patient_key == first.patient_key


def test_keys_without_any_uid_use_the_path():
    assert (
        header(EMPTY, path="s/1", meta_uid=None).instance_key != header(EMPTY, path="s/2", meta_uid=None).instance_key
    )


def test_keys_without_patient_id_need_name_and_birth_date():
    without_birth_date = {"PatientID": "", "PatientName": "Doe^Jane"}
    assert header(without_birth_date).patient_key == header(without_birth_date).study_key
    with_birth_date = without_birth_date | {"PatientBirthDate": "19500101"}
    assert header(with_birth_date).patient_key == header(with_birth_date | {"StudyInstanceUID": "1.9"}).patient_key


def test_enhanced_frames_become_separate_slices():
    orientation = dataset_of(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    measures = dataset_of(PixelSpacing=[2, 3])
    shared = dataset_of(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
    frames = [
        dataset_of(
            PlanePositionSequence=[dataset_of(ImagePositionPatient=[k, 0, 0])],
            PixelValueTransformationSequence=[dataset_of(RescaleSlope=k + 1, RescaleIntercept=-k)],
            MREchoSequence=[dataset_of(EffectiveEchoTime=10.0 * k)],
            FrameContentSequence=[dataset_of(TemporalPositionIndex=k)],
            MRImageFrameTypeSequence=[dataset_of(FrameType=["ORIGINAL", "PRIMARY", "M"])],
        )
        for k in range(3)
    ]
    enhanced = dataset(
        {
            "Modality": "MR",
            "InstanceNumber": 1,
            "ImagePositionPatient": None,
            "ImageOrientationPatient": None,
            "PixelSpacing": None,
            "NumberOfFrames": 2_000_000_000,  # what a broken file may say
            "SharedFunctionalGroupsSequence": [shared],
            "PerFrameFunctionalGroupsSequence": frames,
        }
    )
    headers = headers_of_dataset(enhanced, "e.dcm", has_pixels=True)
    assert [h.reason for h in headers] == [None] * 3
    assert [h.frame for h in headers] == [0, 1, 2]
    assert [h.instance_number for h in headers] == [1, 2, 3]
    assert [h.position for h in headers] == [(k, 0, 0) for k in range(3)]
    assert {h.orientation for h in headers} == {(0, 1, 0, 0, 0, -1)}
    assert {h.spacing for h in headers} == {(2, 3)}
    assert [(h.slope, h.intercept) for h in headers] == [(1, 0), (2, -1), (3, -2)]
    assert [h.echo_time for h in headers] == [0, 10, 20]
    assert [h.temporal for h in headers] == [0, 1, 2]
    assert {h.image_type for h in headers} == {"ORIGINAL\\PRIMARY\\M"}
    assert len({h.instance_key for h in headers}) == 3
    assert {h.series_key for h in headers} == {"1.2.4"}


def enhanced(frame, shared=(), **attributes):
    """The header of the only frame of an enhanced image with these functional groups."""
    geometry = {
        "PlanePositionSequence": [dataset_of(ImagePositionPatient=[1, 2, 3])],
        "PlaneOrientationSequence": [dataset_of(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        "PixelMeasuresSequence": [dataset_of(PixelSpacing=[2, 3])],
    }
    return header(
        {
            "Modality": "MR",
            "ImagePositionPatient": None,
            "ImageOrientationPatient": None,
            "PixelSpacing": None,
            "SharedFunctionalGroupsSequence": [dataset_of(**dict(shared))],
            "PerFrameFunctionalGroupsSequence": [dataset_of(**geometry | frame)],
        }
        | attributes
    )


@pytest.mark.parametrize(
    ("macro", "attribute", "field", "value"),
    [
        ("CTImageFrameTypeSequence", "FrameType", "image_type", "ORIGINAL"),
        ("CTReconstructionSequence", "ConvolutionKernel", "kernel", "B30f"),
        ("CTXRayDetailsSequence", "KVP", "kilovolts", 120),
        ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "trigger_time", 40),
        ("FrameContentSequence", "FrameAcquisitionNumber", "acquisition", 5),
        ("MRDiffusionSequence", "DiffusionBValue", "b_value", 800),
        ("MREchoSequence", "EffectiveEchoTime", "echo_time", 9),
        ("MRImageFrameTypeSequence", "FrameType", "image_type", "DERIVED"),
        ("MRModifierSequence", "InversionTimes", "inversion_time", 150),
        ("MRTimingAndRelatedParametersSequence", "FlipAngle", "flip_angle", 15),
        ("PixelValueTransformationSequence", "RescaleSlope", "slope", 4),
    ],
)
def test_values_of_frames_come_from_standard_macros(macro, attribute, field, value):
    macros = {macro: [dataset_of(**{attribute: value})]}
    assert getattr(enhanced(macros), field) == value
    assert getattr(enhanced({}, shared=macros), field) == value


def philips_block(group, creator="Philips MR Imaging DD 005"):
    """A private sequence that repeats standard attributes with another meaning."""
    repeated = dataset_of(
        ImagePositionPatient=[9, 9, 9],
        ImageOrientationPatient=[0, 1, 0, 1, 0, 0],
        PixelSpacing=[7, 7],
        EchoTime=77,
        AcquisitionNumber=7,
        FlipAngle=70,
        RescaleSlope=7,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    group.private_block(0x2005, creator, create=True).add_new(0x0F, "SQ", [repeated])
    return group


@pytest.mark.parametrize("creator", ["Philips MR Imaging DD 005", "SIEMENS MR SDS 01"])
@pytest.mark.parametrize("place", ["frame", "shared", "inside a macro", "file"])
def test_private_sequences_override_no_macro(creator, place):
    frame = dataset_of(
        PlanePositionSequence=[dataset_of(ImagePositionPatient=[1, 2, 3])],
        PixelMeasuresSequence=[dataset_of(PixelSpacing=[2, 3])],
        MREchoSequence=[dataset_of(EffectiveEchoTime=9)],
        PixelValueTransformationSequence=[dataset_of(RescaleSlope=4, RescaleIntercept=0)],
        MRImageFrameTypeSequence=[dataset_of(FrameType=["ORIGINAL", "PRIMARY"])],
    )
    shared = dataset_of(PlaneOrientationSequence=[dataset_of(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
    attributes = {"Modality": "MR", "ImagePositionPatient": None, "PixelSpacing": None, "RescaleSlope": None}
    whole = dataset(attributes | {"ImageOrientationPatient": None})
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = [frame]
    group = {"frame": frame, "shared": shared, "inside a macro": frame.PlanePositionSequence[0], "file": whole}[place]
    philips_block(group, creator)
    (slice_,) = headers_of_dataset(whole, "e.dcm", has_pixels=True)
    assert slice_.reason is None
    assert (slice_.position, slice_.orientation, slice_.spacing) == ((1, 2, 3), (1, 0, 0, 0, 1, 0), (2, 3))
    assert (slice_.echo_time, slice_.acquisition, slice_.flip_angle, slice_.slope) == (9, None, None, 4)
    assert slice_.image_type == "ORIGINAL\\PRIMARY"


def test_values_of_other_standard_sequences_override_no_macro():
    elsewhere = dataset_of(ImagePositionPatient=[9, 9, 9], PixelSpacing=[7, 7], EchoTime=7)
    slice_ = enhanced({"RadiopharmaceuticalUsageSequence": [elsewhere], "ReferencedImageSequence": [elsewhere]})
    assert (slice_.position, slice_.spacing, slice_.echo_time) == ((1, 2, 3), (2, 3), None)


def test_converted_attributes_count_where_no_macro_has_them():
    converted = [dataset_of(ImagePositionPatient=[9, 9, 9], EchoTime=7, FlipAngle=12, InversionTime=50)]
    echo = {"MREchoSequence": [dataset_of(EffectiveEchoTime=9)]}
    slice_ = enhanced(
        {"UnassignedPerFrameConvertedAttributesSequence": converted},
        shared=echo | {"UnassignedSharedConvertedAttributesSequence": [dataset_of(InversionTime=40, KVP=110)]},
    )
    assert (slice_.position, slice_.echo_time, slice_.flip_angle) == ((1, 2, 3), 9, 12)
    assert (slice_.inversion_time, slice_.kilovolts) == (50, 110)


def test_first_item_of_a_macro_counts():
    positions = [dataset_of(ImagePositionPatient=[1, 2, 3]), dataset_of(ImagePositionPatient=[9, 9, 9])]
    assert enhanced({"PlanePositionSequence": positions}).position == (1, 2, 3)


FRAME_TYPES = ["CTImageFrameTypeSequence", "MRImageFrameTypeSequence"]


@pytest.mark.parametrize("macro", FRAME_TYPES)
def test_kinds_of_frames_are_those_of_their_frame_type(macro):
    def reason(**attributes):
        return enhanced({macro: [dataset_of(**attributes)]}, VolumeBasedCalculationTechnique="MIXED").reason

    assert reason(VolumeBasedCalculationTechnique="NONE", VolumetricProperties="DISTORTED") is None
    assert reason(VolumeBasedCalculationTechnique="CURVED_MPR", VolumetricProperties="DISTORTED") == "projection"
    assert reason(VolumeBasedCalculationTechnique="NONE", FrameType=["DERIVED", "PRIMARY", "CSA MIP"]) == "projection"
    assert reason(VolumeBasedCalculationTechnique="NONE", FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER"]) == "localizer"
    assert reason(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]) == "projection"  # of some frames, unknown which


def test_frames_in_other_units_are_not_hounsfield():
    units = [dataset_of(MeasurementUnitsCodeSequence=[dataset_of(CodeValue="mg/mL")])]
    values = dataset_of(RescaleSlope=1, RescaleIntercept=0)
    frame = {"RealWorldValueMappingSequence": units, "PixelValueTransformationSequence": [values]}
    assert enhanced(frame, Modality="CT").reason == "not_hounsfield"
    assert enhanced({}, shared=frame, Modality="CT").reason == "not_hounsfield"
    assert enhanced(frame, Modality="MR").reason is None


@pytest.mark.parametrize(
    ("modality", "description", "protocol", "name"),
    [
        ("MR", "haste_loc", "T2", "named"),
        ("MR", None, "Survey", "named"),
        ("MR", "T2 TSE", "3-plane loc", ""),  # of all series of the examination (GE)
        ("MR", "T2 nach Survey", None, "mentioned"),
        ("CT", "Scout", None, ""),  # CT says so in ImageType
        ("MR", None, None, ""),
    ],
)
def test_localizer_names_are_those_of_the_series(modality, description, protocol, name):
    slice_ = header({"Modality": modality, "SeriesDescription": description, "ProtocolName": protocol})
    assert slice_.localizer_name == name
    assert slice_.reason is None


def test_private_number_of_tiles_makes_a_mosaic():
    tiles = dataset({"Modality": "MR"})
    tiles.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 36)
    (slice_,) = headers_of_dataset(tiles, "m.dcm", has_pixels=True)
    assert slice_.reason == "mosaic"
