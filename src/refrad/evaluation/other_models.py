"""Answers of other vision-language models to the questions of an evaluation, in the format of predictions.jsonl."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from refrad.config import OtherModelOptions
from refrad.dataset.examples import ImageExample
from refrad.evaluation.box_conventions import LabelledBox, read_boxes
from refrad.evaluation.metrics.grounding import phrase_key
from refrad.evaluation.metrics.records import REGION_TASKS
from refrad.evaluation.other_prompts import (
    SentPicture,
    asked_names,
    encode_picture,
    load_prompts,
    picture_for,
    request_for,
)
from refrad.evaluation.questions import EvalQuestion
from refrad.evaluation.record_rows import answer_row
from refrad.evaluation.rows import NamedRegionRow, PredictionRow
from refrad.llm import Models, RejectionError, Request, TextAnswer, TextTask

__all__ = ["Answerer", "OtherAnswers", "ask_other_model", "ask_server", "prediction_of"]

PICTURES = 64  # of the newest questions that are kept for the next question about the same image


class Answerer(Protocol):
    """Answers the requests of one task, which are read as they are needed."""

    def __call__(self, task: TextTask, requests: Iterable[Request]) -> Iterator[TextAnswer | None]:
        """The answers, in order; None where there is none."""


@dataclass(frozen=True)
class OtherAnswers:
    """The answers of a model.

    Attributes:
        rows: its answers.
        failure: the tasks of which the server rejects each request, with its reason, or None.
        counts: questions of its tasks (`asked`), `answered`, `failed` (no answer, left out of all means), `cut off` at the limit of
            tokens, and `boxes` and `malformed boxes`, which were dropped.
    """

    rows: list[PredictionRow]
    counts: dict[str, int]
    failure: str | None = None


def ask_other_model(
    options: OtherModelOptions,
    questions: Sequence[EvalQuestion],
    images: Mapping[str, ImageExample],
    classes: Mapping[str, frozenset[int]],
    answerer: Answerer,
) -> OtherAnswers:
    """The answers of a model to the questions of its tasks.

    Args:
        options: of the model.
        questions: of the evaluation, of all tasks.
        images: image id to the image.
        classes: phrase in small letters to the classes that it names; a label of one class gets it as its `class_id`.
        answerer: the model.

    Raises:
        ModelError: if the model cannot be used at all, or rejects the requests of all its tasks.
        ValueError: if its prompts cannot be read.
    """
    prompts = load_prompts(Path(options.prompts))
    pictures = _Pictures(options, images)
    counts = Counter[str](asked=0, answered=0, failed=0)
    rows: list[PredictionRow] = []
    rejections: dict[str, RejectionError] = {}
    for task_name in options.tasks:
        of_task = [question for question in questions if question.task == task_name]
        task = TextTask(f"vision {task_name}", options.role, prompts.of_task(task_name), TextAnswer, options.tokens)
        requests = (request_for(question, pictures.of(question), prompts, options) for question in of_task)
        counts["asked"] += len(of_task)
        try:
            for question, answer in zip(of_task, answerer(task, requests), strict=True):
                if answer is not None:
                    counts["answered"] += 1
                    counts["cut off"] += answer.cut_off
                    rows.append(prediction_of(question, answer, options, pictures.size_of(question), classes, counts))
        except RejectionError as error:
            rejections[task_name] = error
    if rejections and not rows:
        raise next(iter(rejections.values()))
    counts["failed"] = counts["asked"] - counts["answered"]
    failure = "; ".join(f"{task}: {error}" for task, error in rejections.items()) or None
    return OtherAnswers(rows, dict(counts), failure)


def ask_server(models: Models) -> Answerer:
    """The answerer of a model of a server: requests run at once, and replies are stored as those of all stages."""

    def answer(task: TextTask, requests: Iterable[Request]) -> Iterator[TextAnswer | None]:
        return (reply.answer for reply in models.ask(task, requests))

    return answer


def prediction_of(
    question: EvalQuestion,
    answer: TextAnswer,
    options: OtherModelOptions,
    size: tuple[int, int],
    classes: Mapping[str, frozenset[int]],
    counts: Counter[str],
) -> PredictionRow:
    """An answer as a row of predictions.jsonl; boxes are counted in `counts`.

    In task locate a box without a label has the name that the question asks for, if that is one.

    Args:
        question: of the answer.
        answer: of the model.
        options: of the model.
        size: width and height of the picture that the model received, px.
        classes: phrase in small letters to the classes that it names.
        counts: gains `boxes` and `malformed boxes`.
    """
    row = answer_row(question, answer.text, answer.cut_off, answer.text)
    if question.task in REGION_TASKS and options.boxes is not None:
        reading = read_boxes(answer.text, options.boxes, size)
        names = asked_names(question) if question.task == "locate" else []
        fallback = names[0] if len(names) == 1 else ""
        regions = [_region_row(labelled, fallback, classes) for labelled in reading.boxes]
        row["answer"] = reading.plain
        row["entities"] = [region for region in regions if region["text"]]
        counts["boxes"] += len(row["entities"])
        counts["malformed boxes"] += reading.malformed + len(regions) - len(row["entities"])
    return row


def _region_row(labelled: LabelledBox, fallback: str, classes: Mapping[str, frozenset[int]]) -> NamedRegionRow:
    text = labelled.label or fallback
    region: NamedRegionRow = {"text": text, "box": list(labelled.box)}
    named = classes.get(phrase_key(text), frozenset())
    if len(named) == 1:
        region["class_id"] = next(iter(named))
    return region


class _Pictures:
    """The encoded pictures of images in the window of a model; the newest are kept, since questions about an image follow each other."""

    def __init__(self, options: OtherModelOptions, images: Mapping[str, ImageExample]) -> None:
        self.options, self.images = options, images
        self._newest: dict[str, SentPicture] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def of(self, question: EvalQuestion) -> SentPicture:
        """The picture of the question's image."""
        if question.image_id not in self._newest:
            picture = picture_for(self.images[question.image_id], self.options.window, question.dataset == "internal")
            self._newest[question.image_id] = encode_picture(picture)
            self._sizes[question.image_id] = picture.size
            if len(self._newest) > PICTURES:
                del self._newest[next(iter(self._newest))]
        return self._newest[question.image_id]

    def size_of(self, question: EvalQuestion) -> tuple[int, int]:
        """Width and height of the picture, px."""
        return self._sizes.get(question.image_id) or self.of(question).size
