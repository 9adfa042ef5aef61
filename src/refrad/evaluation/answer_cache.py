"""Answers of models to questions, each generated once and cached as it comes."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from refrad.core.files import digest_bytes
from refrad.dataset.image_codec import encode_mask
from refrad.evaluation.questions import MAX_ANSWER_TOKENS, EvalQuestion
from refrad.inference.generate import generate, generate_masks
from refrad.model.radgrounder import head_of

__all__ = ["CachedGenerator", "GeneratedAnswer", "cached_answers"]

DECODING = 1  # raise it when answers to the same question change
BATCHES_PER_WRITE = 4

log = logging.getLogger(__name__)


class GeneratedAnswer(NamedTuple):
    """The text of an answer and, with a mask head, the mask of each closing tag as run lengths at the side of the model's images."""

    text: str
    masks: tuple[str, ...] = ()


class CachedGenerator:
    """Answers of models to questions about the same images; each answer is generated once and cached.

    Args:
        processor: of the models.
        images: image id to the model's input, uint8 [side, side, 3].
        store: folder of the cache, with one file for each model.
        batch: questions answered in one batch.
    """

    def __init__(self, processor: Any, images: Mapping[str, NDArray[np.uint8]], store: Path, batch: int) -> None:
        self.processor, self.images, self.store, self.batch = processor, images, store, batch

    def generate(
        self, model: torch.nn.Module, name: str, questions: Sequence[EvalQuestion], blank: bool = False
    ) -> list[GeneratedAnswer]:
        """The answer to each question, in order.

        Args:
            model: the model.
            name: identifies the model's weights in the cache.
            questions: about the generator's images.
            blank: replace the images by black ones.
        """

        def model_input(question: EvalQuestion) -> NDArray[np.uint8]:
            return self.images[question.image_id] * (not blank)

        def answer(batch: Sequence[EvalQuestion]) -> list[GeneratedAnswer]:
            task = batch[0].task
            inputs, prompts = [model_input(question) for question in batch], [question.text for question in batch]
            texts = generate(model, self.processor, inputs, prompts, MAX_ANSWER_TOKENS[task], self.batch)  # type: ignore[arg-type]
            if task == "vqa" or head_of(model) is None:  # type: ignore[arg-type]
                return [GeneratedAnswer(text) for text in texts]
            masks = generate_masks(model, self.processor, inputs, prompts, texts, self.batch)  # type: ignore[arg-type]
            return [
                GeneratedAnswer(text, tuple(encode_mask(mask) for mask in answer_masks))
                for text, answer_masks in zip(texts, masks, strict=True)
            ]

        keys = [
            digest_bytes(question.task.encode(), question.text.encode(), model_input(question).tobytes())
            for question in questions
        ]
        path = self.store / f"{digest_bytes(name.encode(), str(DECODING).encode())}.jsonl"
        return cached_answers(path, keys, questions, answer, self.batch * BATCHES_PER_WRITE)


def cached_answers(
    path: Path,
    keys: Sequence[str],
    questions: Sequence[EvalQuestion],
    answer: Callable[[Sequence[EvalQuestion]], list[GeneratedAnswer]],
    batch: int,
) -> list[GeneratedAnswer]:
    """Answers to questions, in order: from the file `path` where it has them; the others are generated and appended to it.

    Each batch is appended as whole lines and flushed to the disk, so a killed run loses one batch at most; the answer of a
    truncated line is generated again.

    Args:
        path: JSON lines of [key, text, mask, ...].
        keys: the key of each question.
        questions: the questions.
        answer: generates the answers to questions of one task.
        batch: questions handed to `answer` at once.
    """
    cached = dict(_read_lines(path))
    hits = sum(key in cached for key in keys)
    missing = sorted(
        {key: question for key, question in zip(keys, questions, strict=True) if key not in cached}.items(),
        key=_task_and_length,
    )
    log.info("%d questions: %d answers cached, %d to generate", len(keys), hits, len(missing))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # answers read like reports: for their owner alone
    for items in _batches(missing, batch):
        new = dict(zip((key for key, _ in items), answer([question for _, question in items]), strict=True))
        lines = "".join(
            json.dumps([key, generated.text, *generated.masks], ensure_ascii=False) + "\n"
            for key, generated in new.items()
        )
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" + lines if _is_truncated(path) else lines)
            file.flush()
            os.fsync(file.fileno())
        cached |= new
        log.info("%d answers of task %s", len(new), items[0][1].task)
    return [cached[key] for key in keys]


def _task_and_length(item: tuple[str, EvalQuestion]) -> tuple[str, int]:
    """Sort key: questions of one task and of similar length share a batch, so that padding is short."""
    return item[1].task, len(item[1].text)


def _batches(items: Sequence[tuple[str, EvalQuestion]], size: int) -> Iterator[Sequence[tuple[str, EvalQuestion]]]:
    for task in dict.fromkeys(question.task for _, question in items):
        of_task = [item for item in items if item[1].task == task]
        yield from (of_task[first : first + size] for first in range(0, len(of_task), size))


def _read_lines(path: Path) -> Iterator[tuple[str, GeneratedAnswer]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                key, text, *masks = json.loads(line)
            except ValueError:
                continue  # a truncated line, or the empty line after it
            yield key, GeneratedAnswer(text, tuple(masks))


def _is_truncated(path: Path) -> bool:
    """True if the last line of a file has no line end."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
