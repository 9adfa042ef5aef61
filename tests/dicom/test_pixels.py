from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless
from tests.factories import write_dicom

from refrad.core.sandbox import Limits, run_sandboxed
from refrad.dicom.convert import AcceptedVolume, ConversionJob, GeometryCriteria, QuarantinedVolume, convert
from refrad.dicom.pixels import read_pixels
from refrad.dicom.reasons import QuarantineError
from refrad.dicom.scan import headers_of_file

SYNTAXES = ["compressed_j2k", "compressed_jpeg", "compressed_jpegls", "compressed_rle", "uncompressed_sagittal"]


def headers_in(folder: Path):
    return [header for path in sorted(folder.iterdir()) for header in headers_of_file(folder, path.name)]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_are_decoded_from_usual_transfer_syntaxes(syntax, shared):
    folder = shared / "dicom-mr" / f"dicom2nifti_{syntax}"
    headers = headers_in(folder)
    for header, image in zip(headers, read_pixels(folder, headers), strict=True):
        np.testing.assert_array_equal(image, pydicom.dcmread(folder / header.path).pixel_array)


def test_pixels_of_each_frame_are_read(shared):
    folder = shared / "dicom-mr" / "dicom2nifti_philips_enhanced_T1"
    headers = headers_in(folder)
    frames = pydicom.dcmread(folder / headers[0].path).pixel_array
    assert len(headers) == len(frames) == 8
    np.testing.assert_array_equal(list(read_pixels(folder, headers[::-1])), frames[::-1])


def test_truncated_pixels_are_refused(shared):
    folder = shared / "dicom-mr" / "pydicom_small"
    with pytest.raises(QuarantineError) as refused:
        list(read_pixels(folder, headers_of_file(folder, "MR_truncated.dcm")))
    assert refused.value.reason == "unreadable_pixels"


def test_image_of_another_size_than_its_header_is_refused(shared):
    folder = shared / "dicom-mr" / "pydicom_small"
    (header,) = headers_of_file(folder, "MR_small.dcm")
    with pytest.raises(QuarantineError):
        list(read_pixels(folder, [header._replace(rows=32, offset=0)]))


def test_file_that_requests_all_memory_is_refused_alone(shared, tmp_path):
    good = shared / "dicom-mr" / "dicom2nifti_compressed_j2k" / "IM-0001-0001-0001.dcm"
    content = bytearray(good.read_bytes())
    size = content.index(b"\xff\x4f\xff\x51") + 8  # of the image, in the JPEG 2000 codestream
    content[size : size + 8] = b"\x00\x07\xff\xff" * 2
    (tmp_path / "bad").write_bytes(content)
    (tmp_path / "good").write_bytes(good.read_bytes())
    (tmp_path / "other").write_bytes(good.with_name("IM-0001-0002-0001.dcm").read_bytes())
    gate = GeometryCriteria(2, 0.02, 0.5, sheared=False)
    jobs = [
        ConversionJob(name, tmp_path, ((name, 0), ("other", 0)), "MR", gate, tmp_path / "store")
        for name in ("bad", "good")
    ]
    answers = [answer for _, answer in run_sandboxed(convert, jobs, Limits(2 * 2**30, 60))]
    (bad,), (good,) = (answer or [QuarantinedVolume("beyond_limits")] for answer in answers)
    assert bad.reason == "unreadable_pixels"
    assert isinstance(good, AcceptedVolume)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(("stored", "high"), [(16, 15), (12, 11)])
@pytest.mark.parametrize("junk", [False, True])
def test_pixels_read_in_place_are_those_of_a_parser(signed, implicit, stored, high, junk, tmp_path):
    """Junk in unused bits, signs that are not extended: then the parser decides."""
    r = np.random.default_rng(stored + high)
    words = r.integers(0, 1 << (stored if junk or not signed else stored - 1), (6, 7)).astype(np.uint16)
    if junk and stored < 16:
        words[2, 3] |= 1 << 14
    name = write_dicom(tmp_path / "a", words, PixelRepresentation=int(signed), BitsStored=stored, HighBit=high)
    if implicit:
        dataset = pydicom.dcmread(name)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        dataset.save_as(name, implicit_vr=True, little_endian=True)
    headers = headers_of_file(tmp_path, "a")
    assert headers[0].offset > 0
    (image,) = read_pixels(tmp_path, headers)
    np.testing.assert_array_equal(image, pydicom.dcmread(name).pixel_array)


def test_pixels_of_another_length_are_left_to_the_parser(tmp_path):
    write_dicom(tmp_path / "a", np.zeros((6, 7), np.uint16), PixelData=bytes(2 * 6 * 7 + 8))
    assert headers_of_file(tmp_path, "a")[0].offset == 0


WORDS = np.random.default_rng(3).integers(-(1 << 9), 1 << 9, (6, 7)).astype(np.int16)


def written_words(folder, words, signed, syntax, **attributes):
    path = write_dicom(folder / "a", words, PixelRepresentation=int(signed), **attributes)
    if syntax != ExplicitVRLittleEndian:
        dataset = pydicom.dcmread(path)
        if syntax == RLELossless:
            dataset.compress(syntax, generate_instance_uid=False)
        else:
            dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path, enforce_file_format=True)
    return headers_of_file(folder, "a")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("stored", "high"), [(12, 15), (10, 15), (12, 13), (10, 10)])
def test_pixels_in_higher_bits_of_their_words_are_shifted(syntax, signed, stored, high, tmp_path):
    pixels = WORDS if signed else WORDS + (1 << 9)
    words = pixels.astype(np.uint16) << (high + 1 - stored)
    words |= 0x8000 if high < 15 else 0  # other data
    (image,) = read_pixels(tmp_path, written_words(tmp_path, words, signed, syntax, BitsStored=stored, HighBit=high))
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("signed", [False, True])
def test_wrong_high_bit_is_seen_by_the_words(signed, tmp_path):
    """All pixels fit into the lowest bits, whether their sign is extended or not."""
    for words in (WORDS & 0xFFF, WORDS) if signed else (WORDS & 0x3FF,):
        headers = written_words(tmp_path, words, signed, ExplicitVRLittleEndian, BitsStored=12, HighBit=15)
        (image,) = read_pixels(tmp_path, headers)
        np.testing.assert_array_equal(image, WORDS if signed else words)


def test_words_with_data_on_both_sides_of_the_pixels_are_refused(tmp_path):
    words = (WORDS.astype(np.uint16) << 4) | 1
    headers = written_words(tmp_path, words, False, ExplicitVRLittleEndian, BitsStored=12, HighBit=15)
    with pytest.raises(QuarantineError, match="decoded"):
        list(read_pixels(tmp_path, headers))
