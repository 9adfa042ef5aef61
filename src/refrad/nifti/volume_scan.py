"""Headers of all NIfTI files of a delivery, read by several processes, and the volume that each file is."""

import functools
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from refrad.config import VolumeFiles
from refrad.core.progress import log_progress
from refrad.core.sandbox import Limits, run_sandboxed
from refrad.dicom.headers import Header
from refrad.dicom.scan import MAXIMUM_WORKERS
from refrad.dicom.series import QuarantinedImage, VolumeMember
from refrad.nifti.headers import described_header, header_of_entry
from refrad.nifti.volume_entry import VolumeEntry
from refrad.nifti.volume_list import read_entries

__all__ = ["read_volume_headers", "volumes_of_files"]

log = logging.getLogger(__name__)

FILES_AT_ONCE = 16  # whose headers one message holds
NO_OWNER = {"listed_twice"}  # problems of entries whose keys are not known to be right


def read_volume_headers(
    files: VolumeFiles, limits: Limits, scope: str, workers: int | None = None
) -> Iterator[list[Header]]:
    """Yield the header of each file of a delivery, a list of one, in any order. Files are opened in processes within limits.

    `scope` is the name of the delivery: `sub-01` with a study `sub-01` and a series `T1w` is in many datasets, each another image.

    A file that crashes its reader or exceeds the limits has the reason "beyond_limits"; one with a problem is not opened.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if the table cannot be understood, or the folder is no BIDS dataset where it must be one.
        OSError: if the machine is at fault.
    """
    workers = workers or min(len(os.sched_getaffinity(0)), MAXIMUM_WORKERS)
    read = functools.partial(_headers, Path(files.folder))
    entries = read_entries(files)
    groups = iter(lambda: list(islice(entries, FILES_AT_ONCE)), [])
    alone: list[VolumeEntry] = []

    def headers() -> Iterator[list[Header]]:
        for group, headers_of_group in run_sandboxed(read, groups, limits, workers):
            if headers_of_group is None:
                alone.extend(group)
            else:
                yield from ([header] for header in headers_of_group)
        for (entry,), headers_of_entry in run_sandboxed(read, ([entry] for entry in alone), limits, workers):
            yield headers_of_entry or [described_header(entry)._replace(reason="beyond_limits")]

    for (header,) in log_progress(headers(), log, "files read"):
        yield [header._replace(scope=scope)]


def _headers(folder: Path, entries: Sequence[VolumeEntry]) -> list[Header]:
    return [_header(folder, entry) for entry in entries]


def _header(folder: Path, entry: VolumeEntry) -> Header:
    header = header_of_entry(folder, entry)
    return header._replace(modality="") if entry.problem in NO_OWNER else header


def volumes_of_files(headers: Sequence[Header]) -> list[VolumeMember | QuarantinedImage]:
    """The volume that each file is, in the order of `headers`, which are those of whole series.

    Files of the same patient, study and series are quarantined: nothing says which of them a report means.
    """
    usable = Counter(header.series_key for header in headers if header.reason is None)
    members: list[VolumeMember | QuarantinedImage] = []
    for header in headers:
        key = header.series_key
        reason = header.reason or ("same_keys" if usable[header.series_key] > 1 else None)
        if reason is None:
            members.append(VolumeMember(key, f"volume|{key}"))
        else:
            members.append(QuarantinedImage(reason, f"{key}|{header.path}" if header.modality else None))
    return members
