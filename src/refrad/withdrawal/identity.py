"""Who a PatientID is: the pseudonyms, the original identifiers, and who may be the same person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from refrad.core.tables import read_table
from refrad.privacy.persons import PersonTable
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, fold_patient_key
from refrad.privacy.withdrawals import Kind
from refrad.sources.withdrawn_reports import spelling_of

__all__ = ["Identity", "find_identity"]


@dataclass
class Identity:
    """What the private tables say about some PatientIDs.

    Attributes:
        patient_ids: the PatientIDs, as delivered.
        patients: their pseudonyms.
        studies: pseudonyms of the studies that are theirs alone.
        files: pseudonyms of files without an owner in folders that are theirs alone.
        deliveries: those that have them.
        issuers: how many issuers gave the ids.
        candidates: PatientIDs that may be the same person: equal name and birth date, or another spelling of the id.
        identifiers: kind to original identifiers, for the list of withdrawals.
        originals: all original identifiers, to look for what is left.
        paths: of the files inside their deliveries.
    """

    patient_ids: set[str] = field(default_factory=set)
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


def find_identity(patient_ids: Sequence[str], private: Path, pseudonyms: Pseudonyms, with_candidates: bool) -> Identity:
    """What the private tables of all deliveries say about some PatientIDs, also of deliveries that left the config.

    Args:
        patient_ids: as delivered.
        private: the private folder.
        pseudonyms: with the site's key.
        with_candidates: whether those who may be the same person count as well.
    """
    tables = {path.parent.name: read_table(path, FileTable) for path in sorted(private.glob("*/files.parquet"))}
    identity = Identity(set(patient_ids))
    _find_candidates(identity, tables.values(), private)
    if with_candidates:
        identity.patient_ids |= identity.candidates
        identity.candidates = set()
    identity.patients = {pseudonyms.patient(patient_id) for patient_id in identity.patient_ids}
    issuers: set[str] = set()
    for delivery, files in tables.items():
        own = files.filter(pl.col("patient_id").is_in(list(identity.patient_ids)))
        if own.is_empty():
            continue
        identity.deliveries.append(delivery)
        issuers |= set(own["issuer"]) - {""}
        _take_files(identity, files, own)
    identity.issuers = len(issuers)
    return identity


def _find_candidates(identity: Identity, tables: Iterable[pl.DataFrame], private: Path) -> None:
    names = [files.select("patient_id", "patient").unique() for files in tables]
    if not names:
        return
    ids = pl.concat(names).filter(pl.col("patient_id") != "").unique()
    own = set(ids.filter(pl.col("patient_id").is_in(list(identity.patient_ids)))["patient"].drop_nulls())
    folded = set(map(fold_patient_key, identity.patient_ids))
    alike = {patient_id for patient_id in ids["patient_id"].unique() if fold_patient_key(patient_id) in folded}
    persons = [read_table(path, PersonTable) for path in sorted(private.glob("*/persons.parquet"))]
    same: set[str] = set()
    if persons:
        table = pl.concat(persons)
        digests = table.filter(pl.col("patient").is_in(list(own)))["person"].drop_nulls().unique().to_list()
        same = set(table.filter(pl.col("person").is_in(digests))["patient"])
    alike |= set(ids.filter(pl.col("patient").is_in(list(same)))["patient_id"])
    identity.candidates = alike - identity.patient_ids


def _take_files(identity: Identity, files: pl.DataFrame, own: pl.DataFrame) -> None:
    """Take the identifiers of a delivery that are theirs alone."""
    mine = pl.col("patient_id").is_in(list(identity.patient_ids))
    foreign = files.filter(~mine)
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
    spellings = {spelling_of("patient_id", name) for name in identity.patient_ids}
    spellings |= {spelling_of("accession_number", number) for number in alone["accession_number"]}
    new: dict[Kind, set[str]] = {
        "patient": set(identity.patient_ids),
        "spelling": spellings,
        "study": alone["study_uid"],
        "accession": alone["accession_number"],
        "folder": folders,
    }
    for kind, values in new.items():
        identity.identifiers.setdefault(kind, set()).update(values)
    names = ("study_uid", "series_uid", "instance_uid", "accession_number", "patient_name")
    identity.originals |= identity.patient_ids.union(*(alone[name] for name in names))
    identity.paths |= alone["path"] | set(unowned["path"])
