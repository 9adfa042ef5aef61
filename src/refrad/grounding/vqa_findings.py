"""Findings that a caption states about one structure, with their size, for questions about them.

Deliberately narrow: a caption counts only if it names one structure and one finding and denies nothing. The size must stand directly
before the finding, or after it without a second number.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["FINDINGS", "CaptionFacts", "Finding", "FindingNoun", "plain_findings", "read_finding"]


@dataclass(frozen=True)
class FindingNoun:
    """A kind of finding in one language: the pattern of its singular, of its plurals, and its name with both articles."""

    singular: str
    plural: str
    indefinite: str
    definite: str


FINDINGS: Mapping[str, Mapping[str, FindingNoun]] = {
    "en": {
        "cyst": FindingNoun("cyst", "cysts", "a cyst", "the cyst"),
        "nodule": FindingNoun("nodule", "nodules", "a nodule", "the nodule"),
        "mass": FindingNoun("mass", "masses", "a mass", "the mass"),
        "lesion": FindingNoun("lesion", "lesions", "a lesion", "the lesion"),
        "stone": FindingNoun("stone|calculus", "stones|calculi", "a stone", "the stone"),
        "metastasis": FindingNoun("metastasis", "metastases", "a metastasis", "the metastasis"),
        "hemangioma": FindingNoun("ha?emangioma", "ha?emangiomas", "a hemangioma", "the hemangioma"),
        "aneurysm": FindingNoun("aneurysm", "aneurysms", "an aneurysm", "the aneurysm"),
        "abscess": FindingNoun("abscess", "abscesses", "an abscess", "the abscess"),
        "hematoma": FindingNoun("ha?ematoma", "ha?ematomas", "a hematoma", "the hematoma"),
        "fracture": FindingNoun("fracture", "fractures", "a fracture", "the fracture"),
    },
    "de": {
        "cyst": FindingNoun(r"\w*zyste", r"\w*zysten", "eine Zyste", "die Zyste"),
        "nodule": FindingNoun(r"\w*rundherd|nodulus", r"\w*rundherde|noduli", "ein Rundherd", "der Rundherd"),
        "mass": FindingNoun("raumforderung", "raumforderungen", "eine Raumforderung", "die Raumforderung"),
        "lesion": FindingNoun(r"\w*läsion", r"\w*läsionen", "eine Läsion", "die Läsion"),
        "stone": FindingNoun(r"konkrement|\w*stein", r"konkremente|\w*steine", "ein Konkrement", "das Konkrement"),
        "metastasis": FindingNoun(r"\w*metastase", r"\w*metastasen", "eine Metastase", "die Metastase"),
        "hemangioma": FindingNoun(r"\w*hämangiom", r"\w*hämangiome", "ein Hämangiom", "das Hämangiom"),
        "aneurysm": FindingNoun(r"\w*aneurysma", r"\w*aneurysmen|\w*aneurysmata", "ein Aneurysma", "das Aneurysma"),
        "abscess": FindingNoun(r"\w*abszess", r"\w*abszesse", "ein Abszess", "der Abszess"),
        "hematoma": FindingNoun(r"\w*hämatom", r"\w*hämatome", "ein Hämatom", "das Hämatom"),
        "fracture": FindingNoun(r"\w*fraktur", r"\w*frakturen", "eine Fraktur", "die Fraktur"),
    },
}
# A caption with one of these words states no plain finding.
DENIALS: Mapping[str, str] = {
    "en": "no|not|without|post|resect\\w+|previous\\w*|prior|resolved|another",
    "de": "kein\\w*|nicht|ohne|weder|nach|z\\.n\\.|rese[ckz]\\w+|vor\\w*|zuvor|weitere\\w*",
}
# Between a finding and its size none of these words may stand: the size belongs to something else.
PARTS: Mapping[str, str] = {"en": "and|with", "de": "und|mit"}
# A number in a caption with one of these words may be a distance.
DISTANCES: Mapping[str, str] = {"en": "from|distance", "de": "abstand|entfernt"}
MOST_WORDS = 8  # between a finding and the size behind it
_ADJECTIVES = re.compile(r"[ \-]*(?:(?:[a-zäöüß]+(?:-[a-zäöüß]+)*)[ \-]+){0,4}")
_SIZE = re.compile(
    r"(?<![\d.,\-/])\d{1,3}(?:[.,]\d{1,2})? ?(?:(?:mm|cm)? ?[x×] ?\d{1,3}(?:[.,]\d{1,2})? ?){0,2}(?:mm|cm)\b"
)
_NUMBER = re.compile(r"\d+")


def _words(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{text})(?!\w)", re.IGNORECASE)


_SINGULAR = {
    language: {kind: _words(noun.singular) for kind, noun in nouns.items()} for language, nouns in FINDINGS.items()
}
_ANY = {
    language: _words("|".join(f"{noun.singular}|{noun.plural}" for noun in nouns.values()))
    for language, nouns in FINDINGS.items()
}
_DENIED = {language: _words(words) for language, words in DENIALS.items()}
_PARTED = {language: _words(words) for language, words in PARTS.items()}
_DISTANT = {language: _words(words) for language, words in DISTANCES.items()}


@dataclass(frozen=True)
class Finding:
    """A finding in one structure. `kind` is a key of FINDINGS; `size` is as written ("2,4 cm"), or None."""

    class_id: int
    kind: str
    size: str | None


@dataclass(frozen=True)
class CaptionFacts:
    """A caption of an image, for its finding.

    Attributes:
        text: the caption.
        structures: the classes that it names, without the wholes of named parts and without findings that are classes.
        is_plain: whether all of its mentions are present, with certainty.
        shows: the classes whose findings the image shows: all where the report names the image.
    """

    text: str
    structures: frozenset[int]
    is_plain: bool
    shows: frozenset[int]


def plain_findings(captions: Sequence[CaptionFacts], language: str) -> list[Finding]:
    """The findings of an image that its captions of one language state plainly, one at most for each structure.

    A structure of which two captions name a finding has none, since "the cyst" is then not one cyst.
    """
    findings = []
    for caption in captions:
        finding = read_finding(caption.text, language, caption.structures) if caption.is_plain else None
        if finding is None or finding.class_id not in caption.shows:
            continue
        same = [
            entry for entry in captions if finding.class_id in entry.structures and _ANY[language].search(entry.text)
        ]
        if len(same) == 1:
            findings.append(finding)
    return findings


def read_finding(text: str, language: str, structures: Collection[int]) -> Finding | None:
    """The finding that a caption states, or None where it is not plain.

    Args:
        text: the caption.
        language: "de" or "en".
        structures: the classes that it names, all of them present in the patient.
    """
    if len(structures) != 1 or _DENIED[language].search(text):
        return None
    matches = list(_ANY[language].finditer(text))
    if len(matches) != 1:
        return None
    kinds = [kind for kind, pattern in _SINGULAR[language].items() if pattern.fullmatch(matches[0][0])]
    if not kinds:
        return None
    (structure,) = structures
    return Finding(structure, kinds[0], _size(text, language, *matches[0].span()))


def _size(text: str, language: str, start: int, end: int) -> str | None:
    """The size of the finding at `text[start:end]`, if the caption has one number with a unit and no other number."""
    sizes = list(_SIZE.finditer(text))
    if (
        len(sizes) != 1
        or _DISTANT[language].search(text)
        or _NUMBER.search(text[: sizes[0].start()] + text[sizes[0].end() :])
    ):
        return None
    first, last = sizes[0].span()
    if last <= start:
        between = text[last:start]
        is_near = _ADJECTIVES.fullmatch(between) is not None
    else:
        between = text[end:first]
        is_near = len(between.split()) <= MOST_WORDS and not any(mark in between for mark in ";:.")
    if not is_near or _PARTED[language].search(between):
        return None
    return sizes[0][0]
