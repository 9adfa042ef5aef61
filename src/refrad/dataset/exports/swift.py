"""Conversations as ms-swift reads them: JSON lines of {messages, images, objects}; ms-swift converts the boxes for each model.

Source: swift.readthedocs.io, Customization/Custom-dataset, section Grounding. Boxes are exact shares (bbox_type norm1). Paths of
pictures are absolute, as that page advises.
"""

from pathlib import Path
from typing import TypedDict

from refrad.dataset.examples import ExampleMention
from refrad.dataset.exports.chat import Conversation, conversations, write_json_lines
from refrad.dataset.exports.dialects import in_text
from refrad.dataset.exports.source import ExportSource, FileNames

__all__ = ["export"]

NAME, BOX = "<ref-object>", "<bbox>"


class _Message(TypedDict):
    role: str
    content: str


class _Objects(TypedDict):
    ref: list[str]
    bbox: list[list[float]]
    bbox_type: str


class _Record(TypedDict):
    messages: list[_Message]
    images: list[str]
    objects: _Objects


def export(source: ExportSource, out: Path) -> None:
    """Write `<split>.jsonl` and `images/<split>/*.png`."""
    names = FileNames()
    for split in source.splits:
        records = (_record(conversation, source.folder) for conversation in conversations(source, split, out, names, 1))
        write_json_lines(out / f"{split}.jsonl", records)


def _record(conversation: Conversation, folder: Path) -> _Record:
    messages: list[_Message] = []
    objects: _Objects = {"ref": [], "bbox": [], "bbox_type": "norm1"}

    def mark(mention: ExampleMention) -> str:
        """A place for the phrase and one for each of its boxes; both join `objects` in the order of their places."""
        objects["ref"].append(mention.text)
        objects["bbox"] += [[float(value) for value in box] for _, box in mention.targets]
        return NAME + BOX * len(mention.targets)

    for exchange in conversation.exchanges:
        if exchange.name:
            objects["ref"].append(exchange.name)
        messages.append({"role": "user", "content": exchange.prompt_naming(NAME)})
        messages.append({"role": "assistant", "content": in_text(exchange, mark)})
    messages[0]["content"] = f"<image>{messages[0]['content']}"
    return {"messages": messages, "images": [str(folder / conversation.image)], "objects": objects}
