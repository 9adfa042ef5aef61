"""VQA-RAD: the official release, its original split files, or the split of Wu et al. 2025, which is preferred."""

from pathlib import Path
from typing import NotRequired, TypedDict

from refrad.core.types import SPLITS
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

WU_FILES = {f"{split}_fixed_split.json": split for split in SPLITS}
ORIGINAL_FILES = {"trainset.json": "train", "testset.json": "test"}
RELEASE = "VQA_RAD Dataset Public.json"
LEAKING = (
    "the original split of VQA-RAD shares nearly every test image with train: scores on it measure how well a model remembers."
    " Use the split of Wu et al. 2025 (train_, validation_ and test_fixed_split.json)."
)


class VqaRadQuestion(TypedDict):
    """A question in the files of VQA-RAD: the keys that are used. Which keys a file has depends on the release."""

    image_name: str
    question: str
    answer: NotRequired[str | int | float | None]
    answer_type: NotRequired[str | None]
    phrase_type: NotRequired[str]
    q_type: NotRequired[str | None]
    question_type: NotRequired[str | None]


def read_vqa_rad(folder: Path) -> BenchmarkSource | None:
    """The questions of the first layout that the folder has, or None if it has none."""
    if files := find_split_files(folder, WU_FILES):
        warnings: tuple[str, ...] = ()
    elif files := find_split_files(folder, ORIGINAL_FILES) or find_split_files(folder, {RELEASE: ""}):
        warnings = (LEAKING,)
    else:
        return None
    questions = [
        _question(split or _release_split(row), row)
        for split, path in files.items()
        for row in read_question_rows(path, VqaRadQuestion)
    ]
    return BenchmarkSource(questions, warnings)


def _release_split(row: VqaRadQuestion) -> str:
    """The official release marks its test questions by their phrase type."""
    return "test" if str(row.get("phrase_type", "")).startswith("test") else "train"


def _question(split: str, row: VqaRadQuestion) -> BenchmarkQuestion:
    answer = answer_of(row)
    image = str(row["image_name"]).strip()
    return BenchmarkQuestion(
        image=image,
        image_id=image,
        split=split,
        language="en",
        kind=kind_of(row.get("answer_type") or row.get("q_type"), answer),
        topic=str(row.get("question_type") or "").strip(),
        modality="",
        question=str(row["question"]).strip(),
        answer=answer,
    )


READER = BenchmarkReader(f"VQA-RAD (*_fixed_split.json or {RELEASE}, and images)", read_vqa_rad)
