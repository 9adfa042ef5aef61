"""Files without preamble or file meta information, and kinds of pixels that are not read."""

import gzip
import io
import zipfile

import numpy as np
import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate
from tests.factories import make_volumes, only_volume, write_dicom

from refrad.dicom.pixels import read_pixels
from refrad.dicom.scan import headers_of_file

PIXELS = np.arange(42, dtype=np.uint16).reshape(6, 7)
BARE = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]


def content_of(path, syntax, *, preamble, **attributes):
    """The bytes of an image, with preamble and meta information ("whole"), with either ("preamble", "meta") or with neither ("")."""
    read = pydicom.dcmread(write_dicom(path, PIXELS, **attributes))
    dataset = Dataset({element.tag: element for element in read})  # in no byte order yet
    dataset.file_meta = read.file_meta
    if syntax == uid.ExplicitVRBigEndian:
        dataset.PixelData = PIXELS.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    encoding = {"implicit_vr": syntax == uid.ImplicitVRLittleEndian, "little_endian": syntax != uid.ExplicitVRBigEndian}
    if preamble in ("whole", "meta"):
        dataset.save_as(file, enforce_file_format=True)
        return file.getvalue()[132 if preamble == "meta" else 0 :]
    del dataset.file_meta
    dataset.preamble = None
    dataset.save_as(file, enforce_file_format=False, **encoding)
    return (bytes(128) + b"DICM" if preamble == "preamble" else b"") + file.getvalue()


def header_of(folder, content):
    (folder / "x").write_bytes(content)
    (header,) = headers_of_file(folder, "x")
    return header


@pytest.mark.parametrize("syntax", BARE)
@pytest.mark.parametrize("preamble", ["whole", "preamble", "meta", ""])
@pytest.mark.parametrize("bits", [16, 12])
def test_files_without_preamble_or_meta_information_are_read(syntax, preamble, bits, tmp_path):
    content = content_of(tmp_path / "a", syntax, preamble=preamble, BitsStored=bits, HighBit=15)
    header = header_of(tmp_path, content)
    assert (header.reason, header.syntax, header.compressed) == (None, syntax, False)
    (image,) = read_pixels(tmp_path, [header])
    np.testing.assert_array_equal(image, PIXELS if bits == 16 else image)
    plain = headers_of_file(tmp_path, "a")
    assert header._replace(path="a", syntax="", offset=0, instance_uid="") == plain[0]._replace(
        syntax="", offset=0, instance_uid=""
    )


def test_group_length_before_the_first_element_is_read(tmp_path):
    content = content_of(tmp_path / "a", uid.ImplicitVRLittleEndian, preamble="")
    length = b"\x08\x00\x00\x00\x04\x00\x00\x00\x50\x00\x00\x00"
    assert header_of(tmp_path, length + content).reason is None


def image_file(kind):
    file = io.BytesIO()
    Image.fromarray(PIXELS.astype(np.uint8)).save(file, kind)
    return file.getvalue()


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.dcm", b"\x08\x00\x05\x00")
    return file.getvalue()


FOREIGN = {
    "empty": b"",
    "text": b"Befund: unauffaellig. " * 40,
    "zeros": bytes(2000),
    "NIfTI": (348).to_bytes(4, "little") + bytes(344) + bytes(500),
    "gzip": gzip.compress(bytes(5000)),
    "ZIP": archive(),
    "JPEG": image_file("JPEG"),
    "PNG": image_file("PNG"),
    "TIFF": image_file("TIFF"),
    "group 8 alone": b"\x08\x00" * 500,
    "group 2 alone": b"\x02\x00\x00\x00UL\x04\x00\xc8\x00\x00\x00" + bytes(500),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_not_dicom(kind, tmp_path):
    assert header_of(tmp_path, FOREIGN[kind]).reason == "not_dicom"


@given(
    content=st.binary(max_size=600), start=st.sampled_from([b"", b"\x08\x00", b"\x08\x00\x05\x00CS\n\x00ISO_IR 100"])
)
@example(
    content=b"\x08\x00\x16\x00UI\x02\x001\x00\x08\x00\x18\x00UI\x02\x001\x00" + bytes(99),
    start=b"\x08\x00\x05\x00CS\x00\x00",
)
def test_random_bytes_are_not_dicom(content, start, tmp_path_factory):
    assert header_of(tmp_path_factory.mktemp("random"), start + content).reason in {"not_dicom", "unreadable"}


@given(data=st.data(), syntax=st.sampled_from(BARE))
def test_damaged_files_without_preamble_are_never_taken_for_others(data, syntax, tmp_path_factory):
    """A cut or changed file is put aside, or read as what its header still says; nothing is raised."""
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(content_of(folder / "a", syntax, preamble="", SOPInstanceUID="1.2.3"))
    content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "x").write_bytes(content)
    assert headers_of_file(folder, "x")


def test_fragments_without_a_known_syntax_have_that_reason(tmp_path):
    """Compressed pixels whose file meta information is lost."""
    path = write_dicom(tmp_path / "a", PIXELS)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    del dataset.file_meta
    dataset.preamble = None
    dataset.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert headers_of_file(tmp_path, "a")[0].reason == "unknown_transfer_syntax"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.113", uid.MPEG4HP41, uid.HEVCMP51, "1.2.3.4"])
def test_syntax_without_a_decoder_is_the_reason(syntax, tmp_path):
    path = write_dicom(tmp_path / "a", PIXELS)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = uid.HTJ2KLossless
    dataset.PixelData = encapsulate([bytes(10)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(path)
    stated, written = (name.encode().ljust(24, b"\0") for name in (uid.HTJ2KLossless, syntax))
    path.write_bytes(path.read_bytes().replace(stated, written))
    (header,) = headers_of_file(tmp_path, "a")
    assert header.reason == "unknown_transfer_syntax"


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_float_pixels_are_the_reason(keyword, kind, tmp_path):
    write_dicom(tmp_path / "a", PIXELS, **{keyword: PIXELS.astype(kind).tobytes(), "PixelData": None})
    assert headers_of_file(tmp_path, "a")[0].reason == "float_pixels"
    write_dicom(tmp_path / "b", PIXELS, **{keyword: PIXELS.astype(kind).tobytes(), "PixelData": None, "Modality": "PT"})
    assert headers_of_file(tmp_path, "b")[0].reason == "not_ct_or_mr"


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("position", [[0, 0, 0], None])
def test_frames_without_groups_are_counted_one_by_one(modality, position, tmp_path):
    write_dicom(tmp_path / "a", np.stack([PIXELS] * 4), Modality=modality, ImagePositionPatient=position)
    headers = headers_of_file(tmp_path, "a")
    assert [(header.frame, header.frames, header.reason) for header in headers] == [
        (number, 4, "frames_without_positions") for number in range(4)
    ]


def test_frames_of_a_capture_are_counted_one_by_one(tmp_path):
    write_dicom(
        tmp_path / "a", np.stack([PIXELS] * 4), SOPClassUID=uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    )
    assert [header.reason for header in headers_of_file(tmp_path, "a")] == ["secondary_capture"] * 4


@pytest.mark.parametrize(("frames", "reason"), [(2**30, "unreadable_pixels"), (0, None), (1, None), (-3, None)])
def test_impossible_numbers_of_frames_are_not_counted(frames, reason, tmp_path):
    write_dicom(tmp_path / "a", PIXELS, NumberOfFrames=frames)
    assert [header.reason for header in headers_of_file(tmp_path, "a")] == [reason]


def test_deflated_slices_are_in_their_volume(tmp_path):
    for z in range(5):
        path = write_dicom(tmp_path / "in" / str(z), PIXELS + z, ImagePositionPatient=[0, 0, z])
        dataset = pydicom.dcmread(path)
        if z % 2:
            dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
            dataset.save_as(path)
    assert only_volume(make_volumes(tmp_path / "in", tmp_path / "out"))["slices"] == 5
