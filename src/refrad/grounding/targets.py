"""Boxes and masks as text, and back: what the model learns to write, and how what it writes is read.

Detection:     `<p bbox=<loc0123><loc0045><loc0200><loc0100> id=<seg005>>liver</p>`, 512 bins, one tag a class;
               a phrase of several classes nests its tags.
Segmentation:  `<seg>liver</seg>`, one mask a tag, in the order of the tags.

Boxes are half-open; relative coordinates run from 0 (left, top) to 1 (right, bottom). `order` is "yxyx" (y_min, x_min,
y_max, x_max, as in the paper) or "xyxy" (as in the released code).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BINS",
    "ParsedEntity",
    "ParsedText",
    "bin_of",
    "detection_text",
    "parse_detection",
    "segmentation_text",
    "value_of",
]

BINS = 512
Box = tuple[float, float, float, float]
ORDERS: Mapping[str, tuple[str, str, str, str]] = {
    "yxyx": ("y_min", "x_min", "y_max", "x_max"),
    "xyxy": ("x_min", "y_min", "x_max", "y_max"),
}
OPEN = r"<p bbox=\s*((?:<loc\d{4}>\s*){4})id=\s*<seg(?P<class>\d{3})>\s*>"
TOKEN = re.compile(rf"(?P<open>{OPEN})|(?P<close></p>)|(?P<stray><[^<>]*>?|>)")
LOCATION = re.compile(r"<loc(\d{4})>")
# Angle brackets are tags here; those of a report ("< 5 mm") are written as their single-quote look-alikes.
TO_TEXT = str.maketrans("<>", "‹›")
FROM_TEXT = str.maketrans("‹›", "<>")


@dataclass(frozen=True)
class ParsedEntity:
    """A tagged phrase that was read. `box` is x_min, y_min, x_max, y_max, relative."""

    text: str
    class_id: int
    box: Box
    start: int


@dataclass(frozen=True)
class ParsedText:
    """Model output, read: text without tags, entities in the order of their phrases, and the pieces that made no sense."""

    plain: str
    entities: tuple[ParsedEntity, ...]
    damaged: tuple[str, ...]


def bin_of(value: float) -> int:
    """The bin of a relative coordinate; both edges of the image have a bin of their own, so nothing is cut off."""
    return round(min(max(value, 0.0), 1.0) * (BINS - 1))


def value_of(number: int) -> float:
    """The relative coordinate of a bin; off by half a bin at most after `bin_of`."""
    return number / (BINS - 1)


def detection_text(text: str, entities: Sequence[Mapping[str, Any]], width: float, height: float, order: str) -> str:
    """A caption with its boxes.

    Args:
        text: the caption.
        entities: with start, end (code points of `text`), class_id, x_min, y_min, x_max, y_max.
        width: of the image, in the units of the boxes (1 for relative boxes).
        height: likewise.
        order: of the coordinates.
    """

    def opening(entity: Mapping[str, Any]) -> str:
        size = {"x": width, "y": height}
        bins = [bin_of(entity[key] / size[key[0]]) for key in ORDERS[order]]
        return f"<p bbox={''.join(f'<loc{number:04d}>' for number in bins)} id=<seg{entity['class_id']:03d}>>"

    return _tagged(text, entities, opening, "</p>")


def segmentation_text(text: str, entities: Sequence[Mapping[str, Any]]) -> str:
    """A caption with a tag for each mask; the masks belong to the tags in the order in which the tags close."""
    return _tagged(text, entities, lambda _: "<seg>", "</seg>")


def _tagged(text: str, entities: Sequence[Mapping[str, Any]], opening: Any, closing: str) -> str:
    """Put tags around the spans: longer spans outside, equal spans in the order given; a crossing span starts later."""
    pieces: list[str] = []
    stack: list[int] = []  # ends of the open spans, innermost last
    at = 0

    def advance(to: int) -> None:
        nonlocal at
        while stack and stack[-1] <= to:
            end = stack.pop()
            pieces.append(text[at:end].translate(TO_TEXT) + closing)
            at = end
        pieces.append(text[at:to].translate(TO_TEXT))
        at = to

    for entity in sorted(entities, key=lambda one: (one["start"], -one["end"])):
        start, end = entity["start"], entity["end"]
        advance(start)
        if stack and stack[-1] < end:  # crosses the open span: tags cannot, so this one begins where that one ends
            advance(stack[-1])
        pieces.append(opening(entity))
        stack.append(end)
    advance(len(text))
    return "".join(pieces)


def parse_detection(text: str, order: str) -> ParsedText:
    """Read what a model wrote. Never raises: what cannot be read is listed as damaged."""
    plain: list[str] = []
    length = at = 0
    opened: list[tuple[int, int, Box | None]] = []  # where the phrase starts, class, box
    found: list[tuple[int, int, ParsedEntity]] = []
    damaged: list[str] = []

    def write(piece: str) -> None:
        nonlocal length
        plain.append(piece.translate(FROM_TEXT))
        length += len(piece)

    def close() -> None:
        start, class_id, box = opened.pop()
        if box is not None:
            phrase = "".join(plain)[start:]
            found.append((start, len(opened), ParsedEntity(phrase, class_id, box, start)))

    for token in TOKEN.finditer(text):
        write(text[at : token.start()])
        at = token.end()
        if token["open"]:
            box = _box([int(number) for number in LOCATION.findall(token["open"])], order)
            if box is None:
                damaged.append(token["open"])
            opened.append((length, int(token["class"]), box))
        elif token["close"] and opened:
            close()
        else:
            damaged.append(token[0])
    write(text[at:])
    if opened:
        damaged.append("unclosed phrase")
    while opened:
        close()
    entities = tuple(entity for _, _, entity in sorted(found, key=lambda one: one[:2]))
    return ParsedText("".join(plain), entities, tuple(damaged))


def _box(bins: Sequence[int], order: str) -> Box | None:
    """x_min, y_min, x_max, y_max from four bins, or None if they make no box."""
    if max(bins) >= BINS:
        return None
    values = dict(zip(ORDERS[order], (value_of(number) for number in bins), strict=True))
    if values["x_min"] > values["x_max"] or values["y_min"] > values["y_max"]:
        return None
    return values["x_min"], values["y_min"], values["x_max"], values["y_max"]
