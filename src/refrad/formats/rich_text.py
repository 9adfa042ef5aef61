"""Rich Text Format to plain text: control words, code pages, Unicode, and groups that hold no text of the document."""

import codecs
import re
from dataclasses import dataclass, field, replace

__all__ = ["decode_rich_text"]

START = "{\\rtf"
_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?"
    r"|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<symbol>[^a-zA-Z])|(?P<brace>[{}])|[\r\n]+|(?P<text>[^\\{}\r\n]+)"
)
# Groups without text of the report; headers and footers of pages hold letterheads.
SKIPPED = """fonttbl colortbl stylesheet info pict object header headerl headerr headerf footer footerl footerr footerf
    annotation atnid atnauthor fldinst listtable listoverridetable rsidtbl generator themedata datastore xmlnstbl"""
_SKIPPED = frozenset(SKIPPED.split())
CHARACTERS = {
    **dict.fromkeys(("par", "line", "sect", "page", "column", "row"), "\n"),
    **dict.fromkeys(("tab", "cell"), "\t"),
    **dict.fromkeys(("emspace", "enspace", "qmspace"), " "),
    **{"emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”"},
}
SYMBOLS = {"~": " ", "_": "-", "-": "", "\r": "\n", "\n": "\n", "\\": "\\", "{": "{", "}": "}"}
# Character sets of fonts, as Windows numbers them, to code pages; others are read with the code page of the document.
FONT_CHARSETS = {77: "mac_roman", 161: "cp1253", 162: "cp1254", 186: "cp1257", 204: "cp1251", 238: "cp1250"}


@dataclass(frozen=True)
class _Group:
    """What a closing brace restores: whether text is left out or hidden, characters after an escape of Unicode to skip, and the font."""

    skipped: bool = False
    hidden: bool = False
    substitutes: int = 1
    font: int | None = None
    is_font_table: bool = False


@dataclass
class _Document:
    charset: str = "cp1252"
    fonts: dict[int, str] = field(default_factory=dict)
    group: _Group = _Group()
    outer: list[_Group] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    encoded: bytearray = field(default_factory=bytearray)
    to_skip: int = 0  # substitutes of the last \u that are still to come
    high: int = 0  # first half of a pair of surrogates


def decode_rich_text(text: str) -> str:
    """The plain text of a report that holds Rich Text, with a line break for each paragraph and row of a table."""
    decoded, position = [], 0
    while (start := text.find(START, position)) >= 0:
        decoded.append(text[position:start])
        document = _Document()
        position = _read(document, text, start)
        decoded.append("".join(document.text))
    return "\n".join(piece for piece in [*decoded, text[position:]] if piece.strip("\0 \r\n"))


def _read(document: _Document, text: str, position: int) -> int:
    """Read one document; returns the position after its last brace."""
    while match := _TOKEN.match(text, position):
        position = match.end()
        if match["byte"]:
            _add_byte(document, int(match["byte"], 16))
            continue
        if match["text"]:
            _add_text(document, match["text"])
            continue
        _flush(document)
        if match["brace"] == "{":
            document.outer.append(document.group)
        elif match["brace"] == "}":
            document.group = document.outer.pop()
            document.to_skip = 0
            if not document.outer:
                break
        elif match["symbol"]:
            _apply_symbol(document, match["symbol"])
        elif match["word"] == "bin":
            position += max(int(match["number"] or 0), 0)
        elif match["word"]:
            _apply_word(document, match["word"], None if match["number"] is None else int(match["number"]))
    _flush(document)
    return position


def _apply_word(document: _Document, word: str, number: int | None) -> None:
    group = document.group
    if word == "u":
        _add_unicode(document, (number or 0) % 0x10000)
    elif document.to_skip:
        document.to_skip -= 1
    elif word in CHARACTERS:
        _add(document, CHARACTERS[word])
    elif word in _SKIPPED:
        document.group = replace(group, skipped=True, is_font_table=word == "fonttbl")
    elif word == "uc":
        document.group = replace(group, substitutes=max(number if number is not None else 1, 0))
    elif word in ("v", "deleted"):
        document.group = replace(group, hidden=number != 0)
    elif word == "plain":
        document.group = replace(group, hidden=False)
    elif word == "f":
        document.group = replace(group, font=number)
    elif word == "fcharset" and group.is_font_table and group.font is not None and number in FONT_CHARSETS:
        document.fonts[group.font] = FONT_CHARSETS[number]
    elif word == "ansicpg" and number:
        document.charset = _code_page(number)
    elif word in ("mac", "pc"):
        document.charset = {"mac": "mac_roman", "pc": "cp437"}[word]


def _code_page(number: int) -> str:
    try:
        return codecs.lookup("utf-8" if number == 65001 else f"cp{number}").name
    except LookupError:
        return "cp1252"


def _apply_symbol(document: _Document, symbol: str) -> None:
    if symbol == "*":
        document.group = replace(document.group, skipped=True)
    elif document.to_skip:
        document.to_skip -= 1
    else:
        _add(document, SYMBOLS.get(symbol, ""))


def _add_unicode(document: _Document, code: int) -> None:
    if 0xDC00 <= code < 0xE000 and document.high:
        code = 0x10000 + ((document.high - 0xD800) << 10) + code - 0xDC00
    document.high = code if 0xD800 <= code < 0xDC00 else 0
    if not document.high:
        _add(document, chr(code))
    document.to_skip = document.group.substitutes


def _add_byte(document: _Document, byte: int) -> None:
    if document.to_skip:
        document.to_skip -= 1
    else:
        document.encoded.append(byte)


def _add_text(document: _Document, text: str) -> None:
    skipped = min(document.to_skip, len(text))
    document.to_skip -= skipped
    if text := text[skipped:]:
        _flush(document)
        _add(document, text)


def _flush(document: _Document) -> None:
    """Decode the bytes since the last other token: a character may have several."""
    if document.encoded:
        font = document.group.font
        charset = document.fonts.get(font, document.charset) if font is not None else document.charset
        _add(document, document.encoded.decode(charset, errors="replace"))
        document.encoded.clear()


def _add(document: _Document, text: str) -> None:
    if not document.group.skipped and not document.group.hidden:
        document.text.append(text)
