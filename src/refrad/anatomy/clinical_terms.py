"""The radiological terms of a text: findings, their look, states, changes, degrees, and places beside the classes."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from refrad.anatomy.lexicon import normalise
from refrad.anatomy.term_table import TABLE
from refrad.core.types import LANGUAGES

__all__ = ["Term", "find_terms"]

# Terms whose words are alike in both languages: adenoma and Adenom, diverticulitis and Divertikulitis.
_COGNATE = re.compile(
    r"(?P<om>\w{3,}om)(?:a|as|ata|e|en|s|es)?|(?P<itis>\w{3,}itis)|(?P<os>\w{4,}os)(?:e|en|is|es|)|(?P<pathy>\w{3,}path)(?:ie|y|ien|ies)"
)
_WORD = re.compile(r"[^\W\d_]+")
_LONGEST = 60  # letters of a word


class Term(NamedTuple):
    """A term at `start` to `end` of a text: its kind, and the names of which any may be meant."""

    start: int
    end: int
    kind: str
    names: frozenset[str]


class _Pattern(NamedTuple):
    core: str
    kind: str
    name: str
    begins: bool
    ends: bool

    def place(self, word: str) -> int:
        """Where the core stands in a word, or -1."""
        if self.begins and self.ends:
            return 0 if word == self.core else -1
        if self.begins:
            return 0 if word.startswith(self.core) else -1
        if self.ends:
            return len(word) - len(self.core) if word.endswith(self.core) else -1
        return word.find(self.core)


def find_terms(text: str, language: str) -> list[Term]:
    """The terms of a text ("de" or "en") in their order; a word may hold several, such as a place and a finding."""
    terms, taken = [], 0
    phrases, names = _phrases()[language]
    spans = [
        (match.span(), [names[" ".join(_WORD.findall(normalise(match.group())))]]) for match in phrases.finditer(text)
    ]
    words = [(match.span(), _terms_of(match.group().lower(), language)) for match in _WORD.finditer(text)]
    for (start, end), kinds in sorted([*spans, *words], key=lambda pair: (pair[0][0], -pair[0][1])):
        if start >= taken:
            terms += [Term(start, end, kind, names) for kind, names in kinds]
            taken = end if kinds else taken
    return terms


@lru_cache(2**16)
def _terms_of(word: str, language: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """Kinds and names of the terms in one word."""
    spelled = normalise(word[:_LONGEST])
    matches = [
        (start, start + len(pattern.core), pattern)
        for pattern in _patterns()[language]
        if (start := pattern.place(spelled)) >= 0
    ]
    kinds: dict[str, set[str]] = {}
    for start, end, pattern in matches:
        if not any(a <= start and end <= b and b - a > end - start for a, b, _ in matches):
            kinds.setdefault(pattern.kind, set()).add(pattern.name)
    if (
        not kinds.keys() & {"finding", "look", "state", "change"}
        and (cognate := _COGNATE.fullmatch(spelled))
        and "diagnos" not in spelled
    ):
        name = next(filter(None, cognate.groups()))
        kinds["finding"] = {name.replace("ae", "e").replace("oe", "e").replace("y", "i")}
    return tuple((kind, frozenset(kinds[kind])) for kind in TABLE if kind in kinds)


@lru_cache(1)
def _patterns() -> Mapping[str, list[_Pattern]]:
    """Language to the patterns of single words."""
    return {
        language: [
            _Pattern(normalise(word.strip("*")), kind, name, not word.startswith("*"), not word.endswith("*"))
            for kind, name, words in _lines(language)
            for word in words
            if " " not in word
        ]
        for language in LANGUAGES
    }


@lru_cache(1)
def _phrases() -> Mapping[str, tuple[re.Pattern[str], Mapping[str, tuple[str, frozenset[str]]]]]:
    """Language to the pattern of all phrases, and phrase to its kind and name."""
    tables = {}
    for language in LANGUAGES:
        names = {
            " ".join(_WORD.findall(normalise(phrase.strip("*")))): (kind, frozenset({name}))
            for kind, name, words in _lines(language)
            for phrase in words
            if " " in phrase
        }
        phrases = [phrase.strip("*") for _, _, words in _lines(language) for phrase in words if " " in phrase]
        parts = [r"[\s.-]{1,2}".join(re.escape(part.strip(".")) for part in phrase.split()) for phrase in phrases]
        parts.sort(key=len, reverse=True)
        tables[language] = (re.compile(rf"\b(?:{'|'.join(parts)})\b", re.IGNORECASE), names)
    return tables


def _lines(language: str) -> list[tuple[str, str, list[str]]]:
    """Kind, name and spellings of each line of the table."""
    lines = []
    for kind, text in TABLE.items():
        for line in text.strip().replace("\n  ", " ").splitlines():
            name, german, english = line.split(" | ")
            lines.append((kind, name, [word.strip() for word in (german if language == "de" else english).split(",")]))
    return lines
