"""The rows of the paper's released loaders: sentences in both languages, with their questions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import pyarrow as pa

from refrad.core.types import LANGUAGES
from refrad.dataset.shard_rows import CaptionStruct, ImageRow, QuestionStruct

__all__ = ["ROW", "SPLIT_NAMES", "DatasetRow", "by_sentence", "dataset_row", "has_questions", "is_bilingual"]

SPLIT_NAMES: Mapping[str, str] = {"train": "train", "validation": "val", "test": "test"}
"""Split to its name in file names and tables of this layout."""

VQA = pa.list_(
    pa.struct(
        [(name, pa.string()) for name in ("question", "answer", "question_type")] + [("choices", pa.list_(pa.string()))]
    )
)
TEXTS = pa.struct(
    [(name, pa.string()) for name in ("CleanedSentence", "ReportFragestellungCleaned", "ReportKlinischeAngabenCleaned")]
    + [("dicom_vqa", VQA), ("snippet_vqa", VQA)]
)
ROW = pa.schema(
    [(name, pa.string()) for name in ("rsopid", "modality", "body_part", "split")]
    + [("english", TEXTS), ("german", TEXTS)]
)


class Question(TypedDict):
    """A question; `choices` only of kind multiple."""

    question: str
    answer: str
    choices: list[str]
    question_type: str


class Texts(TypedDict):
    """A sentence and its questions in a language; the loaders cannot read nulls, so what is missing is empty."""

    CleanedSentence: str
    ReportFragestellungCleaned: str
    ReportKlinischeAngabenCleaned: str
    dicom_vqa: list[Question]
    snippet_vqa: list[Question]


class DatasetRow(TypedDict):
    """A row of dataset.parquet."""

    rsopid: str
    modality: str
    body_part: str | None
    split: str
    english: Texts
    german: Texts


def by_sentence(captions: Iterable[CaptionStruct]) -> dict[str, list[CaptionStruct]]:
    """The captions of each report sentence, one a language, in the order of the sentences."""
    sentences: dict[str, list[CaptionStruct]] = {}
    for caption in captions:
        sentences.setdefault(caption["sentence"], []).append(caption)
    return sentences


def is_bilingual(captions: Iterable[CaptionStruct]) -> bool:
    """Whether a sentence is there in both languages, which the loaders need."""
    return {caption["language"] for caption in captions} >= set(LANGUAGES)


def has_questions(questions: Iterable[QuestionStruct]) -> bool:
    """Whether there is a question in both languages, of which the loaders draw one."""
    return {question["language"] for question in questions} >= set(LANGUAGES)


def dataset_row(rsopid: str, row: ImageRow, captions: Sequence[CaptionStruct]) -> DatasetRow:
    """A row of dataset.parquet, from the captions of a sentence in both languages."""
    texts = {caption["language"]: _texts(row, caption) for caption in captions}
    return {
        "rsopid": rsopid,
        "modality": row["modality"],
        "body_part": row["body_part"],
        "split": SPLIT_NAMES[row["split"]],
        "english": texts["en"],
        "german": texts["de"],
    }


def _texts(row: ImageRow, caption: CaptionStruct) -> Texts:
    questions = [question for question in row["questions"] if question["language"] == caption["language"]]
    return {
        "CleanedSentence": caption["text"],
        "ReportFragestellungCleaned": caption["question"] or "",
        "ReportKlinischeAngabenCleaned": caption["indication"] or "",
        "dicom_vqa": [_question(question) for question in questions if question["topic"] == "metadata"],
        "snippet_vqa": [_question(question) for question in questions if question["topic"] == "findings"],
    }


def _question(question: QuestionStruct) -> Question:
    return {
        "question": question["question"],
        "answer": question["answer"],
        "choices": question["choices"] or [],
        "question_type": question["kind"],
    }
