"""TotalSegmentator: CT and MR images with masks (zenodo.org/records/10047292), and RadGPT's notes of radiologists as reports.

Read are `meta.csv`, `s0011/ct.nii.gz` (MR: `mri.nii.gz`), the masks in `s0011/segmentations`, and the table of notes, which is in the
repository of RadGPT. The sets of CT and of MR count their images alike, so the notes, which are of CT, never meet images of MR.
"""

import re
from pathlib import Path

import polars as pl

from refrad.nifti.volume_entry import ENDINGS
from refrad.public_sets.base import SetOptions, SetTables, refuse_options
from refrad.public_sets.table_reading import (
    age_of,
    name_columns,
    official_split,
    read_cells,
    read_table,
    report_table,
    sex_of,
    sort_out,
    volume_entries,
)

__all__ = ["MARKS", "read"]

MARKS = ("meta.csv", "s[0-9]*/ct.nii.gz", "s[0-9]*/mri.nii.gz")
NOTES = "AbdomenAtlasRadiologistsNotes.csv"
CASE = re.compile(r"s\d+")
IMAGES = {"ct.nii.gz": "CT", "ct.nii": "CT", "mri.nii.gz": "MR", "mri.nii": "MR"}
TITLE = r"(?i)^\s*radiologist'?s'? notes:\s*"  # of each note, no part of its first sentence
MASKS = "segmentations"
META = {
    "case": ("image_id",),
    "age": ("age",),
    "sex": ("gender", "sex"),
    "split": ("split",),
    "manufacturer": ("manufacturer",),
}
KEY_OF_CT = "TotalSegmentator_id"
KEYS = (KEY_OF_CT, "image_id")
TEXTS = ("note", "report", "finding", "text", "description")  # parts of the name of the column of notes, best first
SHORTEST = 15  # characters on average of a column of texts with another name


def read(root: Path, options: SetOptions) -> SetTables:
    """The tables of TotalSegmentator; see `refrad.public_sets.base.SetAdapter`."""
    refuse_options("totalsegmentator", options, "masks", "reconstruction")
    cases = _cases(root)
    modality = next(iter(set(cases["modality"]) - {""}), "")
    notes, key = _notes(root, options.tables)
    meta = (
        read_table(root / "meta.csv", META, optional=META.keys() - {"case"}) if (root / "meta.csv").exists() else None
    )
    listed = cases if meta is None else _with_meta(cases, meta)
    has_splits = "split" in listed.columns and bool((listed["split"] != "").any())
    is_of_ct = key == KEY_OF_CT and modality == "MR"
    reported = notes.filter((pl.col("number") != "") & (pl.col("text") != "") & ~pl.lit(is_of_ct))["number"]
    is_reported = pl.col("number").is_in(reported.implode())
    reasons = {"no image": pl.col("size") == 0}
    if has_splits:
        reasons["without a split"] = pl.col("split") == ""
    used, volumes = sort_out(listed, reasons | {"without a report": ~is_reported})
    reports, notes_counts = sort_out(
        notes,
        {
            "of another set": (pl.col("number") == "") | pl.lit(is_of_ct),
            "no text": pl.col("text") == "",
            "no image": ~pl.col("number").is_in(cases.filter(pl.col("size") > 0)["number"].implode()),
            "image is not used": ~pl.col("number").is_in(used["number"].implode()),
            "repeated": ~pl.struct("number", "text").is_first_distinct(),
        },
    )
    masked = used.filter("has_masks")
    return SetTables(
        folder=root,
        volumes=volume_entries(used.with_columns(patient="case", study="case", series=pl.col("modality"))),
        reports=_report_rows(reports, used),
        masks={path: f"{case}/{MASKS}" for path, case in masked.select("path", "case").iter_rows()},
        mask_folder=root if masked.height else None,
        counts={"volumes": volumes, "reports": notes_counts},
        findings=_findings(cases, meta, used, has_splits, is_of_ct),
        crossing=0,
    )


def _cases(root: Path) -> pl.DataFrame:
    """A row for each folder of an image: case, number without zeros, path and size of the image, modality, has_masks.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if CT and MR are in one folder.
    """
    rows = []
    for folder in _folders(root):
        if CASE.fullmatch(folder.name):
            has_masks = any(path.name.endswith(ENDINGS) for path in _inside(folder / MASKS))
            for image in [name for name in IMAGES if (folder / name).is_file()] or [""]:
                size = (folder / image).stat().st_size if image else 0
                rows.append((folder.name, f"{folder.name}/{image}", IMAGES.get(image, ""), size, has_masks))
    if not rows:
        raise FileNotFoundError(f"{root}: has no folders of images (s0011): unpack the downloaded archive into it")
    cases = pl.DataFrame(rows, ["case", "path", "modality", "size", "has_masks"], orient="row")
    if len(set(cases["modality"]) - {""}) > 1:
        raise ValueError(f"{root}: holds CT and MR, whose numbers are of different patients: unpack each into a folder")
    return cases.with_columns(number=_number(pl.col("case")))


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _folders(folder: Path) -> list[Path]:
    return [path for path in _inside(folder) if path.is_dir()]


def _number(cells: pl.Expr) -> pl.Expr:
    """The number, without zeros in front, of keys such as "s0260", "260" and "260.0"; "" for other keys."""
    return cells.str.extract(r"(?i)^(?:totalsegmentator[_ ]?)?s?0*(\d+)(?:\.0)?$").fill_null("")


def _with_meta(cases: pl.DataFrame, meta: pl.DataFrame) -> pl.DataFrame:
    """The cases with what `meta.csv` says of them; "" for those that it does not list."""
    columns = meta.select(
        number=_number(pl.col("case")),
        split=official_split(pl.col("split")),
        age=age_of(pl.col("age")),
        sex=sex_of(pl.col("sex")),
        manufacturer="manufacturer",
    )
    columns = columns.unique("number", keep="first", maintain_order=True)
    texts = [name for name in columns.columns if name != "number"]
    return cases.join(columns, on="number", how="left", maintain_order="left").with_columns(pl.col(texts).fill_null(""))


def _notes(root: Path, tables: Path | None) -> tuple[pl.DataFrame, str]:
    """The notes, columns number and text, and the name of their column of keys.

    Raises:
        FileNotFoundError: if there is no table of notes.
        ValueError: if it has no column of keys or texts.
    """
    path = _notes_file(root, tables)
    cells = read_cells(path)
    bare = {name.lower().replace(" ", "_"): name for name in cells.columns}
    key = next((name for name in KEYS if name.lower() in bare), None)
    if key is None:
        raise ValueError(f'{path.name}: line 1: has no column "{KEY_OF_CT}", the key of the images')
    text = _text_column(cells.drop(bare[key.lower()]), path.name)
    table = name_columns(cells, path.name, {"key": (bare[key.lower()],), "text": (text,)})
    return table.select(text=pl.col("text").str.replace(TITLE, ""), number=_number(pl.col("key"))), key


def _notes_file(root: Path, tables: Path | None) -> Path:
    """The table of notes: a file that the user names, or RadGPT's in the folder that the user names, or beside the images."""
    if tables is not None and tables.is_file():
        return tables
    folders = [tables] if tables is not None else [path for path in _folders(root) if not CASE.fullmatch(path.name)]
    inside = (path for folder in folders for path in sorted(folder.rglob(NOTES)))
    path = next((path for path in (root / NOTES, *inside) if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{NOTES} is not there: it is in generate_reports of github.com/MrGiovanni/RadGPT; name its folder with --tables"
        )
    return path


def _text_column(cells: pl.DataFrame, name: str) -> str:
    """The name of the column of notes: by its name, of several the one with the longest texts; else that with long texts.

    Raises:
        ValueError: if no column can be it.
    """
    lengths = {column: cells[column].str.len_chars().mean() or 0.0 for column in cells.columns}
    longest = sorted(lengths, key=lambda column: -float(str(lengths[column])))
    for word in TEXTS:
        if columns := [column for column in longest if word in column.lower() and not column.lower().endswith("id")]:
            return columns[0]
    if not longest or float(str(lengths[longest[0]])) < SHORTEST:
        raise ValueError(f"{name}: line 1: has no column of notes: name the column of the texts notes")
    return longest[0]


def _report_rows(notes: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """The reports of the used images; further notes of an image have its key with their number."""
    rows = notes.join(used.select("number", "case"), on="number", maintain_order="left")
    place = pl.int_range(1, pl.len() + 1).over("case")
    report_id = pl.when(place == 1).then("case").otherwise(pl.concat_str("case", pl.lit("-"), place))
    return report_table(rows, "case", report_id)


def _findings(
    cases: pl.DataFrame, meta: pl.DataFrame | None, used: pl.DataFrame, has_splits: bool, is_of_ct: bool
) -> list[str]:
    """What is missing or wrong, with the number of the cases."""
    unlisted = 0 if meta is None else meta.filter(~_number(pl.col("case")).is_in(cases["number"].implode())).height
    numbers = {
        "images have no patient key: each counts as a patient": used.height,
        "rows of meta.csv have no folder of an image": unlisted,
        "images that are used have no masks": used.filter(~pl.col("has_masks")).height,
    }
    findings = [f"{number:,} {text}" for text, number in numbers.items() if number]
    if not has_splits:
        findings.append("meta.csv has no splits or is not there: splits are drawn by the shares of the config")
    if is_of_ct:
        findings.append(f"{NOTES} is of CT: images of MR have no reports, unless --tables names your own table of them")
    if "MR" in set(cases["modality"]):
        findings.append("version 2.0.0 of the MR images is under CC BY-NC-SA 4.0, not CC BY 4.0")
    return findings
