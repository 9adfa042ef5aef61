"""What an adapter of a public set returns, the options that it takes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from refrad.nifti.volume_entry import VolumeEntry

__all__ = ["SetAdapter", "SetOptions", "SetTables", "refuse_options"]


class SetOptions(NamedTuple):
    """Choices of the user for a set.

    Attributes:
        reconstruction: which volume of a scan is used where a set has several: the "first", "all", or a part of the name of a
            convolution kernel. MR-RATE: which series: "first" and "all" are every one, "center", or a part of the id of a series.
        resplit: whether patients that cross official splits are given one split; otherwise they are left out.
        validation: share, 0 to 1, of the training patients that validate where the set has no split for it.
        masks: folder of further masks beside the root, such as that of Merlin Plus, or None.
        tables: folder of further tables beside the root, such as the radiologist notes of RadGPT, or one such table, or None.
        is_estimate: whether volumes that a table of the set lists count as delivered, also where they are not downloaded.
    """

    reconstruction: str = "first"
    resplit: bool = False
    validation: float = 0.05
    masks: Path | None = None
    tables: Path | None = None
    is_estimate: bool = False


def refuse_options(name: str, options: SetOptions, *unused: str) -> None:
    """Refuse options that an adapter does not read: an ignored choice would look as if it was made.

    Args:
        name: of the set.
        options: choices of the user.
        unused: fields of `options`. The reconstructions "first" and "all" are the same for a set of one volume a study.

    Raises:
        ValueError: if one of them is given.
    """
    usual = (*SetOptions(), "all")
    if given := [field for field in unused if getattr(options, field) not in usual]:
        raise ValueError(f"{name} does not read --{given[0]}: leave it out")


class SetTables(NamedTuple):
    """A public set as the tables of a NIfTI delivery.

    Attributes:
        folder: of the volumes, which the paths of `volumes` are inside of.
        volumes: a row for each volume that is used.
        reports: columns report_id, study_uid, language and text, all of them text; study_uid is the study key of the volumes.
        masks: path of a volume (as in `volumes`) to its mask, a file or folder inside of `mask_folder`; empty if there are none.
        mask_folder: None if there are no masks.
        counts: by kind ("volumes", "reports"): the first number is the total, the others add up to it, as those of
            `refrad.public_sets.table_reading.sort_out`.
        findings: sentences about what is missing or wrong, without any text, key or path; with the number of the cases.
        crossing: number of patients in more than one official split.
        slices: number of slices of `volumes`, where a table of the set says so; None: the headers do.
    """

    folder: Path
    volumes: Sequence[VolumeEntry]
    reports: pl.DataFrame
    masks: Mapping[str, str]
    mask_folder: Path | None
    counts: Mapping[str, Mapping[str, int]]
    findings: Sequence[str]
    crossing: int
    slices: int | None = None


class SetAdapter(Protocol):
    """The module of an adapter.

    Attributes:
        MARKS: glob patterns inside of the root, of files and folders by which the set is known; any of them is enough.
    """

    MARKS: Sequence[str]

    def read(self, root: Path, options: SetOptions) -> SetTables:
        """The tables of a set.

        Args:
            root: folder of the set as it is downloaded; it has one of `MARKS`.
            options: choices of the user.

        Raises:
            FileNotFoundError: if a folder or table is missing without which nothing can be used; the message names it.
            ValueError: if a table cannot be understood; the message names file and line.
        """
