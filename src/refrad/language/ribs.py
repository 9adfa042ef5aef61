"""Numbered ribs: "3.-5. Rippe", "ribs 4 through 8", and lists of both sides ("Rippen 2-4 links sowie 5 und 6 rechts")."""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from refrad.language.levels import ENGLISH, GERMAN, NO_UNIT, VALUE, Numbered

__all__ = ["LAST_RIB", "RIBS", "find_ribs", "is_single_rib"]

LAST_RIB = 12
RIBS = tuple(f"rib_{side}_{number}" for number in range(1, LAST_RIB + 1) for side in ("left", "right"))

# Kinds of words of a list of ribs; any other word ends the list.
_LEXEMES = re.compile(
    r"(?<!\w)(?:"
    r"(?P<rib>(?:Serien)?rippen?(?:serien)?(?:fraktur(?:en)?|brüche?|infraktion(?:en)?)?|Costae?|ribs?)(?![\w-])"
    r"|(?P<side>(?:on\s+the\s+|auf\s+der\s+)?(?:left|right|bilateral(?:ly)?|links(?:seitige?[rn]?)?|rechts(?:seitige?[rn]?)?"
    r"|linken?r?|rechten?r?|beid(?:er)?seits|li|re|bds|lt|rt)\b\.?)(?:-sided\b|\s+side\b)?"
    rf"|(?P<ordinal>\d{{1,2}}(?:\.(?!\d)|(?:st|nd|rd|th)\b)|(?:{(GERMAN + ' ').replace(' ', '[rnms]?|')}{ENGLISH.replace(' ', '|')})\b"
    r"|[IVX]{1,4}\.)"
    rf"|(?:C(?=\d))?(?P<number>\d{{1,2}}{NO_UNIT}(?!\w)|[IVX]{{1,4}}\b)"
    r"|(?P<range>bis(?:\s+zu[mr]?)?\b|to\b|through\b|thru\b)"
    r"|(?P<join>und\b|u\b\.?|sowie\b|oder\b|bzw\b\.?|and\b|or\b)"
    r"|(?P<place>(?:antero|postero|dorso|ventro)?lateral\b|anterior\b|posterior\b|dorsal\b|ventral\b|(?:vent|dors|later)ale[nr]?\b)"
    r"|(?P<filler>der\b|die\b|the\b|Nr\b\.?|numbers?\b|fractures?\b|of\b|at\b|involving\b))"
    r"|(?P<dash>[-–])|(?P<comma>[,;/&+])|(?P<mark>[:()#])",
    re.IGNORECASE,
)
_RANGES, _JOINS, _NUMBERS = ("range", "dash"), ("join", "comma"), ("ordinal", "number")
_LONGEST_LIST = 40  # lexemes of one list

_SINGLE_RIB = re.compile(
    r"(?:\w+-)?Rippen?-?(?:fraktur|bruch|infraktion|metastase|läsion|osteolyse|herd|tumor|usur|defekt|kontusion)|(?:\w+-)?(?<!n)Rippe|Costa|rib",
    re.IGNORECASE,
)
# In English a finding behind the word tells that there are several; a verb that ends like a plural does not.
_PLURAL_FINDING = re.compile(
    r"[\s-]+(?:[a-z]+\s)?(?!(?:is|was|has|as|this|its|shows|appears|demonstrates|contains)\b)(?:[a-z]*[^su\s]s\b|metastases|cage|series)",
    re.IGNORECASE,
)


class _Lexeme(NamedTuple):
    """A word of a list of ribs; offsets in code points, and the number that it names, or 0."""

    kind: str
    start: int
    end: int
    value: int


def is_single_rib(sentence: str, start: int, end: int) -> bool:
    """The words at `start` to `end`, which name ribs without a number, mean one of them, and nobody knows which."""
    words = sentence[start:end].split()
    if not any(_SINGLE_RIB.fullmatch(word) for word in words):
        return False
    if not any(word.lower() == "rib" for word in words):
        return True
    is_several = len(words) > 1 and words[-1].lower() in ("cage", "series")
    return not (is_several or _PLURAL_FINDING.match(sentence, end))


def find_ribs(sentence: str) -> list[Numbered]:
    """Numbered ribs: one expression for each side of a list, with its side words inside; classes are of both sides."""
    lower = sentence.lower()
    if "ripp" not in lower and "rib" not in lower and "cost" not in lower:
        return []
    numbered: list[Numbered] = []
    for run in _runs(sentence):
        ribs = [index for index, lexeme in enumerate(run) if lexeme.kind == "rib"]
        begin = 0
        for index, following in itertools.pairwise([*ribs, len(run)]):
            groups, begin = _groups_at(sentence, run, begin, index, following)
            numbered += groups
    return numbered


def _runs(sentence: str) -> Iterator[list[_Lexeme]]:
    """Lexemes with nothing but white space or a dot between."""
    run: list[_Lexeme] = []
    for match in _LEXEMES.finditer(sentence):
        kind = match.lastgroup or ""
        word = match.group()
        if run and sentence[run[-1].end : match.start()].strip(" .\t\n\xa0"):
            yield run
            run = []
        run.append(_Lexeme(kind, match.start(), match.end(), _value(word) if kind in _NUMBERS else 0))
    if run:
        yield run


def _value(word: str) -> int:
    bare = word.lower().lstrip("c").rstrip(".")
    digits = re.match(r"\d+", bare)
    return int(digits.group()) if digits else VALUE.get(bare) or VALUE.get(bare.rstrip("rnms"), 0)


def _groups_at(
    sentence: str, run: Sequence[_Lexeme], begin: int, rib: int, following: int
) -> tuple[list[Numbered], int]:
    """The groups of numbers around a word for ribs, and where the words before the next one begin.

    Numbers before it ("4. und 5. Rippe") must end in an ordinal, since "5 Rippen" is a count.
    """
    before = list(run[max(begin, rib - _LONGEST_LIST) : rib])
    groups = _groups(sentence, [*_without_edges(before), run[rib]]) if _nearest(before) == "ordinal" else []
    after = list(run[rib + 1 : min(following, rib + _LONGEST_LIST)])
    if following < len(run):
        after = _without_next(after)
    if groups:
        after = _second_list(after)
        return groups + (_groups(sentence, _without_edges(after)) if after else []), rib + 1 + len(after)
    while after and after[0].kind in ("filler", "mark", "place"):
        after.pop(0)
    after = _without_edges(after)
    if not any(lexeme.value for lexeme in after):
        return [], rib + 1
    return _groups(sentence, [run[rib], *after]), next(
        index for index, lexeme in enumerate(run) if lexeme is after[-1]
    ) + 1


def _nearest(before: Sequence[_Lexeme]) -> str:
    """The kind of the word before a word for ribs, sides and places aside."""
    return next((lexeme.kind for lexeme in reversed(before) if lexeme.kind not in ("place", "side")), "")


def _without_next(after: list[_Lexeme]) -> list[_Lexeme]:
    """The words after a word for ribs without those that belong to the next one: "Rippenfrakturen links 4-6, rechts 7. Rippe"."""
    if _nearest(after) != "ordinal":
        return after
    sides = [
        index
        for index in range(1, len(after))
        if after[index].kind == "side" and after[index - 1].kind in _JOINS and any(e.value for e in after[:index])
    ]
    return after[: sides[-1]] if sides else []


def _second_list(after: list[_Lexeme]) -> list[_Lexeme]:
    """Numbers with a side after "4. und 5. Rippe links,": they need no word of their own."""
    if not after or after[0].kind != "side":
        return []
    rest = after[1:]
    if not rest or rest[0].kind not in _JOINS or not {"side"} <= {lexeme.kind for lexeme in rest}:
        return []
    return rest if any(lexeme.value for lexeme in rest) else []


def _without_edges(lexemes: list[_Lexeme]) -> list[_Lexeme]:
    """Without joining words, fillers and sides without a number at both ends."""
    while lexemes and (
        lexemes[0].kind not in (*_NUMBERS, "side")
        or (lexemes[0].kind == "side" and len(lexemes) > 1 and lexemes[1].kind in (*_JOINS, "mark", "filler"))
    ):
        lexemes = lexemes[1:]
    while lexemes and (
        lexemes[-1].kind not in (*_NUMBERS, "side", "place")
        or (lexemes[-1].kind in ("side", "place") and len(lexemes) > 1 and lexemes[-2].kind in (*_JOINS, "mark"))
    ):
        lexemes = lexemes[:-1]
    return lexemes


def _groups(sentence: str, lexemes: Sequence[_Lexeme]) -> list[Numbered]:
    """One expression for the numbers of each side: "rechts 5-7, links 9", "2-4 links sowie 5 und 6 rechts"."""
    kinds = [lexeme.kind for lexeme in lexemes if lexeme.value or lexeme.kind == "side"]
    leads = bool(kinds) and kinds[0] == "side"
    groups: list[list[_Lexeme]] = [[]]
    for lexeme in lexemes:
        has_number = any(earlier.value for earlier in groups[-1])
        last_is_side = next((e.kind for e in reversed(groups[-1]) if e.kind not in (*_JOINS, "place")), "") == "side"
        starts = has_number and (lexeme.kind == "side" if leads else bool(lexeme.value) and last_is_side)
        if starts:
            groups.append([])
        groups[-1].append(lexeme)
    return [expression for group in groups if (expression := _expression(sentence, group))]


def _expression(sentence: str, group: list[_Lexeme]) -> Numbered | None:
    while group and group[-1].kind in (*_JOINS, *_RANGES, "mark", "filler"):
        group.pop()
    numbers: list[int] = []
    to_next = False
    for lexeme in group:
        if lexeme.value:
            if to_next and numbers and numbers[-1] < lexeme.value:
                numbers += range(numbers[-1] + 1, lexeme.value)
            numbers.append(lexeme.value)
            to_next = False
        elif lexeme.kind in _RANGES:
            to_next = True
    named = [number for number in dict.fromkeys(numbers) if 1 <= number <= LAST_RIB]
    if not named:
        return None
    classes = tuple(f"rib_{side}_{number}" for number in named for side in ("left", "right"))
    end = group[-1].end - (sentence[group[-1].end - 1] == ".")
    return Numbered(group[0].start, end, classes)
