"""The pixels of slices as they are stored."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import DeflatedExplicitVRLittleEndian

from refrad.dicom.encapsulated import JPEG_XL, STRICT, check_fragments, decode_jpeg_xl
from refrad.dicom.headers import Header
from refrad.dicom.pixel_words import WORD, pixels_of_words
from refrad.dicom.reasons import QuarantineError
from refrad.dicom.scan import is_error_of_one_file, is_storage_error, quiet_pydicom, without_path

__all__ = ["read_pixels"]


def read_pixels(folder: Path, headers: Sequence[Header]) -> Iterator[NDArray[Any]]:
    """Yield the stored values [row, column] of each image, before any rescaling, in the integer type of the file.

    A broken file can crash a decoder or make it request all memory: call this in a process with limits.

    Args:
        folder: of the delivery.
        headers: of the images, with paths below `folder`; images of the same file are adjacent.

    Raises:
        QuarantineError: "unreadable_pixels", if an image cannot be decoded, or has another size than its header states;
            "storage_error", if the storage fails.
        MemoryError: if the memory does not suffice.
        OSError: if the machine is at fault.
    """
    for path, images in groupby(headers, lambda header: header.path):
        of_file = list(images)
        try:
            plain = _plain(folder / path, of_file[0]) if len(of_file) == 1 else None
            decoded = iter([plain]) if plain is not None else _decoded(folder / path, of_file)
            for header, pixels in zip(of_file, decoded, strict=False):
                if pixels is None or pixels.shape != (header.rows, header.columns):
                    raise QuarantineError("unreadable_pixels")
                yield pixels
        except OSError as error:
            if is_error_of_one_file(error):
                raise QuarantineError("storage_error", path) from None
            raise without_path(error) from None


def _plain(path: Path, header: Header) -> NDArray[Any] | None:
    """The image, read directly if it is stored uncompressed, which is faster than a parser; None if in doubt."""
    if not header.offset or header.compressed:
        return None
    count = header.rows * header.columns
    values = np.fromfile(path, "<i2" if header.signed else "<u2", count, offset=header.offset)
    if len(values) < count:
        return None
    if header.bits < 16:  # higher bits may hold other data, and may lack the sign of negative numbers
        highest = 1 << (header.bits - header.signed)
        if values.max() >= highest or values.min() < (-highest if header.signed else 0):
            return None
    return values.reshape(header.rows, header.columns)


def _decoded(path: Path, headers: Sequence[Header]) -> Iterator[NDArray[Any] | None]:
    """Yield the images of a file, and None at the first that cannot be decoded."""
    try:
        with quiet_pydicom():
            yield from _images(path, headers)
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:  # decoders raise anything, including panics of Rust
        if is_storage_error(error):
            raise
    yield None


def _images(path: Path, headers: Sequence[Header]) -> Iterator[NDArray[Any]]:
    """Yield the images of a file; anything may be raised."""
    header = headers[0]
    frames = [header.frame for header in headers]
    if header.compressed:
        with path.open("rb") as file:
            check_fragments(file, header.offset)
    if header.syntax in JPEG_XL:
        yield from decode_jpeg_xl(pydicom.dcmread(path), frames)
        return
    # Only a data set is inflated by pydicom, no path; only of a path the transfer syntax may be unknown to the file.
    is_deflated = header.syntax == DeflatedExplicitVRLittleEndian
    source = pydicom.dcmread(path) if is_deflated else path
    options: dict[str, Any] = {} if is_deflated else {"transfer_syntax_uid": header.syntax}
    if header.bit_range:
        options |= {"bits_stored": WORD, "high_bit": WORD - 1}
    # One set of decoders, independent of other installed ones, so that pixels are the same everywhere
    plugin = STRICT if header.compressed else ""
    for image in iter_pixels(source, indices=frames if header.frames > 1 else None, decoding_plugin=plugin, **options):
        yield pixels_of_words(np.asarray(image), header.bit_range) if header.bit_range else np.asarray(image)
