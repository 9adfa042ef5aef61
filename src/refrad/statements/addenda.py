"""Addenda that correct a report: the sentences of the report that they supersede."""

import re
from collections.abc import Sequence
from itertools import groupby

from refrad.anatomy.lexicon import Lexicon
from refrad.language.mention_finder import find_mentions

__all__ = ["ADDED", "find_superseded"]

ADDED = ("addendum", "correction")  # sections
# Words by which an addendum says that the report was wrong.
_CORRECTS = re.compile(
    r"\b(?:korrigier\w*|korrektur|berichtig\w*|irrtümlich\w*|fälschlich\w*|versehentlich|statt|anstatt|sondern|ersetzt|richtig muss es"
    r"|corrected|correction|erratum|should read|instead of|erroneous\w*|in error|mistaken\w*|incorrect\w*|supersedes?|replaces)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[„“”\"»«]([^„“”\"»«]{5,300})[„“”\"»«]")


def find_superseded(sentences: Sequence[tuple[str, str]], language: str, lexicon: Lexicon) -> set[int]:
    """The indices of sentences that an addendum supersedes.

    An addendum corrects if its heading or one of its sentences says so. It then supersedes the sentences before it (or all behind it, if
    it comes first) that it quotes, or that name a class of its own. Any other addendum supersedes nothing.

    Args:
        sentences: all of a report, as (section, sentence) in its order.
        language: "de" or "en".
        lexicon: by which classes are found.
    """
    superseded: set[int] = set()
    start = 0
    for section, group in groupby(sentences, key=lambda sentence: sentence[0]):
        texts = [text for _, text in group]
        end = start + len(texts)
        if section == "correction" or (section == "addendum" and any(map(_CORRECTS.search, texts))):
            classes = {name for text in texts for name in _classes(text, language, lexicon)}
            quotes = [quote.lower() for text in texts for quote in _QUOTED.findall(text)]
            for index in range(start) if start else range(end, len(sentences)):
                earlier_section, text = sentences[index]
                is_quoted = any(quote.rstrip(" .") in text.lower() for quote in quotes)
                if earlier_section not in ADDED and (is_quoted or classes & _classes(text, language, lexicon)):
                    superseded.add(index)
        start = end
    return superseded


def _classes(text: str, language: str, lexicon: Lexicon) -> set[str]:
    return {name for mention in find_mentions(text, language, lexicon) for name in mention.classes}
