"""What a sentence says, in a form that two sentences can be compared by: sides, measures, terms, classes, denial and doubt."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from refrad.anatomy.clinical_terms import find_terms
from refrad.anatomy.lexicon import Lexicon
from refrad.language.assertions import assert_spans
from refrad.language.mention_finder import TextMention, find_mentions
from refrad.privacy.scrubbing import PLACEHOLDER
from refrad.statements.certainty import gone_clauses

__all__ = [
    "DENIED",
    "DOUBTED",
    "LONGEST",
    "ORDER",
    "TOO_LONG",
    "UNPRINTED",
    "Content",
    "Measure",
    "StatedTerm",
    "claims_of",
    "class_difference",
    "in_order",
    "is_inside",
    "measures",
    "placeholders",
    "read_content",
    "side_words",
]

LONGEST = 4000  # letters; a longer text is no sentence
TOO_LONG = "The text is too long to be checked."
DENIED = "What is denied must stay denied, and nothing else."
DOUBTED = "What is uncertain must stay uncertain, and nothing else."
ORDER = "Findings, structures, sides and sizes must stay in their order, each with its own."
UNPRINTED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)

_SIDES = {
    "de": (
        ("left", r"links\w*|linke\w*|li|lks|sinistr\w*|levo\w*"),
        ("right", r"rechts\w*|rechte\w*|re|rts|dextr\w*"),
        ("both", r"bds|beid\w*|bilat\w*"),
    ),
    "en": (
        ("left", r"left\w*|lt|levo\w*|sinistr\w*|l[ul]l"),
        ("right", r"right\w*|rt|dextr\w*|r[uml]l"),
        ("both", r"both|bilat\w*|either"),
    ),
}
_SIDE_PATTERNS = {
    language: re.compile("|".join(rf"\b(?P<{side}>{words})(?!\w)" for side, words in rows), re.IGNORECASE)
    for language, rows in _SIDES.items()
}
_NUMBER = r"\d+(?:[.,]\d+)?"
_MEASURE = re.compile(
    rf"(?<![\d.,])({_NUMBER}(?:\s?(?:mm|cm)?\s?[x×*]\s?{_NUMBER}){{0,3}})\s?-?\s?(mm|cm|ml|l|kg|g|he|hu|hounsfield"
    rf"|%|prozent|percent|grad|degrees?|°)(?!\w)",
    re.IGNORECASE,
)
_UNITS = {"he": "hu", "hounsfield": "hu", "prozent": "%", "percent": "%", "grad": "°", "degree": "°", "degrees": "°"}


class Measure(NamedTuple):
    """A number with its unit, at `start` to `end` of a text: "1.2 cm", "12 x 8 mm"."""

    start: int
    end: int
    value: str
    unit: str

    @property
    def size(self) -> tuple[str, str]:
        """The number and its unit, spelled alike in both languages."""
        return self.value, self.unit


class StatedTerm(NamedTuple):
    """A term at `start` to `end`, and whether it is "present", "negated" or "uncertain"."""

    start: int
    end: int
    kind: str
    names: frozenset[str]
    assertion: str


@dataclass(frozen=True)
class Content:
    """The content of a text, each part in the order of the text. `sides` are (start, side)."""

    text: str
    sides: Sequence[tuple[int, str]]
    measures: Sequence[Measure]
    terms: Sequence[StatedTerm]
    mentions: Sequence[TextMention]

    def of_kind(self, *kinds: str) -> list[StatedTerm]:
        """The terms of some kinds."""
        return [term for term in self.terms if term.kind in kinds]


def read_content(text: str, language: str, lexicon: Lexicon) -> Content:
    """The content of a text in a language ("de" or "en")."""
    terms = find_terms(text, language)
    spans = [(term.start, term.end) for term in terms]
    assertions = assert_spans(text, spans, lexicon.words[language].assertions) if spans else []
    gone = gone_clauses(text)
    stated_as = {name: name for name in assertions} | {"absent": "present"}  # a resection that was done is there
    stated = [
        StatedTerm(*term, "negated" if is_inside(term.start, gone) else stated_as[assertion])
        for term, assertion in zip(terms, assertions, strict=True)
    ]
    return Content(text, side_words(text, language), measures(text), stated, find_mentions(text, language, lexicon))


def side_words(text: str, language: str) -> list[tuple[int, str]]:
    """Start and side ("left", "right" or "both") of each word that names a side, abbreviations of lobes among them."""
    return [(match.start(), match.lastgroup or "") for match in _SIDE_PATTERNS[language].finditer(text)]


def measures(text: str) -> list[Measure]:
    """The numbers with a unit."""
    return [
        Measure(*match.span(), _value(match[1]), _UNITS.get(match[2].lower(), match[2].lower()))
        for match in _MEASURE.finditer(text)
    ]


def in_order(before: Sequence[Iterable[str]], after: Sequence[Iterable[str]]) -> bool:
    """Whether the second sequence follows from the first by leaving parts out: each part has a name of its counterpart."""
    position = 0
    for names in after:
        while position < len(before) and not set(names) & set(before[position]):
            position += 1
        if position == len(before):
            return False
        position += 1
    return True


def claims_of(mentions: Iterable[TextMention]) -> dict[str, set[str]]:
    """Class to its assertions."""
    claims: dict[str, set[str]] = {}
    for mention in mentions:
        for name in mention.classes:
            claims.setdefault(name, set()).add(mention.assertion)
    return claims


def class_difference(before: dict[str, set[str]], after: dict[str, set[str]]) -> str | None:
    """What two sentences claim differently: a class that is lost or added, or another assertion; or None."""
    if lost := before.keys() - after.keys():
        return f"The anatomy or side of the original must stay: {min(lost)} is missing."
    if added := after.keys() - before.keys():
        return f"Anatomy or a side was added: {min(added)}."
    changed = [name for name in before if before[name] != after[name]]
    return f"What is denied, certain or uncertain must stay so: see {min(changed)}." if changed else None


def placeholders(text: str) -> Counter[str]:
    """How often each placeholder of something private stands in a text."""
    return Counter(PLACEHOLDER.findall(text))


def is_inside(position: int, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether a position lies in one of the spans."""
    return any(start <= position < end for start, end in spans)


def _value(text: str) -> str:
    return re.sub(r"\s|mm|cm", "", text.lower()).replace(",", ".").replace("×", "x").replace("*", "x")
