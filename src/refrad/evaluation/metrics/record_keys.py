"""Misspelt keys of predictions and truth: a row whose answer has another name would score 0 without a word."""

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["OPTIONAL", "suggest_key"]

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
