"""Conversations in the format of LLaVA: one per image and language, boxes as [x1, y1, x2, y2], shares of the image."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

from refrad.dataset.examples import relative_box
from refrad.dataset.exports import ExportSource
from refrad.dataset.exports.image_files import square_png, write_bytes, write_json_list
from refrad.dataset.shard_rows import EntityStruct, ImageRow
from refrad.model.prompts import detect_prompt, vqa_prompt

__all__ = ["Conversation", "Turn", "conversation_of", "export"]

Turn = TypedDict("Turn", {"from": str, "value": str})
"""A text of a conversation; `from` is human or gpt."""


class Conversation(TypedDict):
    """The turns about an image; `image` is its path relative to the export."""

    id: str
    image: str
    conversations: list[Turn]


def export(source: ExportSource, out: Path) -> None:
    """Write `<split>.json` and `images/<split>/*.png`."""
    for split in source.splits:
        write_json_list(out / f"{split}.json", _conversations(source, split, out))


def _conversations(source: ExportSource, split: str, out: Path) -> Iterator[Conversation]:
    """The conversations of a split; the image of a row is written before its conversations."""
    for row in source.rows(split):
        name = f"images/{split}/{row['image_id']}.png"
        write_bytes(out / name, square_png(row))
        for language in sorted({caption["language"] for caption in row["captions"]}):
            turns = conversation_of(row, language)
            yield {"id": f"{row['image_id']}-{language}", "image": name, "conversations": turns}


def conversation_of(row: ImageRow, language: str) -> list[Turn]:
    """Turns of human and model: first the captions with their boxes, then the questions. `<image>` starts the first turn."""
    size = row["width"], row["height"]
    captions = [caption for caption in row["captions"] if caption["language"] == language]
    grounded = " ".join(_text_with_boxes(caption["text"], caption["entities"], *size) for caption in captions)
    exchanges = [(detect_prompt(language).rstrip(":"), grounded)]
    exchanges += [
        (vqa_prompt(question["question"], question["choices"] or (), language), question["answer"])
        for question in row["questions"]
        if question["language"] == language
    ]
    turns: list[Turn] = [
        {"from": speaker, "value": text}
        for exchange in exchanges
        for speaker, text in zip(("human", "gpt"), exchange, strict=True)
    ]
    turns[0]["value"] = f"<image>\n{turns[0]['value']}"
    return turns


def _text_with_boxes(text: str, entities: Sequence[EntityStruct], width: int, height: int) -> str:
    """The text with the boxes of each phrase after it."""
    boxes: dict[int, list[str]] = {}
    for entity in entities:
        box = relative_box(entity, width, height)
        boxes.setdefault(entity["end"], []).append("[" + ", ".join(f"{share:.3f}" for share in box) + "]")
    pieces, start = [], 0
    for end in sorted(boxes):
        pieces.append(f"{text[start:end]} {' '.join(dict.fromkeys(boxes[end]))}")
        start = end
    return "".join([*pieces, text[start:]])
