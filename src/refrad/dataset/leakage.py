"""Leakage between splits: patients, studies, and pictures that are copies of each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from refrad.core.tables import read_frame
from refrad.dataset.picture_copies import find_copies
from refrad.dataset.picture_files import PictureFiles
from refrad.privacy.persons import find_same_persons

__all__ = ["Leakage", "find_leakage"]


@dataclass(frozen=True)
class Leakage:
    """The patients, studies and pictures in more than one split, and how much was compared; publishing needs `total` 0.

    Attributes:
        images: number of images.
        compared: pairs of pictures of different splits that look alike, and so were aligned and compared.
        patients, studies: pseudonyms.
        persons: pseudonyms of patients with one name and birth date, of more than one split: a warning, no leak for certain. None: not looked for.
        pictures: pairs (image_id, image_id, correlation of their fine structure, how the second is turned).
    """

    images: int
    compared: int
    patients: tuple[str, ...]
    studies: tuple[str, ...]
    pictures: tuple[tuple[str, str, float, str], ...]
    persons: tuple[tuple[str, ...], ...] | None = None

    @property
    def total(self) -> int:
        """Number of leaks of any kind."""
        return len(self.patients) + len(self.studies) + len(self.pictures)


def find_leakage(files: Sequence[Path], correlation: float, persons: Sequence[Path] = ()) -> Leakage:
    """Look for leaks between the splits of a dataset: the rule for pictures is that of `find_copies`.

    Args:
        files: Parquet files of the dataset.
        correlation: as `card.duplicate_correlation` of the config.
        persons: tables of stage index, with the persons of each delivery.
    """
    columns = ["image_id", "patient", "study", "volume", "split"]
    frame = pl.concat([read_frame(path, columns) for path in files])
    copies = find_copies(frame.select("volume", side="split"), PictureFiles(files), correlation)
    ids = frame["image_id"].to_list()
    pairs = ((*sorted((ids[copy.first], ids[copy.second])), copy.correlation, copy.way) for copy in copies.pairs)
    return Leakage(
        len(frame),
        copies.compared,
        _in_many_splits(frame, "patient"),
        _in_many_splits(frame, "study"),
        tuple(sorted(pairs)),
        _persons_in_many_splits(frame, persons),
    )


def _persons_in_many_splits(frame: pl.DataFrame, tables: Sequence[Path]) -> tuple[tuple[str, ...], ...] | None:
    """The patients of the dataset in more than one split whose name and birth date are equal, also across deliveries."""
    if not tables:
        return None
    persons = pl.concat([read_frame(path, ["patient", "person"]) for path in tables])
    same = find_same_persons(persons.join(frame.select("patient", "split").unique(), on="patient"))
    return tuple(map(tuple, same.filter(pl.col("splits") > 1)["patients"]))


def _in_many_splits(frame: pl.DataFrame, column: str) -> tuple[str, ...]:
    splits = frame.group_by(column).agg(pl.col("split").n_unique())
    return tuple(sorted(splits.filter(pl.col("split") > 1)[column].to_list()))
