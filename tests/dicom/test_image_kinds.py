import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from tests.factories import PLAIN_CT, dataset_of

from refrad.dicom.elements import values_of
from refrad.dicom.image_kinds import localizer_name_of, reasons_of, tiles_of
from refrad.dicom.reasons import REASONS

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # scanners write values that the standard does not allow


def reason(**attributes):
    values = values_of(dataset_of(**PLAIN_CT | attributes))
    return next(reasons_of(values, has_pixels=True, burned_in=None), None)


def of_type(image_type, modality="CT", **attributes):
    return reason(ImageType=image_type.split("\\"), Modality=modality, **attributes)


PROJECTIONS = [
    r"DERIVED\SECONDARY\REFORMATTED\MIP",
    r"DERIVED\PRIMARY\MIP\NORM\DIS2D\MFSPLIT",
    r"ORIGINAL\PRIMARY\MIP_TRA\ND",
    r"ORIGINAL\PRIMARY\MIP_SAG\NORM\DIS2D",
    r"ORIGINAL\PRIMARY\MIP_COR\DIS2D\SUB",
    r"ORIGINAL\PRIMARY\MIP_RADIAL\ND",
    r"DERIVED\PRIMARY\AXIAL\TMIP",
    r"DERIVED\PRIMARY\AXIAL\MIP2",
    r"DERIVED\PRIMARY\AXIAL\mip",
    r"DERIVED\PRIMARY\AXIAL\MIPS",
    r"DERIVED\SECONDARY\REFORMATTED\MIN IP",
    r"DERIVED\SECONDARY\AXIAL\MINIP",
    r"DERIVED\PRIMARY\MNIP\DIS3D\NORM\FM5_1\FIL\MEAN\MFSPLIT",
    r"DERIVED\PRIMARY\SWI\MINIMUM",
    r"DERIVED\PRIMARY\ANGIO\MAXIMUM",
    r"DERIVED\PRIMARY\MAX_IP\M\SE",
    r"DERIVED\PRIMARY\MAXIP\M\SE",
    r"DERIVED\SECONDARY\AXIAL\AVG IP",
    r"DERIVED\SECONDARY\AXIAL\AVERAGE_IP",
    r"DERIVED\SECONDARY\AXIAL\MEAN_IP",
    r"DERIVED\SECONDARY\OTHER\CSA MIP",
    r"DERIVED\SECONDARY\OTHER\CSA MIP THIN\\M\ND",
    r"DERIVED\SECONDARY\OTHER\CSA MIP THICK",
    r"DERIVED\SECONDARY\PJN\HD MIP",
    r"DERIVED\SECONDARY\PJN",
    r"DERIVED\SECONDARY\COMP_MIP",
    r"DERIVED\SECONDARY\PROJECTION IMAGE\CSA MPR",
    r"ORIGINAL\PRIMARY\PROJECTION IMAG\M\FFE",
    r"DERIVED\PRIMARY\PROJECTION IMAGE\COLLAPSE",
    r"DERIVED\SECONDARY\PROJECTIONS",
    r"DERIVED\SECONDARY\PROJ",
    r"ORIGINAL\PRIMARY\STDDEV_COR\ND",
    r"ORIGINAL\PRIMARY\STDDEV_SAG\ND",
    r"ORIGINAL\PRIMARY\STDDEV_TRA\ND",
    r"DERIVED\PRIMARY\CPR\NORM\DISTORTED\MFSPLIT",
    r"DERIVED\PRIMARY\CPR_STAR\NORM",
    r"DERIVED\SECONDARY\CURVED_MPR",
    r"DERIVED\SECONDARY\MPR CURVED",
    r"DERIVED\SECONDARY\AXIAL\VOLUME RENDERED",
    r"DERIVED\SECONDARY\AXIAL\VOLUME RENDERING",
    r"DERIVED\SECONDARY\AXIAL\SURFACE_RENDER",
    r"DERIVED\SECONDARY\AXIAL\VRT",
    r"DERIVED\SECONDARY\AXIAL\VR",
    r"DERIVED\SECONDARY\AXIAL\SSD",
    r"DERIVED\SECONDARY\AXIAL\SHADED SURFACE",
    r"DERIVED\SECONDARY\PANORAMIC",
    r"DERIVED\SECONDARY\AXIAL\RAYSUM",
    r"DERIVED\SECONDARY\AXIAL\RAY SUM",
    r"DERIVED\SECONDARY\MIPTHIN",
    r"DERIVED\SECONDARY\MIPTHICK",
    r"DERIVED\SECONDARY\REFORMATTED\MIN",
    r"DERIVED\SECONDARY\REFORMATTED\MAX\X",
    r"DERIVED\SECONDARY\VOLREN",
    r"DERIVED\SECONDARY\SURFACE",
    r"DERIVED\SECONDARY\PANORAMA",
    r"DERIVED\SECONDARY\ENDOSCOPIC",
    r"DERIVED\SECONDARY\VIRTUAL ENDOSCOPY",
    r"DERIVED\SECONDARY\ENDOVIEW",
    r"DERIVED\SECONDARY\FLYTHROUGH",
    r"DERIVED\SECONDARY\FLY THROUGH",
]

SLICES = [
    r"ORIGINAL\PRIMARY\AXIAL\CT_SOM5 SPI",
    r"ORIGINAL\PRIMARY\AXIAL\HELIX",
    r"DERIVED\SECONDARY\REFORMATTED\AVERAGE",
    r"DERIVED\SECONDARY\AXIAL\AVERAGE",
    r"DERIVED\PRIMARY\M\DIS2D\NORM\MEAN\MFSPLIT",
    r"DERIVED\SECONDARY\MPR",
    r"DERIVED\SECONDARY\MPR\CSA MPR\\CSAPARALLEL\M\NORM\DIS2D",
    r"DERIVED\SECONDARY\MPR\CSA MPR THICK\\M\NORM\DIS2D",
    r"DERIVED\SECONDARY\MPR\THIN",
    r"DERIVED\PRIMARY\IP\IP\DERIVED",  # in phase
    r"DERIVED\PRIMARY\DIXON\IN_PHASE",
    r"ORIGINAL\PRIMARY\M_FFE\M\FFE",
    r"ORIGINAL\PRIMARY\R\ND\NORM",
    r"ORIGINAL\PRIMARY\V\ND",
    r"ORIGINAL\PRIMARY\M\NORM\DISTORTED\MFSPLIT",
    r"ORIGINAL\PRIMARY\SCOUTED",
    r"ORIGINAL\PRIMARY\UNSCOUTED",
    r"ORIGINAL\PRIMARY\M\NORM\DIS2D\COMP_SP\COMPOSED",
    r"ORIGINAL\PRIMARY\VOLUME\NONE",
    r"DERIVED\PRIMARY\VOLUME\RESAMPLED",
    r"DERIVED\PRIMARY\DIFFUSION\ADC\NORM\DIS2D",
    r"ORIGINAL\PRIMARY\AXIAL\MIN DOSE",
]


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("image_type", PROJECTIONS)
def test_projections_are_recognised_by_words_of_image_type(image_type, modality):
    assert of_type(image_type, modality) == "projection"


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("image_type", SLICES)
def test_slices_of_any_image_type_are_usable(image_type, modality):
    assert of_type(image_type, modality) is None


@pytest.mark.parametrize(
    "technique", ["MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER", "CURVED_MPR", "MIXED", "X"]
)
@pytest.mark.parametrize("properties", [None, "VOLUME", "SAMPLED", "DISTORTED", "MIXED"])
def test_another_calculation_technique_is_a_projection(technique, properties):
    attributes = {"VolumeBasedCalculationTechnique": technique, "VolumetricProperties": properties}
    assert reason(**attributes) == "projection"


@pytest.mark.parametrize("technique", [None, "", "NONE", "MPR"])
@pytest.mark.parametrize("properties", [None, "VOLUME", "SAMPLED", "DISTORTED", "MIXED"])
def test_volumetric_properties_make_no_projection(technique, properties):
    attributes = {"VolumeBasedCalculationTechnique": technique, "VolumetricProperties": properties}
    assert reason(**attributes) is None


@pytest.mark.parametrize(
    "image_type",
    [
        r"ORIGINAL\PRIMARY\LOCALIZER",
        r"ORIGINAL\PRIMARY\LOCALIZER\CT_SOM5 TOP",
        r"ORIGINAL\PRIMARY\LOCALISER",
        r"ORIGINAL\PRIMARY\LOCALIZERS",
        r"ORIGINAL\PRIMARY\SCOUT",
        r"ORIGINAL\PRIMARY\SCOUT1",
        r"ORIGINAL\PRIMARY\SCOUT_VIEW",
        r"ORIGINAL\PRIMARY\SCOUTVIEW",
        r"ORIGINAL\PRIMARY\TOPOGRAM",
        r"ORIGINAL\PRIMARY\SURVIEW",
        r"ORIGINAL\PRIMARY\SURVEY",
        r"ORIGINAL\PRIMARY\SCANOGRAM",
        r"ORIGINAL\SECONDARY\POSDISP\M\ND",
        r"ORIGINAL\SECONDARY\GSP\ND",
    ],
)
def test_localizers_are_recognised_by_words_of_image_type(image_type):
    assert of_type(image_type) == "localizer"


CAPTURES = ["SCREEN SAVE", "SCREENSAVE", "SCREEN_CAPTURE", "SCREENSHOT", "SCREEN SHOT"]
CAPTURES += ["DOSE_INFO", "DOSE REPORT", "DOSE_RECORD", "PATIENT PROTOCOL", r"OTHER\CT_SOM5 PROT"]


@pytest.mark.parametrize("word", CAPTURES)
def test_captures_are_recognised_by_words_of_image_type(word):
    assert of_type(rf"DERIVED\SECONDARY\{word}") == "secondary_capture"
    assert reason(SOPClassUID=SecondaryCaptureImageStorage) == "secondary_capture"


@pytest.mark.parametrize(
    "image_type", [r"ORIGINAL\PRIMARY\M\ND\MOSAIC", r"DERIVED\PRIMARY\ASL\ND\RELCBF\NORM\SUB\TTEST\MOSAIC"]
)
def test_mosaics_are_refused_before_their_geometry_is_looked_at(image_type):
    assert of_type(image_type, "MR", ImagePositionPatient=None) == "mosaic"


@pytest.mark.parametrize(
    ("group", "creator", "element", "representation", "value", "tiles"),
    [
        (0x0019, "SIEMENS MR HEADER", 0x0A, "US", 36, 36),
        (0x0065, "Image Private Header", 0x50, "DS", "25", 25),
        (0x0065, "Image Private Header", 0x50, "UN", b"25", 25),
        (0x0065, "Image Private Header", 0x50, "UN", b"?", 0),
        (0x0019, "GEMS_ACQU_01", 0x0A, "US", 36, 0),
    ],
)
def test_tiles_are_counted_by_private_elements(group, creator, element, representation, value, tiles):
    image = dataset_of(**PLAIN_CT | {"Modality": "MR"})
    image.private_block(group, creator, create=True).add_new(element, representation, value)
    assert tiles_of(image) == tiles
    values = values_of(image) | {"tiles": [tiles]}
    expected = "mosaic" if tiles else None
    assert next(reasons_of(values, has_pixels=True, burned_in=None), None) == expected


def test_private_element_without_creator_counts_no_tiles():
    image = dataset_of(**PLAIN_CT)
    image.add_new((0x0019, 0x100A), "US", 36)
    assert tiles_of(image) == 0


NOT_HOUNSFIELD = [
    *("MAT_SPECIFIC", "MAT_FRACTIONAL", "MAT_VALUE_BASED", "MAT_MODIFIED", "HU_MOD", "HU_MODIFIED"),
    *("EFF_ATOMIC_NUM", "EFFECTIVE ATOMIC NUMBER", "Z_EFF", "ZEFF", "Z EFFECTIVE", "EFFECTIVE Z", "EFF_Z"),
    *("ELECTRON_DENSITY", "RHO", "RHO_Z", "RHOZ", "STOPPING POWER"),
    *("CBF", "CBV", "MTT", "TTP", "TMAX", "RCBF", "RELCBV", "rMTT", "Tmax Basic", "TTD", "TTS", "OEF", "PBV"),
    *("PERMEABILITY", "BLOOD FLOW", "BLOOD_VOLUME", "PERFUSION_MAP", "MAPS"),
    *("FAT_FRACTION", "WATER DENSITY", "CALCIUM DENSITY", "FAT CONCENTRATION"),
    *("HAP", "WATER(CALCIUM)", "Calcium (Water)", "FAT_WATER", "Lipid(Blood)", "Uric Acid(Ca)", "BLOOD(URIC ACID)"),
    *("TIME TO PEAK", "TIME_TO_DRAIN", "TIME TO START", "TIME_TO_MAX", "TRANSIT TIME", "K_TRANS"),
    *("SEGMENTATION", "LABELMAP", "LABEL MAP", "MASK"),
    *("IODINE", "IODINE_MAP", "JOD", "JODKARTE", "IOD", "WATER IODINE"),
]
IN_HOUNSFIELD = ["VMI", "MAT_REMOVED", "ENERGY_PROP_WT", "VNC", "MONO 70KEV", "IODINE REMOVED", "VIRTUAL NON IODINE"]
IN_HOUNSFIELD += [
    "NONE",
    "MASKED",
    "FILTERED",
    "PERFUSION",
    "IODINE_SUPPRESSED",
    "VNC_IODINE",
    "VUE IODINE",
    "IODINE VMI",
]
IN_HOUNSFIELD += ["IODINE 40KEV", "IODINE MONOENERGETIC", "IODINE MONO"]


@pytest.mark.parametrize("units", [None, "US", "HU"])
@pytest.mark.parametrize("word", NOT_HOUNSFIELD)
def test_ct_maps_are_not_hounsfield_whatever_their_units_say(word, units):
    image_type = rf"DERIVED\PRIMARY\AXIAL\{word}"
    assert of_type(image_type, RescaleType=units) == "not_hounsfield"
    assert of_type(image_type, "MR", RescaleType=units) is None


@pytest.mark.parametrize(
    "word", ["SUBTRACTION", "SUBTRACT", "SUB", "DIVISION", "MULTIPLICATION", "STD_DEVIATION", "QUANTITY"]
)
def test_arithmetic_between_ct_images_is_not_hounsfield(word):
    assert of_type(rf"DERIVED\PRIMARY\AXIAL\{word}") == "not_hounsfield"


@pytest.mark.parametrize("units", [None, "US", "HU"])
@pytest.mark.parametrize("word", IN_HOUNSFIELD)
def test_derived_ct_images_in_hounsfield_units_are_usable(word, units):
    assert of_type(rf"DERIVED\PRIMARY\AXIAL\{word}", RescaleType=units) is None
    assert reason(SeriesDescription=word, ImageType=["DERIVED", "PRIMARY", "AXIAL"], RescaleType=units) is None


@pytest.mark.parametrize("word", NOT_HOUNSFIELD)
def test_names_tell_maps_of_derived_ct_images_only(word):
    name = f"Head {word} 5.0"
    assert reason(SeriesDescription=name, ImageType=["DERIVED", "SECONDARY", "AXIAL"]) == "not_hounsfield"
    assert reason(SeriesDescription=name) is None  # a protocol is named after the maps that it serves


@pytest.mark.parametrize(
    "units",
    [
        *("OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "mgml"),
        *("mg/ml", "mg/cc", "100ug/cc", "ml/100ml/min", "1/s", "ml/100 g", "%", "g/cm3", "mg/L"),
    ],
)
def test_other_rescale_types_are_not_hounsfield(units):
    assert reason(RescaleType=units) == "not_hounsfield"
    assert of_type(r"ORIGINAL\PRIMARY\M", "MR", RescaleType=units) is None


@pytest.mark.parametrize("units", [None, "", "HU", "US", "hu", "UNSPECIFIED", "N/A", "normalized"])
def test_common_rescale_types_of_plain_ct_are_usable(units):
    assert reason(RescaleType=units) is None


def mapping(*codes):
    return [dataset_of(MeasurementUnitsCodeSequence=[dataset_of(CodeValue=code)]) for code in codes]


@pytest.mark.parametrize(
    ("units", "codes", "expected"),
    [
        (None, ["mg/mL"], "not_hounsfield"),
        ("US", ["10*23/ml"], "not_hounsfield"),
        ("US", ["[hnsf'U]"], None),
        (None, ["mg/mL", "[hnsf'U]"], None),
        (None, ["HU"], None),
        ("HU", ["mg/mL"], None),  # bone density of an image in HU, for example
        (None, ["1"], None),
        (None, [], None),
    ],
)
def test_units_of_real_world_values_count_without_rescale_type(units, codes, expected):
    assert reason(RescaleType=units, RealWorldValueMappingSequence=mapping(*codes)) == expected


def test_images_with_a_lookup_table_are_not_hounsfield():
    assert reason(ModalityLUTSequence=[Dataset()]) == "not_hounsfield"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "localizer",
            "Localizer_BH",
            "LOCALIZER 3 PLANE",
            "localiser",
            "AAHead_Scout_64ch-head-coil",
            "AAHScout",
            "lokalizer",
        ),
        *(
            "Lokaliser",
            "Lokalisator Kopf",
            "loc",
            "haste_loc",
            "3-plane loc",
            "3Plane",
            "Three Plane",
            "3 Ebenen",
            "3pl",
            "3PLLOC",
        ),
        *(
            "Scout",
            "scouts sag",
            "Survey",
            "Survey_SHC",
            "FastSurvey",
            "COIL SURVEYS",
            "Surview",
            "Scanogram",
            "Topogram",
        ),
        *("Lokalisierung", "localisateur", "BrainLocate", "Loca", "Planscan", "plan scans", "FastView", "Topogramm"),
        *("pilot", "Locator", "locs", "trufi_loc_multi-iPAT", "localizer2", "drei Ebenen", "Scout nach KM"),
    ],
)
def test_names_of_localizers_are_recognised(name):
    assert localizer_name_of(name) == "named"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "T2 nach Survey",
            "T1 nach dem Localizer",
            "t2_tse post localizer",
            "T1 after scout",
            "T2 after the new survey",
        ),
        *(
            "T2 ohne Scout",
            "T1 without localizer",
            "no scout",
            "T2 aus Localizer",
            "from scout",
            "MPR vom Scout",
            "von Scout",
        ),
        *("geplant auf Localizer", "planned on survey", "using scout", "per Scout", "wie Localizer", "as survey"),
        *(
            "scout based shim",
            "Localizer-basiert",
            "survey planned T2",
            "Scout geplant",
            "scout guided",
            "localizer-free",
        ),
        *("T2 Übersicht", "UEBERSICHT cor", "Positioning", "Positionierung", "SmartBrain"),
        *("T1 survey adapted", "T1 Localizer angepasst", "nach der Survey", "nach den Scouts", "nach neuem Survey"),
    ],
)
def test_names_that_may_be_those_of_a_localizer_are_told_apart(name):
    assert localizer_name_of(name) == "mentioned"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "T2 TSE sag",
            "T1 Lokalbefund",
            "Location Knie",
            "Pilotstudie",
            "Position 2",
            "localized shim",
            "relocated",
            "unscouted",
            "T1 lokal",
            "local",
            "block",
            "plane",
            "t1_vibe_3plan",
        )
    ],
)
def test_other_names_are_no_localizers(name):
    assert localizer_name_of(name) == ""


def test_new_reasons_have_a_sentence():
    assert REASONS["mosaic"]
