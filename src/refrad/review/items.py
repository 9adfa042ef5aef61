"""Items that people review: a caption of an image with its phrases, or a question; their ids and digests."""

import json

from refrad.core.files import digest_bytes
from refrad.dataset.shard_rows import CaptionStruct, QuestionStruct

__all__ = ["caption_digest", "question_digest", "question_id"]

SEEN = ("start", "end", "text", "class_id", "x_min", "y_min", "x_max", "y_max")
ASKED = ("language", "topic", "kind", "question", "choices", "answer")


def caption_digest(image_id: str, caption: CaptionStruct) -> str:
    """16 hexadecimal digits of what a reviewer judges of a caption: image, text, and each phrase with class and box (px)."""
    phrases = [[entity[name] for name in SEEN] for entity in caption["entities"]]  # type: ignore[literal-required]
    return _digest([image_id, caption["language"], caption["text"], phrases])


def question_id(question: QuestionStruct) -> str:
    """16 hexadecimal digits that name a question with its answer among those of its image."""
    return _digest([question[name] for name in ASKED])  # type: ignore[literal-required]


def question_digest(image_id: str, question: QuestionStruct) -> str:
    """16 hexadecimal digits of what a reviewer judges of a question: image, question, choices and answer."""
    return _digest([image_id, question_id(question)])


def _digest(values: list[object]) -> str:
    return digest_bytes(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())[:16]
