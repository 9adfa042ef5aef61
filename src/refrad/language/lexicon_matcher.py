"""Matching the patterns of the lexicon in a sentence: the longest match over words, with shared words resolved."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from refrad.anatomy.lexicon import Entry, Lexicon, normalise
from refrad.core.types import LANGUAGES

__all__ = ["CONJUNCTIONS", "Match", "Token", "Vocabulary", "is_anatomy", "tokenize", "vocabulary_of"]

CONJUNCTIONS = frozenset({"und", "oder", "sowie", "bzw", "et", "and", "or", "&", "/", "+"})

_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]")
_SKIPPED = {"left", "right", "superior", "inferior", "main", "common"}  # "splenic and superior mesenteric veins"
_BY = {"von", "by", "durch", "gez"}
_SHORTEST_INFLECTED = 4
_LONGEST_CAPITALS = 5
_SHORTEST_MISTYPED = 8  # letters of a word that may have one wrong; shorter words are too close to others
_CACHE_LIMIT = 200_000


class Token(NamedTuple):
    """A word, number or mark of a sentence; offsets in Unicode code points."""

    text: str
    start: int
    end: int


class Match(NamedTuple):
    """Tokens first..last (inclusive) name `classes`.

    `shared`: its noun stands further on, as for "upper" in "upper and lower lobes".
    """

    first: int
    last: int
    classes: tuple[str, ...]
    shared: bool = False


class Label(NamedTuple):
    """An edge of the pattern tree that a token satisfies, and how many letters the pattern gave."""

    name: str
    letters: int


@dataclass
class Node:
    """A place in the pattern tree: what can follow, and the entries that end here."""

    next: dict[str, "Node"] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)


def tokenize(text: str) -> list[Token]:
    """Words (letters only), numbers (with decimals) and single marks, in order."""
    return [Token(found.group(), found.start(), found.end()) for found in _TOKEN.finditer(text)]


class Vocabulary:
    """The patterns of one language as a tree over words."""

    def __init__(self, lexicon: Lexicon, language: str) -> None:
        words = lexicon.words[language]
        self._language = language
        self.titles = lexicon.titles
        self._short = set(lexicon.short)
        self._endings = ["", *(normalise(ending) for ending in words.endings)]
        self._root = Node()
        self._whole: dict[str, list[Label]] = {}
        self._capitals: dict[str, Label] = {}
        self._beginnings: dict[str, Label] = {}
        self._inner: dict[str, tuple[str, bool, Label]] = {}
        self._seen: dict[str, tuple[Label, ...]] = {}
        self._mistyped: dict[str, list[tuple[str, bool, Label]]] | None = None
        for name, spellings in lexicon.short.items():
            for spelling in spellings:
                self._whole.setdefault(normalise(spelling), []).append(Label(name, 1))
        for pattern, entry in words.patterns:
            node = self._root
            for word in re.split(r"[\s-]+", pattern):
                node = node.next.setdefault(self._edge(word), Node())
            node.entries.append(entry)

    def _edge(self, word: str) -> str:
        """The edge of one word of a pattern; a word seen for the first time becomes known."""
        if word in self._short:
            return word
        bare = normalise(word.strip("*."))
        name = ("*" if word.startswith("*") else "") + bare + ("*" if word.endswith("*") else "")
        if word.startswith("*"):
            self._inner[name] = (bare, word.endswith("*"), Label(name, len(bare)))
        elif word.endswith("*"):
            self._beginnings[bare] = Label(name, len(bare))
        elif word.isupper() and len(word) <= _LONGEST_CAPITALS:
            name = "=" + word
            self._capitals[word] = Label(name, len(word) + 1)
        else:
            label = Label(name, len(bare) + 1)
            for ending in self._endings if len(bare) >= _SHORTEST_INFLECTED else [""]:
                known = self._whole.setdefault(bare + ending, [])
                if label not in known:
                    known.append(label)
        return name

    def _labels(self, text: str) -> tuple[Label, ...]:
        """All edges that a token satisfies."""
        if text[0].isdigit():  # never remembered: there is no end of numbers
            return tuple(self._whole.get(text, ()))
        found = self._seen.get(text)
        if found is None:
            if len(self._seen) > _CACHE_LIMIT:
                self._seen.clear()
            found = tuple(self._satisfied(text)) if text[0].isalnum() else ()
            if not found and len(text) >= _SHORTEST_MISTYPED and self._may_be_mistyped(text):
                found = self._nearly_satisfied(normalise(text))
            self._seen[text] = found
        return found

    def _satisfied(self, text: str) -> Iterator[Label]:
        key = normalise(text)
        yield from self._whole.get(key, ())
        if text in self._capitals:
            yield self._capitals[text]
        for size in range(2, len(key) + 1):
            if key[:size] in self._beginnings:
                yield self._beginnings[key[:size]]
        for part, open_end, label in self._inner.values():
            place = key.find(part) if open_end else len(key) - len(part) if key.endswith(part) else -1
            if place == 0 or (place >= 2 and text[0].isupper()):
                yield label

    def _may_be_mistyped(self, text: str) -> bool:
        """A German noun, or an English word; German adjectives are too close to each other."""
        return text.isalpha() and not text.isupper() and (text[0].isupper() or self._language == "en")

    def _nearly_satisfied(self, key: str) -> tuple[Label, ...]:
        """The edges of the one pattern that the word is but for a letter left out, put in, changed or swapped."""
        if self._mistyped is None:
            self._mistyped = self._with_a_letter_less()
        found = {}
        for size in range(_SHORTEST_MISTYPED - 1, len(key) + 1):
            begin = key[:size]
            for shorter in _letter_less(begin):
                for pattern, open_end, label in self._mistyped.get(shorter, ()):
                    if (open_end or size == len(key)) and begin[0] == pattern[0] and _is_one_slip(begin, pattern):
                        found[label.name] = label
        longest = max((label.letters for label in found.values()), default=0)
        return tuple(label for label in found.values() if label.letters == longest)

    def _with_a_letter_less(self) -> dict[str, list[tuple[str, bool, Label]]]:
        """Patterns of one long word by all that is left of them without one letter, and as they are."""
        ends = self._root.next
        patterns = [(word, False, one) for word, labels in self._whole.items() for one in labels if one.name in ends]
        patterns += [(stem, True, one) for stem, one in self._beginnings.items() if one.name in ends]
        found: dict[str, list[tuple[str, bool, Label]]] = {}
        for pattern in patterns:
            bare = pattern[2].name.strip("*")
            if len(bare) >= _SHORTEST_MISTYPED and ends[pattern[2].name].entries:
                for shorter in _letter_less(pattern[0]):
                    found.setdefault(shorter, []).append(pattern)
        return found

    def knows(self, word: str, *, exactly: bool = False) -> bool:
        """The single word is a pattern of its own; `exactly`: all of it is, not only its beginning, and it names a class."""
        key = normalise(word)
        for label in self._labels(word):
            entries = self._root.next[label.name].entries if label.name in self._root.next else []
            if not exactly and entries:
                return True
            whole = any(label.name.strip("*=").lower() + ending == key for ending in self._endings)
            if whole and any(entry.classes for entry in entries):
                return True
        return False

    def matches(self, tokens: Sequence[Token], text: str) -> list[Match]:
        """The matches from left to right, without overlap; those of entries without classes are left out."""
        labels = [self._labels(token.text) for token in tokens]
        if not any(labels):
            return []
        search = _Search(self, tokens, labels, normalise(text))
        place = 0
        while place < len(tokens):
            place = search.step(place)
        return [match for match in search.found if match.classes]


def _letter_less(word: str) -> set[str]:
    """The word, and the word without one of its letters."""
    return {word} | {word[:place] + word[place + 1 :] for place in range(len(word))}


def _is_one_slip(word: str, other: str) -> bool:
    """One letter is left out, put in, changed or swapped with its neighbour between the two."""
    start = 0
    while start < min(len(word), len(other)) and word[start] == other[start]:
        start += 1
    a, b = word[start:], other[start:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


class _Search:
    """The matching of one sentence, token by token."""

    def __init__(
        self, vocabulary: Vocabulary, tokens: Sequence[Token], labels: list[tuple[Label, ...]], sentence: str
    ) -> None:
        self.vocabulary, self.tokens, self.labels, self.sentence = vocabulary, tokens, labels, sentence
        self.found: list[Match] = []

    def step(self, place: int) -> int:
        """Match at a token; returns the next token to look at."""
        best = self.longest(range(place, len(self.tokens))) if self.labels[place] else None
        if best is None:
            if place + 2 < len(self.tokens) and self.tokens[place + 1].text == "-" and (cut := self.cut_word(place)):
                self.found.append(Match(place, place, cut, shared=True))
            return place + 1
        words, classes = best
        if len(words) == 1:
            if not self.is_surname(place):
                self.found.append(Match(place, place, classes))
            return place + 1
        self.heads_before(words)
        self.found.append(Match(place, words[-1], classes))
        return self.tails_after(words)

    def longest(self, places: Sequence[int]) -> tuple[list[int], tuple[str, ...]] | None:
        """The best pattern that begins at the first of the places: the places of its words, and its classes."""
        best, result = (0, 0), None
        stack: list[tuple[Node, int, int, list[int]]] = [(self.vocabulary._root, 0, 0, [])]
        while stack:
            node, step, letters, words = stack.pop()
            while 0 < step < len(places) and self.is_glue(places[step]):
                step += 1
            if step == len(places):
                continue
            for label in self.labels[places[step]]:
                following = node.next.get(label.name)
                if following is None:
                    continue
                path, score = [*words, places[step]], letters + label.letters
                if (len(path), score) > best and (entry := self.entry_of(following)):
                    best, result = (len(path), score), (path, entry.classes)
                if following.next:
                    stack.append((following, step + 1, score, path))
        return result

    def entry_of(self, node: Node) -> Entry | None:
        """The first entry whose conditions hold."""
        return next((entry for entry in node.entries if entry.holds(self.sentence)), None)

    def is_glue(self, place: int) -> bool:
        """A dot or hyphen right behind a word does not part the words of a pattern."""
        return self.tokens[place].text in ".-" and self.tokens[place - 1].end == self.tokens[place].start

    def is_surname(self, place: int) -> bool:
        """The word stands behind a title (Dr. Leber), or ends the sentence behind a first name (von Amadea Leber)."""
        before = [token.text for token in self.tokens[max(place - 4, 0) : place] if token.text != "."]
        if not before or not self.tokens[place].text[0].isupper():
            return False
        if before[-1] in self.vocabulary.titles:
            return True
        ends = place + 1 == len(self.tokens) or not self.tokens[place + 1].text[0].isalnum()
        named = (
            len(before) > 1
            and before[-1].istitle()
            and (before[-2].lower() in _BY or before[-2] in self.vocabulary.titles)
        )
        return ends and named

    def heads_before(self, words: list[int]) -> None:
        """Words before that share the end of the match become matches of their own: "upper and lower lobes"."""
        heads: list[Match] = []
        place = words[0]
        while True:
            head = place - 1
            while head >= 0 and self.tokens[head].text.lower() in _SKIPPED:
                head -= 1
            behind = head
            while head >= 0 and (self.tokens[head].text == "," or self.tokens[head].text in CONJUNCTIONS):
                head -= 1
            if head == behind or head < 0 or not self.labels[head]:
                break
            best = self.longest([head, *words[1:]])
            if best is None or best[0] != [head, *words[1:]]:
                break
            heads.insert(0, Match(head, head, best[1], shared=True))
            place = head
        if heads:
            self.found = [match for match in self.found if match.last < heads[0].first] + heads

    def tails_after(self, words: list[int]) -> int:
        """Words behind that share the beginning: "V. cava superior und inferior"; returns the next token."""
        place = words[-1] + 1
        while True:
            tail = place
            while tail < len(self.tokens) and (
                self.tokens[tail].text in ",." or self.tokens[tail].text in CONJUNCTIONS
            ):
                tail += 1
            if tail in (place, len(self.tokens)) or not self.labels[tail]:
                return place
            best = self.longest([*words[:-1], tail])
            if best is None or best[0] != [*words[:-1], tail]:
                return place
            own = self.longest(range(tail, len(self.tokens)))
            if own is not None and len(own[0]) > 1:
                return place  # "Mm. iliopsoas et gluteus maximus"
            self.found.append(Match(tail, tail, best[1]))
            place = tail + 1

    def cut_word(self, place: int) -> tuple[str, ...] | None:
        """What a cut word names with the end of the whole word behind it: "Ober- und Unterlappen"."""
        if self.tokens[place].end != self.tokens[place + 1].start:
            return None
        whole = place + 2
        if self.tokens[whole].start == self.tokens[place + 1].end and self.tokens[whole].text != ",":
            return None
        while whole < len(self.tokens) - 1 and (
            self.tokens[whole].text in CONJUNCTIONS
            or self.tokens[whole].text in ",-"
            or self.tokens[whole + 1].text == "-"
            or self.tokens[whole].text[0].islower()
        ):
            whole += 1
        ending = self.tokens[whole].text.lower()
        for cut in range(1, len(ending) - 3):
            for label in self.vocabulary._labels(self.tokens[place].text + ending[cut:]):
                node = self.vocabulary._root.next.get(label.name)
                if node and (entry := self.entry_of(node)):
                    return entry.classes
        return None


@lru_cache(maxsize=8)
def vocabulary_of(lexicon: Lexicon, language: str) -> Vocabulary:
    """The vocabulary of a language, built once for each lexicon."""
    return Vocabulary(lexicon, language)


def is_anatomy(word: str, lexicon: Lexicon, *, exactly: bool = False) -> bool:
    """The single word is anatomy (or a known look-alike) in one of the languages.

    `exactly`: "Leber" and "Lebern" are, "Leberzirrhose" and "Herzog" are not.
    """
    return any(vocabulary_of(lexicon, language).knows(word, exactly=exactly) for language in LANGUAGES)
