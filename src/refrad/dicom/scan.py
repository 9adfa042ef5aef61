"""Headers of all files of a delivery, read by several processes. Folders may be nested, and other files may be among the images."""

import errno
import functools
import logging
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeGuard

import pydicom
from pydicom.config import disable_value_validation
from pydicom.errors import InvalidDicomError

from refrad.core.progress import log_progress
from refrad.core.sandbox import Limits, run_sandboxed
from refrad.dicom.diffusion import diffusion_of_dataset, is_likely_diffusion
from refrad.dicom.header_tags import TAGS
from refrad.dicom.headers import NO_IMAGE_RULES, Header, ImageRules, headers_of_dataset

__all__ = ["find_files", "headers_of_file", "is_storage_error", "quiet_pydicom", "read_headers", "without_path"]

log = logging.getLogger(__name__)

# Bytes between the tag and the length of pixels that are stored as they are, in little endian
LENGTH_AFTER = {"1.2.840.10008.1.2": 0, "1.2.840.10008.1.2.1": 4}
BEFORE_VALUE = 8  # bytes between the tag and the value of compressed pixels: VR, two zeros, length
DEFLATED = "1.2.840.10008.1.2.1.99"
PIXEL_TAGS = {b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"}  # (7FE0,0010) in little and in big endian
MAXIMUM_WORKERS = 8


def find_files(folder: Path) -> Iterator[str]:
    """Relative posix paths of all files below `folder`, at any depth, and of links to folders, which are not followed.

    In no order, as the storage gives them, so that no more is held than the names of folders that are still to come.

    Raises:
        FileNotFoundError: if there is no such folder, or no file in it.
        OSError: if a folder cannot be read.
    """
    is_empty, folders = True, [""]
    while folders:
        subfolder = folders.pop()
        try:
            with os.scandir(f"{folder}/{subfolder}") as entries:
                for entry in entries:
                    path = subfolder + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{path}/")
                    else:
                        is_empty = False
                        yield path
        except FileNotFoundError:
            continue  # removed since it was listed
        except OSError as error:
            raise without_path(error) from None
    if is_empty:
        raise FileNotFoundError(f"no files in {folder}: check deliveries.dicom in the config")


def read_headers(folder: Path, rules: ImageRules, limits: Limits, workers: int | None = None) -> Iterator[list[Header]]:
    """Yield the headers of each file below `folder`, in any order; a multi-frame file has one for each frame.

    A file that crashes its reader or exceeds the limits has one header, with the reason "beyond_limits".

    Raises:
        FileNotFoundError: if there is no such folder, or no file in it.
        OSError: if the storage fails.
    """
    read = functools.partial(headers_of_file, folder, rules=rules)
    workers = workers or min(len(os.sched_getaffinity(0)), MAXIMUM_WORKERS)
    answers = run_sandboxed(read, find_files(folder), limits, workers)
    for path, headers in log_progress(answers, log, "files read"):
        yield headers or [Header(_printable(path), reason="beyond_limits")]


def headers_of_file(folder: Path, path: str, rules: ImageRules = NO_IMAGE_RULES) -> list[Header]:
    """Headers of the file `path` (relative to `folder`): one, or one for each frame. A bad file has one with a reason.

    Raises:
        MemoryError: if the memory does not suffice.
        OSError: if the storage fails; a file without read permission or a broken link has a header with a reason instead.
    """
    try:
        path.encode()
        full_path = f"{folder}/{path}"
        mode = os.stat(full_path).st_mode  # noqa: PTH116 - pathlib is slow, and this runs for each file
        if not stat.S_ISREG(mode):  # a pipe or a device would never end
            return [Header(path, reason="linked_folder" if stat.S_ISDIR(mode) else "unreadable")]
        with open(full_path, "rb") as file, quiet_pydicom():  # noqa: PTH123
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*TAGS, *rules.tags])
            # pydicom inflates a deflated file in memory: `file` does not show whether pixels follow.
            syntax = dataset.file_meta.get("TransferSyntaxUID")
            has_pixels = syntax == DEFLATED or file.read(4) in PIXEL_TAGS
            headers = headers_of_dataset(dataset, path, has_pixels, rules)
            offset = _offset(file, headers) if has_pixels else 0
            if len(headers) == 1 and headers[0].b_value is None and is_likely_diffusion(dataset):
                file.seek(0)  # for the private blocks that `TAGS` cannot name
                dataset = pydicom.dcmread(file, stop_before_pixels=True)
                headers[0] = headers[0]._replace(**diffusion_of_dataset(dataset)._asdict())
            return [header._replace(offset=offset) for header in headers] if offset else headers
    except InvalidDicomError:
        return [Header(path, reason="not_dicom")]
    except UnicodeEncodeError:
        return [Header(_printable(path), reason="name_not_utf8")]
    except (PermissionError, FileNotFoundError):
        return [Header(path, reason="unreadable")]
    except MemoryError:
        raise
    except Exception as error:  # a broken header makes pydicom raise nearly anything
        if is_storage_error(error):
            raise without_path(error) from None
        return [Header(path, reason="unreadable")]


def _offset(file: BinaryIO, headers: Sequence[Header]) -> int:
    """Offset of the pixels in the file, which is read up to their tag, if they are compressed or one image of 16-bit words; else 0."""
    header = headers[0]
    if header.compressed:
        return file.tell() + BEFORE_VALUE
    if len(headers) > 1 or not header.bits or header.syntax not in LENGTH_AFTER:
        return 0
    before = LENGTH_AFTER[header.syntax]
    start = file.read(before + 4)
    length = int.from_bytes(start[before:], "little")
    return file.tell() if length == 2 * header.rows * header.columns else 0


def _printable(path: str) -> str:
    """The path; if it is not valid UTF-8, with escapes, after two slashes, which no other path begins with."""
    escaped = os.fsencode(path).decode(errors="backslashreplace")
    return path if escaped == path else f"//{escaped}"


def is_storage_error(error: BaseException) -> TypeGuard[OSError]:
    """Whether the storage is at fault: pydicom raises OSError for broken files too, and links may be circular."""
    return isinstance(error, OSError) and error.errno not in {None, errno.ELOOP}


def without_path(error: OSError) -> OSError:
    """The error without the file's name, since folders and files of archives are named after patients."""
    return OSError(error.errno, f"a file or folder of the delivery: {os.strerror(error.errno or 0)}")


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Suppress pydicom's warnings, since they quote header values."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
