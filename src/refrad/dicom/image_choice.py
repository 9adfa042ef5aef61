"""Which images the lists of the site leave out: those that `index.exclude` names, and those that `index.include` does not."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from refrad.dicom.headers import Header
from refrad.privacy.choice_lists import KINDS, ChoiceEntry, body_part_key, range_of
from refrad.privacy.header_fields import date_of
from refrad.privacy.pseudonyms import fold_patient_key

__all__ = ["ImageChoice"]

_PADDING = re.compile(r"^([A-Z]*)0+(?=\d)")
_DECIMALS = re.compile(r"(?<=\d)[.,]0+$")  # of a number that went through a spreadsheet


class _Traits(NamedTuple):
    """What the lists ask of an image of a series."""

    series: str
    modality: str
    body_part: str
    date: str


class ImageChoice:
    """The choice of a site: `learn` from the header of each file, then `settle`, then `leave_out` by series.

    An entry names identifiers as the archive has them, but people write "00123" as "123". What to leave out is left out in
    all such spellings; what to use is used in the spelling of the entry, or in the only other one that there is.
    """

    def __init__(self, include: Sequence[ChoiceEntry], exclude: Sequence[ChoiceEntry]) -> None:
        self.include = _Entries(include, is_strict=True)
        self.exclude = _Entries(exclude, is_strict=False)
        self._lists = [entries for entries in (self.include, self.exclude) if entries.kinds]

    def learn(self, header: Header) -> None:
        """Note how the archive writes the identifiers that the lists name."""
        if header.modality:
            for entries in self._lists:
                entries.learn(header)

    def settle(self) -> None:
        """Find the patients and studies of the entries, when all files are known."""
        for entries in self._lists:
            entries.settle()

    def leave_out(self, headers: list[Header]) -> list[Header]:
        """The headers of a series, with the reason "excluded" or "not_chosen" where an image is left out."""
        if not self._lists:
            return headers
        reasons = [
            self._reason(header, traits) if header.modality else None
            for header, traits in zip(headers, _traits_of(headers), strict=True)
        ]
        return [h._replace(reason=reason) if reason else h for h, reason in zip(headers, reasons, strict=True)]

    def _reason(self, header: Header, traits: _Traits) -> str | None:
        # Both are asked of each image, as they note which entries match.
        matched, unwanted = self.include.kinds_of(header, traits), self.exclude.kinds_of(header, traits)
        if unwanted:
            return "excluded"
        return "not_chosen" if matched < self.include.kinds else None


class _Entries:
    """The entries of one list, and which of them match an image.

    Attributes:
        kinds: that the list has.
        lines: of all entries.
        matched: lines of the entries that match an image.
        doubtful: lines of entries that match several identifiers which differ in spelling only.
    """

    def __init__(self, entries: Sequence[ChoiceEntry], *, is_strict: bool) -> None:
        self.kinds = frozenset(entry.kind for entry in entries)
        self.lines = [entry.line for entry in entries]
        self.matched: set[int] = set()
        self.doubtful: set[int] = set()
        self._is_strict = is_strict
        self._wanted: dict[str, dict[str, list[int]]] = {kind: {} for kind in KINDS}  # kind, value, lines
        for entry in entries:
            self._wanted[entry.kind].setdefault(entry.value, []).append(entry.line)
        self._ranges = [(*range_of(value), lines) for value, lines in self._wanted["date"].items()]
        folded = {kind: {fold_patient_key(value) for value in self._wanted[kind]} for kind in ("patient", "study")}
        self._folded_patients, self._folded_studies = folded["patient"], folded["study"]
        self._ids: dict[str, set[str]] = {}  # folded PatientID to its spellings
        self._studies_of_id: dict[str, set[str]] = {}  # PatientID to keys of its studies
        self._accessions: dict[str, dict[str, set[str]]] = {}  # folded accession number, spelling, keys of studies
        self._uids: dict[str, set[str]] = {}  # StudyInstanceUID to keys of its studies
        self._patients: dict[str, list[int]] = {}  # PatientID to the lines that name it
        self._studies: dict[str, list[int]] = {}  # key of a study to the lines that name it
        self._nameless: dict[str, list[int]] = {}  # key of a study to the lines that name a patient of it

    def learn(self, header: Header) -> None:
        if self._folded_patients and (folded := fold_patient_key(header.patient_id)) in self._folded_patients:
            self._ids.setdefault(folded, set()).add(header.patient_id)
            if not self._is_strict:
                self._studies_of_id.setdefault(header.patient_id, set()).add(header.study_key)
        if self._folded_studies:
            if header.study_uid in self._wanted["study"]:
                self._uids.setdefault(header.study_uid, set()).add(header.study_key)
            if (number := header.accession_number) and (folded := fold_patient_key(number)) in self._folded_studies:
                self._accessions.setdefault(folded, {}).setdefault(number, set()).add(header.study_key)

    def settle(self) -> None:
        for value, lines in self._wanted["patient"].items():
            for spelling in self._spellings(value, self._ids.get(fold_patient_key(value), ()), lines):
                self._patients.setdefault(spelling, []).extend(lines)
                for study in self._studies_of_id.get(spelling, ()):
                    self._nameless.setdefault(study, []).extend(lines)
        for value, lines in self._wanted["study"].items():
            studies = self._uids.get(value, set())
            if not studies and not _is_uid(value):
                numbers = self._accessions.get(fold_patient_key(value), {})
                studies = {study for number in self._spellings(value, numbers, lines) for study in numbers[number]}
            for study in studies:
                self._studies.setdefault(study, []).extend(lines)

    def _spellings(self, value: str, spellings: Collection[str], lines: Sequence[int]) -> Collection[str]:
        """The identifiers of the archive that an entry names."""
        equal = [spelling for spelling in spellings if spelling.strip() == value]
        if not self._is_strict:
            self.doubtful.update(lines if len(spellings) > 1 else ())
            return spellings
        nearest = equal or [spelling for spelling in spellings if _near(spelling) == _near(value)]
        self.doubtful.update(lines if len({spelling.strip() for spelling in nearest}) > 1 else ())
        return nearest if equal or len({spelling.strip() for spelling in nearest}) == 1 else ()

    def kinds_of(self, header: Header, traits: _Traits) -> frozenset[str]:
        """The kinds of which an entry matches the image; notes these entries."""
        lines: dict[str, Sequence[int]] = {
            kind: self._wanted[kind].get(getattr(traits, kind), ()) for kind in ("series", "modality", "body_part")
        }
        # An image without a PatientID is left out with the patient of other images of its study.
        by_patient = (
            self._patients.get(header.patient_id) if header.patient_id else self._nameless.get(header.study_key)
        )
        lines["patient"] = by_patient or ()
        lines["study"] = self._studies.get(header.study_key, ())
        if self._ranges and (day := traits.date):
            lines["date"] = [line for first, last, rows in self._ranges if first <= day <= last for line in rows]
        for kind_lines in lines.values():
            self.matched.update(kind_lines)
        return frozenset(kind for kind, kind_lines in lines.items() if kind_lines)


def _traits_of(headers: Sequence[Header]) -> Iterator[_Traits]:
    """What the lists ask of each image of a series; an image without body part or date has that of the others, if they agree."""
    body_parts = [body_part_key(header.body_part) for header in headers]
    days = [_day_of(header) for header in headers]
    part, day = (
        values.pop() if len(values := set(values_of_images) - {""}) == 1 else ""
        for values_of_images in (body_parts, days)
    )
    for header, own_part, own_day in zip(headers, body_parts, days, strict=True):
        yield _Traits(
            header.series_uid,
            header.modality.upper(),
            own_part or part,
            own_day or day,
        )


def _day_of(header: Header) -> str:
    """The day of the study as an ISO date, or that of the series if the study has none; "" if neither has."""
    series_date = header.series_hint.rsplit("|", 2)[-2:][0]
    day = date_of(header.study_date) or date_of(series_date)
    return day.isoformat() if day else ""


def _near(name: str) -> str:
    """What spellings of one identifier share: capitals, without issuer, blanks, decimals and padding zeros; separators count."""
    normal = unicodedata.normalize("NFKC", name).upper()
    plain = "".join((normal.partition("^")[0] or normal).split())
    return _PADDING.sub(r"\1", _DECIMALS.sub("", plain))


def _is_uid(value: str) -> bool:
    return re.fullmatch(r"(?!\d+\.0+$)\d+(\.\d+)+", value) is not None  # 123.0 is a number from a spreadsheet
