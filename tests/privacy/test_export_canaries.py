"""Canaries in every attribute, VR and depth of an image, as raw bytes: none is left after the export."""

import io
import struct

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, RepeatersDictionary
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from tests.factories import write_dicom

from refrad.dicom.scan import quiet_pydicom
from refrad.privacy.dicom_profile import deidentify
from refrad.privacy.dicom_terms import TERMS, TYPE_WORDS
from refrad.privacy.pseudonyms import Pseudonyms

PSEUDONYMS = Pseudonyms(bytes(range(32)))
WORD, DATE, UID = b"KANARI", b"19110109", b"1.2.826.0.1.999.55555.77777"
PIXELS = np.arange(30, dtype=np.int16).reshape(5, 6)
TEXT_VRS = ("AE", "AS", "CS", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
DATE_VRS, BINARY_VRS = ("DA", "DT", "TM"), ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"}  # four bytes of length
GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept")


def value_of(vr):
    """A value of the VR that holds a canary; words of coded text look like terms."""
    if vr == "UI":
        return UID
    if vr in DATE_VRS:
        return {"DA": DATE, "DT": DATE + b"101010.000000+0100", "TM": DATE}[vr]
    return b"KANARI " if vr == "CS" else b"KANARI^Vogel " + DATE + b" " + UID


def encoded(tag, vr, value):
    """An element in explicit VR little endian; `value` of a sequence is a list of its items' bytes."""
    if vr == "SQ":
        items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in value)
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(items)) + items
    if len(value) % 8:
        value += (b"\0" if vr in (*BINARY_VRS, "UI") else b" ") * (8 - len(value) % 8)
    if vr in LONG:
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def with_elements(folder, elements, meta=b""):
    """A CT image as a file with further elements (tag to bytes), in the order of their tags; its own stay."""
    path = write_dicom(folder / "image.dcm", PIXELS, PatientName="KANARI^Vogel", ScanOptions="KANARI")
    image = pydicom.dcmread(path)
    own = {}
    for element in image:
        part = pydicom.Dataset()
        part.add(element)
        content = io.BytesIO()
        pydicom.dcmwrite(content, part, implicit_vr=False, little_endian=True)
        own[int(element.tag)] = content.getvalue()
    data = b"".join(part for _, part in sorted((elements | own).items()))
    syntax = encoded(0x00020010, "UI", ExplicitVRLittleEndian.encode())
    group = encoded(0x00020002, "UI", CTImageStorage.encode()) + syntax + meta
    head = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group))
    return WORD.ljust(128, b"K") + b"DICM" + head + group + data


def exported(content):
    """The bytes of the exported file, and what pydicom reads of it."""
    with quiet_pydicom():
        image = pydicom.dcmread(io.BytesIO(content))
        clean = deidentify(image, PSEUDONYMS, "p" * 16, study="a" * 16, series="b" * 16, instance="c" * 16)
        out = io.BytesIO()
        clean.save_as(out, enforce_file_format=True)
    return out.getvalue(), pydicom.dcmread(io.BytesIO(out.getvalue()))


def canaries(content):
    return [canary for canary in (WORD, DATE, UID, b"Vogel", b"55555") if canary in content]


def assert_same_image(image):
    assert np.array_equal(image.pixel_array, PIXELS)
    assert list(image.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0] and list(image.PixelSpacing) == [1, 1]
    assert list(image.ImagePositionPatient) == [0, 0, 0] and (image.RescaleSlope, image.RescaleIntercept) == (1, 0)


NUMBERS = {"AT", "FD", "FL", "SL", "SS", "UL", "US"}  # the VRs in which no text can stand
KNOWN = {
    tag: vr.split(" or ")[-1]
    for tag, (vr, *_) in DicomDictionary.items()
    if tag >> 16 >= 8 and tag >> 16 != 0xFFFE and vr.split(" or ")[-1] not in NUMBERS
}
OVERLAYS = {  # curves and overlays: groups 50xx and 60xx
    int(tag.replace("xx", "02"), 16): vr.split(" or ")[-1]
    for tag, (vr, *_) in RepeatersDictionary.items()
    if tag.startswith(("50", "60")) and vr not in NUMBERS
}
PRIVATE = {0x00090010: "LO", 0x00091001: "LT", 0x00091002: "OB", 0x00091003: "UN", 0x60010010: "LO", 0x60011001: "PN"}


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_canaries_of_all_attributes_are_gone_at_each_depth(tmp_path, depth):
    attributes = sorted((KNOWN | OVERLAYS | PRIVATE).items())[depth % 3 :: 3]
    level = {tag: encoded(tag, vr, value_of(vr)) for tag, vr in attributes if vr != "SQ"}
    for sequence in (0x00081140, 0x52009229, 0x00409096, 0x00081140, 0x52009230)[:depth]:
        level = {sequence: encoded(sequence, "SQ", [b"".join(part for _, part in sorted(level.items()))])}
    content, image = exported(with_elements(tmp_path, level))
    assert canaries(with_elements(tmp_path, level)) and canaries(content) == []
    assert_same_image(image)
    assert not [element for element in image.iterall() if element.VR in BINARY_VRS and element.keyword != "PixelData"]


@st.composite
def elements(draw, depth=0):
    """Elements with a canary: any tag under any VR, also a false one, in sequences up to six deep."""
    planted = {}
    for tag in draw(st.lists(st.sampled_from([*KNOWN, *OVERLAYS, *PRIVATE]), max_size=6, unique=True)):
        vr = draw(st.sampled_from([KNOWN.get(tag, "UN"), *TEXT_VRS, *DATE_VRS, *BINARY_VRS, "UI", "SQ", "SQ", "SQ"]))
        if vr != "SQ":
            planted[tag] = encoded(tag, vr, value_of(vr))
        elif depth < 6:
            items = [draw(elements(depth + 1)) for _ in range(draw(st.integers(0, 2)))]
            planted[tag] = encoded(tag, "SQ", [b"".join(v for _, v in sorted(item.items())) for item in items])
    return planted


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(planted=elements())
def test_canary_under_any_tag_vr_and_depth_is_gone(tmp_path_factory, planted):
    content, image = exported(with_elements(tmp_path_factory.mktemp("image"), planted))
    assert canaries(content) == []
    assert_same_image(image)


def test_canaries_of_the_file_meta_and_behind_the_pixels_are_gone(tmp_path):
    meta = encoded(0x00020003, "UI", UID) + encoded(0x00020012, "UI", UID) + encoded(0x00020013, "SH", WORD)
    meta += encoded(0x00020016, "AE", WORD) + encoded(0x00020017, "AE", WORD)
    meta += encoded(0x00020100, "UI", UID) + encoded(0x00020102, "OB", WORD)
    behind = {0xFFFCFFFC: encoded(0xFFFCFFFC, "OB", WORD)}
    content, image = exported(with_elements(tmp_path, behind, meta))
    assert canaries(content) == [] and content[:128] == bytes(128)
    assert_same_image(image)
    image = pydicom.dcmread(write_dicom(tmp_path / "long.dcm", PIXELS))
    image.PixelData += WORD * 9
    with io.BytesIO() as file:
        image.save_as(file)
        content, image = exported(file.getvalue())
    assert canaries(content) == []
    assert_same_image(image)


def test_implicit_file_keeps_its_pixels(tmp_path):
    image = pydicom.dcmread(write_dicom(tmp_path / "image.dcm", PIXELS, PatientComments="KANARI"))
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    with io.BytesIO() as file:
        pydicom.dcmwrite(file, image, implicit_vr=True, little_endian=True)
        content, image = exported(file.getvalue())
    assert canaries(content) == []
    assert_same_image(image)


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008.19110109", "1.2.840.10008.5.1.4.1.1.2.19110109", "1.2.840.10008.KANARI"]
)
def test_root_of_the_standard_hides_no_canary(tmp_path, uid):
    content, _ = exported(with_elements(tmp_path, {0x00081150: encoded(0x00081150, "UI", uid.encode())}))
    assert canaries(content) == []


@pytest.mark.parametrize(
    ("keyword", "value"), [(keyword, v) for keyword, values in TERMS.items() for v in sorted(values)]
)
def test_defined_terms_are_kept(tmp_path, keyword, value):
    image = pydicom.dcmread(write_dicom(tmp_path / "image.dcm", PIXELS))
    setattr(image, keyword, value)
    clean = deidentify(image, PSEUDONYMS, "p" * 16, study="a" * 16, series="b" * 16, instance="c" * 16)
    assert clean[keyword].value == value


@pytest.mark.parametrize("keyword", TERMS)
@pytest.mark.parametrize("value", ["KANARI", "KANARI HANS", "19110109", "Hans Kanari", "hu"])
def test_other_values_of_coded_attributes_go(tmp_path, keyword, value):
    image = pydicom.dcmread(write_dicom(tmp_path / "image.dcm", PIXELS))
    setattr(image, keyword, value)
    clean = deidentify(image, PSEUDONYMS, "p" * 16, study="a" * 16, series="b" * 16, instance="c" * 16)
    assert keyword not in clean


def test_only_the_defined_values_of_several_are_kept(tmp_path):
    image = pydicom.dcmread(write_dicom(tmp_path / "image.dcm", PIXELS, ImageType=[*sorted(TYPE_WORDS), "KANARI", "P"]))
    image.ScanOptions = ["FS", "KANARI", "SP"]
    clean = deidentify(image, PSEUDONYMS, "p" * 16, study="a" * 16, series="b" * 16, instance="c" * 16)
    assert list(clean.ImageType) == [*sorted(TYPE_WORDS), "OTHER", "P"] and list(clean.ScanOptions) == ["FS", "SP"]
