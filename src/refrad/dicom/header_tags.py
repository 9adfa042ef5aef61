"""The elements that are read from a DICOM header."""

import re

from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]
from pydicom.tag import Tag

from refrad.dicom.diffusion import DIFFUSION_KEYWORDS, DIFFUSION_TAGS
from refrad.dicom.image_kinds import TILE_TAGS
from refrad.dicom.times import TIME_KEYWORDS

__all__ = ["KEYWORDS", "TAGS"]

NAME_TAGS: list[int] = [tag for tag, entry in DicomDictionary.items() if entry[0] == "PN"]
KEYWORDS = re.findall(
    r"\w+",
    """
    SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality ImageType Manufacturer
    InstitutionName PatientID IssuerOfPatientID PatientBirthDate PatientSex PatientAge AccessionNumber StudyDate StudyTime SeriesDate
    SeriesTime SeriesDescription BodyPartExamined ContrastBolusAgent ContrastBolusAgentSequence SeriesNumber
    InstanceNumber AcquisitionNumber TemporalPositionIdentifier EchoTime TriggerTime InversionTime
    FlipAngle KVP ConvolutionKernel ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns
    NumberOfFrames SamplesPerPixel PhotometricInterpretation BurnedInAnnotation RescaleSlope RescaleIntercept RescaleType
    BitsAllocated BitsStored HighBit PixelRepresentation ModalityLUTSequence VolumeBasedCalculationTechnique ProtocolName
    RealWorldValueMappingSequence SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence SliceThickness
    NominalPercentageOfCardiacPhase NominalPercentageOfRespiratoryPhase IrradiationEventUID ComplexImageComponent StackID
    DimensionIndexValues
    """,
)
KEYWORDS += DIFFUSION_KEYWORDS + TIME_KEYWORDS
TAGS = [Tag(tag) for tag in NAME_TAGS] + [Tag(keyword) for keyword in KEYWORDS] + TILE_TAGS + DIFFUSION_TAGS
