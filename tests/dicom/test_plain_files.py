"""Plain files have the same elements as with pydicom, and all others are left to it."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence, uid
from pydicom.dataset import FileMetaDataset

from refrad.dicom.datasets import pixels_after, read_dataset
from refrad.dicom.elements import values_of
from refrad.dicom.header_tags import TAGS
from refrad.dicom.plain_files import META_KEYWORDS, read_plain_file, wanted
from refrad.dicom.scan import quiet_pydicom

PLAIN = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.JPEG2000Lossless]
OTHERS = [uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian]
ELEMENTS = wanted(TAGS)
CHARACTER_SET = 0x00080005


def content_of(syntax, *, long_private=0, undefined=False, character_set="ISO_IR 100"):
    """The bytes of an image with sequences, private elements, empty ones and an umlaut."""
    item, deep = Dataset(), Dataset()
    deep.CodeValue, item.ReferencedSOPInstanceUID = "1", "1.2.3"
    item.PurposeOfReferenceCodeSequence = Sequence([deep, Dataset()])
    dataset = Dataset()
    dataset.SpecificCharacterSet, dataset.PatientName, dataset.PatientID = character_set, "Gr\xfcn^Ada", "P1"
    dataset.ReferencedImageSequence = Sequence([item, deep])
    dataset.Modality, dataset.SOPClassUID, dataset.SOPInstanceUID = "MR", uid.MRImageStorage, "1.2.3.4"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.PixelRepresentation = 2, 2, 16, 0
    dataset.StudyDescription, dataset.AccessionNumber, dataset.SliceThickness = "x", "", None
    dataset.ImagePositionPatient = [1, -2.5, 3e1]
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "800")
    block.add_new(0x20, "OB", bytes(long_private))
    dataset.PixelData = b"12345678"
    if undefined:
        for sequence in (dataset["ReferencedImageSequence"], item["PurposeOfReferenceCodeSequence"]):
            sequence.value.is_undefined_length = True
            sequence.is_undefined_length = True
        item.is_undefined_length_sequence_item = True
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax.is_compressed and not syntax.is_deflated:
        dataset["PixelData"].is_undefined_length = True
        dataset.PixelData = b"\xfe\xff\x00\xe0" + bytes(4) + b"\xfe\xff\x00\xe0\x08\x00\x00\x00" + bytes(8)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def read(content, elements=ELEMENTS):
    with quiet_pydicom():
        return read_plain_file(io.BytesIO(content), elements)


def by_pydicom(content):
    """Elements, file meta information and pixels, as pydicom reads them; None if it cannot."""
    file = io.BytesIO(content)
    with quiet_pydicom():
        try:
            dataset = read_dataset(file, list(ELEMENTS.values()))
            pixels = pixels_after(file, dataset.file_meta.TransferSyntaxUID)
        except Exception:
            return None
    return dataset, pixels


def assert_as_by_pydicom(plain, content):
    expected = by_pydicom(content)
    assert expected is not None
    dataset, pixels = expected
    assert list(plain.dataset.keys()) == list(dataset.keys())
    for tag, element in dataset.items():
        if tag != CHARACTER_SET:  # which pydicom converts at once
            assert dict(plain.dataset.items())[tag] == element
    assert plain.pixels == pixels
    assert plain.dataset.original_encoding == dataset.original_encoding
    with quiet_pydicom():
        assert values_of(plain.dataset) == values_of(dataset)
        meta, values = values_of(dataset.file_meta), values_of(plain.dataset.file_meta)
        assert values == {keyword: value for keyword, value in meta.items() if keyword in {*META_KEYWORDS, "names"}}


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("long_private", [0, 20_000, 2**15 - 400])
def test_plain_files_are_read_as_by_pydicom(syntax, undefined, long_private):
    content = content_of(syntax, undefined=undefined, long_private=long_private)
    plain = read(content)
    assert plain is not None
    assert_as_by_pydicom(plain, content)


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192", "ISO_IR 6", "", ["", "ISO 2022 IR 100"], "NONE"])
def test_names_have_the_character_set_of_the_file(character_set):
    content = content_of(uid.ExplicitVRLittleEndian, character_set=character_set)
    plain = read(content)
    assert plain is not None
    assert_as_by_pydicom(plain, content)


@pytest.mark.parametrize("syntax", OTHERS)
def test_other_encodings_are_left_to_pydicom(syntax):
    assert read(content_of(syntax)) is None


@pytest.mark.parametrize("cut", [0, 131, 140, 200, 400])
def test_files_that_are_cut_off_or_without_preamble_are_left_to_pydicom(cut):
    whole = content_of(uid.ExplicitVRLittleEndian)
    assert read(whole[:cut]) is None
    assert read(whole[132:]) is None


def test_sequence_of_a_wanted_tag_is_left_to_pydicom_if_its_length_is_undefined():
    content = content_of(uid.ExplicitVRLittleEndian, undefined=True)
    assert read(content, wanted([*TAGS, 0x00081140])) is None


SOURCES = {
    (syntax, undefined): content_of(syntax, undefined=undefined) for syntax in PLAIN for undefined in (False, True)
}


@settings(max_examples=300)
@given(st.sampled_from(sorted(SOURCES)), st.data())
def test_damaged_files_are_read_as_by_pydicom_or_left_to_it(source, data):
    content = bytearray(SOURCES[source])
    position = data.draw(st.integers(132, len(content) - 1))
    match data.draw(st.sampled_from(["cut", "change", "remove", "insert"])):
        case "cut":
            del content[position:]
        case "change":
            content[position] = data.draw(st.sampled_from([0, 1, 16, 65, 83, 128, 255]))
        case "remove":
            del content[position : position + data.draw(st.sampled_from([1, 2, 4, 8]))]
        case "insert":
            content[position:position] = data.draw(
                st.sampled_from([b"\0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"])
            )
    plain = read(content)
    if plain:
        assert_as_by_pydicom(plain, bytes(content))
