"""Identifiers that the headers of a patient's files hold, and where they stand in a report."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from refrad.privacy.scrub_rules import BEFORE_SURNAME

__all__ = ["Identifiers", "collect_identifiers", "scrub_known"]

SHORTEST = {"NAME": 3, "ID": 4, "PLACE": 4}  # letters; shorter ones are too common to be scrubbed everywhere
PARTICLES = {"von", "van", "der", "den", "del", "und", "prof", "med", "dipl", "mrs", "herr", "frau"}

_GAP = re.compile(r",? ?")


@dataclass(frozen=True)
class Identifiers:
    """Identifiers in the headers of a patient's files, in all usual spellings."""

    names: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()

    @cached_property
    def name(self) -> re.Pattern[str]:
        """Any of the names as a whole word, also in the genitive."""
        words = "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True))
        return re.compile(rf"(?<![\w[])(?:{words})(?:['’]?s)?(?!\w)")


def collect_identifiers(rows: Iterable[Mapping[str, str]]) -> Identifiers:
    """The identifiers in rows of the private file table (`FileTable`): of one patient, or of one study."""
    names: set[str] = set()
    ids: set[str] = set()
    places: set[str] = set()
    for row in rows:
        for name in (row["patient_name"], row["names"]):
            words = {word for word in re.split(r"[\s^=|,.]+", name) if word.lower() not in PARTICLES}
            names.update(words, *(word.split("-") for word in words))
        ids.update((row["patient_id"], row["accession_number"], row["study_uid"], row["birth_date"]))
        places.add(row["institution"])
    return Identifiers(
        frozenset(spelling for name in names if len(name) >= SHORTEST["NAME"] for spelling in _spellings(name)),
        frozenset(value for value in ids if len(value) >= SHORTEST["ID"]),
        frozenset(value for value in places if len(value) >= SHORTEST["PLACE"]),
    )


def scrub_known(text: str, known: Identifiers, is_organ: Callable[[str], bool], put: Callable[[str], str]) -> str:
    """The text with each known identifier replaced by the placeholder that `put` gives for its kind.

    Names go as whole words, with the same case only. A name that is an organ as well (Leber, but not Herzog) goes only
    after a title, an initial or another name.
    """
    for kind, values in (("PLACE", known.places), ("ID", known.ids)):
        for value in sorted(values, key=len, reverse=True):
            first, *parts = re.split(rf"(?<!\w){re.escape(value)}(?!\w)", text, flags=re.IGNORECASE)
            text = first + "".join(put(kind) + part for part in parts)
    return _without_names(text, known.name, is_organ, put) if known.names else text


def _spellings(name: str) -> set[str]:
    """A name as it is, capitalised and in capitals, with umlauts and without."""
    bases = {name}
    for plain, umlaut in (("ae", "ä"), ("oe", "ö"), ("ue", "ü"), ("ss", "ß")):
        bases |= {base.lower().replace(plain, umlaut) for base in bases} | {
            base.lower().replace(umlaut, plain) for base in bases
        }
    cased = {name} | {"-".join(part.capitalize() for part in base.split("-")) for base in bases}
    return cased | {spelling.upper() for spelling in cased}


def _without_names(
    text: str, name: re.Pattern[str], is_anatomy: Callable[[str], bool], put: Callable[[str], str]
) -> str:
    last_end = 0  # end of the last name that was replaced

    def replace(match: re.Match[str]) -> str:
        nonlocal last_end
        if is_anatomy(match[0]):
            following = name.match(text, match.end() + len(_GAP.match(text, match.end())[0]))  # type: ignore[index]
            adjoins_name = text[last_end : match.start()] == " " or (
                following is not None and not is_anatomy(following[0])
            )
            if not adjoins_name and not BEFORE_SURNAME.search(text[: match.start()]):
                return match[0]
        last_end = match.end()
        return put("NAME")

    return name.sub(replace, text)
