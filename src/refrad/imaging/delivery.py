"""The headers of a whole delivery: any depth, any names, any files among the images; read by several processes."""

import logging
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain, repeat
from multiprocessing import get_context
from pathlib import Path

import pydicom
from pydicom.config import disable_value_validation
from pydicom.errors import InvalidDicomError

from refrad.imaging.headers import TAGS, Header, headers_of_dataset

__all__ = ["find_files", "headers_of_file", "is_of_the_storage", "quiet", "read_headers"]

log = logging.getLogger(__name__)

DEFLATED = "1.2.840.10008.1.2.1.99"
PIXEL_TAGS = {b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"}  # (7FE0,0010) in little and in big endian
MAXIMUM_WORKERS = 8
FILES_A_WORKER = 500  # fewer are read faster than a process starts
CHUNK = 64


def find_files(folder: Path) -> list[str]:
    """Relative posix paths of all files below `folder`, at any depth, sorted.

    Raises:
        FileNotFoundError: if there is no such folder, or no file in it.
    """
    walk = os.walk(folder)
    found = [Path(parent, name).relative_to(folder).as_posix() for parent, _, names in walk for name in names]
    if not found:
        raise FileNotFoundError(f"no files in {folder}: check deliveries.dicom in the config")
    return sorted(found)


def read_headers(folder: Path) -> list[Header]:
    """Headers of all files below `folder`, sorted by path; a multi-frame file has one a frame.

    Large folders are read by several processes; the result does not depend on their number.

    Raises:
        FileNotFoundError: if there is no such folder, or no file in it.
        OSError: if the storage fails.
    """
    paths = find_files(folder)
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    workers = min(len(os.sched_getaffinity(0)), MAXIMUM_WORKERS, len(paths) // FILES_A_WORKER)
    if workers <= 1:
        return _joined(map(_headers_of_files, repeat(folder), chunks), len(paths))
    # Spawned, not forked: the caller may hold threads, and a fork copies their locks as they are.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return _joined(pool.map(_headers_of_files, repeat(folder), chunks), len(paths))


def _joined(results: Iterable[list[Header]], files: int) -> list[Header]:
    """All headers in one list, with a word on the progress now and then."""
    return list(chain.from_iterable(_spoken(results, files)))


def _spoken(results: Iterable[list[Header]], files: int) -> Iterator[list[Header]]:
    last = time.monotonic()
    for number, result in enumerate(results, 1):
        if time.monotonic() - last > 10:
            last = time.monotonic()
            log.info("headers: %d of %d files", number * CHUNK, files)
        yield result


def _headers_of_files(folder: Path, paths: Sequence[str]) -> list[Header]:
    return [header for path in paths for header in headers_of_file(folder, path)]


def headers_of_file(folder: Path, path: str) -> list[Header]:
    """Headers of the file `path` (relative to `folder`): one, or one a frame. A bad file gives one with a reason.

    Raises:
        OSError: if the storage fails; a file that may not be read, or a link that leads nowhere, is only put aside.
    """
    try:
        path.encode()
        with (folder / path).open("rb") as file, quiet():
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=TAGS)
            # A deflated file has been inflated elsewhere: whether pixels come next cannot be seen here.
            has_pixels = dataset.file_meta.get("TransferSyntaxUID") == DEFLATED or file.read(4) in PIXEL_TAGS
            return headers_of_dataset(dataset, path, has_pixels)
    except InvalidDicomError:
        return [Header(path, reason="not_dicom")]
    except UnicodeEncodeError:
        return [Header(os.fsencode(path).decode(errors="backslashreplace"), reason="name_not_utf8")]
    except (PermissionError, FileNotFoundError):
        return [Header(path, reason="unreadable")]
    except Exception as error:  # a broken header makes pydicom raise nearly anything
        if is_of_the_storage(error):
            raise
        return [Header(path, reason="unreadable")]


def is_of_the_storage(error: BaseException) -> bool:
    """Whether the system raised the error; pydicom raises OSError too, for broken files, but without a number."""
    return isinstance(error, OSError) and error.errno is not None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings out of the logs, since they quote header values."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
