"""Types and helpers of the benchmark readers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

__all__ = [
    "BenchmarkQuestion",
    "BenchmarkReader",
    "BenchmarkSource",
    "answer_of",
    "find_split_files",
    "kind_of",
    "read_question_rows",
]

R = TypeVar("R")

IMAGE_FOLDERS = ("imgs", "images", "VQA_RAD Image Folder", ".")


@dataclass(frozen=True)
class BenchmarkQuestion:
    """A question about an image file of a benchmark.

    Attributes:
        image: name of the file, relative to the folder of the images.
        image_id: name of the image in the rows, without the name of the benchmark.
        split: train, validation or test.
        language: en, zh, ...
        kind: open, yesno or closed.
        topic: as the benchmark names it.
        modality: CT, MR or XR; empty if unknown.
        question: the text.
        answer: the text; questions without one are excluded later.
    """

    image: str
    image_id: str
    split: str
    language: str
    kind: str
    topic: str
    modality: str
    question: str
    answer: str


@dataclass(frozen=True)
class BenchmarkSource:
    """All questions of a downloaded benchmark, in the order of its files, and warnings about its splits.

    `image_folders` are names of folders, at any depth, that may hold the images; "." is the downloaded folder.
    """

    questions: Sequence[BenchmarkQuestion]
    warnings: tuple[str, ...] = ()
    image_folders: Sequence[str] = IMAGE_FOLDERS


class BenchmarkReader(NamedTuple):
    """A benchmark that RefRad reads: its layout in words, and the function that reads a folder or returns None if it is another."""

    layout: str
    read: Callable[[Path], BenchmarkSource | None]


def find_split_files(folder: Path, splits: Mapping[str, str]) -> dict[str, Path]:
    """Split to the first file of its name in the folder, at any depth; `splits` maps file names to splits."""
    files = {}
    for name, split in splits.items():
        if path := next(iter(sorted(folder.rglob(name))), None) if folder.is_dir() else None:
            files[split] = path
    return files


def read_question_rows(path: Path, row: type[R]) -> list[R]:
    """The rows of a JSON file of questions, with `row`, a typed dictionary, as their type; only its required keys are checked.

    Raises:
        ValueError: if the file is not a JSON list of objects, or a row lacks a required key; the message has the row's number.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: not JSON") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: not a list of questions")
    required: frozenset[str] = getattr(row, "__required_keys__", frozenset())
    for number, values in enumerate(rows, 1):
        if missing := sorted(key for key in required if values.get(key) is None):
            raise ValueError(f"{path}: question {number} lacks {' and '.join(missing)}")
    return cast(list[R], rows)


def answer_of(row: Mapping[str, object]) -> str:
    """The answer of a row as text, blank if it has none; numbers are answers."""
    answer = row.get("answer")
    return "" if answer is None else str(answer).strip()


def kind_of(answer_type: object, answer: str) -> str:
    """open, yesno or closed, from the benchmark's own type (open or closed, with stray blanks) and the answer."""
    if str(answer_type or "").strip().lower() != "closed":
        return "open"
    return "yesno" if answer.lower() in {"yes", "no", "是", "不是", "否"} else "closed"
