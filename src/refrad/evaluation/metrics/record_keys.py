"""Errors of rows of predictions and truth, and misspelt keys: a row whose answer has another name would score 0 without a word."""

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

__all__ = ["OPTIONAL", "describe_error", "suggest_key"]

# Words in the names that other programs give to a key.
SYNONYMS = {
    "answer": {
        *("answer", "prediction", "predicted", "pred", "output", "response", "reply", "text", "caption", "report"),
        *("completion", "generated", "generation", "hypothesis", "candidate", "content", "message", "result", "label"),
        *("reference", "truth", "gt", "groundtruth", "antwort"),
    },
    "entities": {
        *(
            "entity",
            "entities",
            "box",
            "boxes",
            "bbox",
            "bboxes",
            "region",
            "regions",
            "object",
            "objects",
            "detections",
        ),
        *("mask", "masks", "segmentation", "segmentations", "annotations", "instances"),
    },
    "id": {"id", "qid", "uid", "idx", "index", "key"},
    "kind": {"type", "kind", "category"},
    "task": {"task", "type"},
    "box": {"bbox", "boxes", "bboxes", "rectangle", "xyxy"},
    "mask": {"segmentation", "masks", "rle", "polygon", "polygons", "seg"},
    "text": {"label", "name", "phrase", "keyword", "category", "words"},
    "class_id": {"class", "category", "classid", "label"},
    "group": {"patient", "patients", "subject", "study", "case", "pid", "cluster"},
    "size": {"size", "shape", "resolution", "width", "height"},
    "language": {"lang", "language", "locale"},
    "absent": {"negative", "negatives"},
}
# Keys of truth that may be left out, so that a misspelt one would be as if left out
OPTIONAL = ("group", "size", "language", "modality", "topic", "category", "absent", "midline", "dataset", "question")
ALIKE = 0.8  # of difflib, from which a key is a misspelling

# What a value must be, by the type of pydantic's error
WANTED = {
    "missing": "is missing",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
    "dataclass_type": 'must be an object with a "text" and a "box" or a "mask"',
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
}


def suggest_key(keys: Iterable[str], missing: Iterable[str]) -> str | None:
    """The first of the `missing` keys that one of the `keys` seems to mean, as a question; None if none does.

    The question repeats the misspelt key, but no key that resembles nothing known.
    """
    return _suggest(tuple(keys), tuple(missing))


@lru_cache(maxsize=1024)
def _suggest(keys: tuple[str, ...], missing: tuple[str, ...]) -> str | None:
    for name in missing:
        for key in keys:
            if name not in keys and _resembles(key, name):
                return f'did you mean "{name}" by "{key}"?'
    return None


def _resembles(key: str, name: str) -> bool:
    if len(key) > 40 or not re.fullmatch(r"\s*[\w.-]+\s*", key):
        return False
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()))
    misspelt = difflib.SequenceMatcher(None, key.strip().lower(), name).ratio() >= ALIKE
    return misspelt or bool(words & SYNONYMS.get(name, set()))


def describe_error(error: ValidationError, row: dict[str, Any]) -> str:
    """Key and message of the first error, and the key that is meant if another stands there."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = WANTED.get(first["type"], first["msg"]).removeprefix("Value error, ")
    if "box" in first["loc"]:
        message = "a box is four finite numbers: x_min, y_min, x_max, y_max"
    names: Sequence[str] = ("id", "task", "answer", "entities", "kind")
    part: Any = row
    if first["loc"] and first["loc"][0] == "entities" and len(first["loc"]) == 2:
        part, names = first["input"], ("box", "mask", "text", "class_id")
    if first["type"] in ("missing", "value_error") and (suggestion := suggest_key(part, names)) is not None:
        message += f"; {suggestion}"
    return f"{where}: {message}" if where else message
