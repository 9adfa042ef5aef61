"""Who a PatientID is: the pseudonyms, the original identifiers, and who may be the same person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from refrad.core.tables import read_table
from refrad.dicom.headers import Header
from refrad.privacy.persons import PersonTable
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, fold_patient_key
from refrad.privacy.withdrawals import Kind
from refrad.sources.withdrawn_reports import spelling_of

__all__ = ["Identity", "find_identity"]

SHORTEST = 6  # characters of the key of a study or series that is looked for when the patient is gone


@dataclass
class Identity:
    """What the private tables say about some PatientIDs.

    Attributes:
        patient_ids: the PatientIDs, as delivered.
        unknown: those of the given identifiers that no delivery has.
        patients: pseudonyms.
        studies: pseudonyms of the studies that are theirs alone.
        files: pseudonyms of files without an owner in folders that are theirs alone.
        deliveries: those that have them.
        issuers: how many issuers gave the ids.
        candidates: pseudonyms of patients who may be the same person: equal name and birth date, another spelling of the id, or
            images in the same study.
        identifiers: kind to original identifiers, for the list of withdrawals.
        originals: all original identifiers, to look for what is left.
        paths: of the files inside their deliveries.
    """

    patient_ids: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    patients: set[str] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    deliveries: list[str] = field(default_factory=list)
    issuers: int = 0
    candidates: set[str] = field(default_factory=set)
    identifiers: dict[Kind, set[str]] = field(default_factory=dict)
    originals: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)

    def to_json(self) -> dict[str, Any]:
        """Values for JSON; they identify the patient."""
        return {
            "patients": sorted(self.patients),
            "deliveries": self.deliveries,
            "identifiers": {kind: sorted(values) for kind, values in self.identifiers.items()},
            "originals": sorted(self.originals),
            "paths": sorted(self.paths),
        }


def find_identity(given: Sequence[str], private: Path, pseudonyms: Pseudonyms, with_candidates: bool) -> Identity:
    """What the private tables of all deliveries say about some patients, also of deliveries that left the config.

    An image without a PatientID is the patient's if it is in a study of the patient's alone, and so are all images without a
    PatientID that have its name and birth date.

    Args:
        given: PatientIDs as delivered; of patients without one, a StudyInstanceUID.
        private: the private folder.
        pseudonyms: with the site's key.
        with_candidates: whether those who may be the same person count as well.
    """
    tables = {path.parent.name: read_table(path, FileTable) for path in sorted(private.glob("*/files.parquet"))}
    identity = Identity(set(given), patients={pseudonyms.patient(patient_id) for patient_id in given})
    _find_nameless(identity, tables.values())
    _find_candidates(identity, tables.values(), private)
    if with_candidates:
        identity.patients |= identity.candidates
        identity.candidates = set()
        for files in tables.values():
            own = files.filter(pl.col("patient").is_in(list(identity.patients)))
            identity.patient_ids |= set(own["patient_id"]) - {""}
        _find_nameless(identity, tables.values())
    identity.identifiers = {
        "patient": set(identity.patient_ids),
        "spelling": {spelling_of("patient_id", name) for name in identity.patient_ids},
    }
    identity.originals |= identity.patient_ids
    issuers: set[str] = set()
    for delivery, files in tables.items():
        own = files.filter(_is_theirs(identity))
        if own.is_empty():
            continue
        identity.deliveries.append(delivery)
        issuers |= set(own["issuer"]) - {""}
        _take_files(identity, files, own)
    identity.issuers = len(issuers)
    present = _present(identity, tables.values())
    if with_candidates:  # what was given may be another spelling
        present |= {name for name in given if fold_patient_key(name) in set(map(fold_patient_key, present))}
    identity.unknown = [name for name in given if name not in present]
    return identity


def _is_theirs(identity: Identity) -> pl.Expr:
    """Whether a row of a table of files is theirs; a file that is no image may still have the PatientID."""
    by_pseudonym = pl.col("patient").is_in(list(identity.patients)).fill_null(value=False)
    return pl.col("patient_id").is_in(list(identity.patient_ids)) | by_pseudonym


def _present(identity: Identity, tables: Iterable[pl.DataFrame]) -> set[str]:
    """The PatientIDs of theirs that deliveries have, and the studies of those without a PatientID."""
    present: set[str] = set()
    for files in tables:
        own = files.filter(_is_theirs(identity)).select("patient_id", "study_uid").unique()
        present |= {patient_id or study_uid for patient_id, study_uid in own.rows()}
    return present


def _find_nameless(identity: Identity, tables: Iterable[pl.DataFrame]) -> None:
    """Add the patients without a PatientID who are theirs: in a study that is theirs alone, or that was given."""
    for files in tables:
        theirs = _is_theirs(identity)
        nameless = pl.col("patient_id") == ""
        own = set(files.filter(theirs)["study"].drop_nulls())
        own -= set(files.filter(~theirs & ~nameless)["study"].drop_nulls())
        in_study = pl.col("study").is_in(list(own)).fill_null(value=False)
        own_nameless = files.filter(nameless & (in_study | pl.col("study_uid").is_in(list(identity.patient_ids))))
        identity.patients |= set(own_nameless["patient"].drop_nulls())


def _find_candidates(identity: Identity, tables: Iterable[pl.DataFrame], private: Path) -> None:
    folded = {fold_patient_key(name) for name in identity.patient_ids}
    candidates: set[str] = set()
    for files in tables:
        ids = files.select("patient_id", "patient").unique().drop_nulls()
        candidates |= {patient for name, patient in ids.rows() if name and fold_patient_key(name) in folded}
        studies = files.filter(_is_theirs(identity))["study"].drop_nulls().unique()
        candidates |= set(files.filter(pl.col("study").is_in(studies.implode()))["patient"].drop_nulls())
    persons = [read_table(path, PersonTable) for path in sorted(private.glob("*/persons.parquet"))]
    if persons:
        table = pl.concat(persons)
        digests = table.filter(pl.col("patient").is_in(list(identity.patients)))["person"].drop_nulls().unique()
        candidates |= set(table.filter(pl.col("person").is_in(digests.implode()))["patient"])
    identity.candidates = candidates - identity.patients


def _take_files(identity: Identity, files: pl.DataFrame, own: pl.DataFrame) -> None:
    """Take the identifiers of a delivery that are theirs alone."""
    foreign = files.filter(~_is_theirs(identity))
    folder = pl.col("path").map_elements(lambda path: PurePosixPath(path).parent.as_posix(), return_dtype=pl.String)
    folders = set(own.select(folder)["path"]) - set(
        foreign.filter(pl.col("patient").is_not_null()).select(folder)["path"]
    )
    unowned = foreign.filter(pl.col("patient").is_null() & folder.is_in(list(folders)))
    alone = {
        name: set(own[name].drop_nulls()) - set(foreign[name].drop_nulls()) - {""}
        for name in ("study", "study_uid", "accession_number", "series_uid", "instance_uid", "patient_name", "path")
    }
    identity.studies |= alone["study"]
    identity.files |= set(unowned["file"])
    nameless = own.filter((pl.col("patient_id") == "") & pl.col("patient").is_not_null())
    new: dict[Kind, set[str]] = {
        "patient": set(map(_substitute_of, nameless.iter_rows(named=True))),
        "spelling": {spelling_of("accession_number", number) for number in alone["accession_number"]},
        "study": alone["study_uid"],
        "accession": alone["accession_number"],
        "folder": folders,
    }
    for kind, values in new.items():
        identity.identifiers.setdefault(kind, set()).update(values)
    names = ("study_uid", "series_uid", "instance_uid", "accession_number", "patient_name")
    originals = set[str]().union(*(alone[name] for name in names))
    # The study or series of a NIfTI file may be called "CT", which is the modality of others.
    keys = alone["study_uid"] | alone["series_uid"]
    identity.originals |= {name for name in originals if name not in keys or len(name) >= SHORTEST}
    identity.paths |= alone["path"] | set(unowned["path"])


def _substitute_of(row: Mapping[str, Any]) -> str:
    """What stands for the PatientID of a file that has none, as in `Header.patient_key`."""
    header = {name: row[name] for name in ("path", "patient_name", "birth_date", "study_uid")}
    return Header(**header).patient_key
