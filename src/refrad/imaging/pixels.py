"""The pixels of slices as they are stored. Compressed ones are decoded in a process of its own, with limited memory.

A broken compressed file can crash a decoder, or make it ask for all the memory there is; neither may end the run.
"""

import resource
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.utils import pixel_array

from refrad.imaging.delivery import is_of_the_storage, quiet
from refrad.imaging.headers import Header
from refrad.imaging.reasons import Quarantined

__all__ = ["PixelReader"]

MEMORY = 4 * 2**30  # bytes of address space: for Python, a decoder and an image
IMAGES_A_MESSAGE = 16


class PixelReader:
    """Reads pixels inside a `with` block, which ends the process for the compressed ones."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown()

    def read(self, folder: Path, headers: Sequence[Header]) -> list[NDArray[Any]]:
        """Stored values [row, column] of each image, before any rescaling.

        Raises:
            Quarantined: "unreadable_pixels", if an image cannot be decoded, or not to the size that its header says.
            OSError: if the storage fails.
        """
        paths, frames = [folder / h.path for h in headers], [h.frame if h.frames > 1 else None for h in headers]
        apart = any(header.compressed for header in headers)
        images = self._read_apart(paths, frames) if apart else list(map(_read, paths, frames))
        if any(image.shape != (header.rows, header.columns) for image, header in zip(images, headers, strict=True)):
            raise Quarantined("unreadable_pixels")
        return images

    def _read_apart(self, paths: Sequence[Path], frames: Sequence[int | None]) -> list[NDArray[Any]]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), _limit_memory)
            self._pool.submit(int).result()  # if not even this works, the images are not to blame
        try:
            return list(self._pool.map(_read, paths, frames, chunksize=IMAGES_A_MESSAGE))
        except BrokenProcessPool:  # the decoder has crashed
            self._pool = None
            raise Quarantined("unreadable_pixels") from None


def _limit_memory() -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold pixels


def _read(path: Path, frame: int | None) -> NDArray[Any]:
    try:
        with quiet():
            # One set of decoders, whatever else is installed: the same pixels everywhere.
            return np.asarray(pixel_array(path, index=frame, decoding_plugin="pylibjpeg"))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # decoders raise anything, panics of Rust among it
        if is_of_the_storage(error):
            raise
        raise Quarantined("unreadable_pixels") from None  # without the message, which may quote the header
