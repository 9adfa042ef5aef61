"""Compressed pixels that were cut, lost or overwritten somewhere are never decoded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from tests.factories.encapsulated import (
    DELIMITER,
    ENCODERS,
    encapsulated,
    encode,
    fragment,
    picture,
    write_encapsulated,
)

from refrad.dicom.encapsulated import JPEG_XL, is_available
from refrad.dicom.pixels import read_pixels
from refrad.dicom.reasons import QuarantineError
from refrad.dicom.scan import headers_of_file

XL_LOSSLESS, XL_FROM_JPEG, XL_ANY = (f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))
BYTES = {uid.JPEGBaseline8Bit, XL_FROM_JPEG}  # images of 8 bits
LOSSY = {uid.JPEGBaseline8Bit: 8, XL_FROM_JPEG: 8, uid.JPEGExtended12Bit: 40}  # largest difference of a pixel
PADDED = sorted(set(ENCODERS) - {uid.RLELossless})  # RLE has no end but the file's
WITH_AN_END = sorted(set(PADDED) - JPEG_XL)  # a marker of two bytes


def image_of(number, syntax):
    image = picture(number)
    return image >> 4 if syntax in BYTES else image


def layout_of(syntax):
    return {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7} if syntax in BYTES else {}


def decoded(path):
    """The images of a file, or the reason why there are none."""
    try:
        return list(read_pixels(path.parent, headers_of_file(path.parent, path.name)))
    except QuarantineError as error:
        return error.reason


def result_of(tmp_path, value, syntax, frames=1):
    write_encapsulated(tmp_path / "a", value, syntax, frames, **layout_of(syntax))
    return decoded(tmp_path / "a")


@pytest.mark.parametrize("syntax", sorted(ENCODERS))
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("fragments", [1, 4])
@pytest.mark.parametrize("offsets", [True, False])
def test_whole_streams_are_decoded(syntax, frames, fragments, offsets, tmp_path):
    assert is_available(syntax)
    # PS3.5 A.4.2; and the end of a frame of JPEG XL has no marker
    if syntax == uid.RLELossless or (syntax in JPEG_XL and not offsets):
        fragments = 1
    streams = [encode(picture(number), syntax) for number in range(frames)]
    images = result_of(tmp_path, encapsulated(streams, fragments, offsets=offsets) + DELIMITER, syntax, frames)
    for number, image in enumerate(images):
        difference = np.abs(image.astype(int) - image_of(number, syntax))
        assert difference.max() <= LOSSY.get(syntax, 0)
    assert len(images) == frames


def cut_stream(draw, stream, syntax):
    """The beginning of a stream; zeros may fill the place of what it lacks, unless it is RLE, which takes them for lengths."""
    is_rle = syntax == uid.RLELossless
    whole = stream if is_rle else stream.rstrip(b"\0")
    length = draw(st.integers(0, len(whole) - 4)) // 2 * 2
    return stream[:length] + bytes(0 if is_rle or draw(st.booleans()) else len(stream) - length)


@pytest.mark.parametrize("syntax", sorted(ENCODERS))
@pytest.mark.parametrize("cut", ["file", "stream"])
@settings(max_examples=40)
@given(data=st.data())
def test_cut_pixels_are_refused(cut, syntax, data, tmp_path_factory):
    """The file ends between any two bytes of the pixels or of their delimiter, or it is whole and the stream of a frame is not."""
    frames, fragments = data.draw(st.sampled_from([1, 3])), data.draw(st.integers(1, 4))
    streams = [encode(picture(number), syntax) for number in range(frames)]
    if cut == "stream":
        number = data.draw(st.integers(0, frames - 1))
        streams[number] = cut_stream(data.draw, streams[number], syntax)
    value = encapsulated(streams, fragments, offsets=data.draw(st.booleans())) + DELIMITER
    if cut == "file":
        value = value[: data.draw(st.integers(0, len(value) - 1))]
    assert result_of(tmp_path_factory.mktemp("cut"), value, syntax, frames) == "unreadable_pixels"


@pytest.mark.parametrize("syntax", WITH_AN_END)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_stream_that_lacks_pixels_before_its_end_is_refused(syntax, share, tmp_path):
    """A transfer that closed the stream, or lost the second half of its fragments but the last bytes."""
    stream = encode(picture(1), syntax).rstrip(b"\0")
    body = stream[: int(len(stream) * share)].rstrip(b"\xff")
    assert result_of(tmp_path, encapsulated([body + stream[-2:]]) + DELIMITER, syntax) == "unreadable_pixels"


@pytest.mark.parametrize(
    "syntax", [uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.HTJ2KLossless, XL_LOSSLESS]
)
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_lost_fragments_are_refused(syntax, lost, tmp_path):
    stream = encode(picture(1), syntax)
    quarter = -(-len(stream) // 8) * 2
    parts = [stream[start : start + quarter] for start in range(0, len(stream), quarter)]
    del parts[lost]
    value = fragment(b"") + b"".join(fragment(part) for part in parts) + DELIMITER
    assert result_of(tmp_path, value, syntax) == "unreadable_pixels"


@pytest.mark.parametrize("syntax", PADDED)
@pytest.mark.parametrize("padding", [b"", b"\0", b"\0" * 30, b"\xff\xff", b"   ", b"\x07"])
def test_padding_after_the_end_is_no_damage(syntax, padding, tmp_path):
    stream = encode(picture(1), syntax).rstrip(b"\0") + padding
    (image,) = result_of(tmp_path, encapsulated([stream]) + DELIMITER, syntax)
    assert np.abs(image.astype(int) - image_of(1, syntax)).max() <= LOSSY.get(syntax, 0)


@pytest.mark.parametrize("syntax", sorted(ENCODERS))
def test_image_of_another_size_in_the_stream_is_refused(syntax, tmp_path):
    for part in (np.s_[:-1], np.s_[:, :-1], np.s_[: 48 // 2]):
        stream = encode(np.ascontiguousarray(picture(1)[part]), syntax)
        assert result_of(tmp_path, encapsulated([stream]) + DELIMITER, syntax) == "unreadable_pixels"


@pytest.mark.parametrize(
    "syntax", [uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, XL_LOSSLESS, uid.RLELossless]
)
def test_file_with_too_few_frames_is_refused(syntax, tmp_path):
    streams = [encode(picture(number), syntax) for number in range(2)]
    for offsets in (True, False):
        value = encapsulated(streams, offsets=offsets) + DELIMITER
        assert result_of(tmp_path, value, syntax, frames=3) == "unreadable_pixels"


def test_bytes_of_no_fragment_are_refused(tmp_path):
    items = encapsulated([encode(picture(1), uid.JPEGLSLossless)], offsets=False)
    for value in (items + bytes(8), items[:8] + b"\xfe\xff\x01\xe0" + items[12:] + DELIMITER, DELIMITER, b""):
        assert result_of(tmp_path, value, uid.JPEGLSLossless) == "unreadable_pixels"


@pytest.mark.parametrize("folder", ["compressed_j2k", "compressed_jpeg", "compressed_jpegls", "compressed_rle"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95, 0.999])
def test_real_files_that_are_cut_are_refused(folder, share, shared, tmp_path):
    for path in sorted((shared / "dicom-mr" / f"dicom2nifti_{folder}").iterdir()):
        content = path.read_bytes()
        start = content.rfind(b"\xe0\x7f\x10\x00OB")
        (tmp_path / "a").write_bytes(content[: start + 12 + int((len(content) - start - 12) * share)])
        assert decoded(tmp_path / "a") == "unreadable_pixels"


@pytest.mark.parametrize(
    "attributes",
    [
        {"PixelRepresentation": 1},
        {"BitsStored": 10, "HighBit": 9},
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
    ],
)
def test_jpeg_xl_of_other_pixels_than_the_header_states_is_refused(attributes, tmp_path):
    """PS3.5 8.2.15 knows no signed pixels; what a stream of positive numbers would mean is open."""
    write_encapsulated(
        tmp_path / "a", encapsulated([encode(picture(1), XL_LOSSLESS)]) + DELIMITER, XL_LOSSLESS, **attributes
    )
    assert decoded(tmp_path / "a") == "unreadable_pixels"


def test_jpeg_xl_frames_with_an_extended_offset_table_are_decoded(tmp_path):
    streams = [encode(picture(number), XL_ANY) for number in range(3)]
    starts = np.cumsum([0] + [len(stream) + 8 for stream in streams[:2]])
    write_encapsulated(
        tmp_path / "a",
        encapsulated(streams, offsets=False) + DELIMITER,
        XL_ANY,
        frames=3,
        ExtendedOffsetTable=starts.astype("<u8").tobytes(),
        ExtendedOffsetTableLengths=np.array([len(stream) for stream in streams], "<u8").tobytes(),
    )
    np.testing.assert_array_equal(decoded(tmp_path / "a"), [picture(number) for number in range(3)])
