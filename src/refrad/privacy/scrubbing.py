"""Identifying text removed from reports: first the values of the headers, then matches of rules, German and English.

Each becomes a typed placeholder. In doubt the rules remove more rather than less; anatomical words stay.
"""

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from refrad.core.characters import clean_characters
from refrad.privacy.known_identifiers import Identifiers, scrub_known
from refrad.privacy.scrub_rules import ADDRESS, LINE_END, scrub_by_rules

__all__ = ["PLACEHOLDER", "PLACEHOLDERS", "scrub"]

PLACEHOLDERS = ("NAME", "DATE", "ID", "PLACE", "PHONE", "AGE")
PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(PLACEHOLDERS)})\]")

LONG_LINE = 60  # characters; a longer line without a stop goes on in the next

_REPEATED = re.compile(r"\[(\w+)\](?:[ ,]+\[\1\])+")


def scrub(
    text: str,
    known: Identifiers,
    is_anatomy: Callable[[str], bool],
    is_organ: Callable[[str], bool] | None = None,
) -> tuple[str, Counter[str]]:
    """The text with placeholders [NAME], [DATE], [ID], [PLACE], [PHONE], [AGE], and how many of each were set.

    The text may be a sentence or a report, whose line breaks stay. Known identifiers go first, then what rules recognise.
    `is_anatomy` tells words of the lexicon and their compounds, `is_organ`, if it is given, the words alone: a known name
    that is an organ (Leber, but not Herzog) goes only after a title or next to another name.
    """
    counts: Counter[str] = Counter()

    def put(kind: str) -> str:
        counts[kind] += 1
        return f"[{kind}]"

    text = _mark_line_ends(clean_characters(text))
    text = ADDRESS.sub(lambda _: put("ID"), text)
    text = scrub_known(text, known, is_organ or is_anatomy, put)
    text = scrub_by_rules(text, is_anatomy, put)
    return _REPEATED.sub(r"[\1]", text.replace(LINE_END, "")), counts


def _mark_line_ends(text: str) -> str:
    lines = text.split("\n")
    marked = [
        line if _wraps(line, following.lstrip()) else line + LINE_END for line, following in pairwise([*lines, ""])
    ]
    return "\n".join(marked).removesuffix(LINE_END)


def _wraps(line: str, following: str) -> bool:
    """Whether the statement of a line goes on in the next."""
    if following[:1].islower():
        return True
    return len(line) > LONG_LINE and following[:1].isalpha() and line.rstrip()[-1:] not in ".!?:;"
