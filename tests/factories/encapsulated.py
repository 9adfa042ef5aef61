"""DICOM files with compressed pixels, whole or damaged."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import rle
from pydicom import Dataset, uid
from tests.factories.dicom import write_dicom

DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
SHAPE = (48, 40)
JPEG_XL = "1.2.840.10008.1.2.4.110"  # lossless; 111: from JPEG, 112: any


def picture(seed: int) -> np.ndarray:
    """A smooth image [row, column] of 12 bits with a little noise, uint16."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    noise = np.random.default_rng(seed).integers(0, 30, SHAPE)
    return ((np.sin((rows + 3 * seed) / 9) * np.cos(columns / 7) + 1) * 1500 + noise).astype(np.uint16)


def _rle(image: np.ndarray) -> bytes:
    rows, columns = image.shape
    options = {"rows": rows, "columns": columns, "samples_per_pixel": 1, "bits_allocated": 16, "byteorder": "<"}
    return bytes(rle.encode_pixel_data(image.tobytes(), **options))


# Transfer syntax -> from an image to its stream. Lossless, but for the two whose pixels are compared with a decoder's.
ENCODERS: Mapping[str, Callable[[np.ndarray], bytes]] = {
    uid.JPEGBaseline8Bit: lambda image: imagecodecs.jpeg8_encode((image >> 4).astype(np.uint8), level=95),
    uid.JPEGExtended12Bit: lambda image: imagecodecs.jpeg8_encode(image, level=95, bitspersample=12),
    uid.JPEGLossless: lambda image: imagecodecs.jpeg8_encode(image, lossless=True, predictor=4, bitspersample=12),
    uid.JPEGLosslessSV1: lambda image: imagecodecs.jpeg8_encode(image, lossless=True, predictor=1, bitspersample=12),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEGLSNearLossless: imagecodecs.jpegls_encode,
    uid.JPEG2000Lossless: lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True, level=0),
    uid.JPEG2000: lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True, level=0),
    uid.HTJ2KLossless: imagecodecs.htj2k_encode,
    uid.HTJ2KLosslessRPCL: imagecodecs.htj2k_encode,
    uid.HTJ2K: imagecodecs.htj2k_encode,
    uid.RLELossless: _rle,
    JPEG_XL: lambda image: imagecodecs.jpegxl_encode(image, lossless=True, bitspersample=12),
    f"{JPEG_XL[:-1]}1": lambda image: imagecodecs.jpegxl_encode_jpeg(ENCODERS[uid.JPEGBaseline8Bit](image)),
    f"{JPEG_XL[:-1]}2": lambda image: imagecodecs.jpegxl_encode(image, lossless=True, usecontainer=True),
}


def encode(image: np.ndarray, syntax: str) -> bytes:
    """The stream of a frame in a transfer syntax, of an even number of bytes."""
    stream = bytes(ENCODERS[syntax](image))
    return stream + bytes(len(stream) % 2)


def fragment(content: bytes) -> bytes:
    """An item of encapsulated pixels."""
    content += bytes(len(content) % 2)
    return b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content


def encapsulated(frames: Sequence[bytes], fragments: int = 1, *, offsets: bool = True) -> bytes:
    """The items of these frames, each in up to so many fragments, after the table of their offsets; without a delimiter."""
    places, items = [], b""
    for frame in frames:
        places.append(len(items))
        size = max(-(-len(frame) // fragments // 2) * 2, 2)
        items += b"".join(fragment(frame[start : start + size]) for start in range(0, len(frame), size))
    table = np.array(places if offsets else [], "<u4").tobytes()
    return fragment(table) + items


def write_encapsulated(path: Path, value: bytes, syntax: str, frames: int = 1, **attributes: Any) -> int:
    """Write a file with this value of its pixels, to the last byte; return the offset of the value in the file.

    A file of several frames is enhanced: they lie one mm apart.
    """
    groups = []
    for number in range(frames if frames > 1 else 0):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, number]
        group.PlanePositionSequence = [position]
        groups.append(group)
    layout = {
        "BitsStored": 12,
        "HighBit": 11,
        "NumberOfFrames": frames,
        "PerFrameFunctionalGroupsSequence": groups or None,
    }
    write_dicom(path, np.zeros(SHAPE, np.uint16), **{**layout, "PixelData": None, **attributes})
    dataset = pydicom.dcmread(path)
    known = uid.HTJ2KLossless if syntax.startswith(JPEG_XL[:-1]) else syntax  # to pydicom; as long as that of JPEG XL
    dataset.file_meta.TransferSyntaxUID = known
    dataset.save_as(path)
    head = path.read_bytes().replace(known.encode(), syntax.encode()) + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
    path.write_bytes(head + value)
    return len(head)
