"""MR-RATE: brain and spine MR with machine-translated reports (github.com/forithmus/MR-RATE).

Read are the native images in `mri/batch00/<study>.zip`, where they lie, or in folders of the same names, `splits.csv`, and the tables
in `reports` and `metadata`. Images of other spaces (coregistered, atlas) and masks of brain and face are passed over.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from refrad.nifti.volume_entry import ENDINGS
from refrad.nifti.volume_list import find_volumes
from refrad.public_sets.base import SetOptions, SetTables, refuse_options
from refrad.public_sets.official_splits import with_splits
from refrad.public_sets.placeholders import has_placeholder, replace_placeholders
from refrad.public_sets.table_reading import (
    age_of,
    date_of,
    is_repeated,
    joined_sections,
    official_split,
    read_table,
    report_table,
    sex_of,
    sort_out,
    volume_entries,
)

__all__ = ["MARKS", "read"]

MARKS = ("mri/batch*", "reports/batch*_reports.csv")
SERIES = r"^(?:t1w|t2w|flair|swi|mra)-raw-(?:axi|sag|cor|obl)(?:-\d+)?$"
CENTER = "center"
REPORTS = {
    "study": ("study_uid",),
    "report": ("report",),
    "clinical": ("clinical_information",),
    "technique": ("technique",),
    "findings": ("findings",),
    "impression": ("impression",),
}
HEADINGS = {
    "clinical": "Clinical information",
    "technique": "Technique",
    "findings": "Findings",
    "impression": "Impression",
}
METADATA = {
    "patient": ("patient_uid",),
    "study": ("study_uid",),
    "series": ("series_id",),
    "is_center": ("is_center_modality",),
    "series_number": ("SeriesNumber",),
    "study_date": ("anon_study_date",),
    "age": ("Patient'sAge", "PatientAge"),
    "sex": ("Patient'sSex", "PatientSex"),
    "manufacturer": ("Manufacturer",),
}
SPLITS = {"patient": ("patient_uid",), "study": ("study_uid",), "split": ("split",)}


def read(root: Path, options: SetOptions) -> SetTables:
    """The tables of MR-RATE; see `refrad.public_sets.base.SetAdapter`."""
    refuse_options("mr-rate", options, "tables")
    files = _files(root)
    images, file_counts = sort_out(
        files,
        {
            "damaged archives": pl.col("path").str.ends_with(".zip"),
            "masks of brain or face": pl.col("path").str.contains(r"/(?:\w+_)?seg/"),
            "of another space": pl.col("path").str.contains(r"/\w+_img/"),
            "elsewhere": pl.col("study").is_null(),
        },
    )
    reports = _reports(root)
    metadata = _metadata(root)
    splits = _splits(root)
    listed = _with_patients(images, metadata, splits)
    listed, crossing = with_splits(listed, splits, options)
    reported = reports.filter(pl.col("text") != "")["study"]
    reasons = {
        "name of no series": ~pl.col("series").str.contains(SERIES),
        "twice": ~pl.struct("study", "series").is_first_distinct(),
        "without a patient": pl.col("patient").is_null(),
        "of several patients": pl.col("patients") > 1,
        "patient in several official splits": pl.col("split") == "",
        "without a split": pl.col("split").is_null() & pl.lit(splits.height > 0),
        "without a report": ~pl.col("study").is_in(reported.implode()),
    }
    if options.reconstruction not in ("first", "all"):
        reasons["another series"] = ~_is_chosen(listed, options.reconstruction)
    used, volume_counts = sort_out(listed, reasons)
    texts, report_counts = sort_out(
        reports,
        {
            "no text": pl.col("text") == "",
            "repeated": is_repeated("study"),
            "no images of its study": ~pl.col("study").is_in(images["study"].implode()),
            "no volume of its study is used": ~pl.col("study").is_in(used["study"].implode()),
        },
    )
    return SetTables(
        folder=root,
        volumes=volume_entries(used.with_columns(modality=pl.lit("MR"), split=pl.col("split").fill_null(""))),
        reports=report_table(texts, "study", text=replace_placeholders(pl.col("text"))),
        masks={},
        mask_folder=None,
        counts={"files": file_counts, "volumes": volume_counts, "reports": report_counts},
        findings=_findings(metadata, splits, listed, texts, options),
        crossing=crossing,
    )


def _files(root: Path) -> pl.DataFrame:
    """The NIfTI files below `mri` and the archives that cannot be read: path, study and series (null if not of a native image).

    Raises:
        FileNotFoundError: if there are none.
    """
    if not (root / "mri").is_dir():
        raise FileNotFoundError(f"{root}: has no folder mri: download it, or some of its batches, into this folder")
    paths = pl.DataFrame({"path": sorted(_paths(root / "mri"))}, schema={"path": pl.String})
    image = pl.col("path").str.extract_groups(r"([^/]+?)(?:\.zip)?/img/([^/]+)\.nii(?:\.gz)?$").struct
    names = paths.with_columns(study=image.field("1"), series=image.field("2"))
    return names.with_columns(
        path=pl.concat_str(pl.lit("mri/"), "path"),
        series=pl.col("series").str.strip_prefix(pl.concat_str("study", pl.lit("_"))),
    )


def _paths(folder: Path) -> Iterator[str]:
    """The paths of `find_volumes`, also those in a batch or study that is a link to a folder, as on another disk."""
    for path in find_volumes(folder):
        if path.lower().endswith((*ENDINGS, ".zip")):
            yield path
        else:
            with contextlib.suppress(FileNotFoundError):  # an empty folder
                yield from (f"{path}/{inside}" for inside in find_volumes(folder / path))


def _tables(root: Path, kind: str) -> Sequence[Path]:
    return sorted((root / kind).glob(f"*_{kind}.csv"))


def _reports(root: Path) -> pl.DataFrame:
    """The reports of all batches: study, and text with placeholders, "" if there is none.

    Raises:
        FileNotFoundError: if there is no table of reports.
    """
    paths = _tables(root, "reports")
    if not paths:
        raise FileNotFoundError(f"{root}: has no reports/batch00_reports.csv: download the folder reports")
    optional = REPORTS.keys() - {"study"}
    table = pl.concat([read_table(path, REPORTS, optional) for path in paths])
    is_sectioned = (pl.col("findings") != "") | (pl.col("impression") != "")
    return table.select("study", text=pl.when(is_sectioned).then(joined_sections(HEADINGS)).otherwise("report"))


def _metadata(root: Path) -> pl.DataFrame:
    """The metadata of all batches, a row for each series; no rows without the tables."""
    tables = [read_table(path, METADATA, METADATA.keys() - {"study", "series"}) for path in _tables(root, "metadata")]
    table = pl.concat(tables) if tables else pl.DataFrame(schema=dict.fromkeys(METADATA, pl.String))
    return table.with_columns(
        is_center=pl.col("is_center").str.to_lowercase().is_in(["true", "1", "1.0"]),
        series_number=pl.col("series_number").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
        study_date=date_of(pl.col("study_date")),
        age=age_of(pl.col("age")),
        sex=sex_of(pl.col("sex")),
    ).unique(["study", "series"], keep="first", maintain_order=True)


def _splits(root: Path) -> pl.DataFrame:
    """The official splits, a row for each study or patient; no rows without the table."""
    if not (root / "splits.csv").exists():
        return pl.DataFrame(schema=dict.fromkeys(SPLITS, pl.String))
    return read_table(root / "splits.csv", SPLITS, {"study"}).with_columns(split=official_split(pl.col("split")))


def _with_patients(images: pl.DataFrame, metadata: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """The images with their metadata, their patient by either table, or null, and the number of patients that tables name."""
    pairs = pl.concat([metadata.select("study", "patient"), splits.select("study", "patient")])
    pairs = pairs.filter((pl.col("study") != "") & (pl.col("patient") != "")).unique(maintain_order=True)
    patients = pairs.group_by("study").agg(pl.col("patient").first(), patients=pl.len())
    own = metadata.drop("patient")
    return (
        images.join(patients, on="study", how="left", maintain_order="left")
        .join(own, on=["study", "series"], how="left", maintain_order="left")
        .with_columns(pl.col("study_date", "age", "sex", "manufacturer").fill_null(""))
    )


def _is_chosen(listed: pl.DataFrame, choice: str) -> pl.Expr:
    """Whether a series is chosen: the center modality of its study, or one whose id has a text in it.

    Raises:
        ValueError: if no series is.
    """
    is_center = pl.col("is_center").fill_null(False)
    is_chosen = is_center if choice == CENTER else pl.col("series").str.contains(re.escape(choice.lower()))
    if not listed.filter(is_chosen).height:
        raise ValueError(
            f"--reconstruction {choice}: no series is; it is first or all (both: every series), {CENTER}, or a part of the id of a"
            " series, such as t1w or axi"
        )
    return is_chosen


def _findings(
    metadata: pl.DataFrame, splits: pl.DataFrame, listed: pl.DataFrame, texts: pl.DataFrame, options: SetOptions
) -> list[str]:
    """What is missing or wrong, with the number of the cases."""
    unmatched = metadata.join(listed, on=["study", "series"], how="anti").height if metadata.height else 0
    replaced = texts.filter(has_placeholder(pl.col("text"))).height
    numbers = {
        "rows of the metadata have no file": unmatched,
        "reports hold placeholders of names, dates or places, which become those of RefRad": replaced,
    }
    findings = [f"{number:,} {text}" for text, number in numbers.items() if number]
    findings.append("images are defaced: skin, eyes and face are cut off, and nothing is to be said of them")
    findings.append(
        "reports are machine translations of Turkish ones; brain and spine, and contrast, are not told apart"
    )
    if not metadata.height:
        findings.append("metadata/batch00_metadata.csv is not there: ages, sexes, dates and series numbers are missing")
    if not splits.height:
        findings.append("splits.csv is not there: splits are drawn by the shares of the config")
    if options.masks is not None:
        findings.append("the masks are not taken: those of MR-RATE number their labels in another way")
    return findings
