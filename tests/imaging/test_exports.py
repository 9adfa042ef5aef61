import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from refrad.cli import main
from refrad.imaging.exports import dicom_segmentation, nifti_of_classes
from refrad.imaging.geometry import stack_affine
from refrad.imaging.segmenters import onto_grid

ORIENTATION = [1, 0, 0, 0, 0.8, -0.6]  # a patient who lies obliquely
FIRST, STEP = np.array([-20.0, -30.0, 100.0]), np.array([0, 0.6, 0.8]) * 5
AFFINE = stack_affine(FIRST, STEP, ORIENTATION, [2.0, 1.5])


@pytest.fixture
def classes():
    """The liver (5), the left kidney (3) and a cut-off piece of the left lung as MR knows it (118), [column, row, slice]."""
    classes = np.zeros((24, 16, 5), np.uint8)
    classes[2:14, 3:9, 1:4] = 5
    classes[16:20, 10:14, 2] = 3
    classes[:2, :2, 0] = 118
    return classes


@pytest.fixture
def images():
    """The five DICOM images that the slices show."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    found = []
    for number in range(5):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.PatientID, image.PatientName, image.PatientBirthDate, image.PatientSex = "P", "A^B", "", ""
        image.StudyID = image.StudyDate = image.StudyTime = image.AccessionNumber = image.ReferringPhysicianName = ""
        image.Modality, image.Rows, image.Columns, image.PixelSpacing = "CT", 16, 24, [2.0, 1.5]
        image.ImageOrientationPatient = ORIENTATION
        image.ImagePositionPatient = list(FIRST + number * STEP)
        found.append(image)
    return found


def saved(segmentation, tmp_path):
    path = tmp_path / "segmentation.dcm"
    segmentation.save_as(path)
    return path


def test_a_segmentation_opens_in_another_reader_with_the_same_labels_at_the_same_places(
    classes, images, schema, tmp_path
):
    path = saved(dicom_segmentation(classes, AFFINE, images, schema, "totalsegmentator fast"), tmp_path)
    reader = Path(sys.executable).with_name("segimage2itkimage")  # of dcmqi, on DCMTK and ITK
    command = [reader, "--inputDICOM", path, "--outputDirectory", tmp_path, "--mergeSegments", "-t", "nifti"]
    subprocess.run(command, check=True, capture_output=True)
    seen = nib.load(tmp_path / "1.nii.gz")
    assert np.array_equal(onto_grid(np.asarray(seen.dataobj), seen.affine, AFFINE, classes.shape), classes)
    plain = pydicom.dcmread(path)
    assert plain.SegmentationType == "LABELMAP"
    places = sorted(
        list(f.PlanePositionSequence[0].ImagePositionPatient) for f in plain.PerFrameFunctionalGroupsSequence
    )
    assert np.allclose(places, sorted(list(image.ImagePositionPatient) for image in images), atol=1e-6)
    assert plain.StudyInstanceUID == images[0].StudyInstanceUID


def test_a_segment_has_the_number_name_code_and_side_of_its_class(classes, images, schema, tmp_path):
    plain = pydicom.dcmread(saved(dicom_segmentation(classes, AFFINE, images, schema, "x"), tmp_path))
    segments = {one.SegmentNumber: one for one in plain.SegmentSequence if one.SegmentNumber}
    assert set(segments) == {3, 5, 118}
    kidney = segments[3].SegmentedPropertyTypeCodeSequence[0]
    assert (segments[3].SegmentLabel, kidney.CodeValue) == ("left kidney", "64033007")
    assert kidney.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert "SegmentedPropertyTypeModifierCodeSequence" not in segments[5].SegmentedPropertyTypeCodeSequence[0]


def test_images_without_identifiers_cannot_be_referred_to(classes, images, schema):
    del images[2].SOPInstanceUID
    with pytest.raises(ValueError, match="the images lack SOPInstanceUID"):
        dicom_segmentation(classes, AFFINE, images, schema, "x")


def test_one_file_a_class_puts_together_to_the_whole(classes, schema):
    files = dict(nifti_of_classes(classes, AFFINE, schema))
    assert set(files) == {"liver", "kidney_left", "lung_left"}
    whole = sum(schema.by_name[name].id * np.asarray(image.dataobj) for name, image in files.items())
    assert np.array_equal(whole, classes)
    assert all(np.allclose(image.affine, AFFINE) for image in files.values())


def test_the_command_writes_one_file_for_each_class_of_each_volume(study, tmp_path):
    study.structures()
    arguments = ["--masks", study.path("masks"), "--mask-store", study.mask_store, "--schema", study.schema]
    assert main(["export-masks", *map(str, arguments), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out" / "v").iterdir()) == [
        *("kidney_left.nii.gz", "kidney_right.nii.gz", "liver.nii.gz")
    ]
    liver = np.asarray(nib.load(tmp_path / "out" / "v" / "liver.nii.gz").dataobj)
    assert np.array_equal(liver, study.labels == 5)
    assert main(["export-masks", *map(str, arguments), "--out", str(tmp_path), "--volume", "other"]) == 1
