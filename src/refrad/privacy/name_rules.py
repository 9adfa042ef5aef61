"""Names of people in reports, found by the words around them."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from refrad.privacy.eponyms import EPONYM_PAIRS, is_eponym
from refrad.privacy.name_contexts import AFTER_NAME, BEFORE_NAME, CODES, Context
from refrad.privacy.report_words import FIRST_NAMES, PARTICLES, fold_word, is_common_word, is_finite_or_adjective

__all__ = ["find_names_by_context"]

LONGEST_WORD = 40  # letters of a name
MOST_PARTS = 4  # first names, initials and surname
MOST_LISTED = 6  # names joined by "und", "/" or a comma
PLACED = "[NAME]"  # a name that is removed already

_WORD = re.compile(r"\[[A-Z]+\]|[^\W\d_]+(?:[-'’´][^\W\d_]+)*")
_SPACE = re.compile(r"[ \t]{0,2}\n?[ \t]{0,2}|[ ]-[ ]")
_INITIAL_GAP = re.compile(r"[ ]?\.?[ ]?-?")
_SLASH = re.compile(r"[ ]?/[ ]?")
_AND = re.compile(r"[ ]?(?:/|,|&|,?[ ](?:und|u\.|and|sowie)(?=[ ]))[ ]?", re.IGNORECASE)
_TITLED_JOINER = re.compile(r"(?:Dr\.|Prof\.|Herrn?|Frau|Mrs?\.)[ ]")
_COLUMN = re.compile(r"[ \t]{3,80}")  # between the signatures of two
_BIRTH_ORDER = re.compile(r",[ ]{0,2}")
_ABBREVIATED = frozenset({"chr", "ch", "th", "ph", "joh", "wolfg", "alex"})  # first names before a stop
_ABBREVIATIONS = frozenset("AMNV")  # arteria, musculus, nervus, vena: no initial of a line
_PREPOSITIONS = frozenset({"mit", "an", "durch", "von", "with", "by"})
# Surnames that begin as a word of anatomy does.
_SURNAMES = re.compile(
    r"(?:.{3,20}(?:mann|berg|burg|hoff|meyer|maier|mayer|bauer|wald|witz|lein)|herzog|herzfeld|herzig|hirner|hirnle|leberecht|milzer|nierhaus"
    r"|ripp(?:el|ert)|costas?)$"
)


class _Word(NamedTuple):
    text: str
    start: int
    end: int


def find_names_by_context(text: str, is_anatomy: Callable[[str], bool]) -> list[tuple[int, int]]:
    """Start and end of each name, in order and without overlap.

    Args:
        text: a report; names that are removed already are "[NAME]", and lines that end a statement end with U+0001.
        is_anatomy: whether a word names anatomy.
    """
    names = _Names(text, cache(is_anatomy))
    spans = sorted({*names.after_contexts(), *names.before_contexts(), *names.with_first_name(), *_codes(text)})
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif text[start:end] != PLACED:
            merged.append((start, end))
    return merged


def _codes(text: str) -> Iterator[tuple[int, int]]:
    for match in CODES.finditer(text):
        yield match.span(match.lastgroup or 0)


class _Names:
    """The words of a text, and the names that begin or end at one of them."""

    def __init__(self, text: str, is_anatomy: Callable[[str], bool]) -> None:
        self.text, self.is_anatomy = text, is_anatomy
        self.in_capitals = text.isupper()
        self.words = [_Word(match[0], *match.span()) for match in _WORD.finditer(text)]
        self.starts = [word.start for word in self.words]
        self.ends = [word.end for word in self.words]

    def after_contexts(self) -> Iterator[tuple[int, int]]:
        """Names that follow a title, a role, a label, or a word of telling."""
        for context in BEFORE_NAME:
            for match in context.pattern.finditer(self.text):
                first = bisect_left(self.starts, match.end())
                if first < len(self.words) and self.starts[first] == match.end():
                    yield from self._listed(first, context, in_lower=match[0].islower())

    def _listed(self, first: int, context: Context, *, in_lower: bool) -> Iterator[tuple[int, int]]:
        """The name that begins at a word, and those that are joined to it."""
        strength, start = context.strength, self.starts[first]
        for _ in range(MOST_LISTED):
            last = self.read(first, strength, in_lower=in_lower)
            if last == first:
                return
            yield start, self.ends[last - 1]
            joiner = (_AND if context.goes_on else _SLASH).match(self.text, self.ends[last - 1])
            if joiner is None:
                return
            title = _TITLED_JOINER.match(self.text, joiner.end())
            first = bisect_left(self.starts, title.end() if title else joiner.end())
            if first >= len(self.words) or self.starts[first] > (title or joiner).end():
                return
            start = self.starts[first] if title else start
            strength = "title" if title else "label" if joiner[0].strip() == "/" else "talk"

    def before_contexts(self) -> Iterator[tuple[int, int]]:
        """Names before a role, a date of birth, or "was informed"."""
        for context in AFTER_NAME:
            for match in context.pattern.finditer(self.text):
                last = bisect_left(self.ends, match.start())
                if last < len(self.words) and self.ends[last] == match.start():
                    yield from self._ending_at(last, context.strength)

    def _ending_at(self, last: int, strength: str) -> Iterator[tuple[int, int]]:
        """The name that ends at a word, and that of a second signature before it in the same line."""
        for first in range(max(0, last + 1 - MOST_PARTS), last + 1):
            alone = first == last
            if alone and not self._stands_alone(first, strength):
                continue
            if self.read(first, "finding" if alone else "label" if strength == "born" else "talk") == last + 1:
                yield self.starts[first], self.ends[last]
                if first and _COLUMN.fullmatch(self.text, self.ends[first - 1], self.starts[first]):
                    yield from self._ending_at(first - 1, strength)
                return
        reversed_order = last > 0 and _BIRTH_ORDER.fullmatch(self.text, self.ends[last - 1], self.starts[last])
        if (
            strength == "born"
            and reversed_order
            and [self.read(word, "label") for word in (last - 1, last)] == [last, last + 1]
        ):
            yield self.starts[last - 1], self.ends[last]

    def _stands_alone(self, first: int, strength: str) -> bool:
        """Whether a surname alone may stand before a role, or before "was informed"."""
        if strength == "told":
            return self._begins_statement(first)
        return self._on_own_line(first, first) or (
            self._begins_line(first) and self.text.startswith(",", self.ends[first])
        )

    def with_first_name(self) -> Iterator[tuple[int, int]]:
        """A usual first name with a surname, anywhere; an initial with a surname alone on its line."""
        for first, word in enumerate(self.words[:-1]):
            begins_line = len(word.text) == 1 and self.text[word.end : word.end + 1] == "." and self._begins_line(first)
            is_first = word.text[:1].isupper() and word.text.lower() in FIRST_NAMES
            if is_first or (begins_line and word.text not in _ABBREVIATIONS):
                last = self.read(first, "pair")
                if last > first and (is_first or self._on_own_line(first, last - 1)):
                    yield self.starts[first], self.ends[last - 1]
            elif word.text[:1].isupper() and self._is_surname_first(first):
                yield word.start, self.ends[first + 1]

    def read(self, first: int, strength: str, *, in_lower: bool = False) -> int:
        """The index after the last word of the name that begins at a word; that of the word if none does."""
        position, parts, needs_part = first, 0, True
        is_given = False  # whether the last part is an initial or a usual first name, so that a surname follows
        while position < len(self.words) and parts < MOST_PARTS:
            word = self.words[position].text
            after_particles = self._after_particles(position)
            if after_particles > position:
                follows = self._accepts(after_particles, "label", parts, is_given=is_given, in_lower=in_lower)
                if not follows:
                    break
                position = after_particles
                word = self.words[position].text
            elif not self._accepts(position, strength, parts, is_given=is_given, in_lower=in_lower):
                break
            is_initial = self._is_initial(position)
            is_given = is_initial or word == PLACED or word.lower().split("-")[0] in FIRST_NAMES
            needs_part = is_initial and strength != "title"
            parts += 1
            position += 1
            if position == len(self.words) or not self._adjoins(position, after_initial=is_initial):
                break
        names_pair = parts > 1 or strength != "pair"
        pair = " ".join(word.text.lower() for word in self.words[first : first + 2])
        return first if needs_part or not names_pair or pair in EPONYM_PAIRS else position

    def _accepts(self, position: int, strength: str, parts: int, *, is_given: bool, in_lower: bool) -> bool:
        """Whether a word is a part of a name, given the parts before it."""
        word = self.words[position].text
        if word == PLACED:
            return True
        if len(word) > LONGEST_WORD or word[0] == "[":
            return False
        if not word[0].isupper():
            first_name = parts == 0 and word in FIRST_NAMES
            return (
                in_lower
                and (first_name or is_given or (strength == "title" and parts == 0))
                and not is_common_word(word)
            )
        if self._is_initial(position):
            return True
        if word.lower() in FIRST_NAMES:
            return True
        if is_given and parts:
            if strength not in ("title", "label") and self.words[position - 1].text == "M" and is_eponym(word):
                return False  # morbus
            return not is_common_word(word, titled=True) and not self._is_abbreviation(word)
        if parts == 0 and strength == "title":
            return not is_common_word(word, titled=True)
        if is_common_word(word) or self._is_organ(word) or (parts == 0 and strength == "finding" and is_eponym(word)):
            return False
        if parts and word.isupper() and len(word) > 1:
            return not is_finite_or_adjective(word)
        return strength == "label" or not self._is_abbreviation(word)

    def _is_organ(self, word: str) -> bool:
        return any(
            self.is_anatomy(part) and not _SURNAMES.match(fold_word(part)) for part in {word, word.rpartition("-")[2]}
        )

    def _is_abbreviation(self, word: str) -> bool:
        """Capitals among words in small letters, such as "CTA"."""
        return word.isupper() and len(word) <= 4 and not self.in_capitals

    def _is_initial(self, position: int) -> bool:
        word = self.words[position]
        if len(word.text) == 1:
            return word.text.isupper()
        return word.text.lower() in _ABBREVIATED and self.text[word.end : word.end + 1] == "."

    def _after_particles(self, position: int) -> int:
        """The index of the word after "von der" and the like; the same index if none stands there."""
        start = position
        while (
            position - start < 3 and position + 1 < len(self.words) and self.words[position].text.lower() in PARTICLES
        ):
            if not self._adjoins(position + 1):
                return start
            position += 1
        return position

    def _adjoins(self, position: int, *, after_initial: bool = False) -> bool:
        """Whether only a blank, or after an initial its stop, stands before a word."""
        start, end = self.ends[position - 1], self.starts[position]
        if start == end or end - start > 4:
            return False
        gap = _INITIAL_GAP if after_initial else _SPACE
        return gap.fullmatch(self.text, start, end) is not None

    def _on_own_line(self, first: int, last: int) -> bool:
        after = self.text[self.ends[last] : self.ends[last] + 4]
        return self._begins_line(first) and after.lstrip(" \t,.")[:1] in ("", "\n", "\x01")

    def _begins_line(self, first: int) -> bool:
        start = self.starts[first]
        return self.text[max(0, start - 4) : start].rstrip(" \t")[-1:] in ("", "\n")

    def _begins_statement(self, first: int) -> bool:
        """Whether a word begins a sentence, or follows "mit", "an"."""
        if first and self.words[first - 1].text.lower() in _PREPOSITIONS and self._adjoins(first):
            return True
        return self.text[max(0, self.starts[first] - 2) : self.starts[first]].strip(" ")[-1:] in ("", ".", "\n")

    def _is_surname_first(self, first: int) -> bool:
        """Whether a surname is before its first name, as in "Brodowski, Rolf"."""
        following = self.words[first + 1]
        return (
            following.text.lower() in FIRST_NAMES
            and following.text[0].isupper()
            and _BIRTH_ORDER.fullmatch(self.text, self.ends[first], following.start) is not None
            and self._accepts(first, "talk", 0, is_given=False, in_lower=False)
            and self.words[first].text.lower() not in FIRST_NAMES
        )
