"""Left or right: the side words of a sentence, assigned to its mentions."""

import itertools
import re
from collections.abc import Iterable, Sequence

from refrad.anatomy.lexicon import Lexicon
from refrad.language.distant_sides import assign_distant_sides
from refrad.language.lexicon_matcher import CONJUNCTIONS, Token
from refrad.language.side_words import HALF_OF_THE_BODY, STOP, UNIT, Anchor, SidedSentence, Sides

__all__ = ["Anchor", "assign_sides", "keep_sides"]

MAX_BEFORE = 6  # tokens between a side word and the noun after it
MAX_AFTER = 9  # tokens between a noun and the side word after it
_ARTICLES = {"der", "die", "das", "des", "dem", "den", "the"}
# Words that may come between a noun and the side word after it.
_POSITION = re.compile(
    r"ventral|dorsal|lateral(?:ly)?|medial|basal|apikal|kaudal|kranial|zentral|peripher|proximal|distal|(?:dorso|ventro)lateral"
    r"|posterior|anterior|superior|inferior|jeweils|on|the|bis|ca|von|zu|max|maximal",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[,.\-]|der|die|das|des|den|the|" + "|".join(re.escape(word) for word in CONJUNCTIONS))
_WITH = {"mit", "ohne", "with", "without"}
_OF = re.compile(r"of|the|der|des|in|im|an|am|vo[nm]")


def keep_sides(classes: Iterable[str], sides: Sides, lexicon: Lexicon) -> tuple[str, ...]:
    """`classes` without those of a side that is not meant; classes without a side or without their twin stay."""
    names = tuple(classes)
    return tuple(
        name for name in names if not sides or lexicon.sides.get(name) in sides or lexicon.twins.get(name) not in names
    )


def assign_sides(tokens: Sequence[Token], anchors: Sequence[Anchor], lexicon: Lexicon, language: str) -> None:
    """Set `sides` and `span` of all anchors of a sentence, given in its order."""
    _Assigner(tokens, anchors, lexicon, language).run()


class _Assigner(SidedSentence):
    """Assigns the side words of one sentence to its mentions."""

    def run(self) -> None:
        """Adjoining side words first, then lists, then side words without a noun, then those farther away."""
        if not any(self.side):
            return
        for anchor in self.anchors:
            if self.is_paired(anchor):
                self.look_inside(anchor)
                if not anchor.before:
                    self.look_before(anchor)
                if not anchor.before:
                    self.look_after(anchor)
                anchor.sides = anchor.before or anchor.after
        self.take_from_whole()
        self.share_in_lists()
        free = [
            position
            for position, side in enumerate(self.side)
            if side and position not in self.taken and position not in self.owner
        ]
        assign_distant_sides(self, free)

    def look_inside(self, anchor: Anchor) -> None:
        """Side words between the words of the mention: "4th left rib"."""
        inside = [position for position in range(anchor.first, anchor.last + 1) if self.side[position]]
        anchor.before = self.sides_at(inside)
        self.taken.update(inside)

    def look_before(self, anchor: Anchor) -> None:
        """Side words among the adjectives before the noun: "rechte, vergrößerte Niere", "right and left kidneys"."""
        adjoining, measured = True, False
        for position in range(anchor.first - 1, max(anchor.first - 1 - MAX_BEFORE, -1), -1):
            word = self.word(position)
            if position in self.owner or position in self.taken:
                return
            if self.side[position]:
                if not self.may_precede(anchor, position, measured=measured):
                    return
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
            elif word == ",":
                if anchor.before or not self.continues_phrase(position):
                    return
                adjoining = False
            elif word in ".-" and not self.clauses.is_border(position):
                adjoining = adjoining and word == "."
            elif word[0].isdigit() or UNIT.fullmatch(word):
                if anchor.before:
                    return
                adjoining, measured = False, True
            elif not self.is_adjective(position) and position > 0 and not word.isupper():
                return
            else:
                adjoining = False

    def may_precede(self, anchor: Anchor, position: int, *, measured: bool) -> bool:
        """The side word may be an attribute of the noun after it.

        A German adverb or "on the left" is one only if it opens its clause: "rechts 5 mm Nierenstein".
        """
        following = self.word(position + 1)
        is_adverb = bool(self.adverb.fullmatch(self.word(position)))
        if anchor.before:
            coordinated = following.lower() in CONJUNCTIONS or following.lower() in "-,"
            after = next((at for at in range(position + 1, anchor.first) if self.side[at]), position)
            alike = is_adverb == bool(self.adverb.fullmatch(self.word(after)))
            return coordinated and alike and not self.is_on_the(position)
        if following == "," and is_adverb:
            return False  # "Nephrektomie links, Restniere rechts"
        if self.language == "en":
            return not self.is_on_the(position) or self.clauses.opens(position)
        return not (measured and is_adverb) or self.clauses.opens(position)

    def is_on_the(self, position: int) -> bool:
        """The side word stands after "on the" or "to the", so it is no attribute of a noun."""
        before = [self.word(at).lower() for at in range(max(position - 2, 0), position)]
        return before[-1:] == ["on"] or (len(before) == 2 and before[0] in ("on", "to") and before[1] == "the")

    def continues_phrase(self, comma: int) -> bool:
        """The comma is between adjectives: "rechte, vergrößerte Niere", not "rechts intakt, vergrößerte Niere"."""
        if comma == 0:
            return False
        if self.language == "en":
            return bool(self.side[comma - 1]) and not self.is_on_the(comma - 1)
        adjective = self.side[comma - 1] or self.is_adjective(comma - 1)
        return bool(adjective) and self.word(comma - 1).endswith(("e", "er", "en", "es", "em"))

    def is_adjective(self, position: int) -> bool:
        """Neither a German noun (capital), nor a unit, nor a word that ends the noun phrase."""
        word = self.word(position)
        return word[0].isalpha() and word[0].islower() and not STOP.fullmatch(word) and not UNIT.fullmatch(word)

    def look_after(self, anchor: Anchor) -> None:
        """Side words after the noun: "Niere re", "Nieren-Tumor bds.", "ribs on the left", "renal stone 5 mm left"."""
        positions: list[int] = []
        start = self.end_of_compound(anchor) + 1
        for position in range(start, min(len(self.tokens), start + MAX_AFTER)):
            word = self.word(position)
            if not positions and (
                self.is_apposition(position) or (anchor.shared and position == start and word == "-")
            ):
                continue  # "Nierenstein, links"; "Ober- (links) und Mittellappen"
            if position in self.owner or self.clauses.is_border(position):
                break
            if self.side[position] and self.adverb.fullmatch(word):
                positions.append(position)
            elif positions:
                if word.lower() not in CONJUNCTIONS and word.lower() not in (".", "<", ">", "on", "the"):
                    break
            elif self.side[position] or not self.may_stand_between(position):
                break
        while positions and self.belongs_to_next(positions[-1]):
            positions.pop()
        if not positions:
            return
        anchor.after = self.sides_at(positions)
        self.taken.update(positions)
        if positions[0] == anchor.last + 1:
            row = itertools.takewhile(
                lambda pair: pair[0] == pair[1], zip(positions, itertools.count(positions[0]), strict=False)
            )
            anchor.span = (anchor.span[0], max(position for position, _ in row))

    def is_apposition(self, comma: int) -> bool:
        """A side stands alone after the comma: "Nierenstein, links, 5 mm", not "Niere, links Nebenniere"."""
        if self.word(comma) != "," or comma + 1 == len(self.tokens):
            return False
        behind = comma + 2
        if [token.text for token in self.tokens[behind : behind + 2]] == ["-", "sided"]:
            behind += 2
        following = self.word(behind) if behind < len(self.tokens) else "."
        is_alone = following in ".,;)" or following.lower() in CONJUNCTIONS
        return bool(self.side[comma + 1]) and bool(self.adverb.fullmatch(self.word(comma + 1))) and is_alone

    def may_stand_between(self, position: int) -> bool:
        """The token may come between a noun and its side word; in English the finding, too: "renal stone on the left"."""
        word = self.word(position)
        if word == "of" and position + 1 < len(self.tokens) and self.word(position + 1)[0].isdigit():
            return True
        if word in ".()" or word[0].isdigit() or UNIT.fullmatch(word) or _POSITION.fullmatch(word):
            return True
        return self.language == "en" and (word == "-" or self.is_adjective(position))

    def belongs_to_next(self, position: int) -> bool:
        """The side word precedes another noun: "kidney and left adrenal", "Milz li. Niere"."""
        if self.begins_statement(position):
            return True
        following = position + 1
        if [token.text for token in self.tokens[following : following + 2]] == ["-", "sided"]:
            following += 2
        while following < len(self.tokens) and self.word(following) == "." and not self.clauses.is_border(following):
            following += 1
        if following == len(self.tokens) or not self.word(following)[0].isalpha():
            return following < len(self.tokens) and self.language == "en" and self.word(following) == "-"
        word, noun = self.word(position).lower(), self.word(following)
        if self.language == "en":
            is_noun = not (STOP.fullmatch(noun) or _POSITION.fullmatch(noun) or HALF_OF_THE_BODY.fullmatch(noun))
            return is_noun and not noun.endswith("ly") and self.word(position - 1).lower() != "the"
        if following not in self.owner or word not in ("li", "re"):
            return False
        after = self.end_of_compound(self.owner[following]) + 1
        return after == len(self.tokens) or not self.side[after]

    def begins_statement(self, position: int) -> bool:
        """The side word after a conjunction begins a statement of another noun: "Nierenstein links und rechts Nierentumor"."""
        first = position
        while first > 0 and self.word(first - 1).lower() in ("on", "the"):
            first -= 1
        if first == 0 or self.word(first - 1).lower() not in CONJUNCTIONS:
            return False
        following = position + 1
        while following < len(self.tokens) and self.word(following) == ".":
            following += 1
        texts = [token.text.lower() for token in self.tokens[following : following + 2]]
        if texts[:1] == [":"] or texts == [",", "there"]:
            return True
        if texts[:1] and texts[0] in _WITH:
            return False
        for at in range(following, min(following + MAX_AFTER, len(self.tokens))):
            if at in self.owner:
                return True
            if self.clauses.is_border(at):
                return False
        return False

    def take_from_whole(self) -> None:
        """A part has the side of the whole after it: "upper lobe of the left lung"."""
        for part, whole in itertools.pairwise(self.anchors):
            between = self.tokens[self.end_of_compound(part) + 1 : whole.span[0]][:4]
            is_part = bool(between) and all(_OF.fullmatch(token.text.lower()) for token in between)
            if is_part and self.is_paired(part) and not part.sides:
                part.sides = whole.sides

    def share_in_lists(self) -> None:
        """One side for a whole list: "linke Niere und Nebenniere", "Niere und Nebenniere links"."""
        for earlier, later in itertools.pairwise(self.anchors):
            follows = earlier.before and not later.sides and self.is_list(earlier, later)
            if (
                follows
                and not self.has_side_after(later)
                and (earlier.shared or later.shared or not self.is_plural(later))
            ):
                later.before = later.sides = earlier.before
        for later, earlier in itertools.pairwise(reversed(self.anchors)):
            if (
                later.after
                and not later.before
                and not self.has_side_before(earlier)
                and self.is_list(earlier, later)
                and not earlier.sides
                and not self.is_plural(earlier)
            ):
                earlier.after = earlier.sides = later.after

    def is_list(self, earlier: Anchor, later: Anchor) -> bool:
        between = self.tokens[earlier.span[1] + 1 : later.span[0]][: MAX_BEFORE + 1]
        paired = (self.is_paired(earlier) or earlier.shared) and (self.is_paired(later) or later.shared)
        if not paired or len(between) > MAX_BEFORE:
            return False
        first = earlier.span[1] + 1
        return all(
            (
                _BETWEEN.fullmatch(token.text.lower())
                or token.text in "()"
                or token.text[0].isdigit()
                or UNIT.fullmatch(token.text)
            )
            and (token.text != "." or not self.clauses.is_border(position))
            for position, token in enumerate(between, start=first)
        )

    def has_side_after(self, anchor: Anchor) -> bool:
        """A side word that no mention has taken stands after the mention in its clause."""
        for position in range(anchor.last + 1, min(anchor.last + 1 + MAX_AFTER, len(self.tokens))):
            if position in self.owner or self.clauses.is_border(position):
                return False
            if self.side[position]:
                return position not in self.taken and bool(self.adverb.fullmatch(self.word(position)))
        return False

    def has_side_before(self, anchor: Anchor) -> bool:
        """A side word that no mention has taken stands before the mention: "Rechts zeigt sich ein Nierenstein"."""
        for position in range(anchor.first - 1, max(anchor.first - 1 - MAX_AFTER, -1), -1):
            if position in self.owner:
                return False
            if self.side[position]:
                return position not in self.taken
        return False
