"""Read the headers of a delivery: pseudonyms, series, volumes, shard and split of each patient."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from refrad.config import IndexOptions
from refrad.core.contracts import InstanceTable
from refrad.core.sandbox import Limits
from refrad.core.tables import write_parts
from refrad.dicom.header_spool import HeaderSpool
from refrad.dicom.headers import Header, ImageRules
from refrad.dicom.scan import read_headers
from refrad.dicom.series import Membership, divide_into_volumes
from refrad.privacy.header_fields import modality_of
from refrad.privacy.pseudonyms import (
    DEMO_MANUFACTURER,
    Distinct,
    FileTable,
    Pseudonyms,
    only_for_the_owner,
    read_or_create_key,
    shard_of,
    split_of,
)
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 3
OWNERS = {"patient": "patients", "study": "studies", "series": "series"}  # column of an image to its plural


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
    headers_of_files = read_headers(dicom, _rules(options), Limits(int(options.memory_gb * 2**30), options.seconds))
    first = next(headers_of_files)  # raises for a missing delivery, before a key is made
    pseudonyms = Pseudonyms(read_or_create_key(key))
    with only_for_the_owner():
        files.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=files.parent, prefix=".index") as private:
        spill = HeaderSpool(Path(private, "headers"))
        with tally.timed("headers"):
            for headers in chain([first], headers_of_files):
                _refuse_demo_key(pseudonyms, headers)
                spill.add(_sort_key(headers[0], pseudonyms, shards), headers)
        with tally.timed("tables"):
            with only_for_the_owner():
                write_parts(files, _file_rows(spill, pseudonyms, shards), FileTable, fingerprint)
            rows = _instance_rows(spill, pseudonyms, shards, options, tally)
            write_parts(instances, rows, InstanceTable, fingerprint)
        spill.close()
    log.info("index: %d files, %d used, %d volumes", tally.taken, tally.used, tally.made["volumes"])
    tally.write(metrics, fingerprint)


def _rules(options: IndexOptions) -> ImageRules:
    actions = {"projection": options.projections, "burned_in": options.burned_in}
    return ImageRules(
        frozenset(reason for reason, action in actions.items() if action == "keep"),
        tuple(tuple(rule.items()) for rule in options.burned_in_rules),
    )


def _sort_key(header: Header, pseudonyms: Pseudonyms, shards: int) -> str:
    """Key that sorts the images by shard, patient, study and series; files without a modality come last.

    Jobs read the tables of the index by shard, and skip the row groups of others.
    """
    if not header.modality:
        return f"~{pseudonyms.file(header.path)}"
    patient, study = pseudonyms.patient(header.patient_key), pseudonyms.study(header.study_key)
    return f"{shard_of(patient, shards):04d}{patient}{study}{pseudonyms.series(header.series_key)}"


def _refuse_demo_key(pseudonyms: Pseudonyms, headers: Sequence[Header]) -> None:
    """Raise ValueError for data other than the demo's under the demo's key, which is public and protects no patient."""
    if pseudonyms.of_the_demo and any(h.modality and h.manufacturer != DEMO_MANUFACTURER for h in headers):
        raise ValueError(
            "privacy.key is the demo's, which is public, but this delivery is not the demo:"
            " name another file in privacy.key, such as private/key; it is made at first use"
        )


def _instance_rows(
    spill: HeaderSpool, pseudonyms: Pseudonyms, shards: int, options: IndexOptions, tally: Tally
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of the instance table, series by series, and count them."""
    ambiguous = spill.ambiguous()
    counted = {column: Distinct() for column in OWNERS}
    for output in ("images", "volumes"):
        tally.make(output, 0)
    for _, headers in spill.series():
        members = divide_into_volumes(
            headers,
            split=options.repetitions == "split",
            keep_one=options.duplicates == "keep_one",
            ambiguous=ambiguous,
        )
        rows = [
            _instance_row(header, member, pseudonyms, shards, options)
            for header, member in zip(headers, members, strict=True)
        ]
        _count(tally, rows, counted)
        yield rows
    for column, plural in OWNERS.items():
        tally.make(plural, len(counted[column]))


def _instance_row(
    header: Header, member: Membership, pseudonyms: Pseudonyms, shards: int, options: IndexOptions
) -> dict[str, Any]:
    """A row of the instance table. A file without a modality has no patient."""
    row: dict[str, Any] = {
        "file": pseudonyms.file(header.path),
        "frame": header.frame,
        "modality": modality_of(header.modality),
        "series_number": header.series_number,
        "instance_number": header.instance_number,
        "burned_in": header.burned_in,
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


def _file_rows(spill: HeaderSpool, pseudonyms: Pseudonyms, shards: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of the private file table: header strings under their field names, and pseudonyms."""
    as_in_header = FileTable.to_schema().columns.keys() & set(Header._fields)

    def owners(header: Header) -> dict[str, Any]:
        if not header.modality:
            return {"patient": None, "study": None, "shard": None}
        patient = pseudonyms.patient(header.patient_key)
        return {"patient": patient, "study": pseudonyms.study(header.study_key), "shard": shard_of(patient, shards)}

    for _, headers in spill.series():
        yield [
            {name: getattr(header, name) for name in as_in_header}
            | {"file": pseudonyms.file(header.path)}
            | owners(header)
            for header in headers
            if header.frame == 0
        ]


def _count(tally: Tally, rows: Sequence[dict[str, Any]], counted: Mapping[str, Distinct]) -> None:
    """Count the files of one series: a file is used if one of its frames is. The tables count all images.

    `counted` holds the patients, studies and series with used images so far, and is updated. Series come patient by patient.
    """
    used = [row for row in rows if row["reason"] is None]
    files_used = {row["file"] for row in used}
    tally.take(sum(row["frame"] == 0 for row in rows))
    tally.use(len(files_used))
    for row in rows:
        if row["frame"] == 0 and row["file"] not in files_used:
            tally.quarantine(row["reason"])
        tally.add("modality", row["modality"] or "none")
        tally.add("reason", row["reason"] or "used")
        if row["reason"] is None:
            tally.add("burned-in text", {True: "yes", False: "no", None: "unknown"}[row["burned_in"]])
    tally.make("images", len(used))
    tally.make("volumes", len({row["volume"] for row in used}))
    for row in used[:1]:  # all rows of a series have the same owners
        for column in ("study", "series"):
            counted[column].add(row[column])
        if counted["patient"].add(row["patient"]):
            tally.add("split", row["split"])
            tally.add("shard", str(row["shard"]))
