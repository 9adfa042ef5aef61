"""Reports as documents of other systems: Rich Text, HL7 messages, HTML and CDA to plain text."""

from collections.abc import Callable

from refrad.formats.charsets import mend_text
from refrad.formats.hl7 import decode_hl7, is_hl7
from refrad.formats.markup import decode_entities, decode_markup, is_markup
from refrad.formats.rich_text import START, decode_rich_text

__all__ = ["UnreadableDocument", "decode_document"]

BINARY = {"%PDF-": "unreadable_pdf", "JVBERi0": "unreadable_pdf", "PK\x03\x04": "unreadable_docx"}  # starts of files


class UnreadableDocument(ValueError):
    """A document holds no text that can be read; the message is the reason, such as "unreadable_rtf"."""


def decode_document(text: str, is_heading: Callable[[str], bool]) -> str:
    """The plain text of a report in any form; plain text stays as it is but for character references ("&uuml;").

    Args:
        text: of the document.
        is_heading: whether the label of an HL7 observation is a heading of reports.

    Raises:
        UnreadableDocument: if it is a document without text, or of a form that cannot be read.
    """
    for start, reason in BINARY.items():
        if text.startswith(start):
            raise UnreadableDocument(reason)
    if is_hl7(text):
        text = _decoded(decode_hl7(text, is_heading), "unreadable_hl7")
    if START in text:
        text = _decoded(decode_rich_text(text), "unreadable_rtf")
    if not is_markup(text):
        text = decode_entities(text)
    if is_markup(text):
        text = _decoded(
            decode_markup(text), "unreadable_xml" if text.lstrip().startswith("<?xml") else "unreadable_html"
        )
    return mend_text(text)[0].replace("\0", "").strip()


def _decoded(text: str, reason: str) -> str:
    if not any(character.isalpha() for character in text):
        raise UnreadableDocument(reason)
    return text
