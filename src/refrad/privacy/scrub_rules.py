"""Rules that recognise identifying text in reports, German and English, without knowing the patient."""

import re
from collections.abc import Callable
from functools import cache

from refrad.privacy.date_rules import AGES, DATES
from refrad.privacy.eponyms import is_eponym
from refrad.privacy.name_rules import find_names_by_context
from refrad.privacy.number_rules import ADDRESS, NUMBERS, PHONES, UID, UNLABELLED_NUMBERS
from refrad.privacy.place_rules import HOSPITALS, STREETS, TOWNS, WARDS
from refrad.privacy.report_words import is_common_word

__all__ = ["ADDRESS", "LINE_END", "scrub_by_rules"]

# Stands before the line break of each line that ends a statement. It is no white space, so that \s leads over the breaks of
# wrapped lines only; a rule that goes on in the next line in any case says [\s\x01].
LINE_END = "\x01"

# In this order: the first rule that matches a span replaces it. Names come after streets that are called after people.
_BEFORE_NAMES = (
    ("ID", (UID,)),
    ("PHONE", PHONES),
    ("ID", NUMBERS),
    ("AGE", AGES),
    ("DATE", DATES),
    ("PLACE", STREETS),
    ("PLACE", HOSPITALS),
)
_AFTER_NAMES = (("PLACE", TOWNS), ("PLACE", WARDS), ("ID", UNLABELLED_NUMBERS))
_LINK = re.compile(r"(?:,|[ ]in)?[ ]{1,2}$")
_SENTENCE_BEGINS = re.compile(r"[ ]?(?:[A-ZÄÖÜ\x01]|$)")


def scrub_by_rules(text: str, is_anatomy: Callable[[str], bool], put: Callable[[str], str]) -> str:
    """The text with each match of a rule replaced by the placeholder that `put` gives for its kind.

    Args:
        text: lines end with LINE_END where they end a statement.
        is_anatomy: whether a word names anatomy, so that it is no name and no town.
        put: counts an identifier of a kind and returns its placeholder.
    """

    @cache
    def is_usual(word: str) -> bool:
        return is_common_word(word) or is_eponym(word) or is_anatomy(word)

    def replace(text: str, kind: str, spans: list[tuple[int, int]]) -> str:
        pieces, end = [], 0
        for start, stop in spans:
            # The stop of "vom 3.4." may end a sentence as well.
            ends = kind == "DATE" and text[stop - 1] == "." and _SENTENCE_BEGINS.match(text, stop)
            pieces += [text[end:start], put(kind), "." if ends else ""]
            end = stop
        return "".join([*pieces, text[end:]])

    def apply(text: str, rules: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]) -> str:
        for kind, patterns in rules:
            for pattern in patterns:
                spans = [span for match in pattern.finditer(text) if (span := _span_of(match, is_usual))]
                if spans:
                    text = replace(text, kind, spans)
        return text

    text = apply(text, _BEFORE_NAMES)
    text = replace(text, "NAME", find_names_by_context(text, is_anatomy))
    return apply(text, _AFTER_NAMES)


def _span_of(match: re.Match[str], is_usual: Callable[[str], bool]) -> tuple[int, int] | None:
    """Start and end of the identifier in a match of a rule; None if the match stays."""
    groups = match.groupdict()
    names = [name for name in ("go", "go2") if name in groups]
    start, end = match.span()
    if names:
        given = [name for name in names if groups[name] is not None]
        if not given:
            return None
        start, end = match.span(given[0])
    if groups.get("town"):
        if is_usual(re.split(r"[ /(]", groups["town"])[0]):
            return None
        if not names:
            start, end = match.span("town")
    if groups.get("optional") and is_usual(re.split(r"[ /(]", groups["optional"])[0]):
        end = start + len(_LINK.sub("", match.string[start : match.start("optional")]))
    if groups.get("first"):
        words = list(re.finditer(r"\S+", groups["first"]))
        last_usual = max((number for number, word in enumerate(words) if is_usual(word[0].rstrip(".,"))), default=-1)
        if last_usual + 1 == len(words):
            return None
        start += words[last_usual + 1].start()
    return start, end
