"""Boxes in the text of an answer, in the format of the base model, and back.

`box_format` is "yxyx" or "xyxy", tags around the phrases (see `refrad.model.box_tokens`), or "json": the sentence, and on the last line
a list, as Qwen3-VL writes boxes, with the class of each box:

    The liver and both kidneys are normal.
    [{"bbox_2d": [120, 245, 480, 611], "label": "liver", "class": 5}, {"bbox_2d": [...], "label": "kidneys", "class": 2}, ...]

Coordinates are x_min, y_min, x_max, y_max in thousandths of the image, half-open, so they are off by half a thousandth of a side at most. A
label is a phrase of the sentence, by default its first occurrence: `"occurrence": 2` is the second one. A phrase of several classes has an
object for each. The list is there also if it is empty, so a sentence that itself ends with such a list stays as it is.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from refrad.core.types import SEG_TOKENS, Box
from refrad.model.box_tokens import ParsedEntity, ParsedText, TaggedEntity, detection_text, parse_detection

__all__ = ["JSON", "read_boxes", "write_boxes"]

JSON = "json"
THOUSAND = 1000
LIST = re.compile(r"\[\s*(?:\{|\]?\Z)")
INDENTED_LIST = re.compile(
    r"(?:\A|\n)[^\S\n]*(?:```(?:json)?\s*)?(?=\[\s*(?:\{|\]\s*(?:```)?\Z))"
)  # over lines, or in a fence
FENCE = re.compile(r"\s*```\Z")


def write_boxes(text: str, entities: Sequence[TaggedEntity], box_format: str) -> str:
    """A caption with the boxes of its entities, which are relative."""
    if box_format != JSON:
        return detection_text(text, entities, 1, 1, box_format)
    ordered = sorted(entities, key=lambda entity: (entity.start, -entity.end))
    return f"{text}\n{json.dumps([_object(text, entity) for entity in ordered], ensure_ascii=False)}"


def read_boxes(text: str, box_format: str) -> ParsedText:
    """Parse an answer with boxes. Never raises: what cannot be read is listed as damaged.

    Of format "json" an answer without a list is all text, and one of a list alone has its labels as the text.
    """
    if box_format != JSON:
        return parse_detection(text, box_format)
    answer = text.rstrip()
    before, _, last_line = answer.rpartition("\n")
    if LIST.match(last_line):
        plain, listed = before, last_line
    elif match := INDENTED_LIST.search(answer):
        plain, listed = answer[: match.start()], FENCE.sub("", answer[match.end() :])
    else:
        return ParsedText(text, (), ())
    objects, damaged = _objects(listed)
    if plain:
        located = [(_offset(plain, item), item) for item in objects]
    else:
        plain, located = _labels_alone(objects)
    entities = []
    for offset, item in located:
        box, class_id = _box(item.get("bbox_2d")), _class(item.get("class"))
        if offset is None or box is None or class_id is None:
            damaged.append(json.dumps(item, ensure_ascii=False))
        else:
            entities.append(ParsedEntity(item["label"], class_id, box, offset))
    entities.sort(key=lambda entity: (entity.start, -len(entity.text)))
    return ParsedText(plain, tuple(entities), tuple(damaged))


def _object(text: str, entity: TaggedEntity) -> dict[str, Any]:
    label = text[entity.start : entity.end]
    number = next(number for number, offset in enumerate(_occurrences(text, label), 1) if offset == entity.start)
    box = [round(min(max(side, 0.0), 1.0) * THOUSAND) for side in entity.box]
    described = {"bbox_2d": box, "label": label, "class": entity.class_id}
    return described | ({"occurrence": number} if number > 1 else {})


def _occurrences(text: str, label: str) -> Iterator[int]:
    """The offsets of a label in a text; occurrences may overlap."""
    offset = text.find(label)
    while offset >= 0:
        yield offset
        offset = text.find(label, offset + 1)


def _offset(text: str, item: dict[str, Any]) -> int | None:
    """The offset of the label of an object, or None if the text has no such occurrence."""
    label, number = item.get("label"), item.get("occurrence", 1)
    if not isinstance(label, str) or not label or not isinstance(number, int):
        return None
    return next((offset for count, offset in enumerate(_occurrences(text, label), 1) if count == number), None)


def _labels_alone(objects: Sequence[dict[str, Any]]) -> tuple[str, list[tuple[int | None, dict[str, Any]]]]:
    """The labels, joined by commas, and the offset of the label of each object."""
    labels = [item["label"] if isinstance(item.get("label"), str) else "" for item in objects]
    distinct = list(dict.fromkeys(filter(None, labels)))
    plain, offsets = ", ".join(distinct), {}
    offset = 0
    for label in distinct:
        offsets[label] = offset
        offset += len(label) + 2
    return plain, [(offsets.get(label), item) for label, item in zip(labels, objects, strict=True)]


def _objects(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The objects of a list, and what else is in it; one that was cut keeps its complete objects."""
    decoder = json.JSONDecoder(strict=False)
    objects: list[dict[str, Any]] = []
    rest = text.removeprefix("[").lstrip()
    while rest.startswith("{"):
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            return objects, [rest]
        objects.append(value)
        rest = rest[end:].lstrip().removeprefix(",").lstrip()
    return objects, [] if rest.rstrip() == "]" else [rest or "unclosed list"]


def _box(values: Any) -> Box | None:
    """x_min, y_min, x_max, y_max from thousandths, or None if they make no box."""
    if not isinstance(values, list) or len(values) != 4:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    if not all(0 <= value <= THOUSAND for value in values) or values[0] > values[2] or values[1] > values[3]:
        return None
    x_min, y_min, x_max, y_max = (value / THOUSAND for value in values)
    return x_min, y_min, x_max, y_max


def _class(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < SEG_TOKENS else None
