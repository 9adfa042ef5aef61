"""Answers of models to questions, each generated once and cached as it comes."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from isal import isal_zlib
from numpy.typing import NDArray

from refrad.core.files import digest_bytes
from refrad.dataset.image_codec import encode_mask
from refrad.evaluation.questions import MAX_ANSWER_TOKENS, EvalQuestion
from refrad.inference.generate import generate, generate_masks
from refrad.model.radgrounder import head_of

__all__ = ["CachedGenerator", "GeneratedAnswer", "cached_answers", "count_damaged"]

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
    truncated or damaged line is generated again.

    Args:
        path: lines of a checksum and the JSON of [key, text, mask, ...]; those of earlier releases have no checksum.
        keys: the key of each question.
        questions: the questions.
        answer: generates the answers to questions of one task.
        batch: questions handed to `answer` at once.
    """
    cached: dict[str, GeneratedAnswer] = {}
    damaged = 0
    for line in _lines(path):
        try:
            key, text, *masks = json.loads(_content(path, line))
        except ValueError:
            damaged += 1
            continue
        cached[key] = GeneratedAnswer(text, tuple(masks))
    if damaged:
        log.warning("%d lines of %s are truncated or damaged; their answers are generated again", damaged, path.name)
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
        contents = (
            json.dumps([key, generated.text, *generated.masks], ensure_ascii=False).encode()
            for key, generated in new.items()
        )
        lines = b"".join(b"%s %s\n" % (_checksum(path, content), content) for content in contents)
        with path.open("ab") as file:
            file.write(b"\n" + lines if _is_truncated(path) else lines)
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


def count_damaged(path: Path) -> tuple[int, int]:
    """Number of damaged lines of a cache, and of lines without a checksum, as in earlier releases."""
    damaged = unchecked = 0
    for line in _lines(path):
        unchecked += line.startswith(b"[")
        try:
            json.loads(_content(path, line))
        except ValueError:
            damaged += 1
    return damaged, unchecked


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that are not empty; none if there is no file."""
    if path.exists():
        with path.open("rb") as file:
            yield from filter(None, (line.rstrip(b"\n") for line in file))


def _content(path: Path, line: bytes) -> bytes:
    """The JSON of a line.

    Raises:
        ValueError: if it is damaged.
    """
    if line.startswith(b"["):  # of an earlier release
        return line
    checksum, _, content = line.partition(b" ")
    if checksum != _checksum(path, content):
        raise ValueError("damaged")
    return content


def _checksum(path: Path, content: bytes) -> bytes:
    """CRC-32, 8 hexadecimal digits, of a line of the cache of a model."""
    return b"%08x" % isal_zlib.crc32(path.stem.encode() + content)


def _is_truncated(path: Path) -> bool:
    """True if the last line of a file has no line end."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
