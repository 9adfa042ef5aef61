"""Characters of report files: their charset, and texts with wrong bytes, half characters or separate accents."""

import codecs
import re
import unicodedata
from pathlib import Path

__all__ = ["REPLACED", "charset_of", "errors_of", "mend_text"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_EIGHT_BITS = ("cp1252", "cp850", "mac_roman")  # Windows, DOS, old Macintosh; the first wins a draw
_UMLAUT = re.compile(r"(?<=[a-zäöüß])[äöüß]|[äöü](?=[a-zß])|(?<![^\W\d_])[ÄÖÜ](?=[a-z])|(?<=[A-Z])[ÄÖÜ](?=[A-Z])")
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xc5][\x80-\xbf]|\xe2[\x80-\x8b][\x80-\xbf]")  # Latin letters and punctuation
_UTF8_SHARE = 0.1  # UTF-8 characters per wrong byte from which a file is UTF-8 with wrong bytes
_CHUNK = 1 << 20

REPLACED = "\ufffd"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# First bytes of the UTF-8 forms of umlauts: alone they are the rest of a character that was cut, not the letters Â and Ã.
_CUT = (0xDCC2, 0xDCC3)
_INVISIBLE = re.compile("\u00ad\\s*\n|[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_CONTINUED = "[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"  # bytes 80 to BF as Windows-1252 shows them
_DOUBLY_ENCODED = re.compile(f"[ÂÃ]{_CONTINUED}|â€{_CONTINUED}")


def charset_of(path: Path) -> str:
    """The charset of a text file.

    By its byte order mark; else UTF-8 if all of it is valid, or if wrong bytes are few compared to its characters in UTF-8;
    else the 8-bit charset that gives the most umlauts in the usual positions.
    """
    with path.open("rb") as file:
        head = file.read(_CHUNK)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return name
        if head[:200].count(0) > len(head[:200]) // 4:
            return "utf-16-le" if head[1:200:2].count(0) > head[:200:2].count(0) else "utf-16-be"
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        wrong = characters = 0
        umlauts = dict.fromkeys(_EIGHT_BITS, 0)
        while chunk := file.read(_CHUNK):
            text = decoder.decode(chunk)
            if chunk.isascii():
                continue
            wrong += len(_SURROGATE.findall(text))
            characters += len(_UTF8_CHARACTER.findall(chunk))
            if wrong:
                for name in _EIGHT_BITS:
                    umlauts[name] += len(_UMLAUT.findall(chunk.decode(name, errors="replace")))
        wrong += len(_SURROGATE.findall(decoder.decode(b"", final=True)))
    if characters >= wrong * _UTF8_SHARE:
        return "utf-8"
    return max(_EIGHT_BITS, key=lambda name: umlauts[name])


def errors_of(charset: str) -> str:
    """The error handler with which a file of a charset is opened, so that `mend_text` finds and counts its wrong bytes."""
    return "replace" if charset.startswith(("utf-16", "utf-32")) else "surrogateescape"


def mend_text(text: str) -> tuple[str, int]:
    """A text in NFC without wrong and invisible characters, and the number of those that were wrong.

    A wrong byte is read as Windows-1252, and half of a character becomes U+FFFD. Letters that were encoded twice ("MÃ¼ller")
    are decoded. Soft hyphens and characters without width go.
    """
    wrong = 0
    if not text.isascii():
        text, wrong = _SURROGATE.subn(_letter_of, text)
        text, twice = _DOUBLY_ENCODED.subn(_decode_once_more, text)
        wrong += twice
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    return text, wrong


def _letter_of(match: re.Match[str]) -> str:
    """The letter of a wrong byte, which surrogateescape maps to U+DC80 to U+DCFF."""
    code = ord(match[0])
    if code in _CUT or not 0xDC80 <= code <= 0xDCFF:
        return REPLACED
    return bytes([code - 0xDC00]).decode("cp1252", errors="replace")


def _decode_once_more(match: re.Match[str]) -> str:
    encoded = b"".join(_byte_of(character) for character in match[0])
    try:
        return encoded.decode("utf-8")
    except UnicodeDecodeError:
        return match[0]


def _byte_of(character: str) -> bytes:
    """The byte of a character in Windows-1252; of the five bytes without one, the control character of their number."""
    return bytes([ord(character)]) if 0x80 <= ord(character) < 0xA0 else character.encode("cp1252")
