"""Boxes and masks as text, and back: the targets of training, and the parser of answers.

Detection:     `<p bbox=<loc0123><loc0045><loc0200><loc0100> id=<seg005>>liver</p>`, 512 bins, one tag a class;
               a phrase of several classes nests its tags.
Segmentation:  `<seg>liver</seg>`, one tag and one mask a phrase: the union of its classes. Masks belong to the tags in the
               order in which the tags close, which is where a model's mask head reads its prompt.

Boxes are half-open; relative coordinates run from 0 (left, top) to 1 (right, bottom). `order` is "yxyx" (y_min, x_min,
y_max, x_max, as in the paper) or "xyxy" (as in the released code).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from refrad.core.types import Box

__all__ = [
    "COORDINATE_BINS",
    "ParsedEntity",
    "ParsedPhrase",
    "ParsedPhrases",
    "ParsedText",
    "Phrase",
    "TaggedEntity",
    "bin_of",
    "detection_text",
    "parse_detection",
    "parse_segmentation",
    "phrases_of",
    "segmentation_text",
    "value_of",
]

COORDINATE_BINS = 512  # of a coordinate: the first of the 1,024 <loc> tokens
ORDERS: Mapping[str, tuple[str, str, str, str]] = {
    "yxyx": ("y_min", "x_min", "y_max", "x_max"),
    "xyxy": ("x_min", "y_min", "x_max", "y_max"),
}
OPEN = r"<p bbox=\s*((?:<loc\d{4}>\s*){4})id=\s*<seg(?P<class>\d{3})>\s*>"
DETECTION = re.compile(rf"(?P<open>{OPEN})|(?P<close></p>)|(?P<stray><[^<>]*>?|>)")
SEGMENTATION = re.compile(r"(?P<open><seg>)|(?P<close></seg>)|(?P<stray><[^<>]*>?|>)")
LOCATION = re.compile(r"<loc(\d{4})>")
UNCLOSED = "unclosed phrase"
# Angle brackets are tags here; those of a report ("< 5 mm") are written as their single-quote look-alikes.
TO_TEXT = str.maketrans("<>", "‹›")
FROM_TEXT = str.maketrans("‹›", "<>")

Span = tuple[int, int]
V = TypeVar("V")


class TaggedEntity(NamedTuple):
    """A span of a caption (code points, half-open), a class of it, and its box: x_min, y_min, x_max, y_max."""

    start: int
    end: int
    class_id: int
    box: Box


@dataclass(frozen=True)
class ParsedEntity:
    """A parsed phrase in detection tags. `box` is x_min, y_min, x_max, y_max, relative."""

    text: str
    class_id: int
    box: Box
    start: int


@dataclass(frozen=True)
class ParsedText:
    """Parsed model output: text without tags, entities in the order of their phrases, and the pieces that could not be parsed."""

    plain: str
    entities: tuple[ParsedEntity, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Phrase:
    """A span of a caption (code points) and the classes whose union is its mask."""

    start: int
    end: int
    classes: tuple[int, ...]


@dataclass(frozen=True)
class ParsedPhrase:
    """A phrase in segmentation tags. `tag` is the number of its closing tag: the mask of that number is its own."""

    text: str
    start: int
    tag: int


@dataclass(frozen=True)
class ParsedPhrases:
    """Parsed model output: text without tags, the phrases in the order of their closing tags, and the pieces that could not be parsed."""

    plain: str
    phrases: tuple[ParsedPhrase, ...]
    damaged: tuple[str, ...]


def bin_of(value: float) -> int:
    """The bin of a relative coordinate; both edges of the image have a separate bin, so nothing is cut off."""
    return round(min(max(value, 0.0), 1.0) * (COORDINATE_BINS - 1))


def value_of(number: int) -> float:
    """The relative coordinate of a bin; off by half a bin at most after `bin_of`."""
    return number / (COORDINATE_BINS - 1)


def detection_text(text: str, entities: Sequence[TaggedEntity], width: float, height: float, order: str) -> str:
    """A caption with its boxes.

    Args:
        text: the caption.
        entities: of the caption, with boxes.
        width: of the image, in the units of the boxes (1 for relative boxes).
        height: of the image, in the same units.
        order: of the coordinates, "yxyx" or "xyxy".
    """
    size = {"x": width, "y": height}

    def opening(number: int) -> str:
        sides = dict(zip(ORDERS["xyxy"], entities[number].box, strict=True))
        bins = [bin_of(sides[side] / size[side[0]]) for side in ORDERS[order]]
        return f"<p bbox={''.join(f'<loc{side:04d}>' for side in bins)} id=<seg{entities[number].class_id:03d}>>"

    return _tagged(text, [(entity.start, entity.end) for entity in entities], opening, "</p>")[0]


def phrases_of(entities: Sequence[TaggedEntity]) -> list[Phrase]:
    """The spans of entities, each once with all of its classes, in the order in which their segmentation tags close.

    The n-th mask of a target is the union of the classes of the n-th phrase: this order is the only one there is.
    """
    classes = _classes_by_span(entities)
    spans = list(classes)
    _, closing = _tagged("", spans, lambda _: "", "")
    return [Phrase(*spans[number], tuple(dict.fromkeys(classes[spans[number]]))) for number in closing]


def segmentation_text(text: str, entities: Sequence[TaggedEntity]) -> str:
    """A caption with a tag for each phrase; the masks that belong to the tags are those of `phrases_of`, in its order."""
    return _tagged(text, list(_classes_by_span(entities)), lambda _: "<seg>", "</seg>")[0]


def _classes_by_span(entities: Sequence[TaggedEntity]) -> dict[Span, list[int]]:
    """The classes of each span, spans and classes in the order of the entities."""
    classes: dict[Span, list[int]] = {}
    for entity in entities:
        classes.setdefault((entity.start, entity.end), []).append(entity.class_id)
    return classes


def _tagged(text: str, spans: Sequence[Span], opening: Callable[[int], str], closing: str) -> tuple[str, list[int]]:
    """Put tags around the spans: longer spans outside, equal spans in their order; a crossing span starts later.

    `opening` returns the opening tag of the span of a number. Also returns the numbers of the spans in the order in which their
    tags close.
    """
    pieces: list[str] = []
    stack: list[tuple[int, int]] = []  # end and number of the open spans, innermost last
    closed: list[int] = []
    at = 0

    def advance(to: int) -> None:
        nonlocal at
        while stack and stack[-1][0] <= to:
            end, number = stack.pop()
            pieces.append(text[at:end].translate(TO_TEXT) + closing)
            closed.append(number)
            at = max(at, end)
        pieces.append(text[at:to].translate(TO_TEXT))
        at = max(at, to)

    for number, (start, end) in sorted(enumerate(spans), key=lambda item: (item[1][0], -item[1][1])):
        advance(start)
        while stack and stack[-1][0] < end:  # tags cannot cross, so this one begins where that one ends
            advance(stack[-1][0])
        pieces.append(opening(number))
        stack.append((end, number))
    advance(max([len(text), *(end for end, _ in stack)]))
    return "".join(pieces), closed


def parse_detection(text: str, order: str) -> ParsedText:
    """Parse the answer of a model with boxes. Never raises: unreadable tags are listed as damaged."""
    damaged: list[str] = []

    def box_of(token: re.Match[str]) -> tuple[int, Box] | None:
        box = _box([int(number) for number in LOCATION.findall(token["open"])], order)
        if box is None:
            damaged.append(token["open"])
            return None
        return int(token["class"]), box

    plain, tagged, broken = _read(text, DETECTION, box_of)
    in_order = sorted(tagged, key=lambda span: span[0])
    entities = [
        ParsedEntity(plain[start:end], value[0], value[1], start) for (start, _), end, value in in_order if value
    ]
    return ParsedText(plain, tuple(entities), (*damaged, *broken))


def parse_segmentation(text: str) -> ParsedPhrases:
    """Parse the answer of a model with masks. Never raises. A phrase that is never closed has no mask: it is listed as damaged only."""
    plain, tagged, damaged = _read(text, SEGMENTATION, lambda _: True)
    closed = tagged[: len(tagged) - sum(piece == UNCLOSED for piece in damaged)]
    phrases = [ParsedPhrase(plain[start:end], start, tag) for tag, ((start, _), end, _) in enumerate(closed)]
    return ParsedPhrases(plain, tuple(phrases), damaged)


def _read(
    text: str, tokens: re.Pattern[str], value_of_tag: Callable[[re.Match[str]], V]
) -> tuple[str, list[tuple[tuple[int, int], int, V]], tuple[str, ...]]:
    """The text without tags; its tagged spans as they close: (start, depth), end, and `value_of_tag` of the opening tag; the damage."""
    plain: list[str] = []
    length = at = 0
    opened: list[tuple[int, V]] = []
    tagged: list[tuple[tuple[int, int], int, V]] = []
    damaged: list[str] = []
    for token in tokens.finditer(text):
        plain.append(text[at : token.start()])
        length += token.start() - at
        at = token.end()
        if token["open"]:
            opened.append((length, value_of_tag(token)))
        elif token["close"] and opened:
            start, value = opened.pop()
            tagged.append(((start, len(opened)), length, value))
        else:
            damaged.append(token[0])
    plain.append(text[at:])
    length += len(text) - at
    while opened:  # the phrase goes on to the end
        start, value = opened.pop()
        tagged.append(((start, len(opened)), length, value))
        damaged.append(UNCLOSED)
    return "".join(plain).translate(FROM_TEXT), tagged, tuple(damaged)


def _box(bins: Sequence[int], order: str) -> Box | None:
    """x_min, y_min, x_max, y_max from four bins, or None if they make no box."""
    if max(bins) >= COORDINATE_BINS:
        return None
    values = dict(zip(ORDERS[order], (value_of(number) for number in bins), strict=True))
    if values["x_min"] > values["x_max"] or values["y_min"] > values["y_max"]:
        return None
    return values["x_min"], values["y_min"], values["x_max"], values["y_max"]
