"""Reports without identifiers, line by line as they were, with their image references."""

import re
from collections import Counter
from collections.abc import Container, Iterator
from functools import partial

from refrad.anatomy.lexicon import Lexicon
from refrad.core.characters import clean_characters
from refrad.language.lexicon_matcher import is_anatomy
from refrad.language.references import take_references
from refrad.privacy.known_identifiers import Identifiers
from refrad.privacy.scrubbing import scrub

__all__ = ["scrub_report"]

_BRACKETS = re.compile(r"[(\[][^()\[\]\n]{1,80}[)\]]")
# Numbers after a word of images: those of "Bild 2021" and "Serie 4, Bild 11/21" are no dates.
_NUMBERED = re.compile(
    r"\b(?:Bild(?:er|nummer)?|Schicht(?:en)?|Seri(?:e|en|es|ennummer)|images?|slices?|IMA|IMG)\b\.?\s?"
    r"(?:(?:Nr|No|number)\b\.?\s?)?[:#]?\s?\d{1,5}(?:\s?[/:–-]\s?\d{1,4})?(?!\d|[./-]\d)",
    re.IGNORECASE,
)
# Digits that no rule takes for digits, one for one.
_MASKED = str.maketrans("0123456789", "".join(chr(0xE030 + digit) for digit in range(10)))
_UNMASKED = {masked: digit for digit, masked in _MASKED.items()}


def scrub_report(
    text: str, known: Identifiers, lexicon: Lexicon, series: Container[int] = ()
) -> tuple[str, Counter[str]]:
    """The report with placeholders for identifiers, and how many of each were set; line breaks and image references stay.

    Args:
        text: a whole report, since some identifiers are recognised by the line before or after.
        known: the identifiers in the headers of the study.
        lexicon: its words are no names.
        series: the series numbers of the study, by which "(4/12)" is an image.
    """
    masked = list(clean_characters(text))
    for start, end in _references(text := "".join(masked), series):
        masked[start:end] = text[start:end].translate(_MASKED)
    clean, counts = scrub(
        "".join(masked),
        known,
        partial(is_anatomy, lexicon=lexicon),
        partial(is_anatomy, lexicon=lexicon, exactly=True),
    )
    return clean.translate(_UNMASKED), counts


def _references(text: str, series: Container[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each piece of the text that names images by numbers."""
    for bracket in _BRACKETS.finditer(text):
        if take_references(bracket[0], series)[0]:
            yield bracket.span()
    for numbered in _NUMBERED.finditer(text):
        yield numbered.span()
