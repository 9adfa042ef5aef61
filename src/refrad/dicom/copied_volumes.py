"""Copies of volumes: which of them is used."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from refrad.dicom.altered_copies import Grid, near_grids

__all__ = ["HEADER", "find_altered_volumes", "find_copied_volumes", "first_of_voxels", "rank_volumes"]

# Noise that an altered copy does not share with its original, at most, and share of pixels in which it is looked for. In two studies of
# one date a patient may have two kernels or phases of one acquisition, which share much noise or all edges.
Criterion = tuple[float, float]
OF_PATIENT: Criterion = (0.1, 0.25)
OF_OTHERS: Criterion = (0.35, 0.5)
MOST = 16  # volumes on nearly the same grid that a volume is compared with: in an archive on one template, all are
HEADER = ("body_part", "contrast", "sex", "age", "date", "frame")  # columns that a copy may have lost


def rank_volumes(volumes: pl.DataFrame) -> pl.DataFrame:
    """The accepted volumes in the order in which they are preferred to their copies, numbered in column `rank`.

    Volumes of a study with a report come first, as others give no caption an image; then those of the earlier table, so that
    a delivery that is appended changes no earlier one; then by patient and study, so that a study that was copied is used as
    a whole; and in a study those with the most complete header.

    Args:
        volumes: rows of volume tables, with the columns table (Int64, its position) and has_report.
    """
    completeness = pl.sum_horizontal(pl.col(name).is_not_null() for name in HEADER)
    return (
        volumes.filter(pl.col("reason").is_null())
        .sort(
            pl.col("has_report").not_(),
            "table",
            "patient",
            "study",
            -completeness.cast(pl.Int64),
            "volume",
        )
        .with_row_index("rank")
    )


def first_of_voxels(ranked: pl.DataFrame) -> pl.Series:
    """The rank of the first volume of the same voxels and affine, for each volume."""
    return ranked.select(pl.col("rank").first().over("digest")).to_series()


def find_altered_volumes(
    volumes: pl.DataFrame, grids: Sequence[Grid], first_table: int, unshared: Callable[[str, str, float], float]
) -> dict[int, int]:
    """The rank of each altered copy in a delivery to that of its original.

    Series of one study are not compared, as kernels and phases may be nearly equal, unless a series was delivered again. Nor are
    patients of another sex or age, and examinations of one patient of another date.

    Args:
        volumes: the ranked volumes that are the first of their digest.
        grids: of each.
        first_table: of the delivery.
        unshared: noise that two files of the store do not share, of `unshared_noise`; called for few.
    """
    rows = volumes.select("rank", "file", "modality", "table", "study", "series", "patient", "sex", "age", "date").rows(
        named=True
    )
    own = [number for number, row in enumerate(rows) if row["table"] >= first_table]
    altered: dict[int, int] = {}
    for number, before in near_grids(grids, own):
        copy = rows[number]
        candidates = [index for index in before if _may_be_copies(copy, rows[index])][:MOST]
        for original in (rows[index] for index in sorted(candidates)):
            if original["rank"] in altered:
                continue
            is_other_series = original["patient"] == copy["patient"] and original["series"] != copy["series"]
            limit, flat = OF_PATIENT if is_other_series else OF_OTHERS
            if unshared(original["file"], copy["file"], flat) <= limit:
                altered[copy["rank"]] = original["rank"]
                break
    return altered


def _may_be_copies(copy: Mapping[str, Any], original: Mapping[str, Any]) -> bool:
    """Whether the headers of two volumes allow one to be an altered copy of the other."""

    def agree(name: str, difference: int = 0) -> bool:
        values = copy[name], original[name]
        return None in values or values[0] == values[1] or (difference > 0 and abs(values[0] - values[1]) <= difference)

    if copy["patient"] != original["patient"]:
        return agree("modality") and agree("sex") and agree("age", 1)
    if copy["study"] == original["study"]:
        return bool(copy["series"] == original["series"] and copy["table"] != original["table"])
    return agree("modality") and agree("date")


def find_copied_volumes(ranked: pl.DataFrame, altered: Mapping[int, int], first_table: int) -> pl.DataFrame:
    """The copies among the volumes of a delivery: columns volume, original, relation and kind of `CopyTable`.

    Args:
        ranked: of `rank_volumes`.
        altered: rank of an altered copy to that of its original; both are the first of their digest.
        first_table: of the delivery; volumes of earlier tables are compared only.
    """
    first = first_of_voxels(ranked).to_list()
    originals = [altered.get(rank, rank) for rank in first]
    kinds = ["altered" if rank in altered else "same_voxels" for rank in first]
    original = ranked[originals].select("volume", "patient", "study", "table")
    relation = (
        pl.when(pl.col("table_original") < first_table)
        .then(pl.lit("earlier_delivery"))
        .when(pl.col("patient") != pl.col("patient_original"))
        .then(pl.lit("another_patient"))
        .when(pl.col("study") != pl.col("study_original"))
        .then(pl.lit("patient"))
        .otherwise(pl.lit("study"))
    )
    return (
        ranked.select("rank", "volume", "patient", "study", "table")
        .hstack(original.rename(lambda name: f"{name}_original"))
        .with_columns(kind=pl.Series(kinds, dtype=pl.String), original=pl.Series(originals, dtype=pl.UInt32))
        .filter((pl.col("rank") != pl.col("original")) & (pl.col("table") >= first_table))
        .select("volume", original="volume_original", relation=relation, kind="kind")
        .sort("volume")
    )
