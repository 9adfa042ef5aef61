"""Left or right: which side words of a sentence belong to which mention."""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from refrad.language.lexicon_matcher import CONJUNCTIONS, Token

__all__ = ["Anchor", "distribute", "on_side", "side_of"]

Sides = frozenset[str]
SideWords = Mapping[str, re.Pattern[str]]

NONE: Sides = frozenset()
SIDES = {"left": frozenset({"left"}), "right": frozenset({"right"}), "both": frozenset({"left", "right"})}
REACH = 6  # tokens between a side word and the noun behind it

# No side word before one of these belongs to the noun behind it.
_STOP = re.compile(
    r"der|die|das|des|dem|den|eine?[rnms]?|in|im|an|am|auf|aus|beim?|mit|ohne|nach|vo[nmr]|zu[mr]?|für|über|unter|durch"
    r"|um|bis|gegen|ist|sind|wara?e?n?|wird|werden|wurde|zeigt|zeigen|sich|es|keine?[rnms]?|sowie|als|wie|dass|aber|jedoch"
    r"|the|an?|of|on|at|by|with|without|from|to|for|within|into|and|or|is|are|was|were|has|have|no|not|there|shows?"
    r"|demonstrates|but|than|as|involving|adjacent|near|along|between|this|that",
    re.IGNORECASE,
)
_ARTICLES = {"der", "die", "das", "des", "dem", "den", "the"}
# May stand between a noun and the side word behind it.
_PLACE = re.compile(
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
    """A mention while its sides are sought: tokens first..last, and classes, of both sides where there are two.

    `of`: the organ that a finding belongs to, whose side it takes if none is said of itself.
    """

    def __init__(
        self, first: int, last: int, classes: tuple[str, ...], shared: bool = False, of: "Anchor | None" = None
    ) -> None:
        self.first, self.last, self.classes, self.shared, self.of = first, last, classes, shared, of
        self.before = self.after = self.sides = NONE
        self.span = (first, last)

    @property
    def paired(self) -> bool:
        """Some class of the mention is there for both sides."""
        return any(_twin(name) in self.classes for name in self.classes)


def side_of(name: str) -> str | None:
    """The side in a class name."""
    return "left" if "_left" in name else "right" if "_right" in name else None


def on_side(classes: Iterable[str], sides: Sides) -> tuple[str, ...]:
    """`classes` without those whose twin is meant; classes without a side or without their twin stay."""
    names = tuple(classes)
    return tuple(name for name in names if not sides or side_of(name) in sides or _twin(name) not in names)


def _twin(name: str) -> str | None:
    """The class name of the other side."""
    match side_of(name):
        case "left":
            return name.replace("_left", "_right")
        case "right":
            return name.replace("_right", "_left")
        case _:
            return None


def distribute(tokens: Sequence[Token], anchors: Sequence[Anchor], words: SideWords, language: str) -> None:
    """Set `sides` (empty: not said, so both) and `span` (with adjoining side words) of all anchors, given in order."""
    _Distribution(tokens, anchors, words, _PLURAL[language]).run()


@lru_cache(maxsize=8)
def _reader(left: re.Pattern[str], right: re.Pattern[str], both: re.Pattern[str]) -> Callable[[str], Sides]:
    """A function from a word to the sides it says, which remembers the words that it has seen."""
    patterns = {"left": left, "right": right, "both": both}

    @lru_cache(maxsize=65536)
    def read(word: str) -> Sides:
        return next((SIDES[name] for name, pattern in patterns.items() if pattern.fullmatch(word)), NONE)

    return read


class _Distribution:
    """The side words of one sentence on their way to its mentions."""

    def __init__(
        self, tokens: Sequence[Token], anchors: Sequence[Anchor], words: SideWords, plural: re.Pattern[str]
    ) -> None:
        self.tokens, self.anchors, self.plural, self.adverb = tokens, anchors, plural, words["after"]
        read = _reader(words["left"], words["right"], words["both"])
        self.side = [read(token.text) if token.text.isalpha() else NONE for token in tokens]
        for place, token in enumerate(tokens[:-1]):
            if token.text in "LR" and tokens[place + 1].start > token.end and tokens[place + 1].text[0].isalpha():
                self.side[place] = SIDES["left" if token.text == "L" else "right"]
        self.owned = {place for anchor in anchors for place in range(anchor.first, anchor.last + 1)}
        self.taken: set[int] = set()

    def run(self) -> None:
        if not any(self.side):
            return
        for anchor in self.anchors:
            if anchor.paired:
                self.look_inside(anchor)
                self.look_before(anchor)
                self.look_after(anchor)
                anchor.sides = anchor.before or anchor.after
        self.share_in_lists()
        free = [place for place, side in enumerate(self.side) if side and place not in self.taken | self.owned]
        for place in free:
            self.add_second_side(place)
        for anchor in self.anchors:
            if anchor.paired and not anchor.sides:
                anchor.sides = self.from_afar(anchor, free)

    def word(self, place: int) -> str:
        return self.tokens[place].text

    def all_sides(self, places: Iterable[int]) -> Sides:
        return NONE.union(*(self.side[place] for place in places))

    def look_inside(self, anchor: Anchor) -> None:
        """Side words between the words of the mention: "4th left rib"."""
        inside = [place for place in range(anchor.first, anchor.last + 1) if self.side[place]]
        anchor.before = self.all_sides(inside)
        self.taken.update(inside)

    def look_before(self, anchor: Anchor) -> None:
        """Side words among the adjectives before the noun: "rechte, vergrößerte Niere", "right and left kidneys"."""
        adjoining = True
        for place in range(anchor.first - 1, max(anchor.first - 1 - REACH, -1), -1):
            text = self.word(place)
            if place in self.owned:
                return
            if self.side[place]:
                if self.word(place + 1) == "," and self.adverb.fullmatch(text):
                    return  # "Nephrektomie links, Restniere rechts"
                anchor.before |= self.side[place]
                self.taken.add(place)
                if adjoining:
                    anchor.span = (place, anchor.span[1])
            elif text.lower() in CONJUNCTIONS:
                behind = place + 2 if self.word(place + 1).lower() in _ARTICLES else place + 1
                if behind >= anchor.first or not self.side[behind]:
                    return
                adjoining = adjoining and place > 0 and bool(self.side[place - 1])
            elif anchor.before and text.lower() in _ARTICLES and self.word(place - 1).lower() in CONJUNCTIONS:
                adjoining = False  # "die rechte und die linke Niere"
            elif text in ".-" or (text == "," and place > 0 and self.is_adjective(place - 1)):
                adjoining = adjoining and text == "."
            elif not self.is_adjective(place) and place > 0 and not text[0].isdigit() and not text.isupper():
                return
            else:
                adjoining = False

    def is_adjective(self, place: int) -> bool:
        """Neither a German noun (capital) nor a word that ends the noun phrase."""
        text = self.word(place)
        return text[0].isalpha() and text[0].islower() and not _STOP.fullmatch(text)

    def look_after(self, anchor: Anchor) -> None:
        """Side words right behind the noun: "Niere re", "Nieren bds.", "ribs on the left"."""
        found: list[int] = []
        place = anchor.last + 1
        while place < min(len(self.tokens), anchor.last + 5) and place not in self.owned:
            text = self.word(place)
            if self.side[place] and self.adverb.fullmatch(text):
                found.append(place)
            elif found and (text.lower() in CONJUNCTIONS or text in ".,<>"):
                pass
            elif found or not (text in ".(" or text[0].isdigit() or _PLACE.fullmatch(text)):
                break
            place += 1
        if not found or self.belongs_behind(found):
            return
        anchor.after = self.all_sides(found)
        self.taken.update(found)
        if found[0] == anchor.last + 1:
            row = itertools.takewhile(
                lambda pair: pair[0] == pair[1], zip(found, itertools.count(found[0]), strict=False)
            )
            anchor.span = (anchor.span[0], max(place for place, _ in row))

    def belongs_behind(self, found: list[int]) -> bool:
        """The side word stands before a noun of its own: "kidney, left adrenal", "Milz, li. Niere"."""
        behind = found[-1] + 1
        while behind < len(self.tokens) and self.word(behind) == ".":
            behind += 1
        if behind == len(self.tokens) or not self.word(behind)[0].isalpha():
            return False
        text = self.word(found[-1]).lower()
        if text in ("left", "right"):
            return not _STOP.fullmatch(self.word(behind)) and self.word(found[-1] - 1).lower() != "the"
        return behind in self.owned and len(found) == 1 and text in ("li", "re")

    def share_in_lists(self) -> None:
        """One side for a whole list: "linke Niere und Nebenniere", "Niere und Nebenniere links"."""
        for one, other in itertools.pairwise(self.anchors):
            follows = one.before and not other.sides and self.is_list(one, other)
            if follows and (one.shared or other.shared or not self.is_plural(other)):
                other.before = other.sides = one.before
        for other, one in itertools.pairwise(reversed(self.anchors)):
            if (
                other.after
                and not other.before
                and self.is_list(one, other)
                and not one.sides
                and not self.is_plural(one)
            ):
                one.after = one.sides = other.after

    def is_list(self, one: Anchor, other: Anchor) -> bool:
        between = self.tokens[one.span[1] + 1 : other.span[0]]
        paired = (one.paired or one.shared) and (other.paired or other.shared)
        return paired and all(_BETWEEN.fullmatch(token.text.lower()) for token in between)

    def add_second_side(self, place: int) -> None:
        """A side word with no noun of its own belongs to the organ before: "Niere rechts 10 cm, links 11 cm", "linke Niere klein, rechte groß"."""
        end = next((p for p in range(place + 1, len(self.tokens)) if self.word(p) in ",;"), len(self.tokens))
        has_noun = any(p in self.owned or self.word(p)[0].isupper() for p in range(place + 1, end))
        if place == 0 or has_noun:
            return
        if self.word(place - 1) in ",;" or self.word(place - 1).lower() in CONJUNCTIONS:
            for anchor in reversed(self.anchors):
                if anchor.paired and (anchor.after or anchor.before) and anchor.last < place:
                    anchor.sides |= self.side[place]
                    return

    def from_afar(self, anchor: Anchor, free: list[int]) -> Sides:
        """The side said elsewhere: for this half of the body, of the same organ, or in the same clause."""
        for place in reversed(free):
            behind = self.tokens[place + 1 : place + 3]
            if place < anchor.first and any(_HALF_OF_THE_BODY.fullmatch(token.text) for token in behind):
                return self.side[place]
        for one in self.anchors:  # "Rechte Hüfte: Femurkopf entrundet"
            colon = one.span[1] + 1
            if one.sides and colon < anchor.first and self.word(colon) == ":":
                return one.sides
        clause = self.clause_of(anchor)
        inside = [place for place in free if place in clause]
        if self.is_plural(anchor):
            # "Linksseitig mehrere Rippenfrakturen", but not "Nieren normal, Pleuraerguss links".
            return self.all_sides(p for p in inside if p < anchor.first and self.word(p)[0].isupper())
        same = {one.sides for one in self.anchors if one.sides and set(one.classes) & set(anchor.classes)}
        if len(same) == 1:
            return next(iter(same))
        if inside:
            return self.all_sides(inside)
        if "lung_left" in anchor.classes:  # "Lunge" means both lungs more often than not
            return NONE
        beside = {one.sides for one in self.anchors if one.sides and one.first in clause}
        if len(beside) == 1:
            return next(iter(beside))
        everywhere = {self.side[place] for place in free}
        return next(iter(everywhere)) if len(everywhere) == 1 else NONE

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
