"""Headers of all files of a delivery, read by several processes. Folders may be nested, and other files may be among the images."""

import errno
import functools
import logging
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeGuard

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

from refrad.core.progress import log_progress
from refrad.core.sandbox import Limits, run_sandboxed
from refrad.dicom.datasets import UNDEFINED, StoredPixels, pixels_after, read_dataset
from refrad.dicom.diffusion import diffusion_of_dataset, is_likely_diffusion
from refrad.dicom.encapsulated import is_available
from refrad.dicom.header_tags import TAGS
from refrad.dicom.headers import NO_IMAGE_RULES, Header, ImageRules, headers_of_dataset
from refrad.dicom.plain_files import Wanted, read_plain_file, wanted

__all__ = [
    "MAXIMUM_WORKERS",
    "find_files",
    "headers_of_file",
    "is_error_of_one_file",
    "is_storage_error",
    "printable_path",
    "quiet_pydicom",
    "read_headers",
    "without_path",
]

log = logging.getLogger(__name__)

PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}  # syntaxes of little endian, whose words are stored as they are
OF_THE_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}
SMALLEST_FRAME = 8  # bytes: an item without a value
MAXIMUM_WORKERS = 8
FILES_AT_ONCE = 16  # whose headers one message holds
NUMBER_OF_FRAMES = Tag("NumberOfFrames")


def find_files(folder: Path, option: str = "deliveries.dicom") -> Iterator[str]:
    """Relative posix paths of all files below `folder`, at any depth, and of links to folders, which are not followed.

    In no order, as the storage gives them, so that no more is held than the names of folders that are still to come. `option` is
    that of the config which names the folder.

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
        raise FileNotFoundError(f"no files in {folder}: check {option} in the config")


def read_headers(folder: Path, rules: ImageRules, limits: Limits, workers: int | None = None) -> Iterator[list[Header]]:
    """Yield the headers of each file below `folder`, in any order; a multi-frame file has one for each frame.

    A file that crashes its reader or exceeds the limits has one header, with the reason "beyond_limits"; one for which the
    storage fails has the reason "storage_error".

    Raises:
        FileNotFoundError: if there is no such folder, or no file in it.
        OSError: if the storage fails for a folder, or the machine is at fault.
    """
    workers = workers or min(len(os.sched_getaffinity(0)), MAXIMUM_WORKERS)
    for path, headers in log_progress(_read_sandboxed(folder, rules, limits, workers), log, "files read"):
        yield headers or [Header(printable_path(path), reason="beyond_limits")]


def _read_sandboxed(
    folder: Path, rules: ImageRules, limits: Limits, workers: int
) -> Iterator[tuple[str, list[Header] | None]]:
    """Yield each file with its headers; None if it crashes its reader or exceeds the limits, which only a file read alone shows."""
    read = functools.partial(_headers_of_files, folder, rules)
    paths = find_files(folder)
    groups = iter(lambda: list(islice(paths, FILES_AT_ONCE)), [])
    alone: list[str] = []
    for group, headers_of_group in run_sandboxed(read, groups, limits, workers):
        if headers_of_group is None:
            alone += group
        else:
            yield from zip(group, headers_of_group, strict=True)
    for group, headers_of_group in run_sandboxed(read, ([path] for path in alone), limits, workers):
        yield group[0], headers_of_group[0] if headers_of_group else None


def _headers_of_files(folder: Path, rules: ImageRules, paths: Sequence[str]) -> list[list[Header]]:
    with quiet_pydicom():
        return [_headers_of_file(folder, path, rules) for path in paths]


def headers_of_file(folder: Path, path: str, rules: ImageRules = NO_IMAGE_RULES) -> list[Header]:
    """Headers of the file `path` (relative to `folder`): one, or one for each frame. A bad file has one with a reason.

    Raises:
        MemoryError: if the memory does not suffice.
        OSError: if the machine is at fault (see `is_error_of_one_file`).
    """
    with quiet_pydicom():
        return _headers_of_file(folder, path, rules)


def _headers_of_file(folder: Path, path: str, rules: ImageRules) -> list[Header]:
    try:
        path.encode()
        full_path = f"{folder}/{path}"
        mode = os.stat(full_path).st_mode  # noqa: PTH116 - pathlib is slow, and this runs for each file
        if not stat.S_ISREG(mode):  # a pipe or a device would never end
            return [Header(path, reason="linked_folder" if stat.S_ISDIR(mode) else "unreadable")]
        with open(full_path, "rb") as file:  # noqa: PTH123
            return _headers_of_open_file(file, path, rules)
    except InvalidDicomError:
        return [Header(path, reason="not_dicom")]
    except UnicodeEncodeError:
        return [Header(printable_path(path), reason="name_not_utf8")]
    except (PermissionError, FileNotFoundError):
        return [Header(path, reason="unreadable")]
    except MemoryError:
        raise
    except Exception as error:  # a broken header makes pydicom raise nearly anything
        if is_storage_error(error) and not is_error_of_one_file(error):
            raise without_path(error) from None
        return [Header(path, reason="storage_error" if is_storage_error(error) else "unreadable")]


def _headers_of_open_file(file: BinaryIO, path: str, rules: ImageRules) -> list[Header]:
    tags, elements = _wanted(rules)
    plain = read_plain_file(file, elements)
    if plain:
        dataset, pixels = plain
    else:
        file.seek(0)
        dataset = read_dataset(file, tags)
        pixels = pixels_after(file, dataset.file_meta.TransferSyntaxUID)
    headers = headers_of_dataset(dataset, path, bool(pixels.keyword), rules)
    if (frames := _frames_without_groups(dataset)) > 1:
        headers = _headers_without_positions(headers[0], frames, os.fstat(file.fileno()).st_size)
    elif (
        len(headers) == 1
        and headers[0].modality == "MR"
        and headers[0].b_value is None
        and is_likely_diffusion(dataset)
    ):
        file.seek(0)  # for the private blocks that `TAGS` cannot name
        headers[0] = headers[0]._replace(**diffusion_of_dataset(read_dataset(file, None))._asdict())
    reason, offset = _unreadable(headers[0], pixels), _offset(headers, pixels)
    if reason and headers[0].reason != "not_ct_or_mr":
        headers = [header._replace(reason=reason) for header in headers]
    return [header._replace(offset=offset) for header in headers] if offset else headers


@lru_cache
def _wanted(rules: ImageRules) -> tuple[Sequence[int], Wanted]:
    """The tags of all elements that are read, in both forms."""
    tags = [*TAGS, *rules.tags]
    return tags, wanted(tags)


def _frames_without_groups(dataset: Dataset) -> int:
    """The number of frames of an image that has no functional groups."""
    if NUMBER_OF_FRAMES not in dataset.keys():  # noqa: SIM118 - which takes any tag or keyword, and is slow
        return 1
    try:
        return 1 if "PerFrameFunctionalGroupsSequence" in dataset else int(dataset.get("NumberOfFrames") or 1)
    except (ValueError, TypeError, ArithmeticError):
        return 1


def _headers_without_positions(header: Header, frames: int, size: int) -> list[Header]:
    """The headers of the frames of a plain image: the standard gives the positions of frames in functional groups alone."""
    if header.reason == "not_ct_or_mr":
        return [header]
    is_without_positions = header.reason in {None, "no_geometry"}
    if frames > size // SMALLEST_FRAME:  # the number is wrong
        return [header._replace(reason="unreadable_pixels")] if is_without_positions else [header]
    header = header._replace(
        frames=frames, reason="frames_without_positions" if is_without_positions else header.reason
    )
    return [header._replace(frame=number, instance_number=number + 1) for number in range(frames)]


def _unreadable(header: Header, pixels: StoredPixels) -> str | None:
    """Why the pixels are of a kind that nothing here reads; None if they may be read."""
    if pixels.keyword not in {"", "PixelData"}:
        return "float_pixels"
    if header.compressed and not is_available(header.syntax):
        return "unknown_transfer_syntax"
    # Fragments in a syntax of words: the file meta information, which would name the compression, is lost.
    return "unknown_transfer_syntax" if not header.compressed and pixels.length == UNDEFINED else None


def _offset(headers: Sequence[Header], pixels: StoredPixels) -> int:
    """Offset of the pixels in the file if they are compressed or one image of 16-bit words; else 0."""
    header = headers[0]
    words = len(headers) == 1 and header.bits > 0 and header.syntax in PLAIN
    as_they_are = words and pixels.length == 2 * header.rows * header.columns
    return pixels.offset if header.compressed or as_they_are else 0


def printable_path(path: str) -> str:
    """The path; if it is not valid UTF-8, with escapes, after two slashes, which no other path begins with."""
    escaped = os.fsencode(path).decode(errors="backslashreplace")
    return path if escaped == path else f"//{escaped}"


def is_storage_error(error: BaseException) -> TypeGuard[OSError]:
    """Whether the storage is at fault: pydicom raises OSError for broken files too, and links may be circular."""
    return isinstance(error, OSError) and error.errno not in {None, errno.ELOOP, errno.EINVAL}


def is_error_of_one_file(error: OSError) -> bool:
    """Whether other files may still be read: a disk or file server fails for one of them, but a full machine for all."""
    return error.errno not in OF_THE_MACHINE


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
