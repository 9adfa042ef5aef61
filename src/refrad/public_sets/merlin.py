"""Merlin: abdominal CT with reports (github.com/StanfordMIMI/Merlin), with patients and organ masks of Merlin Plus.

Read are `merlin_data/AC*.nii.gz`, one volume of each study, `reports_final.xlsx`, and of Merlin Plus (github.com/MrGiovanni/MerlinPlus)
`merlin_longitudinal_metadata.csv`, which alone says which studies are of one patient, and the masks.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from refrad.formats.workbooks import read_workbook
from refrad.nifti.volume_entry import ENDINGS
from refrad.public_sets.base import SetOptions, SetTables, refuse_options
from refrad.public_sets.official_splits import with_splits
from refrad.public_sets.table_reading import (
    age_of,
    date_of,
    is_repeated,
    joined_sections,
    name_columns,
    official_split,
    read_cells,
    read_table,
    report_table,
    sex_of,
    sort_out,
    volume_entries,
)
from refrad.public_sets.volume_files import nifti_files, without_ending_of

__all__ = ["MARKS", "read"]

MARKS = ("merlin_data", "reports_final.xlsx")
IMAGES = "merlin_data"
REPORTS = ("reports_final.xlsx", "reports_final.csv")
PATIENTS = "merlin_longitudinal_metadata.csv"
KEY = re.compile(r"(?i)ac[0-9a-f]+")
REPORT_NAMES = {
    "key": ("study id", "study", "Encrypted Accession Number", "accession number", "accession"),
    "text": ("Findings", "Findings and Impression", "report", "report text", "text"),
    "split": ("Split", "dataset split", "data split", "partition", "set"),
}
PATIENT_NAMES = {
    "key": ("Encrypted Accession Number", "study id", "accession number"),
    "patient": ("Patient ID",),
    "study_date": ("Exam Completed Date",),
    "age": ("Age",),
    "sex": ("Gender", "Sex"),
    "contrast": ("contrast",),
    "manufacturer": ("manufacturer",),
}
# The column "Findings" holds the impression too, behind its heading in capitals or at the beginning of a line.
IMPRESSION = r"(?s)^(.*?)(?:\bIMPRESSIONS?\s*:|(?:^|\n)[ \t]*(?i:impressions?)[ \t]*(?::|\n|$))\s*(.*)$"
TITLE = r"(?i)^\s*findings\s*:\s*"
REFERENCE = r"(?i)\(\s*(?:series\s*|se\s*)?\d{1,4}\s*[/:]\s*\d{1,4}[^)]{0,40}\)|\bseries\s+\d+,?\s+image"
MASKS = "segmentations"
NO_SPLITS = "the table of reports has no splits: they are drawn by the shares of the config"
DEPTH = 3  # folders below that of the masks, in which those of the studies may lie


def read(root: Path, options: SetOptions) -> SetTables:
    """The tables of Merlin; see `refrad.public_sets.base.SetAdapter`."""
    refuse_options("merlin", options, "reconstruction")
    images = _images(root)
    reports = _reports(root)
    patients = _patients(root, options)
    listed, crossing = with_splits(
        _with_tables(images, reports, patients), _official_splits(images, reports, patients), options
    )
    has_splits = bool((reports["split"] != "").any())
    reasons = {
        "name of no study": ~pl.col("is_named"),
        "twice": ~pl.col("key").is_first_distinct(),
        "without a report": pl.col("text").fill_null("") == "",
        "without a patient": pl.col("patient").is_null(),
        "of several patients": pl.col("patients") > 1,
    }
    if has_splits:
        reasons["patient in several official splits"] = pl.col("split") == ""
        reasons["without a split"] = pl.col("split").is_null()
    used, volume_counts = sort_out(listed, reasons)
    texts, report_counts = sort_out(
        reports,
        {
            "no text": pl.col("text") == "",
            "repeated": is_repeated("key"),
            "no image of its study": ~pl.col("key").is_in(images["key"].implode()),
            "image is not used": ~pl.col("key").is_in(used["key"].implode()),
        },
    )
    masks, numbered = ({}, 0) if options.masks is None else _masks(options.masks, set(used["key"]))
    return SetTables(
        folder=root,
        volumes=volume_entries(
            used.with_columns(
                pl.col("split").fill_null(""), series="study", modality=pl.lit("CT"), body_part=pl.lit("ABDOMENPELVIS")
            )
        ),
        reports=_report_rows(texts, used),
        masks={path: masks[key] for path, key in used.select("path", "key").iter_rows() if key in masks},
        mask_folder=options.masks if masks else None,
        counts={"volumes": volume_counts, "reports": report_counts},
        findings=[
            *_findings(patients, texts, used),
            *_findings_of_masks(options, used.height, len(masks), numbered),
            *([] if has_splits else [NO_SPLITS]),
        ],
        crossing=crossing,
    )


def _key(cells: pl.Expr) -> pl.Expr:
    """The key of a study as it is compared: without ending and in lower case."""
    return cells.str.replace(r"(?i)\.nii(\.gz)?$", "").str.to_lowercase()


def _images(root: Path) -> pl.DataFrame:
    """The volumes: path, study, key, and whether their name is that of a study.

    Raises:
        FileNotFoundError: if there are none.
    """
    paths = list(nifti_files(root / IMAGES)) if (root / IMAGES).is_dir() else []
    if not paths:
        raise FileNotFoundError(f"{root}: has no volumes in {IMAGES}: download it, or a part of it, into this folder")
    images = pl.DataFrame({"path": paths}).with_columns(study=without_ending_of("path"))
    return images.with_columns(
        path=pl.concat_str(pl.lit(f"{IMAGES}/"), "path"),
        key=_key(pl.col("study")),
        is_named=pl.col("study").str.contains(f"^{KEY.pattern}$"),
    )


def _reports(root: Path) -> pl.DataFrame:
    """The reports in order: key, split, text in sections ("" if there is none), has_impression.

    Raises:
        FileNotFoundError: if there is no table of reports.
        ValueError: if it cannot be understood.
    """
    path = next((root / name for name in REPORTS if (root / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{root}: has no {REPORTS[0]}: download it into this folder")
    cells = read_cells(path) if path.suffix == ".csv" else _cells_of_workbook(path)
    table = name_columns(cells, path.name, REPORT_NAMES, optional={"split"})
    parts = pl.col("text").str.extract_groups(IMPRESSION).struct
    sections = table.select(
        key=_key(pl.col("key")),
        split=official_split(pl.col("split")),
        findings=pl.coalesce(parts.field("1"), "text").str.replace(TITLE, "").str.strip_chars(),
        impression=parts.field("2").fill_null("").str.strip_chars(),
    )
    return sections.select(
        "key",
        "split",
        text=joined_sections({"findings": "Findings", "impression": "Impression"}).fill_null(""),
        has_impression=pl.col("impression") != "",
    )


def _cells_of_workbook(path: Path) -> pl.DataFrame:
    """The cells of the first sheet that has rows, under the names in its first row."""
    rows = next((rows for rows in read_workbook(path).values() if any(map(any, rows))), [])
    if not rows:
        raise ValueError(f"{path.name}: line 1: the table is empty, a header is needed")
    header = [name or f"column {number}" for number, name in enumerate(rows[0], 1)]
    names = list(dict.fromkeys(header))
    columns = {
        name: [row[place] if place < len(row) else "" for row in rows[1:]]
        for name, place in ((name, header.index(name)) for name in names)
    }
    table = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
    return table.select(pl.all().str.strip_chars()).filter(pl.any_horizontal(pl.all() != ""))


def _patients(root: Path, options: SetOptions) -> pl.DataFrame | None:
    """The longitudinal table of Merlin Plus, a row for each study, with the number of patients that it names; None without it."""
    folders = [folder for folder in (options.tables, root, options.masks) if folder is not None]
    inside = (path for folder in folders if folder.is_dir() for path in sorted(folder.glob(f"*/{PATIENTS}")))
    path = next((path for path in (*(folder / PATIENTS for folder in folders), *inside) if path.is_file()), None)
    if path is None:
        return None
    table = read_table(path, PATIENT_NAMES, PATIENT_NAMES.keys() - {"key", "patient"})
    is_given = pl.col("contrast").str.to_lowercase().replace_strict({"true": "yes", "false": "no"}, default="")
    table = table.filter((pl.col("key") != "") & (pl.col("patient") != "")).with_columns(
        key=_key(pl.col("key")),
        study_date=date_of(pl.col("study_date")),
        age=age_of(pl.col("age")),
        sex=sex_of(pl.col("sex")),
        contrast=is_given,
    )
    table = table.with_columns(patients=pl.col("patient").n_unique().over("key"))
    return table.unique("key", keep="first", maintain_order=True)


def _with_tables(images: pl.DataFrame, reports: pl.DataFrame, patients: pl.DataFrame | None) -> pl.DataFrame:
    """The images with the text of their first report, and with their patient: null if the table does not list the study."""
    texts = reports.filter(pl.col("text") != "").unique("key", keep="first", maintain_order=True)
    listed = images.join(texts.drop("split"), on="key", how="left", maintain_order="left")
    if patients is None:
        return listed.with_columns(patient="study", patients=pl.lit(1))
    listed = listed.join(patients, on="key", how="left", maintain_order="left")
    texts_of = [name for name in PATIENT_NAMES if name not in ("key", "patient")]
    return listed.with_columns(pl.col(texts_of).fill_null(""))


def _official_splits(images: pl.DataFrame, reports: pl.DataFrame, patients: pl.DataFrame | None) -> pl.DataFrame:
    """The patient and the split of each row of the table of reports, also of studies that are not downloaded."""
    keys = images.select("key", patient="study") if patients is None else patients.select("key", "patient")
    official = reports.select("key", "split").join(keys.unique("key"), on="key", how="left", maintain_order="left")
    return official.with_columns(pl.coalesce("patient", "key")) if patients is None else official


def _report_rows(texts: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    rows = texts.drop("split").join(used.select("key", "study"), on="key", maintain_order="left")
    return report_table(rows, "study")


def _masks(folder: Path, keys: set[str]) -> tuple[dict[str, str], int]:
    """Key of a study to its folder with a file for each class, inside of the folder; and the number of files of all labels.

    The numbers of labels in such a file are those of Merlin Plus. They would be read as those of TotalSegmentator, and name other organs.
    """
    masks: dict[str, str] = {}
    numbered = set()
    for path in _named_after_studies(folder, DEPTH):
        key = path.name.split(".")[0].lower()
        classes = path / MASKS if (path / MASKS).is_dir() else path
        if key in keys and path.is_file():
            numbered.add(key)
        elif key in keys and any(map(_is_volume, classes.glob("*"))):
            masks.setdefault(key, classes.relative_to(folder).as_posix())
    return masks, len(numbered - masks.keys())


def _is_volume(path: Path) -> bool:
    return path.name.endswith(ENDINGS) and not path.name.startswith(".")


def _named_after_studies(folder: Path, depth: int) -> Iterator[Path]:
    """Folders and volumes whose name begins with the key of a study, in order; other folders are searched."""
    for path in sorted(folder.iterdir()):
        if KEY.fullmatch(path.name.split(".")[0]):
            if path.is_dir() or _is_volume(path):
                yield path
        elif depth > 1 and path.is_dir():
            yield from _named_after_studies(path, depth - 1)


def _findings(patients: pl.DataFrame | None, texts: pl.DataFrame, used: pl.DataFrame) -> list[str]:
    """What is missing or wrong, with the number of the cases."""
    findings = []
    if patients is None:
        findings.append(
            f"{PATIENTS} of Merlin Plus is not there: each of {used.height:,} studies counts as a patient, so the same person may be"
            " in training and test; name its folder with --tables"
        )
    references = texts.filter(pl.col("text").str.contains(REFERENCE)).height
    if references:
        findings.append(
            f'{references:,} reports name images as "(3/204)"; the set does not say which series a volume is, so such sentences find'
            " no image"
        )
    if without := texts.filter(~pl.col("has_impression")).height:
        findings.append(f"{without:,} reports have no impression")
    return findings


def _findings_of_masks(options: SetOptions, used: int, masked: int, numbered: int) -> list[str]:
    """What is missing of the masks: of `used` volumes, `masked` have a mask, and `numbered` one that cannot be taken."""
    if options.masks is None:
        return ["no masks are named: those of Merlin Plus are used with --masks"]
    findings = []
    if numbered:
        findings.append(
            f"{numbered:,} masks are a file of all labels, whose numbers are not TotalSegmentator's: not taken"
        )
    if not masked:
        findings.append("the folder of masks holds no files of classes: unpack its archives (unzip.sh of Merlin Plus)")
    elif masked < used:
        findings.append(f"{used - masked:,} volumes that are used have no mask")
    return findings
