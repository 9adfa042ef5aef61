"""Pixels in words of 16 bits, some of which may hold other data (PS3.5 8.1.1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refrad.dicom.elements import Values, integer_of, text_of

__all__ = ["NATIVE", "WORD", "bit_range", "bits_of_word", "pixels_of_words"]

WORD = 16  # bits
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
RLE = "1.2.840.10008.1.2.5"


def bits_of_word(values: Values) -> int:
    """The number of bits of a pixel that lies in the lowest bits of a word; 0 for all other kinds of pixels."""
    stored = integer_of(values, "BitsStored") or 0
    is_lowest = integer_of(values, "HighBit") == stored - 1 and 0 < stored <= WORD
    return stored if integer_of(values, "BitsAllocated") == WORD and is_lowest else 0


def bit_range(values: Values) -> tuple[int, ...]:
    """The first bit of a word that holds the pixel, and the one after its last; () if the first is the lowest.

    Other compressed streams than those of words tell their decoder where the pixels lie.
    """
    stored, end = integer_of(values, "BitsStored") or 0, (integer_of(values, "HighBit") or 0) + 1
    has_words = text_of(values, "TransferSyntaxUID") in {*NATIVE, RLE} and integer_of(values, "BitsAllocated") == WORD
    return (end - stored, end) if has_words and 0 < stored < end <= WORD else ()


def pixels_of_words(words: NDArray[Any], bits: tuple[int, ...]) -> NDArray[Any]:
    """The pixels of words, int16 or uint16 as the words.

    Args:
        words: of any shape.
        bits: from `bit_range`.

    Raises:
        ValueError: if bits below the pixels are used, so that the header may be wrong about them.
    """
    first, end = bits
    if not (words & ((1 << first) - 1)).any():
        return words << (WORD - end) >> (WORD - end + first)
    unused = WORD - end + first
    lowest = words << unused >> unused
    if ((lowest != words) & (words.astype(np.uint16) >> (WORD - unused) != 0)).any():
        raise ValueError("the bits below the pixels hold other data")
    return lowest  # the header is wrong: all pixels lie in the lowest bits
