"""HTML and CDA documents to plain text, by their tags alone: nothing is loaded and no entity of a document is expanded."""

import html
import re
from collections.abc import Iterator

__all__ = ["decode_entities", "decode_markup", "is_markup"]

# Tags that are known in a report which is no whole document: there "<5 mm" and "<unclear>" are text.
BLOCKS = """p br div tr table thead tbody tfoot ul ol li dl dt dd h1 h2 h3 h4 h5 h6 hr pre blockquote center body html
    section article text title caption paragraph list item component"""
CELLS = ("td", "th")
INLINE = "a b i u em strong span font sub sup small big tt code strike s ins mark label img wbr nobr content o:p"
LEFT_OUT = ("head", "script", "style", "del", "entry")  # elements whose text is none of the report
NARRATIVE = ("text", "title")  # of a section of a CDA document

_BLOCKS = frozenset(BLOCKS.split())
_TAG_END = r"(?:\s[^<>]*)?/?>"
_NAMES = "|".join(
    re.escape(name) for name in sorted([*_BLOCKS, *CELLS, *INLINE.split(), *LEFT_OUT], key=len, reverse=True)
)
_SPECIAL = r"<!--|<!\[CDATA\[|<![a-zA-Z][^<>]*>|<\?[^<>]*>"
_KNOWN_TAG = re.compile(rf"</?({_NAMES}){_TAG_END}|{_SPECIAL}", re.IGNORECASE)
_ANY_TAG = re.compile(rf"</?([a-zA-Z][\w:.-]*){_TAG_END}|{_SPECIAL}")
_DOCUMENT = re.compile(
    r"<(?:!DOCTYPE\s+html|html|body|\?xml|(?:\w+:)?ClinicalDocument|(?:\w+:)?structuredBody)\b", re.IGNORECASE
)
_XML = re.compile(r"\s*<\?xml\b|<(?:\w+:)?(?:ClinicalDocument|structuredBody)\b")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_CLOSINGS = {"<!--": "-->", "<![CDATA[": "]]>"}


def is_markup(text: str) -> bool:
    """Whether a text holds tags of HTML or of a CDA document."""
    return any(match[1] for match in _KNOWN_TAG.finditer(text)) or _DOCUMENT.search(text) is not None


def decode_entities(text: str) -> str:
    """A text with its character references ("&uuml;", "&#252;") replaced, also those that were encoded twice."""
    for _ in range(2):
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    return text.replace("\u00a0", " ")


def decode_markup(text: str) -> str:
    """The text of HTML or CDA: a line for each block and row, a space between cells. Of CDA, sections only.

    Returns an empty text for an XML document of another kind, or with entities of its own.
    """
    is_xml = _XML.search(text[:2000]) is not None and not re.search(r"<html\b", text[:4000], re.IGNORECASE)
    if "<!ENTITY" in text:
        return ""
    pieces = list(_narrative(text) if is_xml else _plain(text, _DOCUMENT.search(text) is not None))
    lines = (" ".join(line.split()) for line in decode_entities("".join(pieces)).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _tokens(text: str, tags: re.Pattern[str]) -> Iterator[tuple[str, str, str]]:
    """Texts and tags in their order: (text, "", "") or ("", mark, name); the mark is "<", "</" or "/>".

    Comments are left out, and so are elements of LEFT_OUT.
    """
    position = 0
    folded = text.lower()
    while match := tags.search(text, position):
        yield text[position : match.start()], "", ""
        position = match.end()
        name = (match[1] or "").lower()
        if closing := _CLOSINGS.get(match[0]):
            end = text.find(closing, position)
            if match[0] == "<![CDATA[" and end >= 0:
                yield text[position:end], "", ""
            position = end + len(closing) if end >= 0 else position
        elif name in LEFT_OUT and match[0][1] != "/" and not match[0].endswith("/>"):
            end = folded.find(f"</{name}", position)
            position = end if end >= 0 else position
        elif name:
            yield "", "</" if match[0][1] == "/" else "/>" if match[0].endswith("/>") else "<", name
    yield text[position:], "", ""


def _plain(text: str, is_document: bool) -> Iterator[str]:
    for piece, mark, name in _tokens(text, _ANY_TAG if is_document else _KNOWN_TAG):
        yield piece if not mark else "\n" if name in _BLOCKS else " " if name in CELLS else ""


def _narrative(text: str) -> Iterator[str]:
    """Titles and texts of the sections of a CDA document."""
    sections, narrative = 0, ""
    for piece, mark, qualified in _tokens(text, _ANY_TAG):
        name = qualified.rpartition(":")[2]
        if name == "section":
            sections += {"<": 1, "</": -1}.get(mark, 0)
        elif sections and name in NARRATIVE and (not narrative or narrative == name):
            narrative = name if mark == "<" else ""
            yield "\n"
        elif narrative:
            yield piece if not mark else "\n" if name in _BLOCKS else " " if name in CELLS else ""
