"""Items that people review: a caption of an image with its phrases, or a question; their ids and digests."""

import json
from functools import lru_cache

from refrad.core.files import digest_bytes
from refrad.dataset.shard_rows import CaptionStruct, QuestionStruct

__all__ = ["ASKED", "caption_digest", "question_digest", "question_id"]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
SEEN = ("start", "end", "text", "class_id", "x_min", "y_min", "x_max", "y_max")
ASKED = ("language", "topic", "kind", "question", "choices", "answer")


def caption_digest(image_id: str, caption: CaptionStruct) -> str:
    """16 hexadecimal digits of what a reviewer judges of a caption: image, text, and each phrase with class and box (px)."""
    phrases = [[entity[name] for name in SEEN] for entity in caption["entities"]]  # type: ignore[literal-required]
    return _digest([image_id, caption["language"], caption["text"], phrases])


def question_id(question: QuestionStruct) -> str:
    """16 hexadecimal digits that name a question with its answer among those of its image."""
    values = [question[name] for name in ASKED]  # type: ignore[literal-required]
    return _digest_once(*(tuple(value) if isinstance(value, list) else value for value in values))


def question_digest(image_id: str, question: QuestionStruct) -> str:
    """16 hexadecimal digits of what a reviewer judges of a question: image, question, choices and answer."""
    return _digest([image_id, question_id(question)])


def _digest(values: list[object]) -> str:
    return digest_bytes(_encode(values).encode())[:16]


@lru_cache(100_000)
def _digest_once(*values: object) -> str:
    """The digest of values that come again and again, as one question is asked of many images."""
    return _digest(list(values))
