"""Boxes in the answers of other models: pixels, shares, thousandths or <loc> tokens, in any order of the coordinates.

The convention of a model is an option. A box that does not fit it is dropped and counted, and never read in another unit.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from refrad.config import BoxOptions
from refrad.core.types import Box

__all__ = ["BoxReading", "LabelledBox", "Spread", "read_boxes", "write_box"]

LOC_BINS = 1024
MOST_BRACKETS = 1000  # opening ones of one answer that are tried as the beginning of a JSON value
OPENING = re.compile(r"[\[{]")
TOLERANCE = 0.01  # share of the image beyond its edge that rounding may account for; it is clipped
BOX_KEYS = ("box_2d", "bbox_2d", "bbox", "box")
# Further keys of boxes, which may also hold something else.
BOX_LIKE_KEY = re.compile(r"box(?:es)?$|^coord|^(?:roi|rect|rectangle|location|position|region)s?$", re.IGNORECASE)
CORNER_NAMES = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
LABEL_LIST_KEYS = ("labels", "names", "texts", "classes", "objects")
CAPTION_KEYS = ("caption", "sentence", "description", "answer")
LABEL_KEYS = ("label", "text", "name", "class", "object")
FENCE = re.compile(r"```\w*")
LOCATIONS = re.compile(r"(?:<loc\d+>\s*)+")
LOCATION = re.compile(r"<loc(\d+)>")
# Corners as older Qwen models write them, with their special tokens or without: (12,30),(50,80).
CORNERS = re.compile(r"\(([\d\s.,+-]*)\)\s*,\s*\(([\d\s.,+-]*)\)|<box>([\d\s.,+-]+)</box>")
REFERENCE = re.compile(r"(?:<ref>|<\|object_ref_start\|>)(.*?)(?:</ref>|<\|object_ref_end\|>)")
BRACKETS = re.compile(r"</?box>|<\|(?:box_(?:start|end)|(?:begin|end)_of_box)\|>")
# Keys and texts in single quotes, as Python writes them.
PYTHON_KEY = re.compile(r"[{,]\s*'[^'\"\n]*'\s*:")
PYTHON_TEXT = re.compile(r"(?<=[\[{,:\s])'([^'\"\n]*)'(?=\s*[:,\]}])")
UNREAD_KEY = re.compile(rf"[\"'](?:{'|'.join(BOX_KEYS)})[\"']\s*:")

Spread = tuple[float, float]
"""Width and height of the image in the unit of the coordinates."""


class LabelledBox(NamedTuple):
    """A box (x_min, y_min, x_max, y_max; shares of width and height) and its label, "" without one."""

    box: Box
    label: str


@dataclass(frozen=True)
class BoxReading:
    """The words of an answer outside of its boxes, its boxes in order, and the number of boxes that do not fit the convention."""

    plain: str
    boxes: tuple[LabelledBox, ...]
    malformed: int


def read_boxes(text: str, convention: BoxOptions, size: tuple[int, int]) -> BoxReading:
    """The boxes of an answer.

    Read are JSON objects with one of BOX_KEYS and of LABEL_KEYS, also in lists, fences or text, or in Python's quotes; objects of label
    to box; named corners, whatever the order of the convention; lists of four numbers and pairs of corners in brackets, with the label in
    <ref> before them or none; and <loc> tokens, if that is the unit, with the label behind them.

    Args:
        text: the answer.
        convention: unit and order of the coordinates.
        size: width and height of the image that the model received, px.
    """
    if convention.unit == "loc":
        plain, candidates = _read_locations(text)
    else:
        text = FENCE.sub(" ", text)
        plain, candidates = _read_json(PYTHON_TEXT.sub(r'"\1"', text) if PYTHON_KEY.search(text) else text)
    boxes, malformed = [], 0
    for values, label in candidates:
        if (box := _box_of(values, convention, size)) is None:
            malformed += 1
        else:
            boxes.append(LabelledBox(box, label))
    return BoxReading(" ".join(plain.split()), tuple(boxes), malformed)


def write_box(box: Box, convention: BoxOptions, size: tuple[int, int]) -> list[float]:
    """The coordinates of a box (shares of width and height) in a convention: the inverse of reading them."""
    width, height = _spread(convention, size)
    x_min, y_min, x_max, y_max = (share * full for share, full in zip(box, (width, height) * 2, strict=True))
    match convention.order:
        case "xyxy":
            return [x_min, y_min, x_max, y_max]
        case "yxyx":
            return [y_min, x_min, y_max, x_max]
        case _:
            return [x_min, y_min, x_max - x_min, y_max - y_min]


def _spread(convention: BoxOptions, size: tuple[int, int]) -> Spread:
    match convention.unit:
        case "px":
            return float(size[0]), float(size[1])
        case "share":
            return 1.0, 1.0
        case "loc":
            return float(LOC_BINS), float(LOC_BINS)
        case _:
            return 1000.0, 1000.0


def _box_of(values: Any, convention: BoxOptions, size: tuple[int, int]) -> Box | None:
    """The box in shares, or None if the values do not fit the convention: not four finite numbers, inverted, empty, outside of the
    image, or all at most 1 where a unit is a pixel or a bin, which are shares.
    """
    if isinstance(values, Mapping):
        values, convention = _named_corners(values), convention.model_copy(update={"order": "xyxy"})
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 4:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    try:
        numbers = [float(value) for value in values]
    except OverflowError:
        return None
    if not all(map(math.isfinite, numbers)) or (convention.unit != "share" and max(numbers) <= 1):
        return None
    a, b, c, d = numbers
    if convention.order == "yxyx":
        a, b, c, d = b, a, d, c
    elif convention.order == "xywh":
        c, d = a + c, b + d
    width, height = _spread(convention, size)
    shares = a / width, b / height, c / width, d / height
    if min(shares) < -TOLERANCE or max(shares) > 1 + TOLERANCE:
        return None
    x_min, y_min, x_max, y_max = (min(max(share, 0.0), 1.0) for share in shares)
    return (x_min, y_min, x_max, y_max) if x_max > x_min and y_max > y_min else None


def _read_locations(text: str) -> tuple[str, list[tuple[Any, str]]]:
    """The words before the first tokens, or the labels without any, and each run of tokens with the words behind it."""
    runs = list(LOCATIONS.finditer(text))
    ends = [*(match.start() for match in runs[1:]), len(text)][: len(runs)]
    candidates: list[tuple[Any, str]] = []
    labels = []
    for run, end in zip(runs, ends, strict=True):
        label = re.split(r"[;\n<]", text[run.end() : end])[0].strip()
        numbers: Any = [int(number) for number in LOCATION.findall(run[0])]
        candidates.append((numbers, label))
        labels.append(label)
    before = text[: runs[0].start()] if runs else text
    return (before if before.strip() else ", ".join(labels)), candidates


def _read_json(text: str) -> tuple[str, list[tuple[Any, str]]]:
    """The words outside of JSON values and corners, and the values that may be boxes."""
    decoder = json.JSONDecoder(strict=False)
    candidates: list[tuple[Any, str]] = []
    plain, position = [], 0
    for _ in range(MOST_BRACKETS):
        if (match := OPENING.search(text, position)) is None:
            break
        plain.append(text[position : match.start()])
        try:
            value, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            plain.append(text[match.start()])
            position = match.start() + 1
            continue
        references = REFERENCE.findall(text[position : match.start()])
        inside = list(_candidates(value, references[-1].strip() if references else ""))
        plain.append(_caption_of(value) if inside or isinstance(value, Mapping) else text[match.start() : end])
        candidates += inside
        position = end
    words = "".join([*plain, text[position:]])
    candidates += [(None, "")] * len(UNREAD_KEY.findall(words))  # of objects that are cut off or no JSON
    candidates += _corner_candidates(words)
    return BRACKETS.sub(" ", REFERENCE.sub(r"\1", CORNERS.sub(" ", words))), candidates


def _caption_of(value: Any) -> str:
    """The words of a JSON object that has a caption along with its boxes."""
    texts = value if isinstance(value, Mapping) else {}
    return next((texts[key] for key in CAPTION_KEYS if isinstance(texts.get(key), str)), "")


def _corner_candidates(words: str) -> Iterator[tuple[Any, str]]:
    position = 0
    for match in CORNERS.finditer(words):
        references = REFERENCE.findall(words[position : match.start()])
        position = match.end()
        try:
            numbers = [float(part) for corner in match.groups() if corner is not None for part in corner.split(",")]
        except ValueError:
            yield None, ""
            continue
        yield numbers, references[-1].strip() if references else ""


def _candidates(value: Any, label: str) -> Iterator[tuple[Any, str]]:
    """The values that may be boxes, with their labels, at any depth of a JSON value."""
    if isinstance(value, Mapping):
        own = next((value[key] for key in LABEL_KEYS if isinstance(value.get(key), str)), label).strip()
        if _named_corners(value) is not None:
            yield value, own
        for key, inner in value.items():
            if key in BOX_KEYS or (BOX_LIKE_KEY.search(key) and _may_be_boxes(inner)):
                yield from _in_box_key(inner, own, _labels_of(value))
            elif BOX_LIKE_KEY.search(key) and isinstance(inner, Mapping | list):
                yield from _candidates(inner, own)
            elif _is_numbers(inner):
                yield inner, key  # label to box
            elif isinstance(inner, Mapping | list):
                yield from _candidates(inner, own if isinstance(inner, list) else key)
    elif isinstance(value, list):
        if _is_numbers(value):
            yield value, label
        else:
            for inner in value:
                if isinstance(inner, Mapping | list):
                    yield from _candidates(inner, label)


def _labels_of(value: Mapping[str, Any]) -> list[str]:
    """The labels that an object lists along with its boxes."""
    lists = (value[key] for key in LABEL_LIST_KEYS if isinstance(value.get(key), list))
    return next((labels for labels in lists if all(isinstance(label, str) for label in labels)), [])


def _named_corners(value: Mapping[str, Any]) -> list[Any] | None:
    """x_min, y_min, x_max and y_max of an object that names all four."""
    named = {str(key).lower().replace("_", ""): inner for key, inner in value.items()}
    return next(([named[name] for name in names] for names in CORNER_NAMES if named.keys() >= set(names)), None)


def _may_be_boxes(value: Any) -> bool:
    """Whether a value has the form of a box or of a list of boxes."""
    if isinstance(value, Mapping):
        return _named_corners(value) is not None
    return _is_numbers(value) or (isinstance(value, list) and bool(value) and all(map(_is_numbers, value)))


def _in_box_key(value: Any, label: str, labels: Sequence[str]) -> Iterator[tuple[Any, str]]:
    """The box, or the boxes, under a key that names one, with `labels` if there is one for each; anything else there is malformed."""
    if isinstance(value, list) and value and all(isinstance(inner, list) for inner in value):
        yield from zip(value, labels if len(labels) == len(value) else [label] * len(value), strict=True)
    elif value not in (None, []):
        yield value, label


def _is_numbers(value: Any) -> bool:
    """Whether a value may be a box: a list of two or more numbers."""
    return isinstance(value, list) and len(value) > 1 and all(isinstance(inner, int | float) for inner in value)
