"""Folders in the Brain Imaging Data Structure (BIDS): keys and metadata of their anatomical images.

Names and metadata files are those of the BIDS specification 1.10 (bids-specification.readthedocs.io): "Common principles" and
"Magnetic resonance imaging", section "Anatomy imaging data".
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from refrad.formats.charsets import charset_of, errors_of
from refrad.formats.csv_rows import read_csv_rows
from refrad.nifti.entry_values import entry_of_cells
from refrad.nifti.volume_entry import VolumeEntry, unnamed_entry

__all__ = ["entries_of_bids", "is_bids"]

DESCRIPTION = "dataset_description.json"
APART = {"derivatives", "sourcedata"}  # folders of images that are made from others, or not yet converted
# Suffixes of images of one volume each. Maps of T1, field strengths and the like are computed from several of them.
MR_SUFFIXES = frozenset(
    re.findall(
        r"\w+",
        """
        T1w T2w PDw T2starw PDT2 FLAIR FLASH T2star PD inplaneT1 inplaneT2 angio UNIT1 SWI
        MP2RAGE MPM MTS MTR MEGRE MESE VFA IRT1
        """,
    )
)
CT_SUFFIXES = frozenset({"ct"})
# Entities of images that are no magnitude, or are computed.
NOT_AN_IMAGE = re.compile(r"_(?:part-(?:phase|real|imag)|label-|desc-|space-|res-)")
_NAME = re.compile(
    r"(?P<subject>sub-[^_]+)(?:_(?P<session>ses-[^_]+))?_(?P<series>(?:[^_]+_)*(?P<suffix>[^_.]+))(?i:\.nii(?:\.gz)?)"
)
LARGEST_SIDECAR = 1 << 22  # bytes
TABLES_AT_ONCE = 64


def is_bids(folder: Path) -> bool:
    """Whether a folder is a dataset of BIDS, by its description or the folder of a subject."""
    return (folder / DESCRIPTION).is_file() or next((p for p in folder.glob("sub-*") if p.is_dir()), None) is not None


def entries_of_bids(folder: Path, paths: Iterable[str]) -> Iterator[VolumeEntry]:
    """The NIfTI files of a dataset. Patient is the subject, study the subject and session, series the rest of the name.

    Images in derivatives and sourcedata are "bids_derivative", images other than anatomical ones "bids_kind", files whose
    names are not those of BIDS "not_named".

    Args:
        folder: of the dataset.
        paths: of its NIfTI files, inside of it.

    Raises:
        ValueError: if the folder is no dataset of BIDS.
    """
    if not is_bids(folder):
        raise ValueError(
            f"{folder} is no BIDS dataset: it has neither {DESCRIPTION} nor folders sub-*: name a table or a pattern in"
            " deliveries.volumes"
        )
    metadata = _Metadata(folder)
    for path in paths:
        yield _entry(path, metadata)


def _entry(path: str, metadata: "_Metadata") -> VolumeEntry:
    file = PurePosixPath(path)
    match = _NAME.fullmatch(file.name)
    top = file.parts[0]
    if top in APART:
        return VolumeEntry(path, "", "", "", problem="bids_derivative")
    folders = [part for part in file.parts[:-1] if part.startswith(("sub-", "ses-"))]
    if (
        match is None
        or not top.startswith("sub-")
        or folders != [name for name in match.group("subject", "session") if name]
    ):
        return unnamed_entry(path)
    kind, suffix = file.parts[-2], match["suffix"]
    modality = "MR" if suffix in MR_SUFFIXES and kind == "anat" else "CT" if suffix.lower() in CT_SUFFIXES else ""
    cells = {
        "path": path,
        "patient": match["subject"],
        "study": "_".join(folders),
        "series": match["series"],
        "modality": modality,
    }
    is_image = modality and not NOT_AN_IMAGE.search(f"_{match['series']}")
    entry = entry_of_cells(
        {**metadata.of(file, match["subject"], match["session"] or ""), **cells} if is_image else cells
    )
    return entry.entry if is_image else entry.entry._replace(problem="bids_kind")


class _Metadata:
    """Metadata of the images of a dataset, from its tables of participants, sessions and scans and from sidecar files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._participants = {row.get("participant_id", ""): row for row in _table(folder / "participants.tsv")}
        self._rows = lru_cache(maxsize=TABLES_AT_ONCE)(self._rows_by)

    def of(self, file: PurePosixPath, subject: str, session: str) -> dict[str, str]:
        """The cells of a volume entry that the dataset has for an image."""
        person = self._participants.get(subject, {})
        visit = self._rows(f"{subject}/{subject}_sessions.tsv", "session_id").get(session, {}) if session else {}
        parts = (subject, session) if session else (subject,)
        visit_folder = "/".join(parts)
        scans = self._rows(f"{visit_folder}/{'_'.join(parts)}_scans.tsv", "filename")
        scan = scans.get(file.relative_to(visit_folder).as_posix(), {})
        sidecar = _sidecar(self._folder / re.sub(r"\.nii(\.gz)?$", ".json", str(file), flags=re.IGNORECASE))
        number = sidecar.get("SeriesNumber")
        return {
            "age": visit.get("age") or person.get("age", ""),
            "sex": visit.get("sex") or person.get("sex") or person.get("gender", ""),
            "study_date": _day(scan.get("acq_time", "")) or _day(visit.get("acq_time", "")),
            "body_part": _word(sidecar, "BodyPartExamined") or _word(sidecar, "BodyPart"),
            "manufacturer": _word(sidecar, "Manufacturer"),
            "contrast": "yes" if _word(sidecar, "ContrastBolusIngredient") else "",
            "series_number": str(number) if isinstance(number, int) and 0 <= number < 2**31 else "",
        }

    def _rows_by(self, name: str, column: str) -> Mapping[str, Mapping[str, str]]:
        return {row.get(column, ""): row for row in _table(self._folder / name)}


def _day(time: str) -> str:
    """The day of an acquisition time, "" if it is none."""
    return time[:10] if re.match(r"\d{4}-\d\d-\d\d", time) else ""


def _table(path: Path) -> Iterator[Mapping[str, str]]:
    """The rows of a table of metadata; none if it is missing or broken, as no image depends on it."""
    if not path.is_file():
        return
    charset = charset_of(path)
    try:
        with path.open(encoding=charset, errors=errors_of(charset), newline="") as file:
            for row in read_csv_rows(file, path.name):
                yield {column: cell.strip() for column, cell in row.cells.items()}
    except ValueError:
        return


def _sidecar(path: Path) -> Mapping[str, Any]:
    """The values of a sidecar file; none if it is missing or broken."""
    try:
        if path.stat().st_size > LARGEST_SIDECAR:
            return {}
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _word(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""
