"""Text that pixels carry beside the image: comments in compressed streams, and overlays in bits that the image does not use.

The bytes of comments are replaced by zeros in their places, so that no length and no table of offsets changes.
"""

import re
import struct
from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

__all__ = ["blank_comments", "blank_overlay_bits"]

JPEG = frozenset({*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes})
JPEG_2000 = frozenset({*JPEG2000TransferSyntaxes, *(UID(f"1.2.840.10008.1.2.4.{k}") for k in (201, 202, 203))})
ITEM = struct.Struct("<HHL")
ITEM_TAG = (0xFFFE, 0xE000)
COMMENT, START_OF_SCAN, END_OF_IMAGE = 0xFE, 0xDA, 0xD9  # ITU-T T.81, table B.1
NEEDED = {0xE0: b"JFIF\0", 0xE8: b"mrfx", 0xEE: b"Adobe"}  # application segments that change how colours are decoded
NEXT_MARKER = re.compile(rb"\xff(?![\x00-\x7f\xd0-\xd7])")  # no stuffed byte and no restart
COM, SOT, SOD, EOC = 0xFF64, 0xFF90, 0xFF93, 0xFFD9  # ITU-T T.800, table A.2


def blank_comments(pixels: bytes, syntax: UID) -> bytes:
    """Encapsulated pixels without the text of comments and application segments, and without what follows an image.

    Raises:
        ValueError: if a stream cannot be followed.
    """
    find = _jpeg_comments if syntax in JPEG else _jpeg_2000_comments if syntax in JPEG_2000 else None
    if find is None:
        return pixels
    content = bytearray(pixels)
    for fragments in _images(pixels):
        stream = b"".join(pixels[start:end] for start, end in fragments)
        blanked = bytearray(stream)
        try:
            for start, end in find(stream):
                blanked[start:end] = bytes(end - start)
        except (IndexError, struct.error):
            raise ValueError("a compressed stream ends early") from None
        position = 0
        for start, end in fragments:
            content[start:end] = blanked[position : position + end - start]
            position += end - start
    return bytes(content)


def _images(pixels: bytes) -> Iterator[list[tuple[int, int]]]:
    """The fragments of each image, as first and last byte; an image begins with a fragment that begins like one."""
    position, image, is_first = 0, list[tuple[int, int]](), True
    while position + ITEM.size <= len(pixels):
        group, element, length = ITEM.unpack_from(pixels, position)
        if (group, element) != ITEM_TAG:
            break
        start = position + ITEM.size
        position = start + length
        if position > len(pixels):
            raise ValueError("a fragment is longer than the pixels")
        if is_first:  # the table of offsets
            is_first = False
            continue
        if image and pixels[start : start + 2] in {b"\xff\xd8", b"\xff\x4f"}:
            yield image
            image = []
        image.append((start, position))
    if image:
        yield image


def _jpeg_comments(stream: bytes) -> Iterator[tuple[int, int]]:
    """First and last byte of what no decoder of JPEG and JPEG-LS needs."""
    if stream[:2] != b"\xff\xd8":
        raise ValueError("no JPEG stream")
    position = 2
    while True:
        if stream[position] != 0xFF:
            raise ValueError("no marker where one belongs")
        marker = stream[position + 1]
        if marker == 0xFF:  # fill
            position += 1
            continue
        if marker == END_OF_IMAGE:
            yield position + 2, len(stream)
            return
        start, end = position + 4, position + 2 + int.from_bytes(stream[position + 2 : position + 4])
        if end < start or end > len(stream):
            raise ValueError("a segment is longer than the stream")
        is_needed = marker in NEEDED and stream.startswith(NEEDED[marker], start) and end - start <= 14
        if marker == COMMENT or (0xE0 <= marker <= 0xEF and not is_needed):
            yield start, end
        position = end
        if marker == START_OF_SCAN:
            following = NEXT_MARKER.search(stream, position)
            if following is None:
                raise ValueError("the stream does not end")
            position = following.start()


def _jpeg_2000_comments(stream: bytes) -> Iterator[tuple[int, int]]:
    """First and last byte of the comments of JPEG 2000, in its main header and in those of its tiles."""
    if stream[:2] != b"\xff\x4f":
        raise ValueError("no JPEG 2000 stream")
    position, next_tile = 2, None
    while True:
        (marker,) = struct.unpack_from(">H", stream, position)
        if marker == EOC:
            yield position + 2, len(stream)
            return
        if marker == SOD:
            if not next_tile:  # the last tile goes on to the end
                next_tile = stream.rfind(b"\xff\xd9")
            if next_tile <= position:
                raise ValueError("a tile ends before its pixels")
            position = next_tile
            continue
        (length,) = struct.unpack_from(">H", stream, position + 2)
        if length < 2:
            raise ValueError("a segment has no length")
        if marker == SOT:
            (size,) = struct.unpack_from(">L", stream, position + 6)
            next_tile = position + size if size else None
        if marker == COM:
            yield min(position + 6, position + 2 + length), position + 2 + length
        position += 2 + length


def blank_overlay_bits(image: Dataset, header: Dataset) -> bytes:
    """The plain pixels of an image without the overlays that a header places in bits that the image does not use.

    Args:
        image: with its pixels.
        header: with the attributes of its overlays.
    """
    pixels: bytes = image.PixelData
    if image.BitsAllocated != 16:
        return pixels
    image_bits = range(int(image.HighBit) - int(image.BitsStored) + 1, int(image.HighBit) + 1)
    positions = (header.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2) if (group, 0x3000) not in header)
    bits = {int(position.value) for position in positions if position is not None and position.value is not None}
    mask = sum(1 << bit for bit in bits if 0 <= bit < 16 and bit not in image_bits)
    if not mask:
        return pixels
    kind = "<u2" if image.file_meta.TransferSyntaxUID.is_little_endian else ">u2"
    values = np.frombuffer(pixels[: len(pixels) // 2 * 2], kind)
    blanked: bytes = (values & np.array(0xFFFF ^ mask, kind)).astype(kind).tobytes()
    return blanked
