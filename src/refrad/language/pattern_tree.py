"""The patterns of the lexicon as a tree over words, with inflected, shortened and mistyped words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from refrad.anatomy.lexicon import Entry, Lexicon, normalise

__all__ = ["Label", "Node", "PatternTree"]

_SHORTEST_INFLECTED = 4
_LONGEST_CAPITALS = 5
_SHORTEST_MISTYPED = 8  # letters of a word that may have one wrong; shorter words are too close to others
_LONGEST_WORD = 200  # letters; what is longer is no word
_CACHE_LIMIT = 200_000


class Label(NamedTuple):
    """An edge of the pattern tree that a token satisfies, and the number of letters of its pattern."""

    name: str
    letters: int


@dataclass
class Node:
    """A node of the pattern tree: the words that can follow, and the entries whose pattern ends here."""

    next: dict[str, "Node"] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)


class PatternTree:
    """The patterns of one language as a tree over words."""

    def __init__(self, lexicon: Lexicon, language: str) -> None:
        words = lexicon.words[language]
        self._language = language
        self.titles, self.institutions = lexicon.titles, lexicon.institutions
        self._short = set(lexicon.short)
        self._endings = ["", *(normalise(ending) for ending in words.endings)]
        self.root = Node()
        self._whole: dict[str, list[Label]] = {}
        self._capitals: dict[str, Label] = {}
        self._beginnings: dict[str, Label] = {}
        self._inner: dict[str, tuple[str, bool, Label]] = {}
        self._cache: dict[str, tuple[Label, ...]] = {}
        self._mistyped: dict[str, list[tuple[str, bool, Label]]] | None = None
        for name, spellings in lexicon.short.items():
            for spelling in spellings:
                self._whole.setdefault(normalise(spelling), []).append(Label(name, 1))
        for pattern, entry in words.patterns:
            node = self.root
            for word in re.split(r"[\s-]+", pattern):
                node = node.next.setdefault(self._edge(word), Node())
            node.entries.append(entry)
        self._longest_beginning = max(map(len, self._beginnings), default=0)

    def _edge(self, word: str) -> str:
        """The edge of one word of a pattern; a new word is added."""
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
                labels = self._whole.setdefault(bare + ending, [])
                if label not in labels:
                    labels.append(label)
        return name

    def labels_of(self, text: str) -> tuple[Label, ...]:
        """All edges that a token satisfies."""
        if len(text) > _LONGEST_WORD:
            return ()
        if text[0].isdigit():  # not cached: there are too many numbers
            return tuple(self._whole.get(text, ()))
        labels = self._cache.get(text)
        if labels is None:
            if len(self._cache) > _CACHE_LIMIT:
                self._cache.clear()
            labels = tuple(self._satisfied(text)) if text[0].isalnum() else ()
            if not labels and len(text) >= _SHORTEST_MISTYPED and self._may_be_mistyped(text):
                labels = self._nearly_satisfied(normalise(text))
            self._cache[text] = labels
        return labels

    def _satisfied(self, text: str) -> Iterator[Label]:
        key = normalise(text)
        yield from self._whole.get(key, ())
        if text in self._capitals:
            yield self._capitals[text]
        for size in range(2, min(len(key), self._longest_beginning) + 1):
            if key[:size] in self._beginnings:
                yield self._beginnings[key[:size]]
        for part, open_end, label in self._inner.values():
            start = key.find(part) if open_end else len(key) - len(part) if key.endswith(part) else -1
            if start == 0 or (start >= 2 and text[0].isupper()):
                yield label

    def _may_be_mistyped(self, text: str) -> bool:
        """A German noun, or an English word; German adjectives are too close to each other."""
        return text.isalpha() and not text.isupper() and (text[0].isupper() or self._language == "en")

    def _nearly_satisfied(self, key: str) -> tuple[Label, ...]:
        """The edges of the pattern from which the word differs by one letter left out, added, changed or swapped."""
        if self._mistyped is None:
            self._mistyped = self._shortened_patterns()
            self._longest_mistyped = max(map(len, self._mistyped), default=0)
        labels = {}
        for size in range(_SHORTEST_MISTYPED - 1, min(len(key), self._longest_mistyped + 1) + 1):
            begin = key[:size]
            for shorter in _without_one_letter(begin):
                for pattern, open_end, label in self._mistyped.get(shorter, ()):
                    if (open_end or size == len(key)) and begin[0] == pattern[0] and _is_one_typo(begin, pattern):
                        labels[label.name] = label
        longest = max((label.letters for label in labels.values()), default=0)
        return tuple(label for label in labels.values() if label.letters == longest)

    def _shortened_patterns(self) -> dict[str, list[tuple[str, bool, Label]]]:
        """Patterns of one long word, by their spellings without one letter and as they are."""
        ends = self.root.next
        patterns = [
            (word, False, label) for word, labels in self._whole.items() for label in labels if label.name in ends
        ]
        patterns += [(part, open_end, label) for part, open_end, label in self._inner.values() if label.name in ends]
        patterns += [(stem, True, label) for stem, label in self._beginnings.items() if label.name in ends]
        shortened: dict[str, list[tuple[str, bool, Label]]] = {}
        for pattern in patterns:
            bare = pattern[2].name.strip("*")
            if len(bare) >= _SHORTEST_MISTYPED and ends[pattern[2].name].entries:
                for shorter in _without_one_letter(pattern[0]):
                    shortened.setdefault(shorter, []).append(pattern)
        return shortened

    def knows(self, word: str, *, exactly: bool = False) -> bool:
        """The single word is a whole pattern; `exactly`: all of the word, not only its beginning, and the pattern names a class."""
        key = normalise(word)
        for label in self.labels_of(word):
            entries = self.root.next[label.name].entries if label.name in self.root.next else []
            if not exactly and entries:
                return True
            whole = any(label.name.strip("*=").lower() + ending == key for ending in self._endings)
            if whole and any(entry.classes for entry in entries):
                return True
        return False


def _without_one_letter(word: str) -> set[str]:
    """The word, and the word without one of its letters."""
    return {word} | {word[:index] + word[index + 1 :] for index in range(len(word))}


def _is_one_typo(word: str, pattern: str) -> bool:
    """One letter is left out, added, changed or swapped with its neighbour between the two."""
    start = 0
    while start < min(len(word), len(pattern)) and word[start] == pattern[start]:
        start += 1
    a, b = word[start:], pattern[start:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
