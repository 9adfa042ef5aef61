"""Images named in a report: "(Se 4, IMA 87)", "Serie 3, Bild 45-47", "image 12 of series 3", "(5/112)", "axial image 7".

The grammar is written on the codes of `reference_words`: S a series, I and J images, N a number, L a comma or "and", R a dash or "to",
O "of", P a plane, F words that go with a plane, V and W another examination.
"""

import re
from collections.abc import Container, Sequence
from typing import NamedTuple

from refrad.language.reference_words import ReferenceToken, tokenize

__all__ = ["ImageReference", "take_references"]

SMALL = 12  # pairs of numbers up to this one are levels, grades, fractions and months
SURE = 30  # the image of a pair whose series the study does not have
ROUND = 10  # 1:10, 1:50 are ratios
NEAR = 6  # tokens between an image outside brackets and "previously"

_N = "n*:?"
_ITEM = rf"[ND](?:R(?:S{_N}N[L/]?)?[IJi]?{_N}N)?f?"  # 12, 12-15, "12 bis Bild 15", 12 ff.
_TOTAL = r"(?:/N|C?OC?N)?"  # "45/120", "45 von 120"
_ONE = rf"[Ii]{_N}{_ITEM}{_TOTAL}(?:L+(?:[IJi]{_N}{_ITEM}|{_ITEM}(?![XMNKG])){_TOTAL})*"
_SEVERAL = rf"J{_N}{_ITEM}(?:C?OC?N)?(?:[L/]+[IJi]?{_N}{_ITEM})*"
_IMAGES = rf"(?P<images>{_ONE}|{_SEVERAL})"
_NAMED = _IMAGES.replace("[Ii]", "I")  # "im 87" alone is German for "in the 87th"
_SERIES = rf"[Ss]{_N}(?P<series>N(?:L+N(?=L+[IJi]|L+N))*)"
_PLANE = r"P?F*"
_PAIRED = r"(?P<images>NR?N?f?(?:L+N(?=[L)]|$))*)"
_GROUPS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"[Ss]/[IJi]:?(?P<series>N)/{_PAIRED}",  # Se/Im 4/87
        rf"{_PLANE}{_SERIES}[L/:R]{{0,2}}[COi]{{0,2}}{_PLANE}{_IMAGES}",  # Serie 4, Bild 87
        rf"{_PLANE}{_SERIES}\({_IMAGES}\)",  # Serie 4 (Bild 87)
        rf"{_PLANE}S{_N}(?P<series>N)[/:]{_PAIRED}",  # series 4:87
        rf"z{_N}(?P<series>N)[L/]?(?P<images>i{_ITEM})",  # S4/I12
        rf"{_PLANE}{_NAMED}[L/R]?[COi]{{0,2}}{_PLANE}{_SERIES}",  # Bild 87 der Serie 4
        rf"{_PLANE}{_NAMED}(?:[L/]?[COi]{{0,3}}PF*S?|\(PF*\)|[L/]?[COi]{{0,3}}F+)?(?![MN])",  # Bild 87 (koronar)
        rf"{_PLANE}{_NAMED}",
    )
)
_IN_BRACKETS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<images>i{_N}{_ITEM}{_TOTAL})(?=\))",  # (im 87)
        rf"{_PLANE}S{_N}(?P<series>N)",  # (series 4)
    )
)
_PAIR = re.compile(r"[szC]*(?P<series>N)[/:]" + _PAIRED.replace("NR?N?f?", "N(?:R(?:N/)?N)?f?") + r"(?=[)LVAWCOPFdzw])")
_START_OF_PAIR = re.compile(r"[(LVAWCOPFdszw:.]$|[VW]R$")
_FILLER = frozenset("LCO/:.RPFVAWnfiszw")  # what need not stay of brackets without their references
# Words around an image of another examination: "Bild 12 der CT vom [DATE]", "in der Voruntersuchung auf Bild 12".
_AFTER = re.compile(r"[CO]*[XF]?[CO]*[Wd]|[CO]*[VW]|L[CO]*X?[CO]*[Wd]\)")
_BEFORE = re.compile(r"(?:V[COidFPW]*|W[COidFPW]*[LX]?[COi]*|dL?[COi]*)$")
_PLANE_BEFORE = re.compile(r"PF*\($")
_LEAD = re.compile(r"[LR]?[VA]?s?[COi]{0,3}$")


class ImageReference(NamedTuple):
    """Numbers of a series and of its images, first to last, and the plane of a volume; None where the text gives none."""

    series_number: int | None
    image_first: int | None
    image_last: int | None
    plane: str | None = None


class _Group(NamedTuple):
    """ReferenceTokens from first to last (half-open) that name images, those of another examination included."""

    first: int
    last: int
    references: tuple[ImageReference, ...]
    previous: bool


def take_references(sentence: str, series: Container[int] = ()) -> tuple[list[ImageReference], str]:
    """The image references of a sentence, and the sentence without them.

    References in brackets, after "siehe" or "on", and at the end of a clause are cut; one that the sentence needs
    ("Bild 12 zeigt ...") stays. Images of another examination ("previously 4/80") are none. A plane is given only where no series is
    named. `series` holds the series numbers of the study: a pair such as "(4/87)" is an image only in brackets, if its numbers
    cannot be a grade, a level, a fraction, a ratio or a date.
    """
    tokens = tokenize(sentence)
    codes = "".join(token.code for token in tokens)
    brackets = _brackets(codes)
    groups = _groups(tokens, codes, brackets, series)
    if not groups:
        return [], _tidy(sentence)
    gone = [False] * len(tokens)
    for group in groups:
        first, last = _cut(group, tokens, codes, brackets, sentence)
        gone[first:last] = [True] * (last - first)
    references = [reference for group in groups if not group.previous for reference in group.references]
    _empty_brackets(gone, codes, groups)
    return list(dict.fromkeys(references)), _without(sentence, tokens, gone)


def _brackets(codes: str) -> list[int | None]:
    """For each token the position of the bracket that it is in."""
    positions: list[int | None] = []
    start = None
    for position, code in enumerate(codes):
        if code == "(":
            start = position
        positions.append(start)
        if code == ")":
            start = None
    return positions


def _groups(
    tokens: Sequence[ReferenceToken], codes: str, brackets: Sequence[int | None], series: Container[int]
) -> list[_Group]:
    groups: list[_Group] = []
    position = 0
    previous = False  # what the words of the same bracket say
    sure: dict[int, bool] = {}
    while position < len(codes):
        code, bracket = codes[position], brackets[position]
        previous = code in "VWdw" or (previous and code not in "(A")
        if code == "(":
            previous = position > 0 and codes[position - 1] in "VWd"
        match = _match(codes, position, bracket is not None)
        if (
            match is None
            and bracket is not None
            and position > bracket
            and _START_OF_PAIR.search(codes[max(0, position - 2) : position])
        ):
            if bracket not in sure:
                sure[bracket] = _is_place(codes, bracket) and _has_image(tokens, codes, bracket, series)
            match = _PAIR.match(codes, position)
            if match and not (sure[bracket] and _pair(tokens, match, series)):
                match = None
        if match is None:
            position += 1
            continue
        references = _references(tokens, codes, match)
        earlier = previous if bracket is not None else bool(_BEFORE.search(codes[max(0, position - NEAR) : position]))
        groups.append(_Group(*match.span(), references, earlier or bool(_AFTER.match(codes, match.end()))))
        position = match.end()
    return groups


def _match(codes: str, position: int, is_bracketed: bool) -> re.Match[str] | None:
    if codes[position] not in "SsIJPzi":
        return None
    for pattern in _GROUPS:
        if match := pattern.match(codes, position):
            is_short = codes[match.start()] in "z" or "i" in match["images"]
            return match if is_bracketed or not is_short else None
    if is_bracketed:
        for pattern in _IN_BRACKETS:
            if (match := pattern.match(codes, position)) and (codes[position] != "i" or codes[position - 1] == "("):
                return match
    return None


def _is_place(codes: str, bracket: int) -> bool:
    """Whether a pair in this bracket may be an image: no score stands before it, and the sentence does not need it."""
    end = codes.find(")", bracket)
    following = codes[end + 1 : end + 2]
    if bracket == 0:
        return following not in ("X", "K")  # "(3/14) Lymphknoten"
    return codes[bracket - 1] not in "GKCOR" and following != "K"


def _has_image(tokens: Sequence[ReferenceToken], codes: str, bracket: int, series: Container[int]) -> bool:
    """Whether one pair of the bracket can hardly be anything else than an image."""
    end = codes.find(")", bracket)
    return any(
        _is_sure(int(tokens[position].numbers[0]), int(tokens[position + 2].numbers[0]), series)
        for position in range(bracket + 1, end - 2)
        if codes[position] == codes[position + 2] == "N" and codes[position + 1] in "/:"
    )


def _is_sure(number: int, first: int, series: Container[int]) -> bool:
    """Neither a level, a grade, a fraction nor a month: larger numbers, of a series of the study if there is one."""
    if number in series:
        return first > SMALL or number > first
    return first > (SURE if series else SMALL) and number < first


def _pair(tokens: Sequence[ReferenceToken], match: re.Match[str], series: Container[int]) -> bool:
    """Whether the numbers of a pair may be an image: no date (03/2021, 3/2024), no time (4:05), no ratio (1:20)."""
    number, first = tokens[match.start("series")].numbers[0], tokens[match.start("images")].numbers[0]
    is_month = number[0] == "0" and int(first) <= SURE
    if is_month or first[0] == "0" or 1900 <= int(first) <= 2100:
        return False
    is_colon = match.string[match.end("series")] == ":"
    if is_colon and int(number) == 1 and (int(first) < ROUND or int(first) % ROUND == 0):
        return False
    return int(number) in series or _is_sure(int(number), int(first), series)


def _references(tokens: Sequence[ReferenceToken], codes: str, match: re.Match[str]) -> tuple[ImageReference, ...]:
    """The references of one group: each series with each image."""
    parts = match.groupdict()
    numbers: list[int | None] = []
    if "series" in parts:
        numbers += [int(tokens[match.start("series") + n].numbers[0]) for n in _positions(parts["series"])]
    first, last = match.span()
    if codes[first - 1 : first] == "(" and (named := _PLANE_BEFORE.search(codes[max(0, first - NEAR) : first])):
        first -= len(named[0])  # "in den koronaren Rekonstruktionen (Bild 12)"
    plane = next((token.plane for token in tokens[first:last] if token.plane), None) if not numbers else None
    images = _images(tokens, match) if "images" in parts else [(None, None)]
    return tuple(ImageReference(number, *image, plane) for number in numbers or [None] for image in images)


def _positions(codes: str) -> list[int]:
    return [position for position, code in enumerate(codes) if code == "N"]


def _images(tokens: Sequence[ReferenceToken], match: re.Match[str]) -> list[tuple[int | None, int | None]]:
    """First and last image of each item of a list."""
    start = match.start("images")
    pairs: list[tuple[int | None, int | None]] = []
    total = _TOTAL if match["images"][0] != "J" else "(?:C?OC?N)?"  # "Bilder 45/46" are two
    for image in re.finditer(
        rf"(?P<first>[ND])(?:R(?:S{_N}N[L/]?)?[IJi]?{_N}(?:N/)?(?P<last>N))?f?{total}", match["images"]
    ):
        *earlier, first = (int(number) for number in tokens[start + image.start("first")].numbers)
        pairs += [(number, number) for number in earlier]
        last = int(tokens[start + image.start("last")].numbers[0]) if image["last"] else first
        pairs.append((first, max(first, last)))
    return pairs


def _cut(
    group: _Group, tokens: Sequence[ReferenceToken], codes: str, brackets: Sequence[int | None], sentence: str
) -> tuple[int, int]:
    """The tokens that go with a group: in brackets all of it; outside with "siehe" or "on", where the clause ends there."""
    first, last = group.first, group.last
    if brackets[first] is not None:
        while codes[first - 1] in "CVAw" or (group.previous and codes[first - 1] in "WdOR"):
            first -= 1
        while group.previous and codes[last : last + 1] and codes[last] in "COWdV":
            last += 1
        return first, last
    following = sentence[tokens[last].start] if last < len(tokens) else "."
    if following not in ",;.)":
        return first, first
    lead = _LEAD.search(codes[max(0, first - 5) : first])
    start = first - len(lead[0]) if lead else first
    if codes[start] == "L" and sentence[tokens[start].start].isalpha():
        start += 1
    return (start, last) if start > 0 or last >= len(tokens) - 1 else (first, first)


def _empty_brackets(gone: list[bool], codes: str, groups: Sequence[_Group]) -> None:
    """Brackets of which only fillers are left go, and fillers at both ends of others."""
    filler = _FILLER | ({"d"} if any(group.previous for group in groups) else set())
    start = None
    for position, code in enumerate(codes):
        if code == "(":
            start = position
        elif code == ")" and start is not None:
            if any(gone[start:position]):
                kept = [n for n in range(start + 1, position) if not gone[n] and codes[n] not in filler]
                first, last = (kept[0], kept[-1] + 1) if kept else (position + 1, position + 1)
                begin = start + 1 if kept else start
                gone[begin:first] = [True] * (first - begin)
                gone[last:position] = [True] * (position - last)
            start = None


def _without(sentence: str, tokens: Sequence[ReferenceToken], gone: Sequence[bool]) -> str:
    """The sentence without some of its tokens."""
    pieces: list[str] = []
    end = 0
    for token, is_gone in zip(tokens, gone, strict=True):
        pieces.append(sentence[end : token.start] if not is_gone or sentence[end : token.start].isspace() else "")
        if not is_gone:
            pieces.append(sentence[token.start : token.end])
        end = token.end
    text = "".join([*pieces, sentence[end:]])
    return _tidy(re.sub(r"([(\[])\s", r"\1", re.sub(r"\s([)\]])", r"\1", " ".join(text.split()))))


def _tidy(text: str) -> str:
    return re.sub(r" ([.,;:!?]|$)", r"\1", " ".join(text.split()))
