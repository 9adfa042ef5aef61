"""Names of known persons found in a report, however their letters are written."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from refrad.privacy.eponyms import is_eponym
from refrad.privacy.name_folding import LOST, fold_name, repair_spellings
from refrad.privacy.word_names import (
    ends_term,
    is_abbreviation,
    is_given_name,
    is_uncapitalised,
    is_word,
    names_nobody,
    opens_sentence,
)

__all__ = ["NameForms", "Word", "find_names", "name_forms", "phrase_end", "words_of"]

TWO_LETTERS = 2
SHORTEST = 3  # letters of a name that is found in any case
# Words inside a header name that are no name by themselves.
PARTICLES = "von van vom zu zur der den dem de del della da di dos du la le el al und y bin ibn abu st mc mac o d"
TITLES = "prof dr med dent rer nat phil habil dipl ing univ priv doz pd mag mr mrs ms herr herrn frau"

_PARTICLES, _TITLES = frozenset(PARTICLES.split()), frozenset(TITLES.split())
_WORD = re.compile(rf"(?:[^\W\d_]|[\u0300-\u036f{LOST}])+")
_PLACEHOLDER = re.compile(r"\[[A-Z]+\]")
_BETWEEN_PARTS = re.compile(r"[\s'’‘`´.–-]{0,3}")
_PARTED = re.compile(r"-\s?\x01?\n|['’‘`´ ]")  # inside a name: by hyphenation, or behind "Mc", "O", "De"
_GENITIVE = re.compile(r"['’‘`´](?:s\b)?(?!\w)", re.IGNORECASE)
# What stands before a name, at the end of the text before.
_TITLED = re.compile(
    r"\b(?:herrn?|hr|frau|fr|dr|prof|med|mr|mrs|ms|miss|doctor|schwester|pfleger|fam|familie|kolleg(?:e|en|in))\s?\.?[\s\x01]*$",
    re.IGNORECASE,
)
_LABELLED = re.compile(r"\b(?:patient(?:in|en)?|pat|pt|geb|geborene|\w{0,9}name)\s?[.:]{0,2}\s*$", re.IGNORECASE)
_INITIAL = re.compile(r"(?<!\w)([^\W\d_])\.\s?$")
_WITHIN_SENTENCE = re.compile(r"(?<!\w)(?:[^\W\d_A-ZÄÖÜ]{2,30}|Bei|Von|Mit|Für|Laut) $")
_MORBUS = re.compile(r"\b(?:Morbus|M\.)\s?$")
LOOK_BACK = 40  # characters in which they are looked for
# What follows a name in a term of medicine.
_COMPOUND = re.compile(r"-(?:\w{1,20}-){0,3}([^\W\d_]+)(?!\w|-\w)")
_GRADE = re.compile(r"[ -](?:(?:Typ|type|Grad|grade|stage|Stadium) )?(?:[A-F]|[IVX]{1,4}F?|\d[a-f]?)(?!\w)")
_NUMBERED = re.compile(r"\.|\s?\d")
_NUMBER_BEFORE = re.compile(r"\d\s?$")
_NO_NAME_BEHIND = re.compile(r"-|\.?\s?\d|\.\S")
_PART_BEFORE = re.compile(r"(?<![\w-])([^\W\d_]{3,20})-$")
_PART_BEHIND = re.compile(r"-([^\W\d_]{3,20})(?![\w-])")
_NOUN = re.compile(r"[ -]([^\W\d_]+)")


class Word(NamedTuple):
    """A word of a text, and its folded form."""

    start: int
    end: int
    text: str
    key: str


@dataclass(frozen=True)
class NameForms:
    """Folded names: their parts as single words, names of several parts in a row, and such names written in one."""

    parts: frozenset[str]
    phrases: frozenset[tuple[str, ...]]
    joined: frozenset[str]

    @cached_property
    def phrases_of(self) -> dict[str, list[tuple[str, ...]]]:
        """First part to the phrases that begin with it, the longest first."""
        return {
            first: sorted((phrase for phrase in self.phrases if phrase[0] == first), key=len, reverse=True)
            for first in {phrase[0] for phrase in self.phrases}
        }

    @cached_property
    def initials(self) -> frozenset[str]:
        """First letters of the parts, and parts of one letter."""
        return frozenset(part[0] for part in self.parts.union(*self.phrases))

    @cached_property
    def _lossy(self) -> dict[str, re.Pattern[str]]:
        return {part: _pattern(part) for part in self.parts if LOST in part}

    def match(self, key: str) -> str | None:
        """The name that a folded word is, also in the genitive; None if it is none."""
        for form in (key, key.removesuffix("s")):
            if form in self.parts or form in self.joined:
                return form
            for part, pattern in self._lossy.items():
                if pattern.fullmatch(form):
                    return part
        if LOST in key:
            pattern = _pattern(key)
            return next((part for part in self.parts if pattern.fullmatch(part)), None)
        return None


class _Candidate(NamedTuple):
    start: int
    end: int
    text: str
    key: str
    is_phrase: bool


def name_forms(names: Iterable[str]) -> NameForms:
    """The forms of names as headers have them: "Müller-Lüdenscheidt^Jörg^^Dr." or "O'Malley, Kate"."""
    parts: set[str] = set()
    phrases: set[tuple[str, ...]] = set()
    joined: set[str] = set()
    for spelling in {spelling for name in names for spelling in repair_spellings(name)}:
        for group in re.split(r"[=|]", spelling):
            components = [phrase for part in re.split(r"[\^,]", group) if (phrase := _parts(part))]
            if all(names_nobody(part) for phrase in components for part in phrase):
                continue
            singles = [phrase[0] for phrase in components if len(phrase) == 1]
            longer = [phrase for phrase in components if len(phrase) > 1]
            phrases.update(longer)
            parts.update(part for part in singles if len(part) > 1)
            parts.update(part for phrase in longer for part in phrase if len(part) > 1 and part not in _PARTICLES)
            whole = [*components[:2], *components[1::-1]]  # family name and given name, in both orders
            written = ["".join(phrase) for phrase in longer]
            written += ["".join(a + b) for a, b in (whole[:2], whole[2:])] if len(components) > 1 else []
            joined.update(form for form in written if len(form) > SHORTEST)
    return NameForms(frozenset(parts), frozenset(phrases), frozenset(joined))


def find_names(text: str, forms: NameForms, is_organ: Callable[[str], bool]) -> Iterator[tuple[int, int]]:
    """Start and end of each name in the text.

    A name that is a word of reports as well ("Klein", "Leber") counts only after a title or next to another name, one of two
    letters also where it is capitalised, and one inside a medical term ("Baker-Zyste") does not count.
    """
    candidates = list(_candidates(text, forms))
    certain = [_is_certain(text, candidate, is_organ) for candidate in candidates]
    addressed = {name.key for name in candidates if len(name.key) == TWO_LETTERS and _is_titled(text, name, forms)}
    certain = [
        is_name or (name.key in addressed and _is_short_name(text, name))
        for is_name, name in zip(certain, candidates, strict=True)
    ]
    reached = 0
    for number, candidate in enumerate(candidates):
        if certain[number] or _is_titled(text, candidate, forms) or _adjoins_name(text, candidates, certain, number):
            start, end = _double_name(text, candidate, is_organ)
            if end > reached:
                yield max(start, reached), end
                reached = end


def words_of(text: str) -> list[Word]:
    """The words of a text with their folded forms, without numbers and placeholders."""
    placeholders = {match.start() + 1 for match in _PLACEHOLDER.finditer(text)}
    return [
        Word(*word.span(), word[0], fold_name(word[0]))
        for word in _WORD.finditer(text)
        if word.start() not in placeholders
    ]


def phrase_end(text: str, words: list[Word], first: int, phrase: tuple[str, ...]) -> int | None:
    """Where the phrase that begins with the word at index `first` ends in the text; None if it does not stand there."""
    row = words[first : first + len(phrase)]
    if len(row) < len(phrase) or any(word.key != part for word, part in zip(row, phrase, strict=True)):
        return None
    gaps = pairwise(row)
    return row[-1].end if all(_BETWEEN_PARTS.fullmatch(text, a.end, b.start) for a, b in gaps) else None


def _parts(component: str) -> tuple[str, ...]:
    words = [fold_name(word) for word in _WORD.findall(component)]
    return tuple(word for word in words if word not in _TITLES and word.strip(LOST))


def _pattern(form: str) -> re.Pattern[str]:
    """The form with any letter, or two that one was folded into, for each that is lost."""
    pieces = re.split(rf"({LOST}+)", form)
    return re.compile("".join(rf"\w{{1,{len(piece) + 1}}}" if LOST in piece else re.escape(piece) for piece in pieces))


def _candidates(text: str, forms: NameForms) -> Iterator[_Candidate]:
    words = words_of(text)
    number = 0
    while number < len(words):
        word = words[number]
        taken, end, key = 0, word.end, forms.match(word.key)
        for phrase in forms.phrases_of.get(word.key, []):
            if phrase_at := phrase_end(text, words, number, phrase):
                taken, end, key = len(phrase), phrase_at, " ".join(phrase)
                break
        else:
            following = words[number + 1] if number + 1 < len(words) else None
            if key is not None:
                taken = 1
            elif following and _PARTED.fullmatch(text, word.end, following.start):
                gap = text[word.end : following.start]
                if (gap[0] == "-" or word.key in _PARTICLES) and (key := forms.match(word.key + following.key)):
                    taken, end = 2, following.end
        if taken and key:
            genitive = _GENITIVE.match(text, end)
            yield _Candidate(word.start, genitive.end() if genitive else end, text[word.start : end], key, taken > 1)
        number += taken or 1


def _is_certain(text: str, name: _Candidate, is_organ: Callable[[str], bool]) -> bool:
    """Whether the name is one wherever it stands, or by its letter case."""
    if name.is_phrase:
        return True
    before = text[max(0, name.start - LOOK_BACK) : name.start]
    following = text[name.end : name.end + 2]
    if is_given_name(name.key):
        return name.text.istitle() and before[-1:] != "-" and not _NUMBERED.match(following)
    if is_word(name.key) or is_organ(name.text):
        capitalised = name.text.istitle() and following[:1] not in ("-", ".")
        return is_uncapitalised(name.key) and capitalised and _WITHIN_SENTENCE.search(before) is not None
    if _is_term(text, name, is_organ):
        return False
    return len(name.text) >= SHORTEST or name.text.istitle()


def _is_short_name(text: str, name: _Candidate) -> bool:
    """Whether a word of two letters, a name elsewhere in the report, is written as one: not "HU", "30 Hu", "Am" that opens a sentence."""
    before = text[max(0, name.start - LOOK_BACK) : name.start]
    if not name.text.istitle() or is_abbreviation(name.key) or _NUMBER_BEFORE.search(before):
        return False
    may_stand = _WITHIN_SENTENCE.search(before) is not None or not opens_sentence(name.key)
    return may_stand and _NO_NAME_BEHIND.match(text, name.end) is None


def _is_term(text: str, name: _Candidate, is_organ: Callable[[str], bool]) -> bool:
    """Whether the name is part of a medical term: "Baker-Zyste", "Morton neuroma", "Weber B", "Morbus Crohn"."""
    compound = _COMPOUND.match(text, name.end)
    if compound and name.text[0].isupper():
        return compound[1].islower() or is_organ(compound[1]) or ends_term(fold_name(compound[1]))
    before = text[max(0, name.start - LOOK_BACK) : name.start]
    noun = _NOUN.match(text, name.end)
    is_term = _GRADE.match(text, name.end) or _MORBUS.search(before) or (noun and ends_term(fold_name(noun[1])))
    return is_eponym(name.text) and bool(is_term)


def _double_name(text: str, name: _Candidate, is_organ: Callable[[str], bool]) -> tuple[int, int]:
    """Start and end of the name with a part before or behind a hyphen that no header holds: "Voss-Tarnow"."""
    before = _PART_BEFORE.search(text[max(0, name.start - LOOK_BACK) : name.start])
    behind = _PART_BEHIND.match(text, name.end)
    start, end = name.start, name.end

    def is_free(part: str) -> bool:
        key = fold_name(part)
        return not (is_word(key) or names_nobody(key) or key in _TITLES or ends_term(key) or is_organ(part))

    if before and before[1][0].isupper() and before[1].istitle() == name.text.istitle() and is_free(before[1]):
        start -= len(before[0])
    if behind and behind[1][0].isupper() and is_free(behind[1]):
        end = behind.end()
    return start, end


def _is_titled(text: str, name: _Candidate, forms: NameForms) -> bool:
    """Whether a title, a label or an initial of the person stands before the name."""
    before = text[max(0, name.start - LOOK_BACK) : name.start]
    initial = _INITIAL.search(before)
    if initial:
        before = before[: initial.start()]
    if _TITLED.search(before):
        return True
    is_initial = initial is not None and initial[1].lower() in forms.initials
    return name.text[0].isupper() and (is_initial or _LABELLED.search(before) is not None)


def _adjoins_name(text: str, names: list[_Candidate], certain: list[bool], number: int) -> bool:
    """Whether another name stands before this one ("Otto Klein") or behind it ("Klein Otto", "Klein, Otto")."""
    name = names[number]

    def adjoins(neighbour: int, gaps: tuple[str, ...]) -> bool:
        near = names[neighbour]
        gap = text[near.end : name.start] if neighbour < number else text[name.end : near.start]
        capitalised = name.text[0].isupper(), near.text[0].isupper()
        return (
            gap in gaps and near.key != name.key and (all(capitalised) or (certain[neighbour] and not any(capitalised)))
        )

    if number and adjoins(number - 1, (" ",)):
        return True
    if number + 1 == len(names):
        return False
    # Of "in May, Tom May had" the first is no name.
    following = names[number + 2].start if number + 2 < len(names) else -1
    commas = (",", ", ") if following != names[number + 1].end + 1 else ()
    return adjoins(number + 1, (" ", "", *commas))
