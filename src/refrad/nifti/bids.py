"""Folders in the Brain Imaging Data Structure (BIDS): keys and metadata of their anatomical images.

Names and metadata files are those of the BIDS specification 1.10 (bids-specification.readthedocs.io): "Common principles", with its
section "The inheritance principle", and "Magnetic resonance imaging", section "Anatomy imaging data".
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

from refrad.dicom.scan import without_path
from refrad.formats.charsets import charset_of, errors_of
from refrad.formats.csv_rows import read_csv_rows
from refrad.nifti.entry_values import entry_of_cells
from refrad.nifti.volume_entry import VolumeEntry, unnamed_entry
from refrad.privacy.header_fields import contrast_of

__all__ = ["bids_reader", "is_bids"]

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
USED = {"SeriesNumber", "BodyPartExamined", "BodyPart", "Manufacturer", "ContrastBolusIngredient"}  # of sidecar files
LARGEST_SIDECAR = 1 << 22  # bytes
CONTRAST = {True: "yes", False: "no", None: ""}
KEPT = 64  # tables, sidecar files and lists of them that are kept in memory


def is_bids(folder: Path) -> bool:
    """Whether a folder is a dataset of BIDS, by its description or the folder of a subject."""
    return (folder / DESCRIPTION).is_file() or next((p for p in folder.glob("sub-*") if p.is_dir()), None) is not None


def bids_reader(folder: Path) -> Callable[[str], VolumeEntry]:
    """A function from the path of a NIfTI file inside of a dataset to its entry.

    Patient is the subject, study the subject and session, series the rest of the name.

    Images in derivatives and sourcedata are "bids_derivative", images other than anatomical ones "bids_kind", files whose
    names are not those of BIDS "not_named".

    Raises:
        ValueError: if the folder is no dataset of BIDS.
    """
    if not is_bids(folder):
        raise ValueError(
            f"{folder} is no BIDS dataset: it has neither {DESCRIPTION} nor folders sub-*: name a table or a pattern in"
            " deliveries.volumes"
        )
    return partial(_entry, _Metadata(folder))


def _entry(metadata: "_Metadata", path: str) -> VolumeEntry:
    file = PurePosixPath(path)
    match = _NAME.fullmatch(file.name)
    top = file.parts[0]
    if top in APART:
        return VolumeEntry(path, "", "", "", problem="bids_derivative")
    folders = file.parts[:-2]
    if match is None or folders != tuple(name for name in match.group("subject", "session") if name):
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
        self._has_years = {name: _has_years(folder / f"{name}.json") for name in ("participants", "sessions")}
        self._rows = lru_cache(maxsize=KEPT)(self._rows_by)
        self._sidecars = lru_cache(maxsize=KEPT)(_sidecars)
        self._values = lru_cache(maxsize=KEPT)(_image_values)

    def of(self, file: PurePosixPath, subject: str, session: str) -> dict[str, str]:
        """The cells of a volume entry that the dataset has for an image."""
        person = self._participants.get(subject, {})
        visit = self._rows(f"{subject}/{subject}_sessions.tsv", "session_id").get(session, {}) if session else {}
        parts = (subject, session) if session else (subject,)
        visit_folder = "/".join(parts)
        scans = self._rows(f"{visit_folder}/{'_'.join(parts)}_scans.tsv", "filename")
        scan = scans.get(file.relative_to(visit_folder).as_posix(), {})
        stem = re.sub(r"\.nii(\.gz)?$", "", file.name, flags=re.IGNORECASE)
        sidecar = self._inherited(file, stem)
        # A number that is inherited would be that of many series
        number = self._values(self._folder / file.parent / f"{stem}.json").get("SeriesNumber")
        ages = [
            row.get("age", "") for name, row in (("sessions", visit), ("participants", person)) if self._has_years[name]
        ]
        return {
            "age": _first(ages),
            "sex": _first([visit.get("sex", ""), person.get("sex", ""), person.get("gender", "")]),
            "study_date": _day(scan.get("acq_time", "")) or _day(visit.get("acq_time", "")),
            "body_part": _word(sidecar, "BodyPartExamined") or _word(sidecar, "BodyPart"),
            "manufacturer": _word(sidecar, "Manufacturer"),
            "contrast": CONTRAST[contrast_of(_word(sidecar, "ContrastBolusIngredient"))],
            "series_number": str(number) if isinstance(number, int) and 0 <= number < 2**31 else "",
        }

    def _inherited(self, file: PurePosixPath, stem: str) -> dict[str, Any]:
        """The values of all sidecar files that hold for an image, of which nearer ones come first.

        They are of its suffix, in its folder or one above, and have no entity in their names that the image has not.
        """
        *entities, suffix = stem.split("_")
        values: dict[str, Any] = {}
        for folder in reversed(file.parents):
            for path in self._sidecars(self._folder / folder):
                *needed, kind = path.stem.split("_")
                if kind == suffix and set(needed) <= set(entities):
                    values |= self._values(path)
        return values

    def _rows_by(self, name: str, column: str) -> Mapping[str, Mapping[str, str]]:
        return {row.get(column, ""): row for row in _table(self._folder / name)}


def _first(cells: Iterable[str]) -> str:
    """The first cell that is filled in, "" if none is."""
    return next((cell for cell in cells if cell.lower() not in {"", "n/a"}), "")


def _has_years(path: Path) -> bool:
    """Whether the ages of a table are in years, by the file that describes its columns: those of infants may be in months."""
    age = _sidecar(path).get("age")
    units = _word(age, "Units") if isinstance(age, dict) else ""
    return units.lower() in {"", "n/a", "y", "yr", "yrs", "year", "years", "a"}


def _day(time: str) -> str:
    """The day of an acquisition time, "" if it is none."""
    return time[:10] if re.match(r"\d{4}-\d\d-\d\d", time) else ""


def _table(path: Path) -> Iterator[Mapping[str, str]]:
    """The rows of a table of metadata; none if it is missing or broken, as no image depends on it.

    Raises:
        OSError: if it cannot be read, without its name, which is that of a subject.
    """
    try:
        if not path.is_file():
            return
        charset = charset_of(path)
        with path.open(encoding=charset, errors=errors_of(charset), newline="") as file:
            for row in read_csv_rows(file, path.name):
                yield {column: cell.strip() for column, cell in row.cells.items()}
    except ValueError:
        return
    except OSError as error:
        raise without_path(error) from None


def _sidecars(folder: Path) -> list[Path]:
    """The sidecar files in a folder, those with fewer entities first."""
    return sorted(folder.glob("*.json"), key=lambda path: (path.name.count("_"), path.name))


def _image_values(path: Path) -> dict[str, Any]:
    """The values of a sidecar file that are used, as all of them may be many."""
    return {name: value for name, value in _sidecar(path).items() if name in USED}


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
    return _first([value.strip()]) if isinstance(value, str) else ""
