"""SLAKE as its authors offer it for download: train.json, validate.json, test.json and imgs/."""

from pathlib import Path
from typing import NotRequired, TypedDict

from refrad.dataset.benchmarks.base import (
    BenchmarkQuestion,
    BenchmarkReader,
    BenchmarkSource,
    answer_of,
    find_split_files,
    kind_of,
    read_question_rows,
)

__all__ = ["READER"]

SPLIT_FILES = {"train.json": "train", "validate.json": "validation", "test.json": "test"}
MODALITIES = {"mri": "MR", "ct": "CT", "x-ray": "XR"}


class SlakeQuestion(TypedDict):
    """A question in the files of SLAKE: the keys that are used."""

    img_name: str
    question: str
    answer: NotRequired[str | int | float | None]
    answer_type: NotRequired[str | None]
    content_type: NotRequired[str | None]
    modality: NotRequired[str | None]
    q_lang: NotRequired[str | None]


def read_slake(folder: Path) -> BenchmarkSource | None:
    """The questions of the splits that the folder has, or None if it has none."""
    files = find_split_files(folder, SPLIT_FILES)
    if not files:
        return None
    return BenchmarkSource(
        [_question(split, row) for split, path in files.items() for row in read_question_rows(path, SlakeQuestion)]
    )


def _question(split: str, row: SlakeQuestion) -> BenchmarkQuestion:
    answer = answer_of(row)
    image = str(row["img_name"]).strip()
    return BenchmarkQuestion(
        image=image,
        image_id=image.removesuffix("/source.jpg"),
        split=split,
        language=str(row.get("q_lang") or "en"),
        kind=kind_of(row.get("answer_type"), answer),
        topic=str(row.get("content_type") or "").strip(),
        modality=MODALITIES.get(str(row.get("modality") or "").lower(), ""),
        question=str(row["question"]).strip(),
        answer=answer,
    )


READER = BenchmarkReader("SLAKE (train.json, validate.json, test.json, imgs/)", read_slake)
