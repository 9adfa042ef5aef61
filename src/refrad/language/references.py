"""Images named in a report: "(Se 4, IMA 87)", "Serie 3, Bild 45-47", "image 12 of series 3", "(5/112)"."""

import re
from collections.abc import Container
from typing import NamedTuple

__all__ = ["ImageReference", "take_references"]

_END = r"(?!\d|[.,]\d|\s?(?:mm|cm|\.\s?Lebensjahr))"
_NUMBER = r"\s?(?:-?\s?(?:Nr|Nummer|No|number)\b\.?)?\s?[:#]?\s?"
_SERIES = r"(?:Seriennummer|Serien?|Series|Ser\.?|Se\.?|S\.)" + _NUMBER + r"(?P<series{n}>\d{{1,5}})" + _END
_WORD = r"(?:Bildnummer|Bild(?:er)?|Schicht(?:en)?|Aufnahmen?|images?|slices?|IMA|IMG|Im\.)" + _NUMBER
_COUNT = (
    r"(?P<first{n}>\d{{1,4}})" + _END + r"(?:\s?(?:[-–]|bis|to|through)\s?(?P<last{n}>\d{{1,4}})" + _END + r")?"
    r"(?:\s?ff?\.)?(?P<more{n}>(?:\s?(?:,|/|und|and|&)\s?\d{{1,4}}" + _END + r"(?!\s?[A-Za-z]|\s?/\s?\d))*)"
)
_IMAGE = _WORD + _COUNT
_FORMS = (
    # Next to a series, "Im 87" is an image; alone it is German for "in the 87th".
    _SERIES.format(n=1) + r"\s?[,;/:]?\s?" + _IMAGE.replace("IMG|", "IMG|Im|").format(n=1),
    _IMAGE.format(n=2) + r"\s?(?:,|/|in|of|der|aus|from)?\s?(?:the\s)?" + _SERIES.format(n=2),
    r"(?:Ser?/Im|Serie/Bild|S/I)\s?(?P<series3>\d{1,5})\s?/\s?" + _COUNT.format(n=3),
)
_PAIR = rf"(?<![A-Za-z\d])(?:{'|'.join(_FORMS)})"
# Short forms, which mean images in brackets only: "(S4 B12)", "(S4/I12)", "(S. 3, B. 45)".
_SHORT = r"(?<![A-Za-z\d])S\.?\s?(?P<series4>\d{1,4})\s?[,/;]?\s?(?:B|I|Im)\.?\s?" + _COUNT.format(n=4) + r"(?![\w-])"
_ALONE = rf"(?<![A-Za-z\d]){_IMAGE.format(n='')}"
_SERIES_ALONE = rf"(?<![A-Za-z\d]){_SERIES.format(n='')}"
_NUMBERS = re.compile(r"\s?(?P<series>\d{1,4})\s?/\s?" + _COUNT.format(n="") + r"\s?")
_BETWEEN_PAIRS = re.compile(r"\s?(?:,|;|\bund\b|\band\b|&)\s?(?=\d{1,4}\s?/\s?\d)")
_BRACKETS = re.compile(r"\s?[(\[]([^()\[\]]*)[)\]]")
# Words next to references in brackets that go with them.
_FILLER = re.compile(
    r"[\s,;:/.]|\b(?:siehe|s|vgl|see|cf|und|and|axial|[ck]oronal|koronar|sagittal|z\.?\s?B|e\.?g)\b", re.IGNORECASE
)
# A reference after these is a remark and can go; "Bild 12 zeigt ..." is part of the sentence.
_LEAD = r"\s?(?:[,–-]\s)?(?:(?:siehe|vgl\.|s\.|see|seen|markiert|dargestellt)\s)?(?:(?:auf|im|in|am|on|at|bei|beim)\s)?(?:the\s)?"
_CLOSE = r"(?=\s?(?:[,;.)]|$))"
# "LWK (4/5)" and "Kraftgrad (4/5)" are no images.
_NOT_IMAGES = re.compile(
    r"(?<![^\W\d_])(?:[HBL]WK|Th|[CTLS]\d?|Grad|Score|Kraft|Stadium|Segment|BI-?RADS|strength|stage)\s?$", re.IGNORECASE
)


class ImageReference(NamedTuple):
    """Numbers of a series and of its images, first to last; None where the text gives none."""

    series_number: int | None
    image_first: int | None
    image_last: int | None


def take_references(sentence: str, series: Container[int] = ()) -> tuple[list[ImageReference], str]:
    """The image references of a sentence, and the sentence without them.

    References in brackets, after "siehe" or "on", and at the end of a clause are cut; one that the sentence needs
    ("Bild 12 zeigt ...") stays. `series` holds the series numbers of the study: with them "(4/5)" is an image as well,
    without them only pairs that can hardly be anything else.
    """
    references: list[ImageReference] = []

    def cut_brackets(match: re.Match[str]) -> str:
        pairs = [_NUMBERS.fullmatch(pair) for pair in _BETWEEN_PAIRS.split(match[1])]
        if not _NOT_IMAGES.search(sentence[: match.start()]) and all(
            pair and _plausible(pair, series) for pair in pairs
        ):
            references.extend(reference for pair in pairs if pair for reference in _references(pair))
            return ""
        text = match[1]
        for pattern in (_SHORT, _PAIR, _ALONE, _SERIES_ALONE):
            references.extend(_find_all(pattern, text))
            text = re.sub(pattern, "", text, flags=re.IGNORECASE)
        if text == match[1]:
            return match[0]
        return match[0].replace(match[1], text.strip(" ,;")) if _FILLER.sub("", text) else ""

    text = _BRACKETS.sub(cut_brackets, sentence)
    for pattern in (_PAIR, _ALONE):
        if outside := _find_all(pattern, text):
            references.extend(outside)
            text = re.sub(_LEAD + pattern + _CLOSE, "", text, flags=re.IGNORECASE)
            break
    return list(dict.fromkeys(references)), re.sub(r"\s+([,.;:!?]|$)", r"\1", " ".join(text.split()))


def _find_all(pattern: str, text: str) -> list[ImageReference]:
    matches = list(re.finditer(pattern, text, re.IGNORECASE))
    return [reference for match in matches for reference in _references(match)]


def _references(match: re.Match[str]) -> list[ImageReference]:
    """The references of one expression: a series with an image, a range, or a list of images."""
    parts = {name.rstrip("1234"): value for name, value in match.groupdict().items() if value}
    series = int(parts["series"]) if "series" in parts else None
    if "first" not in parts:
        return [ImageReference(series, None, None)]
    first = int(parts["first"])
    numbers = [int(number) for number in re.findall(r"\d+", parts.get("more", ""))]
    last = max(first, int(parts.get("last", first)))
    return [ImageReference(series, first, last), *(ImageReference(series, number, number) for number in numbers)]


def _plausible(numbers: re.Match[str], series: Container[int]) -> bool:
    """Neither a date (3/2024) nor a fraction of small numbers (4/5), unless there is such a series."""
    number, first = int(numbers["series"]), int(numbers["first"])
    return not 1900 <= first <= 2100 and (number in series or first > 12 or number > 12 or bool(numbers["last"]))
