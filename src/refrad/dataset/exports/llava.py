"""Conversations in the style of LLaVA: one an image and language, with boxes as [x1, y1, x2, y2], shares of the image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from refrad.dataset.exports.image_files import square_png, write_bytes, write_json_list
from refrad.model.prompts import detect_prompt, vqa_prompt

__all__ = ["conversation", "export"]


def export(rows: Iterable[Mapping[str, Any]], split: str, out: Path) -> None:
    """Write `<split>.json` and `images/<split>/*.png`."""

    def conversations() -> Iterator[dict[str, Any]]:
        for row in rows:
            name = f"images/{split}/{row['image_id']}.png"
            write_bytes(out / name, square_png(row))
            for language in sorted({one["language"] for one in row["captions"]}):
                turns = conversation(row, language)
                yield {"id": f"{row['image_id']}-{language}", "image": name, "conversations": turns}

    write_json_list(out / f"{split}.json", conversations())


def conversation(row: Mapping[str, Any], language: str) -> list[dict[str, str]]:
    """Human and model in turn: first the captions with their boxes, then the questions. `<image>` stands in the first turn."""
    size = row["width"], row["height"]
    captions = [one for one in row["captions"] if one["language"] == language]
    turns = [
        (detect_prompt(language).rstrip(":"), " ".join(_boxed(one["text"], one["entities"], *size) for one in captions))
    ]
    turns += [
        (vqa_prompt(one["question"], one["choices"] or (), language), one["answer"])
        for one in row["questions"]
        if one["language"] == language
    ]
    said = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
    said[0]["value"] = f"<image>\n{said[0]['value']}"
    return said


def _boxed(text: str, entities: Sequence[Mapping[str, Any]], width: int, height: int) -> str:
    """The text with the boxes of each phrase behind it."""
    boxes: dict[int, list[str]] = {}
    for one in entities:
        shares = (one["x_min"] / width, one["y_min"] / height, one["x_max"] / width, one["y_max"] / height)
        boxes.setdefault(one["end"], []).append("[" + ", ".join(f"{share:.3f}" for share in shares) + "]")
    pieces, at = [], 0
    for end in sorted(boxes):
        pieces.append(f"{text[at:end]} {' '.join(dict.fromkeys(boxes[end]))}")
        at = end
    return "".join([*pieces, text[at:]])
