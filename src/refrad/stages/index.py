"""Read the headers of a delivery: pseudonyms, series, volumes, shard and split of each patient."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refrad.config import IndexOptions
from refrad.fingerprint import Fingerprint
from refrad.imaging.delivery import read_headers
from refrad.imaging.grouping import Membership, divide_into_volumes
from refrad.imaging.headers import Header
from refrad.privacy.headers import modality_of
from refrad.privacy.pseudonyms import (
    DEMO_MANUFACTURER,
    FileTable,
    Pseudonyms,
    only_for_the_owner,
    read_or_create_key,
    shard_of,
    split_of,
)
from refrad.tables import InstanceTable, frame_of, write_table
from refrad.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 1


def run(
    *,
    dicom: Path,
    reports: Path,  # noqa: ARG001 - a delivery is complete when its reports are there
    key: Path,
    files: Path,
    instances: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    shards: int,
) -> None:
    """Index the DICOM files below `dicom`.

    Raises:
        FileNotFoundError: if there are no files.
        ValueError: if the demo's public key is used for other data than the demo's.
    """
    options = IndexOptions.model_validate(fingerprint.options)
    tally = Tally("files")
    with tally.timed("headers"):
        headers = read_headers(dicom)
    pseudonyms = Pseudonyms(read_or_create_key(key))
    _refuse_demo_key(pseudonyms, headers)
    with tally.timed("grouping"):
        members = divide_into_volumes(headers)
    rows = [
        _instance_row(header, member, pseudonyms, shards, options)
        for header, member in zip(headers, members, strict=True)
    ]
    _count(tally, headers, rows)
    log.info("index: %d files, %d used, %d volumes", tally.taken, tally.used, tally.made["volumes"])
    with only_for_the_owner():
        write_table(files, frame_of(_file_rows(headers, pseudonyms), FileTable), FileTable, fingerprint)
    write_table(instances, frame_of(rows, InstanceTable), InstanceTable, fingerprint)
    tally.write(metrics, fingerprint)


def _refuse_demo_key(pseudonyms: Pseudonyms, headers: Sequence[Header]) -> None:
    """Everybody knows the demo's key, so it protects nobody."""
    if pseudonyms.of_the_demo and any(h.modality and h.manufacturer != DEMO_MANUFACTURER for h in headers):
        raise ValueError(
            "privacy.key is the demo's, which is public, but this delivery is not the demo:"
            " name another file in privacy.key, such as private/key; it is made at first use"
        )


def _instance_row(
    header: Header, member: Membership, pseudonyms: Pseudonyms, shards: int, options: IndexOptions
) -> dict[str, Any]:
    """A row of the instance table. A file that tells no modality tells no patient either."""
    row: dict[str, Any] = {
        "file": pseudonyms.file(header.path),
        "frame": header.frame,
        "modality": modality_of(header.modality),
        "series_number": header.series_number,
        "instance_number": header.instance_number,
        "reason": member.reason,
    }
    if member.instance is None:
        return row
    patient = pseudonyms.patient(header.patient_key)
    return row | {
        "instance": pseudonyms.instance(member.instance),
        "series": pseudonyms.series(header.series_key),
        "study": pseudonyms.study(header.study_key),
        "patient": patient,
        "volume": pseudonyms.volume(member.volume) if member.volume else None,
        "shard": shard_of(patient, shards),
        "split": split_of(patient, test=options.test, validation=options.validation),
    }


def _file_rows(headers: Sequence[Header], pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    """Rows of the private file table: the header strings of the same names, and the pseudonyms."""
    as_in_header = FileTable.to_schema().columns.keys() & set(Header._fields)
    return [
        {name: getattr(header, name) for name in as_in_header}
        | {
            "file": pseudonyms.file(header.path),
            "patient": pseudonyms.patient(header.patient_key) if header.modality else None,
            "study": pseudonyms.study(header.study_key) if header.modality else None,
        }
        for header in headers
        if header.frame == 0
    ]


def _count(tally: Tally, headers: Sequence[Header], rows: Sequence[dict[str, Any]]) -> None:
    """Count files: one is used if one of its frames is. The tables count images, and the made ones used images only."""
    used = [row for row in rows if row["reason"] is None]
    files_used = {row["file"] for row in used}
    first_reasons = Counter(r["reason"] for r in rows if r["frame"] == 0 and r["file"] not in files_used)
    tally.take(sum(header.frame == 0 for header in headers))
    tally.use(len(files_used))
    for reason, number in sorted(first_reasons.items()):
        tally.put_aside(reason, number)
    tally.make("images", len(used))
    for what in ("patient", "study", "series", "volume"):
        plural = {"study": "studies", "series": "series"}.get(what, f"{what}s")
        tally.make(plural, len({row[what] for row in used}))
    for row in rows:
        tally.add("modality", row["modality"] or "none")
        tally.add("reason", row["reason"] or "used")
    for split in {row["patient"]: row["split"] for row in used}.values():
        tally.add("split", split)
    for shard in {row["patient"]: row["shard"] for row in used}.values():
        tally.add("shard", str(shard))
