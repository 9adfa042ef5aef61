import datetime

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement
from tests.end_to_end.canaries import PLANTED, plant_identifiers

from refrad.privacy import dicom_profile as dicom
from refrad.privacy.pseudonyms import Pseudonyms

PSEUDONYMS = Pseudonyms(bytes(range(32)))


def deidentify(image, pseudonyms, patient, **others):
    """With the pseudonyms that the index makes of UIDs that are there, and stand for one thing each."""
    owners = {
        "study": pseudonyms.study(image.StudyInstanceUID),
        "series": pseudonyms.series(image.SeriesInstanceUID),
        "instance": pseudonyms.instance(image.SOPInstanceUID),
    }
    return dicom.deidentify(image, pseudonyms, patient, **(owners | others))


@pytest.fixture
def image(shared):
    """A real MR image with planted identifiers."""
    dataset = pydicom.dcmread(shared / "dicom-mr" / "pydicom_small" / "MR_small.dcm")
    dataset.StudyDate, dataset.PatientAge, dataset.PatientSex = "20200115", "095Y", "F"
    dataset.StudyInstanceUID = "1.2.3.4"
    plant_identifiers(dataset)
    return dataset


def test_planted_identifiers_survive_in_no_element(image):
    clean = deidentify(image, PSEUDONYMS, "p" * 16)
    said = str(clean) + str(clean.file_meta)
    assert all(planted in str(image) for planted in ("KANARI", "19110109"))
    assert not [planted for planted in PLANTED if planted in said]
    assert not [element for element in clean.iterall() if element.tag.is_private]
    for word in (str(image.PatientName), image.PatientID, image.SOPInstanceUID, "TOSHIBA"):
        assert word not in said


def test_pixels_and_geometry_stay_as_they_are(image):
    clean = deidentify(image, PSEUDONYMS, "p" * 16)
    assert clean.PixelData == image.PixelData
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "EchoTime"):
        assert clean[keyword].value == image[keyword].value
    assert clean.file_meta.TransferSyntaxUID == image.file_meta.TransferSyntaxUID


def test_uids_match_the_dataset_and_references_stay_consistent(image):
    item = Dataset()
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    image.ReferencedImageSequence = [item]
    clean = deidentify(image, PSEUDONYMS, "p" * 16)
    assert clean.SOPInstanceUID == f"2.25.{int(PSEUDONYMS.instance(image.SOPInstanceUID), 16)}"
    assert clean.StudyInstanceUID == f"2.25.{int(PSEUDONYMS.study('1.2.3.4'), 16)}"
    assert clean.file_meta.MediaStorageSOPInstanceUID == clean.SOPInstanceUID
    assert clean.SOPClassUID == image.SOPClassUID
    references = clean.get("ReferencedImageSequence", [])
    assert [one.ReferencedSOPInstanceUID for one in references] in ([], [clean.SOPInstanceUID])


def test_empty_or_shared_uids_become_pseudonyms_of_the_tables(image):
    tables = {"study": "0" * 15 + "a", "series": "0" * 15 + "b", "instance": "0" * 15 + "c"}
    for uid in ("", "1.2.3"):
        image.StudyInstanceUID = image.SeriesInstanceUID = image.SOPInstanceUID = uid
        clean = deidentify(image, PSEUDONYMS, "p" * 16, **tables)
        assert (clean.StudyInstanceUID, clean.SeriesInstanceUID) == ("2.25.10", "2.25.11")
        assert clean.SOPInstanceUID == clean.file_meta.MediaStorageSOPInstanceUID == "2.25.12"


def test_multi_frame_file_keeps_one_uid_of_its_own(image):
    image.PerFrameFunctionalGroupsSequence = [Dataset(), Dataset()]
    clean = deidentify(image, PSEUDONYMS, "p" * 16, instance="0" * 15 + "c")
    assert clean.SOPInstanceUID == f"2.25.{int(PSEUDONYMS.instance(image.SOPInstanceUID), 16)}"


def test_dates_keep_their_intervals_and_the_oldest_are_ninety(image):
    image.SeriesDate = "20200117"
    clean = deidentify(image, PSEUDONYMS, "p" * 16)
    first, second = (datetime.datetime.strptime(day, "%Y%m%d") for day in (clean.StudyDate, clean.SeriesDate))
    assert (second - first).days == 2
    assert first - datetime.datetime(2020, 1, 15) == PSEUDONYMS.date_shift("p" * 16)
    assert (clean.PatientAge, clean.PatientSex, clean.PatientBirthDate) == ("090Y", "F", "")


def test_deidentification_is_recorded_in_standard_codes(image):
    clean = deidentify(image, PSEUDONYMS, "p" * 16)
    assert clean.PatientIdentityRemoved == "YES"
    assert clean.LongitudinalTemporalInformationModified == "MODIFIED"
    assert [one.CodeValue for one in clean.DeidentificationMethodCodeSequence] == ["113100", "113107", "113108"]


def test_text_that_no_table_names_goes_too(image):
    image[0x0018, 0x1210] = DataElement((0x0018, 0x1210), "SH", "Meier")  # a kernel named after somebody
    image.ImageType = ["ORIGINAL", "PRIMARY", "MEIER"]
    clean = deidentify(image, PSEUDONYMS, "p" * 16)
    assert "ConvolutionKernel" not in clean
    assert list(clean.ImageType) == ["ORIGINAL", "PRIMARY", "OTHER"]
