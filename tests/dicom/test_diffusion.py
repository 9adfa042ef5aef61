import io
import struct

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from tests.factories.dicom import write_dicom

from refrad.dicom.diffusion import Diffusion, diffusion_of_dataset
from refrad.dicom.scan import headers_of_file

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
AXES = {"x": 0.5, "y": -0.25, "z": 0.75}
SIEMENS, GE_ACQUISITION, GE_PARAMETERS = "SIEMENS MR HEADER", "GEMS_ACQU_01", "GEMS_PARM_01"
PHILIPS, PHILIPS_MR = "Philips Imaging DD 001", "Philips MR Imaging DD 001"
UNITED, HITACHI = "Image Private Header", "MMCPrivate"

# vendor -> private elements (group, creator, number, VR, value), and what they say
VENDORS = {
    "Siemens": (
        [
            (0x0019, SIEMENS, 0x0C, "IS", "400"),
            (0x0019, SIEMENS, 0x0D, "CS", "DIRECTIONAL"),
            (0x0019, SIEMENS, 0x0E, "FD", [0.5, -0.25, 0.75]),
        ],
        Diffusion(400, (0.5, -0.25, 0.75), "DIRECTIONAL"),
    ),
    "Siemens, b = 0": ([(0x0019, SIEMENS, 0x0C, "IS", "0")], Diffusion(0)),
    "General Electric": (
        [
            (0x0043, GE_PARAMETERS, 0x39, "IS", ["1000", "8", "0", "0"]),
            (0x0019, GE_ACQUISITION, 0xBB, "DS", "0.5"),
            (0x0019, GE_ACQUISITION, 0xBC, "DS", "-0.25"),
            (0x0019, GE_ACQUISITION, 0xBD, "DS", "0.75"),
        ],
        Diffusion(1000, (0.5, -0.25, 0.75)),
    ),
    "General Electric, bias": ([(0x0043, GE_PARAMETERS, 0x39, "IS", ["1000000050", "8", "0", "0"])], Diffusion(50)),
    "General Electric, bias and b = 0": ([(0x0043, GE_PARAMETERS, 0x39, "IS", ["1000000000", "8"])], Diffusion(0)),
    "General Electric, b = 30,000": ([(0x0043, GE_PARAMETERS, 0x39, "IS", ["1000030000", "8"])], Diffusion(30_000)),
    "Philips": (
        [
            (0x2001, PHILIPS, 0x03, "FL", 800.0),
            (0x2001, PHILIPS, 0x04, "CS", "O"),
            (0x2005, PHILIPS_MR, 0xB0, "FL", 0.5),
            (0x2005, PHILIPS_MR, 0xB1, "FL", -0.25),
            (0x2005, PHILIPS_MR, 0xB2, "FL", 0.75),
        ],
        Diffusion(800, (0.5, -0.25, 0.75), "O"),
    ),
    "United Imaging": (
        [(0x0065, UNITED, 0x09, "FD", 600.0), (0x0065, UNITED, 0x37, "FD", [0.5, -0.25, 0.75])],
        Diffusion(600, (0.5, -0.25, 0.75)),
    ),
    "Hitachi": ([(0x0029, HITACHI, 0x30, "FD", 700.0)], Diffusion(700)),
}


def mr_image(elements=(), block=0x10, **attributes):
    """An MR data set with private elements, whose blocks begin at `block`."""
    dataset = Dataset()
    dataset.Modality = "MR"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    blocks = {}
    for group, creator, number, representation, value in elements:
        first = block + sum(other == group for other, _ in blocks)
        start = blocks.setdefault((group, creator), first)
        dataset.add_new((group, start), "LO", creator)
        dataset.add_new((group, start << 8 | number), representation, value)
    return dataset


def written(dataset, syntax):
    """The data set as read from a file of a transfer syntax."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    file.seek(0)
    return pydicom.dcmread(file)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("block", [0x10, 0x11, 0x40, 0xFE])
@pytest.mark.parametrize("vendor", VENDORS)
def test_private_elements_give_b_value_and_direction(vendor, block, syntax):
    elements, diffusion = VENDORS[vendor]
    assert diffusion_of_dataset(written(mr_image(elements, block), syntax)) == diffusion


PACKED = {"FD": "<d", "FL": "<f"}


def as_unknown(value, representation):
    """The bytes of a value that an archive keeps as UN."""
    values = value if isinstance(value, list) else [value]
    if representation in PACKED:
        return b"".join(struct.pack(PACKED[representation], number) for number in values)
    text = "\\".join(values).encode()
    return text + b" " * (len(text) % 2)


@pytest.mark.parametrize("vendor", VENDORS)
def test_private_elements_may_have_lost_their_type(vendor):
    elements, diffusion = VENDORS[vendor]
    unknown = [(*place, "UN", as_unknown(value, vr)) for *place, vr, value in elements]
    assert diffusion_of_dataset(written(mr_image(unknown), ExplicitVRLittleEndian)) == diffusion


def test_numbers_written_as_text_into_unknown_bytes_are_read():
    elements = [(0x2001, PHILIPS, 0x03, "UN", b"1000.000")]
    assert diffusion_of_dataset(written(mr_image(elements), ExplicitVRLittleEndian)).b_value == 1000


@pytest.mark.parametrize("vendor", VENDORS)
def test_private_elements_of_another_creator_mean_nothing(vendor):
    elements = [(group, "ACME 1.0", *element) for group, _, *element in VENDORS[vendor][0]]
    assert diffusion_of_dataset(written(mr_image(elements), ExplicitVRLittleEndian)) == Diffusion()


@pytest.mark.parametrize("value", [b"\0\0\0", b"", struct.pack("<d", float("nan")), struct.pack("<d", -1.0), b"abc "])
def test_broken_private_b_value_counts_as_absent(value):
    elements = [(0x0065, UNITED, 0x09, "UN", value)]
    assert diffusion_of_dataset(written(mr_image(elements), ExplicitVRLittleEndian)).b_value is None


@pytest.mark.parametrize(
    ("name", "b_value"),
    [
        ("*ep_b400t", 400),
        ("*ep_b0", 0),
        ("*ep_b800#12", 800),
        ("ep2d b50", 50),
        ("*re_b1000t", 1000),
        ("EP2D_B1400", 1400),
        ("b2000", 2000),
        ("*epfid2d1_64", None),
        ("*tfl3d1_16ns", None),
        ("*ep_b", None),
        ("ab400", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("keyword", ["SequenceName", "PulseSequenceName"])
def test_name_of_the_sequence_gives_the_b_value(keyword, name, b_value):
    assert diffusion_of_dataset(mr_image(**{keyword: name})).b_value == b_value


@pytest.mark.parametrize(
    ("comment", "diffusion"),
    [
        ("b=1500(0.445,0.000,0.895)", Diffusion(1500, (0.445, 0, 0.895))),
        ("b=1500 (0.445, 0.000, 0.895)", Diffusion(1500, (0.445, 0, 0.895))),
        ("b = 50", Diffusion(50)),
        ("limb=3", Diffusion()),
    ],
)
def test_comment_of_canon_gives_b_value_and_direction(comment, diffusion):
    assert diffusion_of_dataset(mr_image(ImageComments=comment)) == diffusion


@pytest.mark.parametrize("name", ["*ep_b800#12", "ep_b800#12"])
def test_name_of_the_sequence_counts_directions(name):
    dataset = Dataset()
    dataset.SequenceName = name
    assert diffusion_of_dataset(dataset) == Diffusion(800, (), "#12")


def test_public_direction_is_read_from_a_file(tmp_path):
    direction = [0.5, -0.25, 0.75]
    write_dicom(
        tmp_path / "a",
        np.zeros((4, 4), np.uint16),
        Modality="MR",
        DiffusionBValue=500.0,
        DiffusionGradientOrientation=direction,
    )
    (header,) = headers_of_file(tmp_path, "a")
    assert (header.b_value, header.direction) == (500, tuple(direction))


def test_public_attributes_win_over_private_ones():
    public = {"DiffusionBValue": 990.0, "DiffusionDirectionality": "ISOTROPIC"}
    public |= {"DiffusionGradientOrientation": [1.0, 0.0, 0.0], "SequenceName": "*ep_b1000t"}
    expected = Diffusion(990, (1, 0, 0), "ISOTROPIC")
    assert diffusion_of_dataset(mr_image(VENDORS["Siemens"][0], **public)) == expected


def test_direction_of_an_enhanced_image_lies_one_sequence_deeper():
    item = Dataset()
    item.DiffusionGradientOrientation = [0.0, 1.0, 0.0]
    dataset = mr_image(DiffusionBValue=5.0, DiffusionGradientDirectionSequence=Sequence([item]))
    assert diffusion_of_dataset(dataset) == Diffusion(5, (0, 1, 0))


@pytest.mark.parametrize("block", [0x10, 0x13, 0x80])
@pytest.mark.parametrize("vendor", VENDORS)
def test_header_of_a_file_has_the_diffusion_of_any_block(tmp_path, vendor, block):
    elements, diffusion = VENDORS[vendor]
    write_dicom(tmp_path / "0.dcm", np.zeros((4, 4), np.uint16), Modality="MR", ScanningSequence="EP")
    dataset = pydicom.dcmread(tmp_path / "0.dcm")
    dataset.update(mr_image(elements, block))
    dataset.save_as(tmp_path / "1.dcm")
    (header,) = headers_of_file(tmp_path, "1.dcm")
    assert (header.b_value, header.direction, header.directionality) == diffusion
    (without,) = headers_of_file(tmp_path, "0.dcm")
    assert header.offset > without.offset > 0
