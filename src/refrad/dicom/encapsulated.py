"""Compressed pixels: whether their fragments are whole, and decoders that refuse a stream that is not.

Pixels that a decoder cannot find in its stream are invented by some decoders, so that a broken transfer looks like an image.
Importing this module makes `STRICT` known to pydicom, the name of a set of decoders that raise instead. JPEG XL, which
pydicom does not know, has a function of its own.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders import pyjpegls, pylibjpeg
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

__all__ = [
    "DECODER_DEPENDENCIES",
    "JPEG_XL",
    "STRICT",
    "check_fragments",
    "decode_jpeg_xl",
    "decode_whole_stream",
    "decompress_jpeg_xl",
    "is_available",
]

STRICT = "refrad"
JPEG = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1})
JPEG_LS = frozenset({JPEGLSLossless, JPEGLSNearLossless})
JPEG_2000 = frozenset({JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})
LONGEST_PADDING = 64  # zeros after a stream in JPEG XL; of more, some stand for lost pixels
JPEG_XL = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))  # lossless, recompressed JPEG, any
DECODABLE = JPEG | JPEG_LS | JPEG_2000 | {RLELossless}
DECODER_DEPENDENCIES = dict.fromkeys(DECODABLE, ("pylibjpeg>=2.1", "pyjpegls>=1.0"))

ITEM, DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"  # PS3.5 A.4, in little endian
UNDEFINED = 0xFFFFFFFF
END = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000: never a part of compressed pixels
# Bits that follow the last pixel: all of them ones, which is no code of any Huffman table (ITU-T T.81, Annex C)
ONES = b"\xff\x00" * 16


def check_fragments(file: BinaryIO, offset: int) -> None:
    """Check that encapsulated pixels are whole: each fragment lies inside of the file, and the delimiter follows the last.

    Args:
        file: a DICOM file.
        offset: of the value of its pixels, in bytes; their length lies before it.

    Raises:
        ValueError: if they are not.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(offset - 4)
    length = int.from_bytes(file.read(4), "little")
    end = None if length == UNDEFINED else offset + length
    while offset != end:
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            raise ValueError("the file ends before the pixels do")
        tag, length = struct.unpack("<4sL", head)
        if tag == DELIMITER:
            return
        offset += len(head) + length
        if tag != ITEM or offset > size:
            raise ValueError("a fragment of the pixels is not whole")


def is_available(syntax: str) -> bool:
    """Whether there is a decoder of a transfer syntax. The name is pydicom's."""
    return syntax in DECODABLE or syntax in JPEG_XL


def decode_whole_stream(stream: bytes, runner: DecodeRunner) -> bytes | bytearray:
    """The pixels of one frame; a decoder of pydicom's, in the form that it demands.

    JPEG-LS has a decoder of its own, which refuses every stream that it cannot follow to the end. That of JPEG fills
    missing pixels in: bits that are no code, put at the end of the stream, make it stop there.

    Raises:
        ValueError: if the stream has no end.
        Exception: any of a decoder's.
    """
    syntax = runner.transfer_syntax
    if syntax != RLELossless:  # which has no mark at its end, but lengths
        stream = _without_padding(stream)
    if syntax in JPEG_LS:
        return pyjpegls._decode_frame(stream, runner)
    if syntax in JPEG:
        stream = stream.removesuffix(END) + ONES + END
    return pylibjpeg._decode_frame(stream, runner)


def decode_jpeg_xl(dataset: Dataset, frames: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield the pixels [row, column] of frames in JPEG XL, uint8 or uint16, in the size that the header states.

    The decoder refuses a stream that it cannot follow to the end. PS3.5 8.2.15 allows no signed pixels.

    Args:
        dataset: with its pixels.
        frames: numbers of the frames, from 0.

    Raises:
        ValueError: if a stream has other pixels than the header states.
        Exception: any of the decoder's.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    offsets = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
    for frame in frames:
        stream = get_frame(
            dataset.PixelData, frame, number_of_frames=count, extended_offsets=offsets if all(offsets) else None
        )
        if len(stream) - len(stream.rstrip(b"\0")) > LONGEST_PADDING:  # the decoder takes some of them for pixels
            raise ValueError("the compressed pixels do not end")
        pixels = imagecodecs.jpegxl_decode(stream)
        of_header = np.dtype(f"u{dataset.BitsAllocated // 8}")
        is_of_header = pixels.dtype == of_header and pixels.shape == (dataset.Rows, dataset.Columns)
        if dataset.PixelRepresentation or not is_of_header or int(pixels.max()) >> dataset.BitsStored:
            raise ValueError("the compressed pixels are not those of the header")
        yield pixels


def decompress_jpeg_xl(dataset: Dataset) -> None:
    """Replace the pixels of a data set in JPEG XL by the same ones uncompressed, in explicit little endian.

    Raises:
        ValueError: if a stream has other pixels than the header states.
        Exception: any of the decoder's.
    """
    frames = decode_jpeg_xl(dataset, range(int(dataset.get("NumberOfFrames") or 1)))
    pixels = b"".join(frame.astype(frame.dtype.newbyteorder("<")).tobytes() for frame in frames)
    dataset["PixelData"] = DataElement("PixelData", "OW", pixels + bytes(len(pixels) % 2))
    dataset.HighBit = dataset.BitsStored - 1  # whatever it was: the decoder puts values into the lowest bits
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _without_padding(stream: bytes) -> bytes:
    """The stream up to its end marker; padding follows: one byte repeated, and zeros."""
    end = stream.rfind(END)
    padding = stream[end + len(END) :].rstrip(b"\0")
    if end < 0 or len(set(padding)) > 1:
        raise ValueError("the compressed pixels do not end")
    return stream[: end + len(END)]


for _syntax in DECODABLE:
    get_decoder(_syntax).add_plugin(STRICT, (__name__, decode_whole_stream.__name__))
