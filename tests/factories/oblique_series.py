"""A series of a patient who lies obliquely: five DICOM images and the classes in them."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from refrad.dicom.geometry import stack_affine

__all__ = ["AFFINE", "classes_of_series", "images_of_series", "read_with_dcmqi"]

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


def read_with_dcmqi(segmentation: Path, folder: Path):
    """Labels and affine of a DICOM segmentation, as DCMTK and ITK read it; its segments are in meta.json of the folder."""
    folder.mkdir()
    reader = Path(sys.executable).with_name("segimage2itkimage")
    command = [reader, "--inputDICOM", segmentation, "--outputDirectory", folder, "--mergeSegments", "-t", "nifti"]
    subprocess.run(command, check=True, capture_output=True)
    image = nib.load(folder / "1.nii.gz")
    return np.asarray(image.dataobj), image.affine
