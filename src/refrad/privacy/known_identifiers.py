"""Identifiers that the headers of a study hold, and where they stand in a report."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from refrad.privacy.known_names import NameForms, find_names, name_forms, phrase_end, words_of
from refrad.privacy.word_names import names_nobody

__all__ = ["Identifiers", "collect_identifiers", "scrub_known"]

SHORTEST = 4  # letters and digits of a number or of the name of an institution; shorter ones are too common
SHORTEST_NUMBER = 5  # digits of a number without its leading zeros


@dataclass(frozen=True)
class Identifiers:
    """Identifiers in the headers of a study and its patients, as they are there; birth dates as YYYYMMDD."""

    names: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    birth_dates: frozenset[str] = frozenset()

    @cached_property
    def name_forms(self) -> NameForms:
        """The names, folded; a number without digits is the name of the patient."""
        return name_forms(self.names | {number for number in self.ids if not re.search(r"\d", number)})

    @cached_property
    def place_phrases(self) -> list[tuple[str, ...]]:
        """The words of each institution, folded; the longest first."""
        places = {part for place in self.places for part in re.split(r"[,;]", place) if len(part.strip()) >= SHORTEST}
        phrases = {tuple(word.key for word in words_of(place)) for place in places}
        named = (phrase for phrase in phrases if not all(names_nobody(word) for word in phrase))
        return sorted(named, key=lambda phrase: (-len(phrase), phrase))

    @cached_property
    def patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        """Kind and pattern of the birth dates and numbers, the longest first."""
        dates = [("DATE", pattern) for date in sorted(self.birth_dates) if (pattern := _date_pattern(date))]
        numbers = sorted(self.ids, key=lambda number: (-len(number), number))
        return dates + [("ID", pattern) for number in numbers if (pattern := _number_pattern(number))]


def collect_identifiers(rows: Iterable[Mapping[str, str]]) -> Identifiers:
    """The identifiers in rows of the private file table (`FileTable`)."""
    rows = list(rows)
    return Identifiers(
        names=_values(rows, "patient_name", "names"),
        # The key of a study of NIfTI files may be a word such as "baseline".
        ids=_values(rows, "patient_id", "accession_number")
        | {uid for uid in _values(rows, "study_uid") if re.search(r"\d", uid)},
        places=_values(rows, "institution"),
        birth_dates=_values(rows, "birth_date"),
    )


def scrub_known(text: str, known: Identifiers, is_organ: Callable[[str], bool], put: Callable[[str], str]) -> str:
    """The text with each known identifier replaced by the placeholder that `put` gives for its kind.

    Names and institutions are compared folded, numbers without separators and leading zeros.
    """
    for kind, pattern in known.patterns:
        text = _replace(text, (match.span() for match in pattern.finditer(text)), partial(put, kind))
    text = _replace(text, _places(text, known.place_phrases), partial(put, "PLACE"))
    return _replace(text, find_names(text, known.name_forms, is_organ), partial(put, "NAME"))


def _values(rows: Iterable[Mapping[str, str]], *columns: str) -> frozenset[str]:
    return frozenset(row[column] for row in rows for column in columns) - {""}


def _replace(text: str, spans: Iterable[tuple[int, int]], placeholder: Callable[[], str]) -> str:
    pieces, reached = [], 0
    for start, end in spans:
        pieces += [text[reached:start], placeholder()]
        reached = end
    return "".join([*pieces, text[reached:]])


def _places(text: str, phrases: Iterable[tuple[str, ...]]) -> Iterator[tuple[int, int]]:
    words = words_of(text) if phrases else []
    reached = 0
    for number, word in enumerate(words):
        ends = (phrase_end(text, words, number, phrase) for phrase in phrases)
        end = next((end for end in ends if end), None)
        if end and word.start >= reached:
            yield word.start, end
            reached = end


def _date_pattern(date: str) -> re.Pattern[str] | None:
    """A date YYYYMMDD in all orders and with all separators."""
    if not re.fullmatch(r"\d{8}", date):
        return None
    century, year, month, day = date[:2], date[2:4], int(date[4:6]), int(date[6:])
    mark, years = r"\s?[./-]\s?", rf"(?:{century})?{year}"
    forms = (
        rf"0?{day}{mark}0?{month}{mark}{years}",
        rf"0?{month}[/-]0?{day}[/-]{years}",
        rf"{century}{year}[./-]?0?{month}[./-]?0?{day}",
    )
    return re.compile(rf"(?<![\w.,])(?:{'|'.join(forms)})(?![\w])")


def _number_pattern(number: str) -> re.Pattern[str] | None:
    """A number with other separators, and without its leading zeros if enough is left."""
    groups = re.findall(r"[^\W\d_]+|\d+", number)
    if sum(map(len, groups)) < SHORTEST or not re.search(r"\d", number):
        return None
    if len(groups[0].lstrip("0")) >= SHORTEST_NUMBER:
        groups[0] = groups[0].lstrip("0")
    pattern = r"[ ._/-]?".join(map(re.escape, groups))
    return re.compile(rf"(?<![^\W_])0*{pattern}(?![^\W_])", re.IGNORECASE)
