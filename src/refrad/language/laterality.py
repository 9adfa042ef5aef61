"""Left or right: the side words of a sentence, assigned to its mentions."""

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from refrad.anatomy.lexicon import Lexicon
from refrad.language.lexicon_matcher import CONJUNCTIONS, Token

__all__ = ["LEFT_LUNG", "Anchor", "assign_sides", "keep_sides"]

Sides = frozenset[str]

LEFT_LUNG = "lung_left"  # a lung without a side means both lungs more often than not
NONE: Sides = frozenset()
SIDES = {"left": frozenset({"left"}), "right": frozenset({"right"}), "both": frozenset({"left", "right"})}
MAX_DISTANCE = 6  # tokens between a side word and the noun after it

# No side word before one of these belongs to the noun after it.
_STOP = re.compile(
    r"der|die|das|des|dem|den|eine?[rnms]?|in|im|an|am|auf|aus|beim?|mit|ohne|nach|vo[nmr]|zu[mr]?|für|über|unter|durch"
    r"|um|bis|gegen|ist|sind|wara?e?n?|wird|werden|wurde|zeigt|zeigen|sich|es|keine?[rnms]?|sowie|als|wie|dass|aber|jedoch"
    r"|the|an?|of|on|at|by|with|without|from|to|for|within|into|and|or|is|are|was|were|has|have|no|not|there|shows?"
    r"|demonstrates|but|than|as|involving|adjacent|near|along|between|this|that",
    re.IGNORECASE,
)
_ARTICLES = {"der", "die", "das", "des", "dem", "den", "the"}
# Words that may come between a noun and the side word after it.
_POSITION = re.compile(
    r"ventral|dorsal|lateral(?:ly)?|medial|basal|apikal|kaudal|kranial|zentral|peripher|proximal|distal|(?:dorso|ventro)lateral"
    r"|posterior|anterior|superior|inferior|jeweils|on|the",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[,.\-]|der|die|das|des|den|the|" + "|".join(re.escape(word) for word in CONJUNCTIONS))
_HALF_OF_THE_BODY = re.compile(r"(?:Körper)?(?:seite|hälfte)|Hemithorax|side|hemithorax", re.IGNORECASE)
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


def keep_sides(classes: Iterable[str], sides: Sides, lexicon: Lexicon) -> tuple[str, ...]:
    """`classes` without those of a side that is not meant; classes without a side or without their twin stay."""
    names = tuple(classes)
    return tuple(
        name for name in names if not sides or lexicon.sides.get(name) in sides or lexicon.twins.get(name) not in names
    )


def assign_sides(tokens: Sequence[Token], anchors: Sequence[Anchor], lexicon: Lexicon, language: str) -> None:
    """Set `sides` and `span` of all anchors of a sentence, given in its order."""
    _Assigner(tokens, anchors, lexicon, language).run()


@lru_cache(maxsize=8)
def _word_reader(left: re.Pattern[str], right: re.Pattern[str], both: re.Pattern[str]) -> Callable[[str], Sides]:
    """A function from a word to the sides it names, with a cache of words."""
    patterns = {"left": left, "right": right, "both": both}

    @lru_cache(maxsize=65536)
    def read(word: str) -> Sides:
        return next((SIDES[name] for name, pattern in patterns.items() if pattern.fullmatch(word)), NONE)

    return read


class _Assigner:
    """Assigns the side words of one sentence to its mentions. `position` is the number of a token."""

    def __init__(self, tokens: Sequence[Token], anchors: Sequence[Anchor], lexicon: Lexicon, language: str) -> None:
        words = lexicon.words[language].sides
        self.tokens, self.anchors, self.lexicon = tokens, anchors, lexicon
        self.plural, self.adverb = _PLURAL[language], words["after"]
        read = _word_reader(words["left"], words["right"], words["both"])
        self.side = [read(token.text) if token.text.isalpha() else NONE for token in tokens]
        for position, token in enumerate(tokens[:-1]):
            if token.text in "LR" and tokens[position + 1].start > token.end and tokens[position + 1].text[0].isalpha():
                self.side[position] = SIDES["left" if token.text == "L" else "right"]
        self.owned = {position for anchor in anchors for position in range(anchor.first, anchor.last + 1)}
        self.taken: set[int] = set()

    def run(self) -> None:
        """Adjoining side words first, then lists, then side words without a noun, then those farther away."""
        if not any(self.side):
            return
        for anchor in self.anchors:
            if self.is_paired(anchor):
                self.look_inside(anchor)
                self.look_before(anchor)
                self.look_after(anchor)
                anchor.sides = anchor.before or anchor.after
        self.share_in_lists()
        free = [position for position, side in enumerate(self.side) if side and position not in self.taken | self.owned]
        for position in free:
            self.add_second_side(position)
        for anchor in self.anchors:
            if self.is_paired(anchor) and not anchor.sides:
                anchor.sides = self.distant_sides(anchor, free)

    def word(self, position: int) -> str:
        return self.tokens[position].text

    def is_paired(self, anchor: Anchor) -> bool:
        """Some class of the mention is there for both sides."""
        return any(self.lexicon.twins.get(name) in anchor.classes for name in anchor.classes)

    def sides_at(self, positions: Iterable[int]) -> Sides:
        return NONE.union(*(self.side[position] for position in positions))

    def look_inside(self, anchor: Anchor) -> None:
        """Side words between the words of the mention: "4th left rib"."""
        inside = [position for position in range(anchor.first, anchor.last + 1) if self.side[position]]
        anchor.before = self.sides_at(inside)
        self.taken.update(inside)

    def look_before(self, anchor: Anchor) -> None:
        """Side words among the adjectives before the noun: "rechte, vergrößerte Niere", "right and left kidneys"."""
        adjoining = True
        for position in range(anchor.first - 1, max(anchor.first - 1 - MAX_DISTANCE, -1), -1):
            word = self.word(position)
            if position in self.owned:
                return
            if self.side[position]:
                if self.word(position + 1) == "," and self.adverb.fullmatch(word):
                    return  # "Nephrektomie links, Restniere rechts"
                anchor.before |= self.side[position]
                self.taken.add(position)
                if adjoining:
                    anchor.span = (position, anchor.span[1])
            elif word.lower() in CONJUNCTIONS:
                following = position + 2 if self.word(position + 1).lower() in _ARTICLES else position + 1
                if following >= anchor.first or not self.side[following]:
                    return
                adjoining = adjoining and position > 0 and bool(self.side[position - 1])
            elif anchor.before and word.lower() in _ARTICLES and self.word(position - 1).lower() in CONJUNCTIONS:
                adjoining = False  # "die rechte und die linke Niere"
            elif word in ".-" or (word == "," and position > 0 and self.is_adjective(position - 1)):
                adjoining = adjoining and word == "."
            elif not self.is_adjective(position) and position > 0 and not word[0].isdigit() and not word.isupper():
                return
            else:
                adjoining = False

    def is_adjective(self, position: int) -> bool:
        """Neither a German noun (capital) nor a word that ends the noun phrase."""
        word = self.word(position)
        return word[0].isalpha() and word[0].islower() and not _STOP.fullmatch(word)

    def look_after(self, anchor: Anchor) -> None:
        """Side words directly after the noun: "Niere re", "Nieren bds.", "ribs on the left"."""
        positions: list[int] = []
        position = anchor.last + 1
        while position < min(len(self.tokens), anchor.last + 5) and position not in self.owned:
            word = self.word(position)
            if self.side[position] and self.adverb.fullmatch(word):
                positions.append(position)
            elif positions and (word.lower() in CONJUNCTIONS or word in ".,<>"):
                pass
            elif positions or not (word in ".(" or word[0].isdigit() or _POSITION.fullmatch(word)):
                break
            position += 1
        if not positions or self.belongs_to_next(positions):
            return
        anchor.after = self.sides_at(positions)
        self.taken.update(positions)
        if positions[0] == anchor.last + 1:
            row = itertools.takewhile(
                lambda pair: pair[0] == pair[1], zip(positions, itertools.count(positions[0]), strict=False)
            )
            anchor.span = (anchor.span[0], max(position for position, _ in row))

    def belongs_to_next(self, positions: list[int]) -> bool:
        """The side word precedes another noun: "kidney, left adrenal", "Milz, li. Niere"."""
        following = positions[-1] + 1
        while following < len(self.tokens) and self.word(following) == ".":
            following += 1
        if following == len(self.tokens) or not self.word(following)[0].isalpha():
            return False
        word = self.word(positions[-1]).lower()
        if word in ("left", "right"):
            return not _STOP.fullmatch(self.word(following)) and self.word(positions[-1] - 1).lower() != "the"
        return following in self.owned and len(positions) == 1 and word in ("li", "re")

    def share_in_lists(self) -> None:
        """One side for a whole list: "linke Niere und Nebenniere", "Niere und Nebenniere links"."""
        for earlier, later in itertools.pairwise(self.anchors):
            follows = earlier.before and not later.sides and self.is_list(earlier, later)
            if follows and (earlier.shared or later.shared or not self.is_plural(later)):
                later.before = later.sides = earlier.before
        for later, earlier in itertools.pairwise(reversed(self.anchors)):
            if (
                later.after
                and not later.before
                and self.is_list(earlier, later)
                and not earlier.sides
                and not self.is_plural(earlier)
            ):
                earlier.after = earlier.sides = later.after

    def is_list(self, earlier: Anchor, later: Anchor) -> bool:
        between = self.tokens[earlier.span[1] + 1 : later.span[0]]
        paired = (self.is_paired(earlier) or earlier.shared) and (self.is_paired(later) or later.shared)
        return paired and all(_BETWEEN.fullmatch(token.text.lower()) for token in between)

    def add_second_side(self, position: int) -> None:
        """A side word without a noun belongs to the organ before: "Niere rechts 10 cm, links 11 cm", "linke Niere klein, rechte groß"."""
        following = range(position + 1, len(self.tokens))
        end = next((after for after in following if self.word(after) in ",;"), len(self.tokens))
        has_noun = any(after in self.owned or self.word(after)[0].isupper() for after in range(position + 1, end))
        if position == 0 or has_noun:
            return
        if self.word(position - 1) in ",;" or self.word(position - 1).lower() in CONJUNCTIONS:
            for anchor in reversed(self.anchors):
                if self.is_paired(anchor) and (anchor.after or anchor.before) and anchor.last < position:
                    anchor.sides |= self.side[position]
                    return

    def distant_sides(self, anchor: Anchor, free: list[int]) -> Sides:
        """The side given elsewhere: for this half of the body, for the same organ, or in the same clause."""
        for position in reversed(free):
            following = self.tokens[position + 1 : position + 3]
            if position < anchor.first and any(_HALF_OF_THE_BODY.fullmatch(token.text) for token in following):
                return self.side[position]
        for neighbour in self.anchors:  # "Rechte Hüfte: Femurkopf entrundet"
            colon = neighbour.span[1] + 1
            if neighbour.sides and colon < anchor.first and self.word(colon) == ":":
                return neighbour.sides
        clause = self.clause_of(anchor)
        inside = [position for position in free if position in clause]
        if self.is_plural(anchor):
            # "Linksseitig mehrere Rippenfrakturen", but not "Nieren normal, Pleuraerguss links".
            return self.sides_at(
                position for position in inside if position < anchor.first and self.word(position)[0].isupper()
            )
        sided = [neighbour for neighbour in self.anchors if neighbour.sides]
        of_organ = {neighbour.sides for neighbour in sided if set(neighbour.classes) & set(anchor.classes)}
        if len(of_organ) == 1:
            return next(iter(of_organ))
        if inside:
            return self.sides_at(inside)
        if LEFT_LUNG in anchor.classes:
            return NONE
        in_clause = {neighbour.sides for neighbour in sided if neighbour.first in clause}
        if len(in_clause) == 1:
            return next(iter(in_clause))
        in_sentence = {self.side[position] for position in free}
        return next(iter(in_sentence)) if len(in_sentence) == 1 else NONE

    def clause_of(self, anchor: Anchor) -> range:
        first, last = anchor.first, anchor.last
        while first > 0 and self.word(first - 1) not in ",;:":
            first -= 1
        while last + 1 < len(self.tokens) and self.word(last + 1) not in ",;:":
            last += 1
        return range(first, last + 1)

    def is_plural(self, anchor: Anchor) -> bool:
        if anchor.last + 1 < len(self.tokens) and self.word(anchor.last + 1) == "-":
            return False  # the first half of a word: "Nebennieren- und Nierenmetastasen"
        return bool(self.plural.fullmatch(self.word(anchor.last)))
