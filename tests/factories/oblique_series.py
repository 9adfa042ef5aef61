"""A series of a patient who lies obliquely: five DICOM images and the classes in them."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from refrad.dicom.geometry import stack_affine
from refrad.segmentation.source_images import SourceSlice

__all__ = ["AFFINE", "classes_of_series", "frames_of_series", "images_of_series", "read_with_dcmqi", "slices_of"]

ORIENTATION = [1, 0, 0, 0, 0.8, -0.6]
FIRST, STEP = np.array([-20.0, -30.0, 100.0]), np.array([0, 0.6, 0.8]) * 5
AFFINE = stack_affine(FIRST, STEP, ORIENTATION, [2.0, 1.5])


def classes_of_series():
    """The liver (5), the left kidney (3) and a cut-off piece of the left lung as MR knows it (118), [column, row, slice]."""
    classes = np.zeros((24, 16, 5), np.uint8)
    classes[2:14, 3:9, 1:4] = 5
    classes[16:20, 10:14, 2] = 3
    classes[:2, :2, 0] = 118
    return classes


def images_of_series():
    """The five DICOM images that the slices show."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    datasets = []
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
        datasets.append(image)
    return datasets


def slices_of(images):
    """The images as slices of a volume, in their order."""
    return {index: SourceSlice(image) for index, image in enumerate(images)}


def frames_of_series():
    """The slices as frames 9, 7, 5, 3, 1 of one Enhanced CT file, which states their places in each frame; its other frames have
    the same places, as those of another phase.
    """
    (image, *_), groups = images_of_series(), []
    image.SOPClassUID, image.NumberOfFrames = EnhancedCTImageStorage, 10
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(image, keyword)
    for frame in range(10):
        place, plane, measures, group = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = list(FIRST + (4 - frame // 2) * STEP)
        plane.ImageOrientationPatient, measures.PixelSpacing = ORIENTATION, [2.0, 1.5]
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [plane]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [Dataset()], groups
    return {index: SourceSlice(image, 9 - 2 * index) for index in range(5)}


def read_with_dcmqi(segmentation: Path, folder: Path):
    """Labels and affine of a DICOM segmentation, as DCMTK and ITK read it; its segments are in meta.json of the folder."""
    folder.mkdir()
    reader = Path(sys.executable).with_name("segimage2itkimage")
    command = [reader, "--inputDICOM", segmentation, "--outputDirectory", folder, "--mergeSegments", "-t", "nifti"]
    subprocess.run(command, check=True, capture_output=True)
    image = nib.load(folder / "1.nii.gz")
    return np.asarray(image.dataobj), image.affine
