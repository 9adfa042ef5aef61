"""HL7 version 2 messages to plain text: the texts of their observations (OBX), never those of patient, visit or order."""

import re
from collections.abc import Callable, Iterator

__all__ = ["decode_hl7", "is_hl7"]

_START = re.compile(
    r"[\s\x0b]*(?:(?:MSH|FHS|BHS)(?P<separator>[^\w\s])[^\w\s]{3,5}(?P=separator)|[A-Z][A-Z0-9]{2}\|(?=(?:.*\n){0,20}?OBX\|)|OBX\|)"
)
_SEGMENT_END = re.compile(
    r"[\r\n\x0b\x1c]+|\\[rn](?=[A-Z][A-Z0-9]{2}\|)"
)  # also line breaks as databases write them out
_ESCAPE = re.compile(r"\\([A-Za-z.][^\\\r\n]{0,40})?\\")
_LINE_ESCAPES = (".br", ".sp", ".ce")  # commands of formatted text that end a line
TEXT_TYPES = ("TX", "FT", "ST", "")
WITHDRAWN = ("D", "X", "W")  # result status: deleted, impossible, wrong
# Suffixes and LOINC codes of observations to headings of reports, for messages whose labels are none.
HEADING_OF_CODE = {
    "GDT": "Findings",
    "IMP": "Impression",
    "REC": "Recommendation",
    "ADT": "Addendum",
    "59776-5": "Findings",
    "19005-8": "Impression",
    "18785-6": "Indication",
    "55111-9": "Technique",
}


def is_hl7(text: str) -> bool:
    """Whether a text is an HL7 message, or some of its segments."""
    return _START.match(text.replace("\r\n", "\n").replace("\r", "\n")) is not None


def decode_hl7(text: str, is_heading: Callable[[str], bool]) -> str:
    """The observations of a message as lines, each under the heading that its label or code names; notes if there are none.

    Args:
        text: of the message.
        is_heading: whether a label, such as "Befund", is a heading of reports.
    """
    lines: list[str] = []
    notes: list[str] = []
    heading = None
    for separator, marks, fields in _segments(text):
        if fields[0] == "OBX" and _at(fields, 2) in TEXT_TYPES and _at(fields, 11) not in WITHDRAWN:
            label = _heading(_at(fields, 3), marks, is_heading)
            if label and label != heading:
                lines.append(f"{label}:")
            heading = label or heading
            lines.append(_value(_at(fields, 5), separator, marks))
        elif fields[0] == "NTE":
            notes.append(_value(_at(fields, 3), separator, marks))
    return "\n".join(lines or notes)


def _segments(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Separator of fields, further marks of the message (component, repetition, escape, subcomponent), and fields of each segment."""
    separator, marks = "|", "^~\\&"
    segment = ""
    pieces = [piece.lstrip() for piece in _SEGMENT_END.split(text)]
    for piece in [*pieces, "END"]:
        if piece[:3] in ("MSH", "FHS", "BHS") and len(piece) > 3:
            separator = piece[3]
            marks = piece[4:].split(separator)[0].ljust(4)
        if piece != "END" and not re.match(rf"[A-Z][A-Z0-9]{{2}}{re.escape(separator)}", piece):
            segment += f"\n{piece}"  # a line break inside of a text
            continue
        if segment.strip():
            yield separator, marks, segment.strip().split(separator)
        segment = piece


def _at(fields: list[str], number: int) -> str:
    return fields[number].strip() if number < len(fields) else ""


def _heading(identifier: str, marks: str, is_heading: Callable[[str], bool]) -> str | None:
    """The heading that the identifier of an observation stands for, by its label or its code."""
    code, _, label = identifier.partition(marks[0])
    label = label.split(marks[0])[0].strip()
    if label and "\n" not in label and is_heading(label):
        return label
    return HEADING_OF_CODE.get(code.split(marks[3])[-1].strip())


def _value(text: str, separator: str, marks: str) -> str:
    """A text with its repetitions as lines and its escapes replaced."""
    component, repetition, escape, subcomponent = tuple(marks[:4])
    delimiters = {"F": separator, "S": component, "R": repetition, "E": escape, "T": subcomponent}

    def replace_escape(match: re.Match[str]) -> str:
        command = match[1] or ""
        if command.startswith(_LINE_ESCAPES):
            return "\n"
        if command.startswith("X") and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", command[1:]):
            return _decode(bytes.fromhex(command[1:]))
        return delimiters.get(command, "")

    text = text.replace(repetition, "\n") if repetition.strip() else text
    return _ESCAPE.sub(replace_escape, text if escape == "\\" else text.replace(escape, "\\"))


def _decode(encoded: bytes) -> str:
    try:
        return encoded.decode("utf-8")
    except UnicodeDecodeError:
        return encoded.decode("cp1252", errors="replace")
