"""Values of coded DICOM attributes that may leave the site: the defined terms of the standard, and those of vendors that images need.

An attribute with another value may hold anything, since writers fill coded attributes with free text too.
"""

import re
from collections.abc import Mapping

__all__ = ["TERMS", "TYPE_WORDS"]

TERMS: Mapping[str, frozenset[str]] = {
    keyword: frozenset(values.split("|"))
    for keyword, values in {
        "Modality": "CT|MR",
        "PhotometricInterpretation": "MONOCHROME1|MONOCHROME2|RGB|PALETTE COLOR|YBR_FULL|YBR_FULL_422|YBR_ICT|YBR_RCT",
        "RescaleType": "HU|US|OD|MGML|Z_EFF|ED|EDW|HU_MOD|PCT",
        "ScanningSequence": "SE|IR|GR|EP|RM",
        "SequenceVariant": "SK|MTC|SS|TRSS|SP|MP|OSP|TOF|NONE",
        "ScanOptions": "PER|RG|CG|PPG|FC|PFF|PFP|SP|FS|CT|IR|NONE|HELIX|AXIAL MODE|HELICAL MODE|CINE MODE|AXIAL|HELICAL|VOLUME"
        "|FAST_GEMS|ACC_GEMS|EDR_GEMS|FILTERED_GEMS|SAT_GEMS|TRF_GEMS|VASCF_GEMS",
        "MRAcquisitionType": "1D|2D|3D",
        "PatientPosition": "HFP|HFS|HFDR|HFDL|FFDR|FFDL|FFP|FFS|LFP|LFS|RFP|RFS|AFDR|AFDL|PFDR|PFDL",
        "InPlanePhaseEncodingDirection": "ROW|COL|COLUMN|OTHER",
        "LossyImageCompression": "00|01",
        "LossyImageCompressionMethod": "ISO_10918_1|ISO_14495_1|ISO_15444_1|ISO_15444_15|ISO_18181_1",
        "BurnedInAnnotation": "YES|NO",
        "PositionReferenceIndicator": "XY|SN|ILIAC_CREST|ORBITAL_MEDIAL|STERNAL_NOTCH|SYMPHYSIS_PUBIS|XIPHOID"
        "|LOWER_COSTAL_MARGIN|EXTERNAL_AUDITORY_MEATUS",
        "PixelPresentation": "MONOCHROME|COLOR|MIXED|TRUE_COLOR",
        "VolumetricProperties": "VOLUME|SAMPLED|DISTORTED|MIXED",
        "VolumeBasedCalculationTechnique": "MAX_IP|MIN_IP|VOLUME_RENDER|SURFACE_RENDER|MPR|CURVED_MPR|NONE|MIXED",
        "ComplexImageComponent": "MAGNITUDE|PHASE|REAL|IMAGINARY|MIXED",
        "AcquisitionContrast": "DIFFUSION|FLOW_ENCODED|FLUID_ATTENUATED|PERFUSION|PROTON_DENSITY|STIR|TAGGING|T1|T2|T2_STAR|TOF"
        "|UNKNOWN|MIXED",
        "DimensionOrganizationType": "3D|3D_TEMPORAL|TILED_FULL|TILED_SPARSE",
        "PresentationLUTShape": "IDENTITY|INVERSE",
    }.items()
}
"""Keyword to the values that are kept; other values go."""

TYPE_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER VOLUME MIXED NONE M P R I ND NORM OTHER RESAMPLED REFORMATTED MPR MIP
        AVERAGE CT_SOM CT_SOM4 CT_SOM5 CT_SOM7 SE FFE T1 T2 ADC DIFFUSION WATER FAT IN_PHASE OUT_PHASE M_SE M_FFE
        """,
    )
)
"""Words of ImageType and FrameType that are kept; others become OTHER, since the place of a word has a meaning."""
