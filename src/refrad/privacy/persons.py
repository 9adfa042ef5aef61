"""Patients that may be one person: equal names and birth dates under different ids, compared as keyed digests."""

import re

import pandera.polars as pa
import polars as pl

from refrad.core.contracts import Table
from refrad.core.types import SPLITS
from refrad.privacy.name_folding import fold_name
from refrad.privacy.pseudonyms import Pseudonyms
from refrad.privacy.word_names import names_nobody

__all__ = ["PersonTable", "count_persons", "find_same_persons", "identify_persons", "person_key"]

MOST_IDS = 8  # of one person; a name and birth date with more ids takes the place of true ones
FIRST_YEAR = 1901  # birth dates before it are substitutes, such as 19000101
_WORD = re.compile(r"[^\W\d_]+")
_DATE = re.compile(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})")


class PersonTable(Table):
    """Stage index, private: one row for each patient with used images, and for each person and issuer in the patient's headers."""

    patient: str = pa.Field(description="pseudonym")
    split: str = pa.Field(isin=SPLITS)
    person: str = pa.Field(nullable=True, description="keyed digest of name and birth date; null where one is missing")
    issuer: str = pa.Field(nullable=True, description="keyed digest of the IssuerOfPatientID; null where it is missing")


def person_key(name: str, birth_date: str) -> str | None:
    """Family and given name in folded letters and any order, with the birth date; None where they tell nobody apart.

    Args:
        name: a DICOM person name; middle names, titles and other scripts are left out.
        birth_date: as in the header.
    """
    components = name.partition("=")[0].replace(",", "^").split("^")
    words = sorted({fold_name(word) for component in components[:2] for word in _WORD.findall(component)})
    date = _DATE.fullmatch(birth_date.strip())
    if len(words) < 2 or any(map(names_nobody, words)) or date is None or int(date[1]) < FIRST_YEAR:
        return None
    return f"{' '.join(words)}|{''.join(date.groups())}"


def identify_persons(files: pl.DataFrame, instances: pl.DataFrame, pseudonyms: Pseudonyms) -> pl.DataFrame:
    """A `PersonTable`, from the patient, patient_name, birth_date and issuer of files, and the patient and split of used images."""
    headers = files.unique(["patient", "patient_name", "birth_date", "issuer"])
    keys = [person_key(name, date) for name, date in headers.select("patient_name", "birth_date").iter_rows()]
    issuers = headers["issuer"].str.strip_chars().str.to_uppercase()
    digests = {
        "person": [None if key is None else pseudonyms.person(key) for key in keys],
        "issuer": [pseudonyms.issuer(issuer) if issuer else None for issuer in issuers],
    }
    named = headers.select("patient", *(pl.Series(name, values, pl.String) for name, values in digests.items()))
    splits = instances.select("patient", "split").unique()
    return named.join(splits, on="patient").select(list(PersonTable.to_schema().columns)).unique().sort(pl.all())


def find_same_persons(persons: pl.DataFrame) -> pl.DataFrame:
    """Persons with several patients, from patient, split and person: columns person, patients (sorted), and splits, their number."""
    groups = persons.drop_nulls("person").group_by("person")
    several = groups.agg(patients=pl.col("patient").unique().sort(), splits=pl.col("split").n_unique())
    return several.filter(pl.col("patients").list.len().is_between(2, MOST_IDS)).sort("patients")


def count_persons(persons: pl.DataFrame) -> dict[str, int]:
    """How many persons have several ids, also in several splits, and how many ids have several issuers, from a `PersonTable`."""
    same = find_same_persons(persons)
    issuers = persons.drop_nulls("issuer").group_by("patient").agg(pl.col("issuer").n_unique())
    return {
        "same name and birth date under several ids": same.height,
        "of these, in several splits": same.filter(pl.col("splits") > 1).height,
        "one id of several issuers": issuers.filter(pl.col("issuer") > 1).height,
    }
