"""Patterns made of tables of words."""

__all__ = ["any_of"]

_SPELLINGS = str.maketrans(
    {"ä": "(?:ä|ae)", "ö": "(?:ö|oe)", "ü": "(?:ü|ue)", "ß": "(?:ß|ss)", "_": "[ ]", "'": "['’]"}
)


def any_of(words: str) -> str:
    """A pattern that matches each of the words, the longest first; for re.VERBOSE.

    Args:
        words: patterns, with blanks between them. "_" is a blank within one; umlauts and ß are also matched as two letters.
    """
    longest_first = sorted(words.split(), key=len, reverse=True)
    return f"(?:{'|'.join(longest_first).translate(_SPELLINGS)})"
