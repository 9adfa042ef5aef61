"""Names from headers and reports in one form, whatever became of their letters on the way."""

import re
import unicodedata

from refrad.core.characters import clean_characters

__all__ = ["LOST", "fold_name", "repair_spellings"]

LOST = "\ufffd"  # a letter that a character set did not have

# Letters that Unicode does not decompose.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "a", "œ": "o", "ı": "i", "ħ": "h"})
_LONG_VOWEL = re.compile(r"([aou])e|aa")  # ä, ö, ü and å written with two letters
_CONTROL = re.compile(r"[\x80-\x9f]")
# Character sets that the bytes of a name were taken for, and those that they may be of.
_TAKEN_FOR = ("latin-1", "cp1252")
_WRITTEN_IN = ("cp850", "mac_roman", "cp1252")


def fold_name(name: str) -> str:
    """The name in small letters without diacritics: "Müller", "MUELLER" and "Muller" are the same."""
    decomposed = unicodedata.normalize("NFD", name.casefold())
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(_PLAIN)
    return _LONG_VOWEL.sub(lambda vowel: vowel[1] or "a", plain)


def repair_spellings(name: str) -> set[str]:
    """The name of a header as it is, and as it was if its bytes were read in a wrong character set.

    A question mark represents a lost letter there.
    """
    spellings = {name}
    if not name.isascii():
        spellings |= {_reread(name, taken_for, "utf-8") for taken_for in _TAKEN_FOR}
    if _CONTROL.search(name):
        spellings |= {_reread(name, "latin-1", written_in) for written_in in _WRITTEN_IN}
    return {clean_characters(spelling).replace("?", LOST) for spelling in spellings if spelling}


def _reread(text: str, taken_for: str, written_in: str) -> str:
    """The text with its bytes read in the other character set; "" if they cannot be."""
    try:
        return text.encode(taken_for).decode(written_in)
    except UnicodeError:
        return ""
