"""Splits of a public set by its patients: official ones, patients that cross them, and a share for validation."""

import hashlib
from typing import NamedTuple

import polars as pl

from refrad.public_sets.base import SetOptions

__all__ = ["SettledSplits", "settle_splits", "share_of", "with_splits"]


class SettledSplits(NamedTuple):
    """The split of each row.

    Attributes:
        splits: "train", "validation" or "test"; "" for a row of a patient that crosses splits and is left out.
        crossing: number of patients in more than one official split.
    """

    splits: pl.Series
    crossing: int


def settle_splits(patients: pl.Series, official: pl.Series, options: SetOptions) -> SettledSplits:
    """One split for each patient, from the official splits of the rows.

    A patient in several splits is left out, or with `resplit` gets one of them. If no row has the split "validation", a share of the
    training patients gets it. Both depend on the key of the patient alone, so that they stay as a set grows.

    Args:
        patients: key of the patient of each row.
        official: "train", "validation" or "test" for each row.
        options: resplit and validation are used.
    """
    rows = pl.DataFrame({"patient": patients, "split": official})
    by_patient = rows.group_by("patient", maintain_order=True).agg(pl.col("split").unique().sort())
    has_validation = "validation" in set(official)
    settled: dict[str, str] = {}
    crossing = 0
    for patient, splits in by_patient.iter_rows():
        crossing += len(splits) > 1
        if len(splits) > 1 and not options.resplit:
            settled[patient] = ""
            continue
        split = splits[int(share_of(patient, "split") * len(splits))]
        if split == "train" and not has_validation and share_of(patient, "validation") < options.validation:
            split = "validation"
        settled[patient] = split
    return SettledSplits(patients.replace_strict(settled, return_dtype=pl.String).alias("split"), crossing)


def with_splits(listed: pl.DataFrame, official: pl.DataFrame, options: SetOptions) -> tuple[pl.DataFrame, int]:
    """Volumes with the split of their patient: "" if it crosses official splits, null if it has none; and how many patients cross.

    All studies of a table count, also those that are not downloaded: a patient crosses whatever part of a set is there.

    Args:
        listed: the volumes, with the column patient.
        official: columns patient and split, a row for each study of the set; "" or null where there is none.
        options: resplit and validation are used.
    """
    official = official.filter((pl.col("split") != "") & pl.col("patient").is_not_null()).select("patient", "split")
    settled = settle_splits(official["patient"], official["split"], options)
    by_patient = official.with_columns(settled.splits).unique()
    of_listed = official.filter(pl.col("patient").is_in(listed["patient"].drop_nulls().implode()))
    crossing = of_listed.group_by("patient").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height
    return listed.join(by_patient, on="patient", how="left", maintain_order="left"), crossing


def share_of(key: str, purpose: str) -> float:
    """A number from 0 to below 1 that a key has for a purpose: uniform, the same everywhere, and independent of other purposes."""
    digest = hashlib.blake2b(f"{purpose}|{key}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
