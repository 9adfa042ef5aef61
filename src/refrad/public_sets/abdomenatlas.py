"""AbdomenAtlas 3.0 Mini: abdominal CT with reports that RadGPT wrote from masks (github.com/MrGiovanni/RadGPT).

Read are `BDMAP_00000001/ct.nii.gz`, unpacked, the column "narrative report" of `AbdomenAtlas3.0MiniWithMeta.csv`, and the lists in
`TrainTestIDS`. The reports say what the masks say. A model is therefore never evaluated on them: all patients train.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from refrad.nifti.volume_entry import ENDINGS
from refrad.public_sets.base import SetOptions, SetTables, refuse_options
from refrad.public_sets.table_reading import (
    age_of,
    is_repeated,
    read_lines,
    read_table,
    report_table,
    sex_of,
    sort_out,
    volume_entries,
)

__all__ = ["MARKS", "read"]

TABLE = "AbdomenAtlas3.0MiniWithMeta.csv"
LISTS = "TrainTestIDS"
MARKS = (TABLE, "image_only", LISTS, "BDMAP_*/ct.nii.gz")
KEY = re.compile(r"BDMAP_\d+")
IMAGES = ("ct.nii.gz", "ct.nii")
MASKS = "segmentations"
LESION = "lesion"
META = {"case": ("BDMAP ID", "BDMAP_ID"), "text": ("narrative report",), "age": ("age",), "sex": ("sex", "gender")}


def read(root: Path, options: SetOptions) -> SetTables:
    """The tables of AbdomenAtlas; see `refrad.public_sets.base.SetAdapter`."""
    refuse_options("abdomenatlas", options, "reconstruction")
    cases = _images(root)
    meta = _meta(root, options.tables)
    listed = cases.join(
        meta.filter(pl.col("text") != "").unique("case", keep="first", maintain_order=True),
        on="case",
        how="left",
        maintain_order="left",
    )
    used, volumes = sort_out(
        listed,
        {
            "no image": pl.col("size") == 0,
            "twice": ~pl.col("case").is_first_distinct(),
            "without a report": pl.col("text").is_null(),
        },
    )
    reports, report_counts = sort_out(
        meta,
        {
            "no text": pl.col("text") == "",
            "repeated": is_repeated("case"),
            "no image": ~pl.col("case").is_in(cases["case"].implode()),
            "image is not used": ~pl.col("case").is_in(used["case"].implode()),
        },
    )
    mask_folder = options.masks or root
    masks, without_organs = _masks(mask_folder, set(used["case"]))
    rows = used.with_columns(
        patient="case",
        study="case",
        series="case",
        modality=pl.lit("CT"),
        split=pl.lit("train"),
    )
    return SetTables(
        folder=root,
        volumes=volume_entries(rows),
        reports=report_table(reports, "case"),
        masks={path: masks[case] for path, case in used.select("path", "case").iter_rows() if case in masks},
        mask_folder=mask_folder if masks else None,
        counts={"volumes": volumes, "reports": report_counts},
        findings=_findings(root, used, without_organs),
        crossing=0,
    )


def _case_folders(root: Path) -> Iterator[Path]:
    """The folders of cases in a folder and in the folders in it, in order."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if KEY.fullmatch(folder.name):
            yield folder
        else:
            yield from sorted(path for path in folder.iterdir() if KEY.fullmatch(path.name) and path.is_dir())


def _images(root: Path) -> pl.DataFrame:
    """The cases that have a folder with or for an image: case, path and size of the image, 0 without one.

    Raises:
        FileNotFoundError: if there are none.
    """
    rows = []
    for folder in _case_folders(root):
        image = next((folder / name for name in IMAGES if (folder / name).is_file()), None)
        if image is not None:
            rows.append((folder.name, image.relative_to(root).as_posix(), image.stat().st_size))
        elif not (folder / MASKS).is_dir() and not any(path.name.endswith(ENDINGS) for path in folder.iterdir()):
            rows.append((folder.name, "", 0))
    if not rows:
        packed = next(root.glob("*.tar.gz"), None) or next(root.glob("image_only/*.tar.gz"), None)
        advice = "unpack the .tar.gz files of image_only" if packed else "download image_only and unpack it"
        raise FileNotFoundError(f"{root}: has no images (BDMAP_00000001/ct.nii.gz): {advice}")
    return pl.DataFrame(rows, ["case", "path", "size"], orient="row")


def _meta(root: Path, tables: Path | None) -> pl.DataFrame:
    """The table of reports: case, text, age and sex.

    Raises:
        FileNotFoundError: if it is not there.
    """
    path = next(
        (folder / TABLE for folder in (tables, root) if folder is not None and (folder / TABLE).is_file()), None
    )
    if path is None:
        raise FileNotFoundError(f"{TABLE} is not there: download it into the root, or name its folder with --tables")
    table = read_table(path, META, {"age", "sex"})
    key = pl.col("case").str.extract(f"({KEY.pattern})").fill_null("")
    return table.with_columns(case=key, age=age_of(pl.col("age")), sex=sex_of(pl.col("sex")))


def _masks(folder: Path, cases: set[str]) -> tuple[dict[str, str], int]:
    """Case to the folder of its masks of organs, and the number of cases that have masks of lesions only."""
    masks: dict[str, str] = {}
    without_organs = set()
    for path in _case_folders(folder):
        inside = path / MASKS if (path / MASKS).is_dir() else path
        names = [file.name for file in inside.iterdir() if file.name.endswith(ENDINGS) and file.name not in IMAGES]
        if path.name in cases and any(LESION not in name for name in names):
            masks.setdefault(path.name, inside.relative_to(folder).as_posix())
        elif path.name in cases and names:
            without_organs.add(path.name)
    return masks, len(without_organs - masks.keys())


def _findings(root: Path, used: pl.DataFrame, without_organs: int) -> list[str]:
    """What is missing or wrong, with the number of the cases."""
    findings = [
        f"{used.height:,} reports are made from masks: all of their patients train, and nothing is evaluated on them",
        f"{used.height:,} images have no patient key: each counts as a patient; they are images of other public sets, LiTS, MSD and"
        " TotalSegmentator among them, so evaluate nothing on those either",
    ]
    tests = sorted((root / LISTS).glob("*_test.csv"))
    listed = {key for path in tests for line in read_lines(path) for key in KEY.findall(line)}
    if not tests:
        findings.append(f"{LISTS} is not there: nobody can say which images others test on")
    elif number := used.filter(pl.col("case").is_in(listed)).height:
        findings.append(
            f"{number:,} images of the official test lists train too: compare with no result on these lists"
        )
    if without_organs:
        findings.append(
            f"{without_organs:,} volumes have masks of lesions only, which are no masks of organs: not taken"
        )
    return findings
