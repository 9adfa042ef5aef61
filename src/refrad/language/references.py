"""Images named in a report: "(Se 4, IMA 87)", "Serie 3, Bild 45-47", "image 12 of series 3", "(5/112)"."""

import re
from typing import NamedTuple

__all__ = ["ImageReference", "take_references"]

LARGEST = 9999

_SERIES = r"(?:Serie|Series|Ser\.?|Se\.?|S\.)\s?#?\s?(?P<series{n}>\d{{1,5}})"
_IMAGE = (
    r"(?:(?:Bild(?:er)?|Schicht(?:en)?|Aufnahme|images?|slices?|IMA|IMG|Ima|Img|Im\.?|im\.?)\s?\#?(?:Nr\.?\s?|no\.?\s?)?\s?"
    r"(?P<first{n}>\d{{1,4}})(?:\s?(?:[-–]|bis|to|through|und|and|/)\s?(?P<last{n}>\d{{1,4}})(?!\d))?)"
)
_SEPARATOR = r"\s?[,;/:]?\s?"
_FORMS = "|".join(
    (
        _SERIES.format(n=1) + _SEPARATOR + _IMAGE.format(n=1),
        _IMAGE.format(n=2) + r"\s?(?:,|/|in|of|der|aus|from|\()?\s?(?:the\s)?" + _SERIES.format(n=2) + r"\)?",
        r"(?:Ser/Im|Se/Im|Serie/Bild|S/I)\s?(?P<series3>\d{1,5})\s?/\s?(?P<first3>\d{1,4})(?:\s?[-–]\s?(?P<last3>\d{1,4}))?",
    )
)
_PAIR = re.compile(rf"(?<![A-Za-z\d])(?:{_FORMS})(?![\d.]*\d)", re.IGNORECASE)
_IMAGE_ALONE = re.compile(
    rf"(?<![A-Za-z\d])(?!Im\s|im\s){_IMAGE.format(n='')}(?!\d|\.\d|\.?\s?(?:Lebensjahr|Jahr|mm|cm))", re.IGNORECASE
)
_SERIES_ALONE = re.compile(rf"(?<![A-Za-z\d]){_SERIES.format(n='')}(?![\d.]*\d|\s?(?:mm|cm))", re.IGNORECASE)
_NUMBERS = re.compile(r"^\s?(?P<series>\d{1,4})\s?/\s?(?P<first>\d{1,4})(?:\s?[-–]\s?(?P<last>\d{1,4}))?\s?$")
_BRACKETS = re.compile(r"\s?[(\[]([^()\[\]]*)[)\]]")
# What may stand beside references in brackets without being worth keeping.
_FILLER = re.compile(
    r"[\s,;:/.]|\b(?:siehe|s|vgl|see|cf|und|and|axial|coronal|koronar|sagittal|z\.?\s?B|e\.?g)\b", re.IGNORECASE
)
_LEAD = r"\s?(?:[,–-]\s)?(?:(?:siehe|vgl\.|s\.|see|as seen|seen|markiert|dargestellt)\s)?(?:(?:auf|in|on|at|bei)\s)?(?:the\s)?"
# "LWK (4/5)", "Grad (3/5)" are no images.
_NOT_BEFORE = re.compile(
    r"(?:[HBL]WK|Th|[CTLS]\d?|Grad|Score|Kraft|Stadium|Segment|BI-?RADS|grade|score|stage|strength)\s?$", re.IGNORECASE
)


class ImageReference(NamedTuple):
    """Series and images, as numbers; what is not said is None."""

    series_number: int | None
    image_first: int | None
    image_last: int | None


def take_references(sentence: str) -> tuple[list[ImageReference], str]:
    """The image references of a sentence, and the sentence without them.

    References in brackets, and those behind "siehe", "auf", "on" or at the end, are cut; one that is part of the sentence
    ("Bild 12 zeigt ...") stays in the text.
    """
    found: list[ImageReference] = []

    def bracket(match: re.Match[str]) -> str:
        inside = match[1]
        numbers = _NUMBERS.match(inside)
        if numbers and _plausible(numbers) and not _NOT_BEFORE.search(sentence[: match.start()]):
            found.append(_reference(numbers["series"], numbers["first"], numbers["last"]))
            return ""
        rest = _read(inside, found)
        if rest == inside:
            return match[0]
        return "" if not _FILLER.sub("", rest) else match[0].replace(inside, rest.strip(" ,;"))

    text = _BRACKETS.sub(bracket, sentence)
    for pattern in (_PAIR, _IMAGE_ALONE):
        for match in list(pattern.finditer(text)):
            found.append(_reference_of(match))
        text = re.sub(rf"{_LEAD}(?:{pattern.pattern})(?=\s?[,;.)]|\s?$)", "", text, flags=re.IGNORECASE)
        text_without = pattern.sub(lambda match: "\0" * len(match[0]), text)
        if pattern is _PAIR and text_without != text:
            break
    text = re.sub(r"\s+([,.;:!?])", r"\1", re.sub(r"\s{2,}", " ", text)).strip()
    return list(dict.fromkeys(found)), text


def _read(text: str, found: list[ImageReference]) -> str:
    """Take the references out of the inside of brackets."""

    def take(match: re.Match[str]) -> str:
        found.append(_reference_of(match))
        return ""

    for pattern in (_PAIR, _IMAGE_ALONE, _SERIES_ALONE):
        text = pattern.sub(take, text)
    return text


def _reference_of(match: re.Match[str]) -> ImageReference:
    groups = {re.sub(r"\d", "", name): value for name, value in match.groupdict().items() if value}
    return _reference(groups.get("series"), groups.get("first"), groups.get("last"))


def _reference(series: str | None, first: str | None, last: str | None) -> ImageReference:
    numbers = [int(value) if value else None for value in (series, first, last)]
    if numbers[1] is not None and (numbers[2] is None or numbers[2] < numbers[1]):
        numbers[2] = numbers[1]
    return ImageReference(*numbers)


def _plausible(numbers: re.Match[str]) -> bool:
    """Not a date (3/2024) and not a fraction of small numbers (4/5)."""
    first = int(numbers["first"])
    return not 1900 <= first <= 2100 and (first > 12 or int(numbers["series"]) > 12 or numbers["last"] is not None)
