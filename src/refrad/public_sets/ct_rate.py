"""CT-RATE: non-contrast chest CT with machine-translated reports (Hamamci et al., arXiv:2403.17834).

Read are `dataset/train_fixed` and `dataset/valid_fixed` (version 2: HU and geometry are in the files, and nothing is corrected), or
`dataset/train` and `dataset/valid` (version 1: geometry and rescale come from the metadata, once), the tables of reports and
metadata, the lists `no_chest_*.txt`, and the masks of `dataset/ts_seg/ts_total`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from refrad.nifti.volume_entry import VolumeEntry
from refrad.public_sets.base import SetOptions, SetTables, refuse_options
from refrad.public_sets.ct_rate_reports import read_report_rows
from refrad.public_sets.official_splits import settle_splits
from refrad.public_sets.scanner_geometry import affines_of
from refrad.public_sets.table_reading import (
    age_of,
    chained_counts,
    read_lines,
    read_table,
    sex_of,
    sort_out,
    volume_entries,
)
from refrad.public_sets.volume_files import match_masks, nifti_files, without_ending_of

__all__ = ["MARKS", "read"]

MARKS = (
    "dataset/train_fixed",
    "dataset/valid_fixed",
    "dataset/train",
    "dataset/valid",
    "dataset/radiology_text_reports",
)
PATIENT = r"(?:train|valid)_\d+"
SCAN = rf"{PATIENT}_[a-z]+"
NAME = rf"{SCAN}_\d+"  # and the number of the reconstruction
METADATA = {
    name: [spelling]
    for name, spelling in {
        **{"name": "VolumeName", "sex": "PatientSex", "age": "PatientAge", "study_date": "StudyDate"},
        **{"manufacturer": "Manufacturer", "kernel": "ConvolutionKernel", "slices": "NumberofSlices"},
        **{"xy_spacing": "XYSpacing", "z_spacing": "ZSpacing", "position": "ImagePositionPatient"},
        **{"orientation": "ImageOrientationPatient", "slope": "RescaleSlope", "intercept": "RescaleIntercept"},
    }.items()
}
GEOMETRY = ("xy_spacing", "z_spacing", "position", "orientation")
# Discussion 97 of the set on Hugging Face: volumes that cannot be used, and those without a distance of slices.
UNUSABLE = ("train_14384_a_2", "valid_251_a_2")
WITHOUT_DISTANCE = ("train_1267_a_4", "train_11755_a_3", "train_11755_a_4")
ORGANS, OF_LESIONS = "ts_total", ("ts_lung_nodules", "ts_pleural_pericard_effusion")  # folders of masks
LISTED_KERNELS = 12  # in a message


class _Part(NamedTuple):
    """A part of the set: the name of its folders, that of its tables, and its split."""

    folder: str
    table: str
    split: str


PARTS = (_Part("train", "train", "train"), _Part("valid", "validation", "test"))


def read(root: Path, options: SetOptions) -> SetTables:
    """The tables of CT-RATE; see `refrad.public_sets.base.SetAdapter`."""
    dataset = root / "dataset"
    refuse_options("ct-rate", options, "tables")
    files, findings = _listed_files(dataset) if options.is_estimate else _find_files(dataset)
    parts = [part for part in PARTS if part.split in set(files["split"])]
    metadata = _read_metadata([dataset / "metadata" / f"{part.table}_metadata.csv" for part in parts])
    reports = read_report_rows([dataset / "radiology_text_reports" / f"{part.table}_reports.csv" for part in parts])
    not_chest, unlisted = _listed_volumes(root, parts)
    volumes = files.join(metadata, on="name", how="left", maintain_order="left")
    usable, counts = sort_out(volumes, _faults(not_chest, reports.reports["scan"]))
    settled = settle_splits(usable["patient"], usable["split"], options)
    usable = usable.with_columns(settled.splits)
    of_one_split, crossing_counts = sort_out(usable, {"patient in several official splits": pl.col("split") == ""})
    used, other_counts = _choose_reconstructions(of_one_split, options.reconstruction)
    reports = reports.of_scans(volumes["scan"], used["scan"])
    mask_folder = _mask_folder(options.masks) if options.masks else dataset / "ts_seg" / ORGANS
    masks = match_masks(mask_folder, NAME, list(used["name"]), set(files["folder"]))
    path_of = dict(used.select("name", "path").iter_rows())
    numbers = {
        "volumes of the metadata have no file": metadata.join(files, on="name", how="anti").height,
        "scans have rows of reports that differ: the first is used": reports.differing,
        "volumes that are used have several masks, of which none is taken": masks.ambiguous,
        "volumes that are used have no mask": len(used) - len(masks.masks) if masks.masks else 0,
    }
    slices = used["slices"].drop_nulls()
    return SetTables(
        folder=dataset,
        volumes=_entries(used),
        reports=reports.table(),
        masks={path_of[name]: mask for name, mask in masks.masks.items()},
        mask_folder=mask_folder if masks.masks else None,
        counts={"volumes": chained_counts([counts, crossing_counts, *other_counts]), "reports": reports.counts},
        findings=[*findings, *unlisted, *(f"{number:,} {text}" for text, number in numbers.items() if number)],
        crossing=settled.crossing,
        slices=round(slices.sum() * len(used) / len(slices)) if len(slices) else None,
    )


def _find_files(dataset: Path) -> tuple[pl.DataFrame, list[str]]:
    """The volumes in the folders of the parts: path, name, patient, scan, number, split, folder and version; and findings.

    Raises:
        FileNotFoundError: if there are no folders of volumes.
    """
    rows, findings = [], []
    for part in PARTS:
        paths = {name: list(nifti_files(dataset / name)) for name in (f"{part.folder}_fixed", part.folder)}
        folders = [name for name in paths if paths[name]]
        if not folders:
            findings.append(f"dataset/{part.folder}_fixed has no volumes: nothing of the {part.split} split is used")
            continue
        if len(folders) > 1:
            findings.append(_superseded(part.folder, *paths.values()))
        version = 2 if folders[0].endswith("_fixed") else 1
        rows += [(f"{folders[0]}/{path}", part.split, folders[0], version) for path in paths[folders[0]]]
    if not rows:
        raise FileNotFoundError(
            f"{dataset}: no volumes are in train_fixed and valid_fixed (or train and valid): download them"
        )
    return _with_keys(rows), findings


def _superseded(folder: str, corrected: Sequence[str], original: Sequence[str]) -> str:
    """The finding that version 1 of a part is not used, with the number of its volumes that version 2 does not have."""
    missing = len({Path(path).name for path in original} - {Path(path).name for path in corrected})
    more = f", which lacks {missing:,} of its volumes" if missing else ""
    return f"dataset/{folder} is not used: dataset/{folder}_fixed is its corrected version{more}"


def _mask_folder(folder: Path) -> Path:
    """The folder of the masks of organs in the folder that the user names, which may hold other masks of the set too.

    Raises:
        ValueError: if it is one of masks of lesions, whose numbers would name organs.
    """
    folder = folder / ORGANS if (folder / ORGANS).is_dir() else folder
    if lesions := next((name for name in OF_LESIONS if name in folder.parts or (folder / name).is_dir()), None):
        raise ValueError(f"--masks: {lesions} holds masks of lesions, not of organs: name ts_total, or leave it out")
    return folder


def _listed_files(dataset: Path) -> tuple[pl.DataFrame, list[str]]:
    """As `_find_files`, the volumes that the metadata list, as those of version 2; none of them is looked for.

    Raises:
        FileNotFoundError: if there are no tables of metadata.
    """
    rows = []
    for part in PARTS:
        table = dataset / "metadata" / f"{part.table}_metadata.csv"
        folder = f"{part.folder}_fixed"
        if table.is_file():
            rows += [(f"{folder}/{name}.nii.gz", part.split, folder, 2) for name in _read_metadata([table])["name"]]
    if not rows:
        raise FileNotFoundError(
            f"{dataset}: has no metadata/train_metadata.csv, by which the set is estimated: download it"
        )
    return _with_keys(rows), ["the volumes are those of the metadata, whether they are there or not"]


def _with_keys(rows: Sequence[tuple[str, str, str, int]]) -> pl.DataFrame:
    """The files with the keys that their names have."""
    files = pl.DataFrame(rows, ["path", "split", "folder", "version"], orient="row")
    name = without_ending_of("path")
    return files.with_columns(
        name=name,
        patient=name.str.extract(rf"^({PATIENT})_[a-z]+_\d+$"),
        scan=name.str.extract(rf"^({SCAN})_\d+$"),
        number=name.str.extract(r"_(\d+)$").cast(pl.Int64, strict=False),
    )


def _read_metadata(paths: Sequence[Path]) -> pl.DataFrame:
    """The metadata of the volumes, a row for each name, with affine and rescale.

    Raises:
        FileNotFoundError: if a table is missing.
        ValueError: if a table lacks a column or cannot be read.
    """
    table = pl.concat(read_table(path, METADATA) for path in paths)
    distance = pl.col("z_spacing").cast(pl.Float64, strict=False)
    table = table.with_columns(
        affines_of(*(table[name] for name in GEOMETRY)),
        pl.col("slope", "intercept", "slices").cast(pl.Float64, strict=False),
        sex_of(pl.col("sex")),
        age_of(pl.col("age")),
        pl.col("study_date").str.extract(r"^(\d{8})").fill_null(""),
        name=without_ending_of("name"),
        has_distance=distance.is_finite() & (distance > 0),
        has_metadata=True,
    ).with_columns(is_ambiguous=pl.struct("affine", "slope", "intercept").n_unique().over("name") > 1)
    return table.unique("name", keep="first", maintain_order=True)


def _listed_volumes(root: Path, used: Sequence[_Part]) -> tuple[pl.Series, list[str]]:
    """Names of volumes and scans in the lists of what shows no chest, wherever these are; a finding if a part has none."""
    parts = {f"{part.folder}{ending}" for part in PARTS for ending in ("", "_fixed")}
    folders = [folder for folder in (root / "dataset").iterdir() if folder.is_dir() and folder.name not in parts]
    paths = sorted(path for folder in (root, root / "dataset", *folders) for path in folder.glob("no_chest*.txt"))
    names = [name for path in paths for line in read_lines(path) for name in re.findall(rf"{SCAN}(?:_\d+)?", line)]
    missing = [f"no_chest_{part.folder}.txt" for part in used if not any(part.folder in path.name for path in paths)]
    verb = "is" if len(missing) == 1 else "are"
    finding = f"{' and '.join(missing)} {verb} not there: volumes of other regions cannot be left out"
    return pl.Series("name", names, pl.String), [finding] if missing else []


def _faults(not_chest: pl.Series, reported: pl.Series) -> dict[str, pl.Expr]:
    """Why a volume cannot be used, by itself."""
    is_old, listed = pl.col("version") == 1, not_chest.implode()
    has_rescale = pl.col("slope").is_finite() & (pl.col("slope") != 0) & pl.col("intercept").is_finite()
    return {
        "name of no volume": pl.col("patient").is_null(),
        "name of an earlier file": ~pl.col("name").is_first_distinct(),
        "known to be unusable": pl.col("name").is_in(UNUSABLE),
        "no chest": pl.col("name").is_in(listed) | pl.col("scan").is_in(listed),
        "without a row of metadata": pl.col("has_metadata").is_null(),
        "without a distance of slices": pl.col("name").is_in(WITHOUT_DISTANCE)
        | ~pl.col("has_distance").fill_null(False),
        "without a geometry in the metadata": is_old & pl.col("affine").is_null(),
        "with several geometries or rescales in the metadata": is_old & pl.col("is_ambiguous").fill_null(False),
        "without a rescale in the metadata": is_old & ~has_rescale.fill_null(False),
        "without a report": ~pl.col("scan").is_in(reported.implode()),
    }


def _choose_reconstructions(volumes: pl.DataFrame, choice: str) -> tuple[pl.DataFrame, list[dict[str, int]]]:
    """The volumes that are chosen of each scan, and the counts of the others.

    Raises:
        ValueError: if no volume has the kernel.
    """
    if choice == "all":
        return volumes, []
    counts = []
    if choice != "first":
        has_kernel = pl.col("kernel").str.to_lowercase().str.contains(choice.lower(), literal=True)
        kernels = volumes["kernel"].value_counts(sort=True)["kernel"]
        volumes, of_others = sort_out(volumes, {"another kernel": ~has_kernel})
        if volumes.is_empty():
            raise ValueError(
                f"--reconstruction {choice}: no volume has such a kernel; it is first, all, or a part of the name of one:"
                f" {', '.join(kernels[:LISTED_KERNELS])}"
            )
        counts.append(of_others)
    is_later = pl.col("number") > pl.col("number").min().over("scan")
    chosen, of_others = sort_out(volumes, {"another reconstruction": is_later})
    return chosen, [*counts, of_others]


def _entries(used: pl.DataFrame) -> list[VolumeEntry]:
    """The rows of the table of volumes; what the metadata say of the pixels is for version 1 only."""
    is_old = pl.col("version") == 1
    return volume_entries(
        used.with_columns(
            study="scan",
            series="name",
            modality=pl.lit("CT"),
            body_part=pl.lit("CHEST"),
            contrast=pl.lit("no"),
            affine=pl.when(is_old).then("affine").otherwise(pl.lit("")),
            slope=pl.when(is_old).then("slope"),
            intercept=pl.when(is_old).then("intercept"),
        )
    )
