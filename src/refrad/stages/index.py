"""Read the headers of a delivery: pseudonyms, series, volumes, shard and split of each patient."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import polars as pl

from refrad.config import IndexOptions, VolumeFiles
from refrad.core.contracts import InstanceTable
from refrad.core.private_files import close_to_others, only_for_the_owner
from refrad.core.sandbox import Limits
from refrad.core.table_rows import InstanceRow
from refrad.core.tables import read_frame, write_parts, write_table
from refrad.dicom.header_spool import HeaderSpool
from refrad.dicom.headers import Header, ImageRules
from refrad.dicom.image_choice import ImageChoice
from refrad.dicom.image_choice_lists import read_image_choice, report_choice
from refrad.dicom.scan import read_headers
from refrad.dicom.series import QuarantinedImage, VolumeMember, divide_into_volumes
from refrad.dicom.withdrawn_images import leave_out_withdrawn
from refrad.nifti.delivered_splits import OfficialSplits, put_in_train
from refrad.nifti.volume_scan import read_volume_headers, volumes_of_files
from refrad.privacy.header_fields import modality_of
from refrad.privacy.persons import PersonTable, count_persons, identify_persons
from refrad.privacy.pseudonyms import (
    DEMO_MANUFACTURER,
    Distinct,
    FileRow,
    FileTable,
    Pseudonyms,
    fold_patient_key,
    read_or_create_key,
    shard_of,
    split_of,
)
from refrad.privacy.storage_errors import StorageErrors
from refrad.privacy.withdrawals import withdrawals_of
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 5
OWNERS = ("patients", "studies", "series")


def run(
    *,
    reports: Path,  # noqa: ARG001 - a delivery is complete when its reports are there
    key: Path,
    files: Path,
    instances: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    shards: int,
    dicom: Path | None = None,
    volume_files: str | None = None,
    public_set: str | None = None,
    persons: Path | None = None,
    include: Path | None = None,
    exclude: Path | None = None,
) -> None:
    """Index the DICOM files below `dicom`, or NIfTI files; `persons` is a private table of the patients that may be one person.

    `volume_files` and `public_set` are those of the delivery in the config, the first as JSON. `include` and `exclude` are the lists that choose images.
    Files of patients who have withdrawn, by the list in the private folder, are counted, and in no table.

    Raises:
        FileNotFoundError: if there are no files.
        ValueError: if the storage fails for more files than the config allows, the demo's public key is used for other data
            than the demo's, a list has changed since the run began, a table of volumes cannot be understood, or some of its
            files have an official split and some have none.
    """
    options = IndexOptions.model_validate(fingerprint.options)
    tally = Tally("files")
    headers_of_files = put_in_train(_read_headers(dicom, volume_files, files.parent.name, options), public_set)
    first = next(headers_of_files)  # raises for a missing delivery, before a key is made
    pseudonyms = Pseudonyms(read_or_create_key(key))
    choice = read_image_choice({"include": include, "exclude": exclude}, key, fingerprint)
    with only_for_the_owner():
        files.parent.mkdir(parents=True, exist_ok=True)
    # a folder for private tables, that may stand open
    if not instances.resolve().is_relative_to(files.parent.resolve()):
        close_to_others(files.parent)
    withdrawals = withdrawals_of(files, pseudonyms)
    storage_errors = StorageErrors(files.parent / "storage_errors.txt", options.storage_errors)
    official = OfficialSplits(lambda header: _person(header, options))
    with tempfile.TemporaryDirectory(dir=files.parent, prefix=".index") as private:
        spill = HeaderSpool(Path(private, "headers"))
        with tally.timed("headers"):
            for headers in leave_out_withdrawn(chain([first], headers_of_files), withdrawals, tally):
                _refuse_demo_key(pseudonyms, headers)
                if headers[0].reason == "storage_error":
                    storage_errors.add(headers[0].path)
                choice.learn(headers[0])
                official.learn(headers[0])
                spill.add(_sort_key(headers[0], pseudonyms, shards), headers)
        official.settle()
        with tally.timed("tables"):
            with only_for_the_owner():
                write_parts(files, _file_rows(spill, pseudonyms, shards), FileTable, fingerprint)
            rows = _instance_rows(spill, pseudonyms, shards, options, tally, choice, official)
            write_parts(instances, rows, InstanceTable, fingerprint, public_set)
        spill.close()
    _write_persons(persons, files, instances, pseudonyms, fingerprint, tally)
    log.info("index: %d files, %d used, %d volumes", tally.taken, tally.used, tally.made["volumes"])
    report_choice(choice, tally)
    if storage_errors.count:
        log.warning("index: the storage failed for %s", storage_errors)
    tally.write(metrics, fingerprint)


def _read_headers(
    dicom: Path | None, files: str | None, delivery: str, options: IndexOptions
) -> Iterator[list[Header]]:
    """The headers of each file of a delivery."""
    limits = Limits.of_gib(options.memory_gb, options.seconds)
    if (dicom is None) == (files is None):
        raise ValueError("needs either --dicom or --volume-files")
    if files is not None:
        return read_volume_headers(VolumeFiles.model_validate_json(files), limits, delivery)
    return read_headers(dicom or Path(), _rules(options), limits)


def _rules(options: IndexOptions) -> ImageRules:
    actions = {"projection": options.projections, "burned_in": options.burned_in}
    accepted = frozenset(reason for reason, action in actions.items() if action == "keep")
    return ImageRules(accepted, tuple(tuple(rule.items()) for rule in options.burned_in_rules))


def _write_persons(
    path: Path | None, files: Path, instances: Path, pseudonyms: Pseudonyms, fingerprint: Fingerprint, tally: Tally
) -> None:
    """Count the patients that may be one person, and write them to the table if it is named."""
    headers = read_frame(files, ["patient", "patient_name", "birth_date", "issuer"])
    used = read_frame(instances, ["patient", "split", "reason"]).filter(pl.col("reason").is_null())
    persons = identify_persons(headers, used, pseudonyms)
    for kind, count in count_persons(persons).items():
        tally.add("patients that may be one person", kind, count)
    if path is not None:
        with only_for_the_owner():
            write_table(path, persons, PersonTable, fingerprint)


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
    if pseudonyms.of_the_demo and any(
        h.modality and (h.nested_keys or h.manufacturer != DEMO_MANUFACTURER) for h in headers
    ):
        raise ValueError(
            "privacy.key is the demo's, which is public, but this delivery is not the demo:"
            " name another file in privacy.key, such as private/key; it is made at first use"
        )


def _instance_rows(
    spill: HeaderSpool,
    pseudonyms: Pseudonyms,
    shards: int,
    options: IndexOptions,
    tally: Tally,
    choice: ImageChoice,
    official: OfficialSplits,
) -> Iterator[list[InstanceRow]]:
    """Yield the rows of the instance table, series by series, and count them."""
    choice.settle()
    ambiguous, scattered = spill.ambiguous(), spill.scattered()
    owners = {owner: Distinct() for owner in OWNERS}
    for output in ("images", "volumes"):
        tally.make(output, 0)
    for _, headers in spill.series():
        headers = official.leave_out(choice.leave_out(headers))
        if headers[0].unified_series_key in scattered:
            headers = [h if h.reason else h._replace(reason="series_in_many_studies") for h in headers]
        images = (
            volumes_of_files(headers)
            if headers[0].nested_keys
            else divide_into_volumes(
                headers,
                split=options.repetitions == "split",
                keep_one=options.duplicates == "keep_one",
                ambiguous=ambiguous,
            )
        )
        rows = [
            _instance_row(header, image, pseudonyms, shards, options)
            for header, image in zip(headers, images, strict=True)
        ]
        _count(tally, rows, owners)
        yield rows
    for owner, pseudonyms_of_owner in owners.items():
        tally.make(owner, len(pseudonyms_of_owner))


def _instance_row(
    header: Header, image: VolumeMember | QuarantinedImage, pseudonyms: Pseudonyms, shards: int, options: IndexOptions
) -> InstanceRow:
    """A row of the instance table. A file without a modality has no patient."""
    patient = None if image.instance is None else pseudonyms.patient(header.patient_key)
    return {
        "file": pseudonyms.file(header.path),
        "frame": header.frame,
        "slices": header.slices,
        "instance": None if image.instance is None else pseudonyms.instance(image.instance),
        "series": pseudonyms.series(header.series_key) if patient else None,
        "study": pseudonyms.study(header.study_key) if patient else None,
        "patient": patient,
        "volume": pseudonyms.volume(image.volume) if isinstance(image, VolumeMember) else None,
        "modality": modality_of(header.modality),
        "series_number": header.series_number,
        "instance_number": header.instance_number,
        "shard": shard_of(patient, shards) if patient else None,
        "split": _split(header, pseudonyms, options) if patient else None,
        "burned_in": header.burned_in,
        "reason": image.reason if isinstance(image, QuarantinedImage) else None,
    }


def _split(header: Header, pseudonyms: Pseudonyms, options: IndexOptions) -> str:
    """The split of the patient: the official one, or by a PatientID, whatever its issuer and the way it is written."""
    person = pseudonyms.patient(_person(header, options))
    return header.split or split_of(person, test=options.test, validation=options.validation)


def _person(header: Header, options: IndexOptions) -> str:
    """The key of the patient, which all spellings of a PatientID share unless the site says otherwise."""
    key = header.patient_key
    return fold_patient_key(key) if header.patient_id and options.patient_ids == "folded" else key


def _file_rows(spill: HeaderSpool, pseudonyms: Pseudonyms, shards: int) -> Iterator[list[FileRow]]:
    """Yield the rows of the private file table, series by series."""
    for _, headers in spill.series():
        yield [_file_row(header, pseudonyms, shards) for header in headers if header.frame == 0]


def _file_row(header: Header, pseudonyms: Pseudonyms, shards: int) -> FileRow:
    """A row of the private file table: strings of the header, and pseudonyms."""
    patient = pseudonyms.patient(header.patient_key) if header.modality else None
    return {
        "file": pseudonyms.file(header.path),
        "path": header.path,
        "patient_id": header.patient_id,
        "issuer": header.issuer,
        "patient_name": header.patient_name,
        "birth_date": header.birth_date,
        "accession_number": header.accession_number,
        "study_uid": header.study_uid,
        "series_uid": header.series_uid,
        "instance_uid": header.instance_uid,
        "names": header.names,
        "institution": header.institution,
        "patient": patient,
        "study": pseudonyms.study(header.study_key) if patient else None,
        "shard": shard_of(patient, shards) if patient else None,
    }


def _count(tally: Tally, rows: Sequence[InstanceRow], owners: Mapping[str, Distinct]) -> None:
    """Count the files of one series: a file is used if one of its frames is. The tables count all images.

    `owners` holds the patients, studies and series with used images so far, and is updated. Series come patient by patient.
    """
    used = [row for row in rows if row["reason"] is None]
    files_used = {row["file"] for row in used}
    tally.take(sum(row["frame"] == 0 for row in rows))
    tally.use(len(files_used))
    for row in rows:
        tally.add("modality", row["modality"] or "none")
        tally.add("reason", row["reason"] or "used")
        if row["reason"] is None:
            tally.add("burned-in text", {True: "yes", False: "no", None: "unknown"}[row["burned_in"]])
        elif row["frame"] == 0 and row["file"] not in files_used:
            tally.quarantine(row["reason"])
    tally.make("images", sum(row["slices"] for row in used))
    tally.make("volumes", len({row["volume"] for row in used}))
    for row in used[:1]:  # all rows of a series have the same owners
        patient, study, series, split = row["patient"], row["study"], row["series"], row["split"]
        assert patient and study and series and split  # a used image has a modality, and with it an owner
        owners["studies"].add(study)
        owners["series"].add(series)
        if owners["patients"].add(patient):
            tally.add("split", split)
            tally.add("shard", str(row["shard"]))
