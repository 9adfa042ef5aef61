"""Matches of the lexicon's patterns in a sentence: the longest match over words, with shared words resolved."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from refrad.anatomy.lexicon import Entry, Lexicon, normalise
from refrad.core.types import LANGUAGES
from refrad.language.pattern_tree import Label, Node, PatternTree

__all__ = ["CONJUNCTIONS", "Match", "Token", "find_matches", "is_anatomy", "pattern_tree", "tokenize"]

CONJUNCTIONS = frozenset({"und", "oder", "sowie", "bzw", "et", "and", "or", "&", "/", "+"})

_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]")
_SKIPPED = {"left", "right", "superior", "inferior", "main", "common"}  # "splenic and superior mesenteric veins"
_DEGREES = {"med", "dent", "rer", "nat", "univ", "habil", "phil"}
_SHORTEST_NOUN = 5  # letters, more than most prepositions
_UNITS = {"mm", "m"}  # also musculi and musculus
_SIZE = re.compile(
    r"\((?:ca\.? ?|max\.? ?)?\d[\d.,]{0,6}(?: ?(?:mm|cm|x|×)(?: ?\d[\d.,]{0,6})?){1,6} ?\)"
    r"|\((?:left|right|links|rechts|(?:li|re|bds)\.?)\)"
)
_LONGEST_GAP = 12  # tokens between the words of a list
_BY = {"von", "by", "durch", "gez"}


class Token(NamedTuple):
    """A word, number or mark of a sentence; offsets in Unicode code points."""

    text: str
    start: int
    end: int


class Match(NamedTuple):
    """Tokens first..last (inclusive) name `classes`.

    `shared`: its noun comes later, as for "upper" in "upper and lower lobes".
    """

    first: int
    last: int
    classes: tuple[str, ...]
    shared: bool = False


def tokenize(text: str) -> list[Token]:
    """Words (letters only), numbers (with decimals) and single marks, in order."""
    return [Token(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def find_matches(tokens: Sequence[Token], sentence: str, lexicon: Lexicon, language: str) -> list[Match]:
    """The matches from left to right, without overlap; those of entries without classes are left out."""
    tree = pattern_tree(lexicon, language)
    places = _places(tokens, sentence)
    words = [tokens[place] for place in places]
    labels = [
        () if number > 0 and word.text in _UNITS and words[number - 1].text[0].isdigit() else tree.labels_of(word.text)
        for number, word in enumerate(words)
    ]
    if not any(labels):
        return []
    matcher = _Matcher(tree, words, labels, normalise(sentence))
    position = 0
    while position < len(words):
        position = matcher.step(position)
    return [
        Match(places[match.first], places[match.last], match.classes, match.shared)
        for match in matcher.matches
        if match.classes
    ]


def _places(tokens: Sequence[Token], sentence: str) -> list[int]:
    """The tokens that are not a size or a side in brackets, which may stand between words: "upper (4 mm) and lower (7 mm) lobes"."""
    sizes = [match.span() for match in _SIZE.finditer(sentence)]
    starts = [start for start, _ in sizes]
    places = []
    for place, token in enumerate(tokens):
        size = bisect_right(starts, token.start) - 1
        if size < 0 or token.start >= sizes[size][1]:
            places.append(place)
    return places


@lru_cache(maxsize=8)
def pattern_tree(lexicon: Lexicon, language: str) -> PatternTree:
    """The patterns of a language, built once for each lexicon."""
    return PatternTree(lexicon, language)


def is_anatomy(word: str, lexicon: Lexicon, *, exactly: bool = False) -> bool:
    """The single word is anatomy (or a known look-alike) in one of the languages.

    `exactly`: "Leber" and "Lebern" are, "Leberzirrhose" and "Herzog" are not.
    """
    return any(pattern_tree(lexicon, language).knows(word, exactly=exactly) for language in LANGUAGES)


class _Matcher:
    """The matching of one sentence, token by token."""

    def __init__(
        self, tree: PatternTree, tokens: Sequence[Token], labels: list[tuple[Label, ...]], sentence: str
    ) -> None:
        self.tree, self.tokens, self.labels, self.sentence = tree, tokens, labels, sentence
        self.institution = tree.institutions
        self.matches: list[Match] = []
        self._holds: dict[int, bool] = {}

    def step(self, position: int) -> int:
        """Match at a token; returns the next token to look at."""
        best = self.longest(range(position, len(self.tokens))) if self.labels[position] else None
        if best is None:
            if (
                position + 2 < len(self.tokens)
                and self.tokens[position + 1].text == "-"
                and (cut := self.cut_word(position))
            ):
                self.matches.append(Match(position, position, cut, shared=True))
            return position + 1
        words, classes = best
        if self.is_institution(words[-1]):
            return words[-1] + 1
        if len(words) == 1:
            if not self.is_surname(position):
                self.matches.append(Match(position, position, classes))
            return position + 1
        self.heads_before(words)
        self.matches.append(Match(position, words[-1], classes))
        return self.tails_after(words)

    def longest(self, positions: Sequence[int]) -> tuple[list[int], tuple[str, ...]] | None:
        """The best pattern that begins at the first of the positions: the positions of its words, and its classes."""
        best, result = (0, 0), None
        stack: list[tuple[Node, int, int, list[int]]] = [(self.tree.root, 0, 0, [])]
        while stack:
            node, step, letters, words = stack.pop()
            for _ in range(2):
                step += 0 < step < len(positions) and self.is_glue(positions[step])
            if step == len(positions):
                continue
            for label in self.labels[positions[step]]:
                following = node.next.get(label.name)
                if following is None:
                    continue
                path, score = [*words, positions[step]], letters + label.letters
                if (len(path), score) > best and (entry := self.entry_of(following)):
                    best, result = (len(path), score), (path, entry.classes)
                if following.next:
                    stack.append((following, step + 1, score, path))
        return result

    def entry_of(self, node: Node) -> Entry | None:
        """The first entry whose conditions hold."""
        for entry in node.entries:
            if id(entry) not in self._holds:
                self._holds[id(entry)] = entry.holds(self.sentence)
            if self._holds[id(entry)]:
                return entry
        return None

    def is_glue(self, position: int) -> bool:
        """A dot or hyphen directly after a word does not separate the words of a pattern."""
        return self.tokens[position].text in ".-" and self.tokens[position - 1].end == self.tokens[position].start

    def is_institution(self, position: int) -> bool:
        """The word, or the word after it, is a department or the like: "Leberambulanz", "liver clinic"."""
        last = position
        if last + 2 < len(self.tokens) and self.is_hyphen(last + 1):
            last += 2
        if self.institution.fullmatch(self.tokens[last].text):
            return True
        following = [token.text for token in self.tokens[last + 1 : last + 3]]
        if following and self.institution.fullmatch(following[0]):
            return True
        is_compound = len(following) > 1 and following[0].islower() and len(following[0]) >= _SHORTEST_NOUN
        return is_compound and bool(self.institution.fullmatch(following[1]))  # "heart failure clinic"

    def is_hyphen(self, position: int) -> bool:
        previous, token, following = self.tokens[position - 1 : position + 2]
        return token.text == "-" and previous.end == token.start and token.end == following.start

    def is_surname(self, position: int) -> bool:
        """The word follows a title (Dr. Leber, Frau Anna Leber), or ends the sentence after a first name (von Amadea Leber)."""
        if not self.tokens[position].text[0].isupper():
            return False
        nearby = [token.text for token in self.tokens[max(position - 6, 0) : position]]
        before = [word for word in nearby if word != "." and word.lower() not in _DEGREES]
        if not before:
            return False
        if before[-1] in self.tree.titles:
            return True
        if len(before) < 2 or not before[-1].istitle() or nearby[-1] == ".":
            return False
        ends = position + 1 == len(self.tokens) or not self.tokens[position + 1].text[0].isalnum()
        return before[-2] in self.tree.titles or (ends and before[-2].lower() in _BY)

    def heads_before(self, words: list[int]) -> None:
        """Words before that share the end of the match become separate matches: "upper and lower lobes"."""
        heads: list[Match] = []
        position = words[0]
        while True:
            head = position - 1
            first = max(position - _LONGEST_GAP, 0)
            while head >= first and self.tokens[head].text.lower() in _SKIPPED:
                head -= 1
            conjunction = head
            while head >= first and (self.tokens[head].text == "," or self.tokens[head].text in CONJUNCTIONS):
                head -= 1
            if head == conjunction or head < first or not self.labels[head]:
                break
            best = self.longest([head, *words[1:]])
            if best is None or best[0] != [head, *words[1:]]:
                break
            heads.insert(0, Match(head, head, best[1], shared=True))
            position = head
        if heads:
            while self.matches and self.matches[-1].last >= heads[0].first:
                self.matches.pop()
            self.matches += heads

    def tails_after(self, words: list[int]) -> int:
        """Words after the match that share its beginning: "V. cava superior und inferior"; returns the next token."""
        position = words[-1] + 1
        while True:
            tail = position
            while tail < min(len(self.tokens), position + _LONGEST_GAP) and (
                self.tokens[tail].text in ",." or self.tokens[tail].text in CONJUNCTIONS
            ):
                tail += 1
            if tail in (position, len(self.tokens), position + _LONGEST_GAP) or not self.labels[tail]:
                return position
            best = self.longest([*words[:-1], tail])
            if best is None or best[0] != [*words[:-1], tail]:
                return position
            separate = self.longest(range(tail, len(self.tokens)))
            if separate is not None and len(separate[0]) > 1:
                return position  # "Mm. iliopsoas et gluteus maximus"
            self.matches.append(Match(tail, tail, best[1]))
            position = tail + 1

    def cut_word(self, position: int) -> tuple[str, ...] | None:
        """The classes of a cut word, completed with the end of the whole word after it: "Ober- und Unterlappen"."""
        if self.tokens[position].end != self.tokens[position + 1].start:
            return None
        whole = position + 2
        if self.tokens[whole].start == self.tokens[position + 1].end and self.tokens[whole].text != ",":
            return None
        while whole < min(len(self.tokens) - 1, position + _LONGEST_GAP) and (
            self.tokens[whole].text in CONJUNCTIONS
            or self.tokens[whole].text in ",-"
            or self.tokens[whole + 1].text == "-"
            or self.tokens[whole].text[0].islower()
        ):
            whole += 1
        ending = self.tokens[whole].text.lower()
        for cut in range(1, len(ending) - 3):
            for label in self.tree.labels_of(self.tokens[position].text + ending[cut:]):
                node = self.tree.root.next.get(label.name)
                if node and (entry := self.entry_of(node)):
                    return entry.classes
        return None
