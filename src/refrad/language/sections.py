"""Radiology reports, German and English, cut into their sections."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from refrad.language.detection import detect_language
from refrad.language.headings import (
    LONGEST,
    is_closing,
    is_mark,
    is_salutation,
    is_signature,
    match_examination,
    section_of,
)
from refrad.language.text_tables import split_tables

__all__ = [
    "CAPTIONED",
    "READ",
    "Part",
    "detect_language",
    "is_heading",
    "split_parts",
    "split_report",
    "split_sections",
]

CAPTIONED = ("findings", "impression", "addendum", "correction")  # sections whose sentences become captions
READ = (*CAPTIONED, "indication", "question", "technique")
# Headings that also open a section inside a line, in reports that lost their line breaks.
INSIDE_A_LINE = """befund, befunde, ergebnis, beurteilung, wertung, zusammenfassung, klinische angaben, klinische fragestellung, fragestellung,
    indikation, rechtfertigende indikation, technik, untersuchungstechnik, empfehlung, voruntersuchung, nachtrag, findings, impression,
    conclusion, clinical history, clinical information, clinical, indication, reason for exam, reason for examination, technique,
    comparison, recommendation, addendum"""
LONGEST_WORD = 200  # letters; what is longer is data

_WITH_COLON = re.compile(r"[ \t*#>_=-]{0,20}((?:\d{1,2}[.)]\s?)?[^\W\d_][^:\n]{1,78}?)[ *_]{0,4}:[*_]{0,2}[^\S\n]{0,9}")
_MARKUP = " \t*#:>_=-–"


def _inside_a_line() -> tuple[re.Pattern[str], re.Pattern[str]]:
    words = [" ".join(word.split()) for word in INSIDE_A_LINE.split(",")]
    titled = "|".join(word[0].upper() + word[1:] for word in sorted(words, key=len, reverse=True))
    capitals = "|".join(word.upper() for word in sorted(words, key=len, reverse=True))
    after_sentence = rf"(?:(?<=[.!?;)\]]\s)|(?<=\s\s))(?=(?P<heading>(?:{titled}|{capitals})\b[^:!?\n]{{0,60}}?:))"
    return re.compile(after_sentence), re.compile(rf"(?<=[.,;])(?=(?P<heading>(?:{capitals})\s?:))")


_INSIDE, _CLOSE = _inside_a_line()
_NEW_SENTENCE = re.compile(r"(?<=[.!?)\]]\s)(?=[^\W\d_])")
_CLOSING_WORDS = re.compile(
    r"mit\s|mfg|m\.|viele|freundliche|beste|kollegiale|herzliche|hochachtung|kind|warm|best|sincerely|gez|visum|vidiert|elektronisch"
    r"|(?:electronically|digitally|dictated|transcribed|signed|attending|diktiert|vielen\sdank)\b",
    re.IGNORECASE,
)


class Part(NamedTuple):
    """A piece of a report from start to end (code points), its heading up to `body`.

    Its section is one of SECTIONS, or "letterhead" before the first heading, or "closing" from the greeting on.
    """

    section: str
    start: int
    body: int
    end: int


def split_parts(text: str) -> list[Part]:
    """All of a report, cut at its headings: the parts follow each other from the first character to the last.

    A heading begins a line and has a colon, is alone on its line, or follows a sentence and has a colon. The title of an examination is
    a heading that goes on with findings, whatever was before; one of a line that says something stays in its section.
    """
    headings = list(_headings(text, by_examination=False))
    if all(section != "findings" for section, _, _ in headings):
        headings = list(_headings(text, by_examination=True))
    marks = [("letterhead", 0, 0)]
    for section, start, body in headings:
        if start == 0:
            marks.clear()
        marks.append((section, start, body))
    ends = [start for _, start, _ in marks[1:]] + [len(text)]
    return [Part(section, start, body, end) for (section, start, body), end in zip(marks, ends, strict=True)]


def is_heading(label: str) -> bool:
    """Whether a label, such as that of an HL7 observation, is a heading of reports."""
    return split_parts(f"{label}:\n.")[0].section != "letterhead"


def split_report(text: str) -> list[tuple[str, str]]:
    """All of a report as (section, text) in its order, what nothing reads included; without headings.

    Text before the first heading is findings where no heading opens findings, else "letterhead". Beside the sections there are
    "closing", "table" (rows with values of several days) and "data" (words that nobody wrote).
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    parts = split_parts(text)
    if all(part.section != "findings" for part in parts):
        parts = [part._replace(section="findings") if part.section == "letterhead" else part for part in parts]
    pieces = [piece for part in parts for piece in _pieces(part.section, text[part.body : part.end])]
    return [(section, body.strip("\n ")) for section, body in pieces if body.strip()]


def split_sections(text: str) -> list[tuple[str, str]]:
    """The sections of a report that are read (`READ`) in its order, as (section, text) without headings."""
    return [(section, body) for section, body in split_report(text) if section in READ]


def _pieces(section: str, body: str) -> Iterator[tuple[str, str]]:
    """The text of a part, with its tables and words that are data for themselves."""
    for long_word in re.findall(rf"\S{{{LONGEST_WORD},}}", body):
        yield "data", long_word
        body = body.replace(long_word, "", 1)
    if section not in CAPTIONED:
        yield section, body
        return
    for is_table, block in split_tables(body):
        yield "table" if is_table else section, block


def _headings(text: str, by_examination: bool) -> Iterator[tuple[str, int, int]]:
    """Section, start and end of each heading; a greeting is the heading of the closing.

    With `by_examination`, for reports without a heading of findings, the titles of examinations ("CT ABDOMEN:") open them.
    """
    current = "letterhead"
    for line in re.finditer(r"[^\n]+", text):
        start, end = line.span()
        bare = line[0].strip(_MARKUP)
        if mark := _line_mark(bare, current):
            section, is_alone = mark
            yield section, start, end if is_alone else start
            if is_alone:
                yield current, end, end
            else:
                current = section
            continue
        begin = start
        for section, first, last in _opening(line[0], current, by_examination):
            current = section
            begin = start + last
            yield section, start + first, start + last
        for section, first, last in _inside(text, begin, end):
            current = section
            yield section, first, last


def _line_mark(bare: str, current: str) -> tuple[str, bool] | None:
    """The section of a line that is no text of the report, and whether it is that line alone."""
    if is_mark(bare) or (current == "letterhead" and is_salutation(bare)):
        return "other", True
    if not (is_closing(bare) or is_signature(bare)):
        return None
    return "closing", False


def _opening(line: str, current: str, by_examination: bool) -> Iterator[tuple[str, int, int]]:
    """Headings at the beginning of a line: the title of an examination, and the heading of a section, one behind the other."""
    begin = len(line) - len(line.lstrip(_MARKUP))
    bare = line.strip(_MARKUP)
    end = 0
    if title := match_examination(line[begin:]):
        end = begin + title.end()
        yield _examined(title, current, not line[end:].strip(), by_examination), 0, end
    if len(bare) <= LONGEST and (section := section_of(bare)):
        yield section, 0, len(line)
        return
    heading = _WITH_COLON.match(line, end)
    if heading and (section := section_of(f"{heading[1]}:")):
        yield section, end, heading.end()


def _examined(title: re.Match[str], current: str, is_alone: bool, by_examination: bool) -> str:
    """The section that goes on after the title of an examination."""
    has_colon = title["colon"] == ":"
    if current == "closing" or (current == "impression" and is_alone and title["date"]):
        return "findings"
    if current in CAPTIONED or not (is_alone and has_colon):
        return current
    return "findings" if by_examination or (title["date"] and current != "letterhead") else current


def _inside(text: str, begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Headings and greetings inside a line."""
    marks = [
        (section, heading.start("heading"), heading.end("heading"))
        for pattern in (_INSIDE, _CLOSE)
        for heading in pattern.finditer(text, begin, end)
        if (section := section_of(heading["heading"]))
    ]
    for sentence in _NEW_SENTENCE.finditer(text, begin, end):
        if _CLOSING_WORDS.match(text, sentence.start()) and is_closing(
            text[sentence.start() : sentence.start() + LONGEST]
        ):
            marks.append(("closing", sentence.start(), sentence.start()))
            break
    reached = begin
    for section, first, last in sorted(marks, key=lambda mark: mark[1]):
        if first >= reached:
            yield section, first, last
            reached = last
