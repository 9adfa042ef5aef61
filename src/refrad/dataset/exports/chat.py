"""The files of chat formats: pictures, and one list of conversations a split. Each format adds the keys of its records."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from refrad.core.files import atomic
from refrad.core.types import LANGUAGES
from refrad.dataset.examples import ExampleRow, example_of_row
from refrad.dataset.exports.conversations import LOCATED, Exchange, exchanges_of, languages_of
from refrad.dataset.exports.dialects import Dialect
from refrad.dataset.exports.export_tally import ExportTally
from refrad.dataset.exports.image_files import chat_picture, write_bytes
from refrad.dataset.exports.source import ExportSource, FileNames
from refrad.dataset.shard_rows import ImageRow

__all__ = ["Conversation", "Turn", "conversations", "turns_of", "write_json_lines"]

Turn = TypedDict("Turn", {"from": str, "value": str})
"""A text of a conversation; `from` is human or gpt."""

SILENT = "no sentence and no question about the image in German or English"
NO_PROMPT = "in a language without prompts"
NOT_ASKED = f"no sentence names the structure, and a conversation asks for {LOCATED} at most"


@dataclass(frozen=True)
class Conversation:
    """The exchanges about an image in a language.

    Attributes:
        id: unique in the export.
        image: path of the picture relative to the export.
        size: width and height of the picture, px.
        exchanges: at least one.
    """

    id: str
    image: str
    size: tuple[int, int]
    exchanges: Sequence[Exchange]


def conversations(
    source: ExportSource, split: str, out: Path, names: FileNames, multiple: int
) -> Iterator[Conversation]:
    """The conversations of a split, one an image and language; the picture of an image is written before them.

    Args:
        source: the dataset.
        split: of the rows.
        out: folder of the export; pictures lie in `images/<split>`.
        names: gives the pictures their names.
        multiple: of the sides of the pictures, px.
    """
    for row in source.rows(split):
        image = example_of_row(cast(ExampleRow, row))
        exchanges = {
            language: exchanges_of(image, language, source.display_names.get(language, {}))
            for language in languages_of(image)
        }
        _count(source.tally, row, exchanges)
        if exchanges:
            name = names.name(row["image_id"])
            path = f"images/{split}/{name}.png"
            picture, size = chat_picture(row, source.pictures, multiple)
            write_bytes(out / path, picture)
            for language, texts in exchanges.items():
                yield Conversation(f"{name}-{language}", path, size, texts)


def _count(tally: ExportTally, row: ImageRow, exchanges: Mapping[str, Sequence[Exchange]]) -> None:
    """Count what of a row the conversations about it have."""
    spoken = [caption for caption in row["captions"] if caption["language"] in LANGUAGES]
    answered = [question for question in row["questions"] if question["language"] in LANGUAGES]
    boxed = {
        class_id for texts in exchanges.values() for text in texts for m in text.mentions for class_id, _ in m.targets
    }
    boxes = sum(structure["class_id"] in boxed for structure in row["structures"])
    phrases = sum(len(caption["entities"]) for caption in spoken)
    tally.written.update(
        {
            "images": bool(exchanges),
            "sentences": len(spoken),
            "phrases": phrases,
            "boxes": boxes,
            "questions": len(answered),
        }
    )
    tally.leave_out("images", SILENT, not exchanges)
    tally.leave_out("boxes", NOT_ASKED, len(row["structures"]) - boxes)
    tally.leave_out("sentences", NO_PROMPT, len(row["captions"]) - len(spoken))
    tally.leave_out("phrases", NO_PROMPT, sum(len(caption["entities"]) for caption in row["captions"]) - phrases)
    tally.leave_out("questions", NO_PROMPT, len(row["questions"]) - len(answered))


def turns_of(conversation: Conversation, dialect: Dialect) -> list[Turn]:
    """Turns of human and gpt in a dialect; `<image>` begins the first."""
    turns: list[Turn] = []
    for exchange in conversation.exchanges:
        turns += [
            {"from": "human", "value": dialect.prompt(exchange)},
            {"from": "gpt", "value": dialect.answer(exchange, conversation.size)},
        ]
    turns[0]["value"] = f"<image>\n{turns[0]['value']}"
    return turns


def write_json_lines(path: Path, records: Iterable[Any]) -> int:
    """Write a JSON object a line, atomically, and return the number of lines."""
    count = 0
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count
