"""Comments in compressed pixels and overlays in unused bits are blanked; the image stays."""

import struct

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless
from tests.factories import write_dicom

from refrad.privacy.dicom_profile import deidentify
from refrad.privacy.pixel_comments import blank_comments
from refrad.privacy.pseudonyms import Pseudonyms

WORD = b"KANARI^Vogel"
SERIES = {
    JPEGLosslessSV1: "dicom2nifti_compressed_jpeg",
    JPEGLSLossless: "dicom2nifti_compressed_jpegls",
    JPEG2000Lossless: "dicom2nifti_compressed_j2k",
    RLELossless: "dicom2nifti_compressed_rle",
}


def images(shared):
    for syntax, name in SERIES.items():
        image = pydicom.dcmread(min((shared / "dicom-mr" / name).iterdir()))
        assert image.file_meta.TransferSyntaxUID == syntax
        yield syntax, image, next(pydicom.encaps.generate_frames(image.PixelData, number_of_frames=1))


def segment(marker, content):
    return marker + struct.pack(">H", len(content) + 2) + content


def with_comments(syntax, frame):
    """A stream with comments where its format allows them, and text behind its end."""
    end = frame.rfind(b"\xff\xd9") + 2
    if syntax == JPEG2000Lossless:
        size = int.from_bytes(frame[4:6])  # of the segment that must come first
        head, tiles = frame[: 4 + size], frame[4 + size : end]
        tile = tiles.index(b"\xff\x90")
        comment = segment(b"\xff\x64", b"\0\1" + WORD)
        parts = bytearray(tiles[: tile + 12] + comment + tiles[tile + 12 :])
        if length := int.from_bytes(parts[tile + 6 : tile + 10]):
            parts[tile + 6 : tile + 10] = (length + len(comment)).to_bytes(4)
        return head + comment + bytes(parts) + WORD
    segments = segment(b"\xff\xfe", WORD) + b"\xff" + segment(b"\xff\xe1", b"Exif\0\0" + WORD)
    segments += segment(b"\xff\xe0", b"JFIF\0" + WORD) + segment(b"\xff\xe8", WORD)
    return frame[:2] + segments + frame[2:end] + WORD


@pytest.mark.parametrize("size", [None, 1000])
def test_comments_of_compressed_streams_are_blanked(shared, size):
    for syntax, image, frame in images(shared):
        if syntax == RLELossless:
            continue
        before = image.pixel_array.copy()
        stream = with_comments(syntax, frame)
        count = 1 if size is None else -(-len(stream) // size)
        image.PixelData = encapsulate([stream], fragments_per_frame=count)
        assert WORD in image.PixelData
        image.PixelData = blank_comments(image.PixelData, syntax)
        assert WORD not in image.PixelData and WORD[:6] not in image.PixelData
        assert np.array_equal(image.pixel_array, before)


def test_every_frame_loses_its_comments(shared):
    for syntax, _, frame in images(shared):
        if syntax != RLELossless:
            stream = with_comments(syntax, frame)
            blank = blank_comments(encapsulate([stream, stream, stream], fragments_per_frame=2), syntax)
            assert WORD not in blank and len({*pydicom.encaps.generate_frames(blank, number_of_frames=3)}) == 1


def test_streams_without_comments_stay_as_they_are(shared):
    for syntax, image, _ in images(shared):
        if syntax != JPEG2000Lossless:  # whose encoder signs
            assert blank_comments(image.PixelData, syntax) == image.PixelData


def test_markers_that_colours_need_are_kept():
    needed = segment(b"\xff\xe0", b"JFIF\0" + bytes(9)) + segment(b"\xff\xee", b"Adobe" + bytes(7))
    stream = b"\xff\xd8" + needed + segment(b"\xff\xda", bytes(6)) + b"\x01\xff\x00\xff\xd0\x02\xff\xd9"
    assert blank_comments(encapsulate([stream]), JPEGBaseline8Bit) == encapsulate([stream])


@pytest.mark.parametrize(
    ("syntax", "stream"),
    [
        (JPEGBaseline8Bit, b"KANARI"),
        (JPEGBaseline8Bit, b"\xff\xd8\xff\xe1"),
        (JPEGBaseline8Bit, b"\xff\xd8\xff\xe1\xff\xff!!"),
        (JPEGBaseline8Bit, b"\xff\xd8\x00\x00"),
        (JPEGBaseline8Bit, b"\xff\xd8" + segment(b"\xff\xda", bytes(6)) + b"\x01\x02"),
        (JPEG2000Lossless, b"\xff\x4f\xff\x64\x00\x00"),
        (JPEG2000Lossless, b"\xff\x4f\xff\x93\x00\x00"),
        (JPEG2000Lossless, b"KANARI"),
    ],
)
def test_stream_that_cannot_be_followed_is_refused(syntax, stream):
    with pytest.raises(ValueError, match=r"JPEG|marker|segment|stream|tile"):
        blank_comments(encapsulate([stream]), syntax)


@pytest.mark.parametrize(
    ("high_bit", "stored", "position", "cleared"), [(11, 12, 12, 1), (11, 12, 5, 0), (15, 12, 0, 1)]
)
def test_overlay_in_unused_bits_is_blanked(tmp_path, high_bit, stored, position, cleared):
    pixels = np.arange(30, dtype=np.uint16).reshape(5, 6) << (high_bit - stored + 1)
    marked = pixels | (np.uint16(1) << position)
    image = pydicom.dcmread(write_dicom(tmp_path / "image.dcm", marked, PixelRepresentation=0))
    image.BitsStored, image.HighBit = stored, high_bit
    image.add_new((0x6000, 0x0100), "US", 16)
    image.add_new((0x6000, 0x0102), "US", position)
    clean = deidentify(image, Pseudonyms(bytes(32)), "p" * 16, study="a" * 16, series="b" * 16, instance="c" * 16)
    assert clean.PixelData == (pixels if cleared else marked).astype("<u2").tobytes()
