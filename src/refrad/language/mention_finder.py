"""Anatomical mentions of a sentence, found with the lexicon: verbatim spans, their classes and their assertion."""

import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from refrad.anatomy.lexicon import Lexicon
from refrad.language.assertions import assert_spans
from refrad.language.laterality import Anchor, assign_sides, keep_sides
from refrad.language.levels import find_levels
from refrad.language.lexicon_matcher import Token, find_matches, tokenize
from refrad.language.ribs import LAST_RIB, RIBS, find_ribs, is_single_rib
from refrad.language.rule_classes import CYSTS, KIDNEYS

__all__ = ["TextMention", "find_mentions"]

_CYST = re.compile(r"(?:Rinden|Parenchym|Kortikalis)?(?:zysten?|zystchen)|cysts?", re.IGNORECASE)
_TO_KIDNEY = re.compile(
    r"in|im|an|am|der|des|den|beide[nr]?|und|of|the|both|and|at|on|(?:ober|unter)en|upper|lower|mid|pole?|(?:link|recht|left|right)\w*",
    re.IGNORECASE,
)
_LONGEST_WAY = 9  # tokens from a cyst to its kidney, or between two organs of a list
_LISTED = re.compile(r"und|sowie|and|&", re.IGNORECASE)
_AFTER_LIST = re.compile(
    r"[^\w\s]|\d.*|bis|von|mit|ohne|bds|with|without|up|measuring|(?:link|recht|left|right|beid|bilat)\w*",
    re.IGNORECASE,
)
# What may follow a mention and then belongs to its span: "adrenal glands", "aortic arch".
_PART = re.compile(
    r"apex|apices|arch|base|body|bones?|bulbs?|column|condyles?|fossa|glands?|heads?|hilum|isthmus|lobes?|lumen|muscles?|neck"
    r"|parenchyma|poles?|process|root|sac|segments?|shaft|silhouette|stem|tail|tip|trunk|walls?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TextMention:
    """A verbatim span `sentence[start:end] == text` (code points), the classes it names and how it is asserted."""

    start: int
    end: int
    text: str
    classes: tuple[str, ...]
    assertion: str


def find_mentions(sentence: str, language: str, lexicon: Lexicon) -> list[TextMention]:
    """All mentions of a sentence ("de" or "en") in their order; spans do not overlap.

    A paired organ without a side gives both sides. Adjoining side words and all of a hyphenated word belong to the span.
    """
    tokens = tokenize(sentence)
    anchors = _anchors(tokens, sentence, language, lexicon)
    if not anchors:
        return []
    assign_sides(tokens, anchors, lexicon, language)
    for anchor in anchors:
        if anchor.of and not anchor.sides:
            anchor.sides = anchor.of.sides
    _restrict_ribs(anchors, lexicon)
    classes = [keep_sides(anchor.classes, anchor.sides, lexicon) for anchor in anchors]
    spans = _spans(tokens, anchors)
    triggers = lexicon.words[language].assertions
    assertions = assert_spans(sentence, spans, triggers)
    absent = {
        name
        for names, (start, end), assertion in zip(classes, spans, assertions, strict=True)
        if assertion == "absent" and not triggers["part_removal"].search(sentence[start:end])
        for name in names
    }
    mentions = [
        TextMention(start, end, sentence[start:end], names, "absent" if absent.issuperset(names) else assertion)
        for names, (start, end), assertion in zip(classes, spans, assertions, strict=True)
    ]
    return [mention for mention in mentions if _is_known(mention, sentence)]


def _anchors(tokens: Sequence[Token], sentence: str, language: str, lexicon: Lexicon) -> list[Anchor]:
    """Numbered ribs and levels, matches of the lexicon between them, and cysts of the kidneys, in order."""
    anchors = []
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    ribs = find_ribs(sentence)
    rib_ends = [numbered.end for numbered in ribs]
    levels = [  # not "C4-C9" after "Rippen"
        level
        for level in find_levels(sentence, language)
        if (index := bisect_right(rib_ends, level.start)) == len(ribs) or ribs[index].start >= level.end
    ]
    for numbered in ribs + levels:
        # Classes that the schema lacks give no anchor, so that the lexicon may match the words instead.
        if classes := _defined(numbered.classes, lexicon):
            anchors.append(Anchor(bisect_right(ends, numbered.start), bisect_left(starts, numbered.end) - 1, classes))
    used = _positions_of(anchors)
    for match in find_matches(tokens, sentence, lexicon, language):
        if used.isdisjoint(range(match.first, match.last + 1)):
            anchors.append(Anchor(match.first, match.last, match.classes, match.shared))
    anchors.sort(key=lambda anchor: anchor.first)
    if any(set(KIDNEYS) & set(anchor.classes) for anchor in anchors):
        cyst_classes = _defined(CYSTS, lexicon)
        anchors = sorted([*anchors, *_cysts(tokens, anchors, cyst_classes)], key=lambda anchor: anchor.first)
    return anchors


def _defined(names: Sequence[str], lexicon: Lexicon) -> tuple[str, ...]:
    return tuple(name for name in names if lexicon.defines(name))


def _positions_of(anchors: Sequence[Anchor]) -> set[int]:
    return {position for anchor in anchors for position in range(anchor.first, anchor.last + 1)}


def _cysts(tokens: Sequence[Token], anchors: Sequence[Anchor], classes: tuple[str, ...]) -> list[Anchor]:
    """Cysts whose nearest organ is a kidney: "Zyste der linken Niere", "left kidney with a simple cyst"."""
    used = _positions_of(anchors)
    starts = [anchor.first for anchor in anchors]
    cysts = []
    for position, token in enumerate(tokens):
        if position in used or not classes or not _CYST.fullmatch(token.text):
            continue
        number = bisect_right(starts, position)
        previous = anchors[number - 1] if number else None
        following = anchors[number] if number < len(anchors) else None
        leads = (
            following is not None
            and following.first - position <= _LONGEST_WAY
            and all(_TO_KIDNEY.fullmatch(word.text) for word in tokens[position + 1 : following.first])
        )
        if leads and following:
            following = _kidney_of_list(tokens, anchors, number) or following
        nearest = following if leads or not previous else previous
        if nearest and set(KIDNEYS) & set(nearest.classes):
            cysts.append(Anchor(position, position, classes, of=nearest))
    return cysts


def _kidney_of_list(tokens: Sequence[Token], anchors: Sequence[Anchor], number: int) -> Anchor | None:
    """The kidney at the end of a list of organs that begins with the anchor `number`: "Zysten in Leber und Nieren".

    In "Zyste der Leber, Nieren unauffällig" and "Zyste der Leber und Nieren unauffällig" the kidneys begin a statement.
    """
    for earlier, later in itertools.pairwise(anchors[number : number + _LONGEST_WAY]):
        between = [token.text for token in tokens[earlier.last + 1 : later.first][:_LONGEST_WAY]]
        if not all(word == "," or _LISTED.fullmatch(word) or _TO_KIDNEY.fullmatch(word) for word in between):
            return None
        if set(KIDNEYS) & set(later.classes):
            ends = later.last + 1 == len(tokens) or _AFTER_LIST.fullmatch(tokens[later.last + 1].text)
            return later if ends and any(_LISTED.fullmatch(word) for word in between) else None
    return None


def _restrict_ribs(anchors: Sequence[Anchor], lexicon: Lexicon) -> None:
    """Where numbers are given, ribs without a number mean these: "Rippenserienfraktur links (4.-8. Rippe)"."""
    ribs = [anchor for anchor in anchors if anchor.classes[0] in RIBS]
    every = len(_defined(RIBS, lexicon))
    numbered = [anchor for anchor in ribs if len(anchor.classes) < every]
    if not numbered or len(numbered) == len(ribs):
        return
    sides = next((rib.sides for rib in ribs if rib.sides), frozenset())
    for rib in numbered:
        rib.sides = rib.sides or sides
    names = tuple(dict.fromkeys(name for rib in numbered for name in keep_sides(rib.classes, rib.sides, lexicon)))
    for rib in ribs:
        if len(rib.classes) == every:
            of_side = tuple(name for name in names if not rib.sides or lexicon.sides.get(name) in rib.sides)
            rib.classes, rib.sides = of_side or names, frozenset()


def _is_known(mention: TextMention, sentence: str) -> bool:
    """Not a single rib of which nobody knows the number, unless it is denied: "Keine Rippenfraktur"."""
    is_unnumbered = len(mention.classes) >= LAST_RIB and set(mention.classes) <= set(RIBS)
    single = is_unnumbered and is_single_rib(sentence, mention.start, mention.end)
    return mention.assertion == "negated" or not single


def _spans(tokens: Sequence[Token], anchors: Sequence[Anchor]) -> list[tuple[int, int]]:
    """Code-point spans: tokens with adjoining side words and parts, hyphenated words as a whole; no overlap."""
    spans: list[tuple[int, int]] = []
    floor = 0
    for number, anchor in enumerate(anchors):
        ceiling = anchors[number + 1].first - 1 if number + 1 < len(anchors) else len(tokens) - 1
        first, last = max(anchor.span[0], floor), min(anchor.span[1], ceiling)
        while first - 2 >= floor and _is_hyphen(tokens, first - 1) and tokens[first - 2].text[0].isalnum():
            first -= 2
        while last + 2 <= ceiling and _is_hyphen(tokens, last + 1) and tokens[last + 2].text[0].isalpha():
            last += 2
        if last + 1 <= ceiling and _PART.fullmatch(tokens[last + 1].text):
            last += 1
        spans.append((tokens[first].start, tokens[last].end))
        floor = last + 1
    return spans


def _is_hyphen(tokens: Sequence[Token], position: int) -> bool:
    """The token is a hyphen inside a word."""
    previous, token, following = tokens[position - 1 : position + 2]
    return token.text == "-" and previous.end == token.start and token.end == following.start
