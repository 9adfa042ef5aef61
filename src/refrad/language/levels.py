"""Vertebral levels (LWK 4/5, T12-L2), and the numbers of lists."""

import re
from bisect import bisect_right
from typing import NamedTuple

__all__ = [
    "DISCS",
    "ENGLISH",
    "GERMAN",
    "NO_UNIT",
    "SACRUM",
    "VALUE",
    "VERTEBRAE",
    "Numbered",
    "find_levels",
    "parse_numbers",
]

MAX_DIGITS = 20  # of a number that is read, letters of a word
MAX_IN_RANGE = 99
CONTEXT = 60  # characters around a level that tell what it is
LAST = {"C": 7, "T": 12, "L": 5, "S": 1}
LEVELS = [(region, number) for region, last in LAST.items() for number in range(1, last + 1)]
VERTEBRAE = tuple(f"vertebrae_{region}{number}" for region, number in LEVELS)
SACRUM = "sacrum"
DISCS = "intervertebral_discs"
REGION = {
    **{"hwk": "C", "hw": "C", "c": "C", "halswirbel": "C", "cervical": "C"},
    **{"bwk": "T", "bw": "T", "th": "T", "t": "T", "brustwirbel": "T", "thoracic": "T", "dorsal": "T"},
    **{"lwk": "L", "lw": "L", "l": "L", "lendenwirbel": "L", "lumbar": "L"},
    **{"swk": "S", "s": "S", "sakralwirbel": "S", "sacral": "S"},
}
GERMAN = r"erste zweite dritte vierte fünfte sechste siebte achte neunte zehnte elfte zwölfte"
ENGLISH = r"first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
ROMAN = r"i ii iii iv v vi vii viii ix x xi xii"
VALUE = {word: value for words in (GERMAN, ENGLISH, ROMAN) for value, word in enumerate(words.split(" "), start=1)}

# After a number, these make it a size, a time or a count.
NO_UNIT = r"(?!\d|[.,]\d|\s?(?:mm|cm|ml|cc|mg|kg|%|°|HE\b|HU\b|x\s?\d|×|Jahr|Tag|Woche|Monat|Uhr|year|day|week|month))"
_RANGE = r"(?:\s?[-–]\s?|\s(?:bis(?:\szu[mr]?)?|to|through|thru)\s)"
_JOIN = rf"(?:{_RANGE}|\s?[/,&+]\s?|,?\s(?:und|u\.|and|sowie|or|oder)\s)"
_EDGE = r"(?<![\w.,-])"

_ORDINAL_DE = rf"(?:\d{{1,2}}\.|[IVX]{{1,4}}\.|(?:{GERMAN.replace(' ', '|')})[rnms]?)"
_ORDINAL_EN = rf"(?:\d{{1,2}}(?:st|nd|rd|th)|{ENGLISH.replace(' ', '|')})"
_ORDINALS = {
    "de": rf"{_EDGE}(?P<n>(?:(?:{_ORDINAL_DE}|\d{{1,2}}|[IVX]{{1,4}}){_JOIN})*{_ORDINAL_DE})\s?",
    "en": rf"{_EDGE}(?P<n>(?:(?:{_ORDINAL_EN}|\d{{1,2}}){_JOIN})*{_ORDINAL_EN})\s",
}
_ORDERED_LEVEL = {
    "de": re.compile(
        rf"{_ORDINALS['de']}(?P<region>[HBLS]WK|Halswirbel|Brustwirbel|Lendenwirbel|Sakralwirbel)\w*", re.IGNORECASE
    ),
    "en": re.compile(
        rf"{_ORDINALS['en']}(?P<region>cervical|thoracic|dorsal|lumbar|sacral)\s"
        r"(?:vertebra[el]?\w*(?:\sbod(?:y|ies))?|segment|body)",
        re.IGNORECASE,
    ),
}

_PREFIX = r"(?:[HBLS]WK|[HBL]W|T[hH]|[CTLS])"
_LEVEL = re.compile(
    rf"(?<![A-Za-zÄÖÜäöü0-9]){_PREFIX}s?[\s-]?\d{{1,2}}{NO_UNIT}"
    rf"(?:{_JOIN}(?:{_PREFIX}[\s-]?)?\d{{1,2}}(?![A-Za-z]){NO_UNIT})*"
)
_PART = re.compile(rf"(?P<join>{_JOIN})?(?:(?P<prefix>{_PREFIX})s?[\s-]?)?(?P<number>\d{{1,2}})")
_WORTH_READING = re.compile(r"[HBLSCT][WKhH]{0,2}s?[\s-]?\d|[Ww]irbel|WK|vertebra|segment|body")
_OTHER_WORD = re.compile(r"[A-Za-z]|-?(?:abusus|konsum|esterase|inhibitor|arm\b)", re.IGNORECASE)
_HORMONES = re.compile(r"TSH|TRH|fT[34]|hormon|thyro|thyre", re.IGNORECASE)
_MR_OR_STAGE = re.compile(
    r"-?\s?(?:(?:and|und|/|,)\s?T[12]\s?-?\s?)?(?:\w+\s)?(?:w\b|weigh|gewicht|wicht|signal|hyper|hypo|iso|sequen|image|bild"
    r"|TSE|FSE|TIRM|FLAIR|STIR|fs\b|relax|time|map|bright|dark|prolong|shine|dixon|vibe|blade|GRE\b|SE\b|stag|stad|tumor"
    r"|,?\s?\(?[pcyr]*N[0-3xX+])",
    re.IGNORECASE,
)
_SPINE_BEFORE = re.compile(
    r"(?:\bat|\bof|\bto|level|vertebrae?|bod(?:y|ies)|segment|between|through|Höhe|Niveau|auf|Wirbel\w*|körper)[\s(]*$",
    re.IGNORECASE,
)
_SPINE_AFTER = re.compile(
    r"[\s-]*(?:\w+\s)?(?:vertebra|bod(?:y|ies)|level|spinous|pedicle|transverse|endplate|compression|fractur|burst|wedge"
    r"|lamina|nerve root|Wirbel|Wurzel)",
    re.IGNORECASE,
)
# A root, a nerve or a syndrome of a level is not its vertebra: "L5-Wurzel", "L5 nerve root", "Nervenwurzeln L4 und L5".
_ROOT_AFTER = re.compile(
    rf"(?:-?{_JOIN}{_PREFIX}[\s-]?\d{{1,2}})*[\s-]*(?:\w+\s)?(?:nerven?wurzel|wurzel|(?:nerve\s)?roots?\b|nerves?\b|spinalnerv|radi[kc]ul|dermatom"
    r"|syndrom|symptomatik|parese|neuralg)",
    re.IGNORECASE,
)
_ROOT_BEFORE = re.compile(
    r"(?:(?<!bogen)wurzel\w{0,12}|wurzel der|\bNW|roots?|\bnerves?|spinalnerv(?:en)?|radi[kc]ulopath\w+|dermatome?)\s(?:of\s|at\s|von\s)?$",
    re.IGNORECASE,
)
_S1_CONTEXT = re.compile(
    r"vertebra|wirbel|wurzel|nerve root|sakr|sacr|spin|\b[LS][-\s]?5\b|bandscheib|\bdis[ck]\b", re.IGNORECASE
)


class Numbered(NamedTuple):
    """A span (code points) and the classes its numbers give."""

    start: int
    end: int
    classes: tuple[str, ...]


def parse_numbers(text: str) -> list[int]:
    """The numbers of a list in words, digits or Roman digits, ranges filled in: "3., 5.-7." gives 3, 5, 6, 7."""
    numbers: list[int] = []
    end = 0
    for match in re.finditer(r"\d+|[a-zäöü]+", text, re.IGNORECASE):
        word = match.group().lower()[:MAX_DIGITS]
        value = int(word) if word.isdigit() else VALUE.get(word) or VALUE.get(word.rstrip("rnms"))
        if not value:
            continue
        if (
            numbers
            and value <= MAX_IN_RANGE
            and re.search(rf"{_RANGE}$", text[max(end, match.start() - 12) : match.start()])
        ):
            numbers += range(numbers[-1] + 1, value)
        numbers.append(value)
        end = match.end()
    return numbers


def find_levels(sentence: str, language: str) -> list[Numbered]:
    """Vertebral levels. "L4/5" is the disc between the two, and the two; "LWK 4/5" are the two vertebrae.

    T1 to T4 are levels only next to words of the spine, since they are MR weightings, tumour stages and
    hormones as well; S1 is a level only near the spine, since it is a segment of lung and liver.
    """
    if not _WORTH_READING.search(sentence):
        return []
    numbered: list[Numbered] = []
    short: list[Numbered] = []
    for match in _ORDERED_LEVEL[language].finditer(sentence):
        region = REGION[match["region"].lower()]
        numbered.append(Numbered(match.start(), match.end(), _names([(region, n) for n in parse_numbers(match["n"])])))
    covered = [expression.end for expression in numbered]
    is_hormone, is_lumbar = bool(_HORMONES.search(sentence)), bool(_S1_CONTEXT.search(sentence))
    for match in _LEVEL.finditer(sentence):
        before = sentence[max(match.start() - CONTEXT, 0) : match.start()]
        after = sentence[match.end() : match.end() + CONTEXT]
        index = bisect_right(covered, match.start())
        if index < len(numbered) and numbered[index].start < match.end():
            continue
        if _OTHER_WORD.match(after) or _ROOT_AFTER.match(after) or _ROOT_BEFORE.search(before):
            continue
        levels, is_gap = _read(match.group())
        if _is_spinal(match.group(), levels, before, after, is_hormone=is_hormone, is_lumbar=is_lumbar):
            short.append(Numbered(match.start(), match.end(), _names(levels) + (DISCS,) * is_gap))
    return [expression for expression in numbered + short if expression.classes]


def _read(text: str) -> tuple[list[tuple[str, int]], bool]:
    """The levels of one expression, and whether it names the gap between two neighbours."""
    levels: list[tuple[str, int]] = []
    region, short = "", True
    for part in _PART.finditer(text):
        number = int(part["number"])
        if part["prefix"]:
            region = REGION[part["prefix"].lower()]
            short = short and "W" not in part["prefix"]
        elif levels and number == 1 and levels[-1] == (region, LAST[region]):
            region = {"C": "T", "T": "L"}.get(region, "S")
        elif number > LAST[region]:
            continue
        if levels and re.fullmatch(_RANGE, part["join"] or "") and (region, number) in LEVELS and levels[-1] in LEVELS:
            levels += LEVELS[LEVELS.index(levels[-1]) + 1 : LEVELS.index((region, number))]
        levels.append((region, number))
    if not short or len(levels) != 2 or not re.search(r"[-–/]", text) or not set(levels) <= set(LEVELS):
        return levels, False
    return levels, LEVELS.index(levels[1]) == LEVELS.index(levels[0]) + 1


def _is_spinal(
    text: str, levels: list[tuple[str, int]], before: str, after: str, *, is_hormone: bool, is_lumbar: bool
) -> bool:
    """The expression means vertebrae, not an MR weighting, a tumour stage, a hormone or a segment."""
    if text[0] == "T" and text[1] not in "hH" and all(region == "T" and number <= 4 for region, number in levels):
        listed = re.search(r"[/,]|and|und", text) and max(number for _, number in levels) <= 2
        if listed or _MR_OR_STAGE.match(after) or is_hormone:
            return False
        return len(levels) > 1 or bool(_SPINE_BEFORE.search(before) or _SPINE_AFTER.match(after))
    if text[0] == "S" and "W" not in text and all(region == "S" for region, _ in levels):
        return is_lumbar
    return True


def _names(levels: list[tuple[str, int]]) -> tuple[str, ...]:
    """Class names of the levels; the sacrum below S1; levels that do not exist give none."""
    real = [level for level in levels if level in LEVELS or level[0] == "S"]
    return tuple(dict.fromkeys(f"vertebrae_{r}{n}" if (r, n) in LEVELS else SACRUM for r, n in real))
