"""Studies by the ids of a report, also where table and headers write them differently; two ids never become one."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from refrad.sources.reports import Report

__all__ = ["LOOSE", "StudyIds", "form_of", "spelling_key"]

LOOSE = ("accession_number", "patient_id")  # a UID has one spelling only
LONGEST_FORM = 40  # characters
_UID = re.compile(r"\d+(\.\d+){2,}")
_DECIMALS = re.compile(r"(?<=\d)[.,]0+$")  # of a number that a program took for a decimal


class StudyIds:
    """The ids in the headers of a delivery, and those of the table of reports that differ from them in spelling only."""

    def __init__(
        self,
        studies: Mapping[str, Mapping[str, set[str]]],
        folders: Sequence[tuple[str, str]],
        *,
        has_keys: bool = False,
    ) -> None:
        """Take the ids of a delivery.

        Args:
            studies: for study_uid, accession_number and patient_id, in this order: id to the studies that have it.
            folders: pairs of a folder inside the delivery, or of a NIfTI file, and a study with files in it.
            has_keys: whether the site gave each study its key, as it does for NIfTI files. A report that names another study is
                then of none of them, even if its patient has only one: that of a visit that was not delivered.
        """
        self._studies = studies
        self._has_keys = has_keys
        self._folders = folders
        self._spellings: dict[str, dict[str, set[str]]] = {}  # column, key of an id, its spellings in headers
        for column in LOOSE:
            self._spellings[column] = defaultdict(set)
            for spelling in studies.get(column, {}):
                self._spellings[column][spelling_key(spelling)].add(spelling)
        self._patients: dict[str, set[str]] = defaultdict(set)  # study to keys of its patient ids
        for patient, names in studies.get("patient_id", {}).items():
            for study in names:
                self._patients[study].add(spelling_key(patient))
        self._given: dict[tuple[str, str], set[str]] = defaultdict(set)  # column and key to spellings in the table

    def learn(self, report: Report) -> None:
        """Note how the table writes the ids of a report: of two spellings, only that of the headers counts."""
        for column in LOOSE:
            spelling = _without_decimals(getattr(report, column))
            if (key := spelling_key(spelling)) in self._spellings[column]:
                self._given[column, key].add(spelling)

    def match(self, report: Report) -> tuple[str | None, str]:
        """The study of a report and "", or None and the reason: "no_study", or "ambiguous_study" if several may be meant.

        The ids are tried in the order of `studies`, then the folder or NIfTI file; each counts only if exactly one study has it.
        """
        reason = "no_study"
        for column, studies in self._studies.items():
            if column == "patient_id" and self._names_a_study(report):
                continue
            spelling = getattr(report, column)
            matches = studies.get(spelling) or studies.get(_without_decimals(spelling)) if spelling else None
            if matches and column == "study_uid" and _has_key_of_its_patient(report):
                # A key such as 1 may be that of a study of another patient as well, delivered or not.
                patient = spelling_key(report.patient_id)
                matches = {study for study in matches if patient in self._patients[study]}
            if not matches and spelling and column in LOOSE:
                matches, is_doubtful = self._loosely(report, column, spelling)
                reason = "ambiguous_study" if is_doubtful else reason
            if matches and len(matches) == 1:
                return next(iter(matches)), ""
            reason = "ambiguous_study" if matches else reason
        if report.dicom:
            below, path = self._studies_below, report.dicom.strip("/.")
            matches = below.get(path) or below.get(path.replace("\\", "/").strip("/."), set())
            if len(matches) == 1:
                return next(iter(matches)), ""
            reason = "ambiguous_study" if matches else reason
        return None, reason

    def _names_a_study(self, report: Report) -> bool:
        """Whether a report says more than its patient, of studies whose names are known."""
        has_number = report.accession_number and self._studies.get("accession_number")
        return self._has_keys and bool(report.study_uid or report.dicom or has_number)

    @cached_property
    def _studies_below(self) -> dict[str, set[str]]:
        """Each folder, of any depth, to the studies with files in it."""
        studies: dict[str, set[str]] = defaultdict(set)
        for path, study in self._folders:
            studies[""].add(study)
            while path:
                studies[path].add(study)
                path = path.rpartition("/")[0]
        return dict(studies)

    def _loosely(self, report: Report, column: str, given: str) -> tuple[set[str], bool]:
        """The studies whose id differs from the given one in spelling only, and whether that may be another one's id."""
        key = spelling_key(given)
        spellings = self._spellings[column].get(key, set())
        if not spellings:
            return set(), False
        if len(spellings) > 1 or len(self._given.get((column, key), ())) > 1:
            return set(), True
        studies = self._studies[column][next(iter(spellings))]
        if column == "patient_id" or not report.patient_id:
            return studies, False
        patient = spelling_key(report.patient_id)
        is_known = patient in self._spellings["patient_id"]
        if is_known and not any(patient in self._patients[study] for study in studies):
            return set(), True
        return studies, False

    def knows(self, column: str, spelling: str) -> bool:
        """Whether a header has an id in exactly this spelling."""
        return spelling in self._studies.get(column, ())

    def names_another_patient(self, report: Report) -> bool:
        """Whether the study of a report, a key such as 1, is meant as that of a patient whom the headers have."""
        return _has_key_of_its_patient(report) and self.knows("patient_id", report.patient_id)

    def forms(self, column: str) -> Iterable[str]:
        """The forms of the ids of a column in the headers."""
        return (form_of(spelling) for spelling in self._studies.get(column, ()))


def _has_key_of_its_patient(report: Report) -> bool:
    """Whether the study of a report counts for its patient only, as it is no UID."""
    return bool(report.patient_id) and not _UID.fullmatch(report.study_uid)


def form_of(name: str) -> str:
    """An id with 9 for each digit and A for each letter, to be shown where the id itself may not be."""
    form = "".join("9" if letter.isdigit() else "A" if letter.isalpha() else letter for letter in name)
    return form if len(form) <= LONGEST_FORM else f"{form[:LONGEST_FORM]}..."


def _without_decimals(name: str) -> str:
    return _DECIMALS.sub("", name) if name.replace(".", "", 1).replace(",", "", 1).isdigit() else name


def spelling_key(name: str) -> str:
    """What spellings of one id share: letters in lower case, without spaces, leading zeros and decimals."""
    return "".join(_without_decimals(name).casefold().split()).lstrip("0") or "0"
