"""Characters of text from hospital systems, written in one way."""

import re
import unicodedata

__all__ = ["clean_characters"]

# Soft hyphens, zero-width characters, marks of direction and of byte order, controls but tab and line break.
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_LINE_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_BLANK = re.compile(r"[\xa0\u2000-\u200a\u202f\u205f\u3000]")
_HYPHEN = re.compile(r"[\u2010\u2011]")


def clean_characters(text: str) -> str:
    """The text in Unicode NFC, with plain blanks, hyphens and line breaks and without invisible characters."""
    text = _HYPHEN.sub("-", _BLANK.sub(" ", _LINE_BREAK.sub("\n", text)))
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
