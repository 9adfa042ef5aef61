"""The synthetic bodies in the layout of the TotalSegmentator set and of RadGPT's notes about it, as their downloads unpack.

Layout and columns are those of Zenodo record 10047292 (v2.0.1) and of the notes in MrGiovanni/RadGPT; bodies and sentences are
this project's.
"""

import csv
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from refrad.core.files import atomic
from refrad.core.progress import log_progress
from refrad.demo.bodies import Array, make_body
from refrad.demo.rendering import render
from refrad.demo.reporter import write_notes
from refrad.segmentation.precomputed import native_ids

__all__ = ["NOTES", "ROOT", "write_totalsegmentator"]

ROOT = "Totalsegmentator_dataset_v201"  # folder that the archive unpacks into
NOTES = "AbdomenAtlasRadiologistsNotes.csv"
COLUMNS = "image_id age gender institute study_type split manufacturer scanner_model kvp pathology pathology_location"
STUDY_TYPES: Mapping[str, tuple[float, float]] = {  # heights of the body, mm
    "ct thorax-abdomen-pelvis": (0, 560),
    "ct abdomen-pelvis": (10, 400),
    "ct thorax": (330, 590),
}
FIELD = (372.0, 264.0)  # mm, from right to left and from back to front
SPACINGS = (3.0, 3.0, 3.0, 1.5)  # mm, of the first four cases and again of the next
FINE_HEIGHT = 60.0  # mm of a fine case, so that it has as many voxels as the others
ORIENTATIONS = ("RAS", "LPS", "LAS")
SPLITS = ("train", "test", "train", "val", "train", "train")  # of the cases in turn
WITHOUT_NOTES = 8  # one of so many cases: most cases of the set have none

logger = logging.getLogger(__name__)


class _Case(NamedTuple):
    """What the tables say of a case: its row of meta.csv, and its notes or ""."""

    meta: dict[str, str]
    notes: str


def write_totalsegmentator(out: Path, cases: int, seed: int) -> None:
    """Write `cases` cases: `ROOT` with a folder each and meta.csv, and `NOTES` next to it; the same bytes for the same seed.

    Args:
        out: folder.
        cases: their number.
        seed: of all random draws.

    Raises:
        ValueError: if the set is there, since synthetic bodies would get into the cases of real patients.
    """
    root = out / ROOT
    for path in (root, out / NOTES):
        if path.exists():
            raise ValueError(f"--out {out}: {path.name} is there already: remove it, or name another folder")
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        results = pool.map(_write_case, [root] * cases, range(cases), [seed] * cases)
        rows = list(log_progress(results, logger, "cases", cases, every=5))
    # The set's own table begins with a byte order mark and is divided by semicolons.
    with atomic(root / "meta.csv") as temporary, temporary.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS.split(), delimiter=";")
        writer.writeheader()
        writer.writerows(case.meta for case in rows)
    with atomic(out / NOTES) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        notes = csv.writer(file)
        notes.writerow(["TotalSegmentator_id", "Notes", "BDMAP ID"])
        notes.writerows([case.meta["image_id"], case.notes, ""] for case in rows if case.notes)
    logger.info("%d cases, %d with notes", cases, sum(bool(case.notes) for case in rows))


def _write_case(root: Path, number: int, seed: int) -> _Case:
    """Write the volume of a case and a file for each class of task total, empty ones as well, as the set has them."""
    r = np.random.default_rng([seed, number, 5])
    name = f"s{number + 11:04d}"
    body = make_body(seed * 10_000 + number)
    study_type = str(r.choice(list(STUDY_TYPES), p=(0.6, 0.3, 0.1)))
    low, high = STUDY_TYPES[study_type]
    spacing = SPACINGS[number % len(SPACINGS)]
    if spacing < max(SPACINGS):
        study_type, low, high = "ct abdomen", 290.0, 290.0 + FINE_HEIGHT
    shape = (round(FIELD[0] / spacing), round(FIELD[1] / spacing), round((high - low) / spacing))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    centre = body.to_world((0, 0, (low + high) / 2)) + np.array([*r.uniform(-8, 8, 2), 0])
    affine[:3, 3] = centre - spacing * (np.array(shape) - 1) / 2
    ids = native_ids("total")
    image, labels = render(body, affine, shape, "CT", ids, seed=number)
    orientation = ORIENTATIONS[number % len(ORIENTATIONS)]
    _save(root / name / "ct.nii.gz", np.round(image).astype(np.int16), affine, orientation)
    for class_name, label in ids.items():
        _save(root / name / "segmentations" / f"{class_name}.nii.gz", labels == label, affine, orientation)
    areas = {key: (labels == label).sum((0, 1)).tolist() for key, label in ids.items() if (labels == label).any()}
    meta = {
        "image_id": name,
        "age": str(r.integers(20, 90)),
        "gender": body.sex.lower(),
        "institute": str(r.choice(list("ABC"))),
        "study_type": study_type,
        "split": SPLITS[number % len(SPLITS)],
        "manufacturer": "RefRad demo scanner",
        "scanner_model": "",
        "kvp": "120",
        "pathology": "other" if body.lesions else "no_pathology",
        "pathology_location": "",
    }
    return _Case(meta, "" if number % WITHOUT_NOTES == WITHOUT_NOTES - 2 else write_notes(r, body, areas))


def _save(
    path: Path, voxels: NDArray[np.int16] | NDArray[np.bool_], affine: Array | NDArray[np.float64], code: str
) -> None:
    """Write voxels with RAS axes as NIfTI, its axes in the order and direction of `code`, such as LPS."""
    image = nib.Nifti1Image(voxels.astype(np.uint8 if voxels.dtype == bool else np.int16), affine)
    image = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(tuple(code))))
    with atomic(path) as temporary:
        nib.save(image, temporary)
