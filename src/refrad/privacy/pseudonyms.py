"""Keyed pseudonyms: the same input and key always give the same pseudonym, and only the key links the two.

Shard and date shift follow from the patient's pseudonym alone, and the split from the key of `fold_patient_key`, so they stay
the same in every delivery.
"""

import datetime
import hashlib
import hmac
import re
import unicodedata
from array import array
from functools import lru_cache
from typing import TypedDict

import numpy as np
import polars as pl

from refrad.core.contracts import Table
from refrad.core.schemas import pa
from refrad.privacy.keys import DEMO_KEY_PREFIX, read_or_create_key

__all__ = [
    "DEMO_KEY_PREFIX",
    "DEMO_MANUFACTURER",
    "Distinct",
    "FileRow",
    "FileTable",
    "Pseudonyms",
    "fold_patient_key",
    "read_or_create_key",
    "shard_of",
    "split_of",
]

DEMO_MANUFACTURER = "RefRad demo scanner"
DIGITS = 16  # hexadecimal; 64 bits: among 100 million pseudonyms, two are equal with a chance of 1 in 3,700
MAXIMUM_SHIFT = 3650  # days
REMEMBERED = 1024  # values with their pseudonyms
_DECIMALS = re.compile(r"(?<=\d)[.,]0+$")  # of a number that went through a spreadsheet
_PADDING = re.compile(r"^([A-Z]*)0+(?=\d)")


class FileTable(Table):
    """Stage index, private: one row a file. It links the pseudonyms to the archive and never leaves the site.

    Strings are as in the header, "" if absent.
    """

    file: str = pa.Field(unique=True, description="keyed digest of the path inside the delivery")
    path: str = pa.Field(unique=True, description="inside the delivery")
    patient_id: str
    issuer: str = pa.Field(description="of the patient_id: IssuerOfPatientID")
    patient_name: str
    birth_date: str
    accession_number: str
    study_uid: str
    series_uid: str
    instance_uid: str
    names: str = pa.Field(description="of all persons in the header, joined by ' | '")
    institution: str
    patient: str = pa.Field(nullable=True, description="pseudonym; null if the file names no patient")
    study: str = pa.Field(nullable=True, description="pseudonym; null if the file names no study")
    shard: pl.Int32 = pa.Field(nullable=True, ge=0, description="of the patient; rows are in the order of the shards")


class FileRow(TypedDict):
    """A row of `FileTable`."""

    file: str
    path: str
    patient_id: str
    issuer: str
    patient_name: str
    birth_date: str
    accession_number: str
    study_uid: str
    series_uid: str
    instance_uid: str
    names: str
    institution: str
    patient: str | None
    study: str | None
    shard: int | None


class Pseudonyms:
    """Pseudonyms under one secret key: 16 hexadecimal digits, of HMAC-SHA256 over the kind and the value."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._mac = lru_cache(maxsize=REMEMBERED)(self._compute)  # images of a patient share most values

    def __reduce__(self) -> tuple[type["Pseudonyms"], tuple[bytes]]:
        """Another process gets the key, and remembers for itself."""
        return Pseudonyms, (self._key,)

    @property
    def of_the_demo(self) -> bool:
        """Whether the key is the demo's, which is public."""
        return self._key.startswith(DEMO_KEY_PREFIX)

    def patient(self, key: str) -> str:
        """Pseudonym of a patient, from PatientID or its substitute."""
        return self._mac("patient", key)

    def study(self, key: str) -> str:
        """Pseudonym of a study, from its UID or its substitute."""
        return self._mac("study", key)

    def series(self, key: str) -> str:
        """Pseudonym of a series, from its UID or its substitute."""
        return self._mac("series", key)

    def volume(self, key: str) -> str:
        """Pseudonym of a volume, from its key."""
        return self._mac("volume", key)

    def instance(self, key: str) -> str:
        """Pseudonym of an SOP instance, from its UID (for a frame of a multi-frame file: UID, "|", number from 0)."""
        return self._mac("instance", key)

    def frame(self, key: str) -> str:
        """Pseudonym of a frame of reference, from its UID."""
        return self._mac("frame", key)

    def file(self, path: str) -> str:
        """Pseudonym of a file, from its relative posix path inside the delivery."""
        return self._mac("file", path)

    def report(self, key: str) -> str:
        """Pseudonym of a report, from its identifier."""
        return self._mac("report", key)

    def person(self, key: str) -> str:
        """Digest of a person, from name and birth date."""
        return self._mac("person", key)

    def issuer(self, issuer: str) -> str:
        """Digest of the issuer of a PatientID."""
        return self._mac("issuer", issuer)

    def uid(self, uid: str) -> str:
        """Pseudonym of any other UID."""
        return self._mac("uid", uid)

    def withdrawn(self, kind: str, identifier: str) -> str:
        """Digest of an identifier of a patient who has withdrawn; it is none of the pseudonyms."""
        return self._mac(f"withdrawn {kind}", identifier)

    def date_shift(self, patient: str) -> datetime.timedelta:
        """Days, -1 to -3650, to add to all dates of the patient with this pseudonym."""
        return datetime.timedelta(days=-1 - int(self._mac("date", patient), 16) % MAXIMUM_SHIFT)

    def _compute(self, kind: str, value: str) -> str:
        return hmac.digest(self._key, f"{kind}\0{value}".encode(), hashlib.sha256).hex()[:DIGITS]


class Distinct:
    """Counts different pseudonyms, at 8 bytes of memory for each change from one to the next."""

    def __init__(self) -> None:
        self._numbers = array("Q")

    def add(self, pseudonym: str) -> bool:
        """Count a pseudonym; returns whether it differs from the last."""
        number = int(pseudonym, 16)
        if self._numbers and self._numbers[-1] == number:
            return False
        self._numbers.append(number)
        return True

    def __len__(self) -> int:
        return len(np.unique(np.asarray(self._numbers)))


@lru_cache(maxsize=REMEMBERED)
def fold_patient_key(key: str) -> str:
    """The key of a patient without what differs between the systems of one archive: "P-00123 ", "p123" and "P123" are the same.

    Small letters, blanks, separators, padding zeros, the decimals of a spreadsheet, and what follows the "^" of an HL7
    identifier. Equal keys of different people are harmless: they are in one split, under two pseudonyms.
    """
    normal = unicodedata.normalize("NFKC", key).strip()
    number = normal.partition("^")[0] or normal
    plain = "".join(letter for letter in _DECIMALS.sub("", number.strip()).upper() if letter.isalnum())
    return _PADDING.sub(r"\1", plain) or key


def split_of(patient: str, *, test: float, validation: float) -> str:
    """Split of the patient with this pseudonym, or that of the folded key: "test", "validation" or "train", by shares of the hash space."""
    share = int(patient, 16) / 16 ** len(patient)
    if share < test:
        return "test"
    return "validation" if share < test + validation else "train"


def shard_of(patient: str, shards: int) -> int:
    """Shard, 0 to `shards` - 1, of the patient with this pseudonym."""
    return int(patient, 16) % shards
