"""The side words of a sentence, its mentions and its clauses, as the assignment of sides reads them."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from refrad.anatomy.lexicon import Lexicon
from refrad.language.clauses import Clauses
from refrad.language.lexicon_matcher import Token

__all__ = ["HALF_OF_THE_BODY", "NONE", "STOP", "UNIT", "Anchor", "SidedSentence", "Sides"]

Sides = frozenset[str]

NONE: Sides = frozenset()
SIDES = {"left": frozenset({"left"}), "right": frozenset({"right"}), "both": frozenset({"left", "right"})}

# No side word before one of these belongs to the noun after it.
STOP = re.compile(
    r"der|die|das|des|dem|den|eine?[rnms]?|in|im|an|am|auf|aus|beim?|mit|ohne|nach|vo[nmr]|zu[mr]?|für|über|unter|durch"
    r"|um|bis|gegen|ist|sind|wara?e?n?|wird|werden|wurde|zeigt|zeigen|sich|es|keine?[rnms]?|sowie|als|wie|dass|aber|jedoch"
    r"|the|an?|of|on|at|by|with|without|from|to|for|within|into|and|or|is|are|was|were|has|have|no|not|there|shows?"
    r"|demonstrates|but|than|as|involving|adjacent|near|along|between|this|that",
    re.IGNORECASE,
)
UNIT = re.compile(r"mm|cm|m|ml|cc|x|×|mal|HE|HU|SUV|Grad|degrees?|%|°", re.IGNORECASE)
HALF_OF_THE_BODY = re.compile(r"(?:Körper)?(?:seite|hälfte)|Hemithorax|sides?|hemithorax", re.IGNORECASE)
_PLURAL = {
    "de": re.compile(
        r".*(?:nieren|drüsen|lungen|rippen|hüften|venen|arterien|[kc]arotiden|femora|humeri|scapulae|claviculae|knochen|muskeln"
        r"|köpfen?|blättern?|beinen?|zysten|flügeln?|abschnitten?|feldern?|spitzen|gelenken?|frakturen|metastasen)|aa|vv|mm",
        re.IGNORECASE,
    ),
    "en": re.compile(r".*(?:[^suia]s|femora|scapulae|claviculae)", re.IGNORECASE),
}


class Anchor:
    """A mention whose side is not yet known: tokens first..last (inclusive), and classes, of both sides where there are two.

    `before` and `after` are the sides that words before and after the noun give, `sides` is the result (empty: no side is
    given, so both). `span` is first and last token with adjoining side words. `of` is the organ that a finding belongs to,
    whose side it takes if it has none itself. `shared`: see `Match`.
    """

    def __init__(
        self, first: int, last: int, classes: tuple[str, ...], shared: bool = False, of: "Anchor | None" = None
    ) -> None:
        self.first, self.last, self.classes, self.shared, self.of = first, last, classes, shared, of
        self.before = self.after = self.sides = NONE
        self.span = (first, last)


@lru_cache(maxsize=8)
def _word_reader(left: re.Pattern[str], right: re.Pattern[str], both: re.Pattern[str]) -> Callable[[str], Sides]:
    """A function from a word to the sides it names, with a cache of words."""
    patterns = {"left": left, "right": right, "both": both}

    @lru_cache(maxsize=65536)
    def read(word: str) -> Sides:
        return next((SIDES[name] for name, pattern in patterns.items() if pattern.fullmatch(word)), NONE)

    return read


class SidedSentence:
    """A sentence with its side words and mentions. `position` is the number of a token.

    `taken` are the side words that a mention has.
    """

    def __init__(self, tokens: Sequence[Token], anchors: Sequence[Anchor], lexicon: Lexicon, language: str) -> None:
        words = lexicon.words[language].sides
        self.tokens, self.anchors, self.language = tokens, anchors, language
        self.adverb = words["after"]
        read = _word_reader(words["left"], words["right"], words["both"])
        self.side = [read(token.text) if token.text.isalpha() else NONE for token in tokens]
        for position, token in enumerate(tokens[:-1]):
            if token.text in "LR" and tokens[position + 1].start > token.end and tokens[position + 1].text[0].isalpha():
                self.side[position] = SIDES["left" if token.text == "L" else "right"]
        self.owner = {position: anchor for anchor in anchors for position in range(anchor.first, anchor.last + 1)}
        self._paired = {
            id(anchor)
            for anchor in anchors
            if any(lexicon.twins.get(name) in anchor.classes for name in anchor.classes)
        }
        self.taken: set[int] = set()
        self.clauses = Clauses([token.text for token in tokens], [bool(side) for side in self.side])

    def word(self, position: int) -> str:
        return self.tokens[position].text

    def is_paired(self, anchor: Anchor) -> bool:
        """Some class of the mention is there for both sides."""
        return id(anchor) in self._paired

    def sides_at(self, positions: Iterable[int]) -> Sides:
        return NONE.union(*(self.side[position] for position in positions))

    def is_plural(self, anchor: Anchor) -> bool:
        if anchor.last + 1 < len(self.tokens) and self.word(anchor.last + 1) == "-":
            return False  # the first half of a word: "Nebennieren- und Nierenmetastasen"
        return bool(_PLURAL[self.language].fullmatch(self.word(anchor.last)))

    def end_of_compound(self, anchor: Anchor) -> int:
        """The last token of the hyphenated word in which the mention ends: "Hüft-TEP"."""
        last = anchor.last
        while last + 2 < len(self.tokens) and last + 2 not in self.owner:
            noun, hyphen, following = self.tokens[last : last + 3]
            if hyphen.text != "-" or noun.end != hyphen.start or hyphen.end != following.start or self.side[last + 2]:
                break
            last += 2
        return last
