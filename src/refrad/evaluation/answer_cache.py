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
from refrad.core.progress import log_progress
from refrad.dataset.image_codec import encode_mask
from refrad.evaluation.questions import EvalQuestion
from refrad.inference.generate import generate, generate_masks
from refrad.model.radgrounder import head_of

__all__ = ["CachedGenerator", "GeneratedAnswer", "cached_answers", "count_damaged"]

DECODING = 2  # raise it when answers to the same question change
BATCHES_PER_WRITE = 4

log = logging.getLogger(__name__)


class GeneratedAnswer(NamedTuple):
    """An answer of a model.

    Attributes:
        text: with tags.
        masks: with a mask head, the mask of each closing tag as run lengths at the side of the model's images.
        tokens: number of its tokens, with the end-of-text token that a cut answer lacks.
        cut: the answer reached the largest number of tokens before its end.
    """

    text: str
    masks: tuple[str, ...] = ()
    tokens: int = 0
    cut: bool = False

    def holds(self, limit: int) -> bool:
        """True if the model gives this answer when it may use `limit` tokens: it ends within them, or is cut at just as many."""
        return self.tokens == limit if self.cut else self.tokens <= limit


class CachedGenerator:
    """Answers of models to questions about the same images; each answer is generated once and cached.

    Args:
        processor: of the models.
        images: image id to the model's input, uint8 [side, side, 3].
        store: folder of the cache, with one file for each model.
        batch: questions answered in one batch.
        limits: dataset and task to the largest number of tokens of an answer.
    """

    def __init__(
        self,
        processor: Any,
        images: Mapping[str, NDArray[np.uint8]],
        store: Path,
        batch: int,
        limits: Mapping[tuple[str, str], int],
    ) -> None:
        self.processor, self.images, self.store, self.batch, self.limits = processor, images, store, batch, limits

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

        def answer(batch: Sequence[EvalQuestion], limit: int) -> list[GeneratedAnswer]:
            inputs, prompts = [model_input(question) for question in batch], [question.text for question in batch]
            answers = generate(model, self.processor, inputs, prompts, limit, self.batch)  # type: ignore[arg-type]
            if batch[0].task == "vqa" or head_of(model) is None:
                return [GeneratedAnswer(text, (), tokens, cut) for text, tokens, cut in answers]
            texts = [answer.text for answer in answers]
            masks = generate_masks(model, self.processor, inputs, prompts, texts, self.batch)  # type: ignore[arg-type]
            return [
                GeneratedAnswer(text, tuple(encode_mask(mask) for mask in answer_masks), tokens, cut)
                for (text, tokens, cut), answer_masks in zip(answers, masks, strict=True)
            ]

        keys = [
            digest_bytes(question.task.encode(), question.text.encode(), model_input(question).tobytes())
            for question in questions
        ]
        path = self.store / f"{digest_bytes(name.encode(), str(DECODING).encode())}.jsonl"
        limits = [self.limits[question.dataset, question.task] for question in questions]
        return cached_answers(path, keys, questions, limits, answer, self.batch * BATCHES_PER_WRITE)


def cached_answers(
    path: Path,
    keys: Sequence[str],
    questions: Sequence[EvalQuestion],
    limits: Sequence[int],
    answer: Callable[[Sequence[EvalQuestion], int], list[GeneratedAnswer]],
    batch: int,
) -> list[GeneratedAnswer]:
    """Answers to questions, in order: from the file `path` where it has them; the others are generated and appended to it.

    A cached answer is used if the model would give it again, see `GeneratedAnswer.holds`: one that ended serves every limit that
    it fits in, and one that was cut only the limit that cut it.

    Each batch is appended as whole lines and flushed to the disk, so a killed run loses one batch at most; the answer of a
    truncated or damaged line is generated again.

    Args:
        path: lines of a checksum and the JSON of [key, text, tokens, cut, mask, ...]. Lines without number of tokens are those of
            earlier releases; their answers are generated again, since nobody knows which of them were cut.
        keys: the key of each question.
        questions: the questions.
        limits: the largest number of tokens of the answer to each question.
        answer: generates the answers to questions of one task with one limit.
        batch: questions handed to `answer` at once.
    """
    cached = _read_answers(path)

    def fitting(key: str, limit: int) -> GeneratedAnswer | None:
        return next((generated for generated in cached.get(key, ()) if generated.holds(limit)), None)

    missing = {
        (key, limit): question
        for key, limit, question in zip(keys, limits, questions, strict=True)
        if fitting(key, limit) is None
    }
    log.info("%d answers: %d to generate", len(keys), len(missing))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # answers read like reports: for their owner alone
    for (task, limit), group in _groups(missing).items():
        generated_answers = _generate_and_append(path, group, limit, answer, batch)
        for key, generated in log_progress(generated_answers, log, f"answers of task {task}", len(group)):
            cached.setdefault(key, []).append(generated)
    answers = [fitting(key, limit) for key, limit in zip(keys, limits, strict=True)]
    return [generated for generated in answers if generated is not None]


def _groups(
    missing: Mapping[tuple[str, int], EvalQuestion],
) -> dict[tuple[str, int], list[tuple[str, EvalQuestion]]]:
    """Task and limit to their keys and questions, those of similar length together, so that padding is short."""
    groups: dict[tuple[str, int], list[tuple[str, EvalQuestion]]] = {}
    for (key, limit), question in sorted(missing.items(), key=lambda item: len(item[1].text)):
        groups.setdefault((question.task, limit), []).append((key, question))
    return groups


def _generate_and_append(
    path: Path,
    group: Sequence[tuple[str, EvalQuestion]],
    limit: int,
    answer: Callable[[Sequence[EvalQuestion], int], list[GeneratedAnswer]],
    batch: int,
) -> Iterator[tuple[str, GeneratedAnswer]]:
    """Key and answer of each question of a group, once its batch is on the disk."""
    for first in range(0, len(group), batch):
        items = group[first : first + batch]
        answers = answer([question for _, question in items], limit)
        pairs = [(key, generated) for (key, _), generated in zip(items, answers, strict=True)]
        contents = [
            json.dumps([key, text, tokens, cut, *masks], ensure_ascii=False).encode()
            for key, (text, masks, tokens, cut) in pairs
        ]
        lines = b"".join(b"%s %s\n" % (_checksum(path, content), content) for content in contents)
        with path.open("ab") as file:
            file.write(b"\n" + lines if _is_truncated(path) else lines)
            file.flush()
            os.fsync(file.fileno())
        yield from pairs


def _read_answers(path: Path) -> dict[str, list[GeneratedAnswer]]:
    """Key to the answers of a cache, one for each limit that led to another answer."""
    cached: dict[str, list[GeneratedAnswer]] = {}
    damaged = 0
    for line in _lines(path):
        try:
            row = json.loads(_content(path, line))
        except ValueError:
            damaged += 1
            continue
        match row:
            case [str(key), str(text), int(tokens), bool(cut), *masks]:
                cached.setdefault(key, []).append(GeneratedAnswer(text, tuple(masks), tokens, cut))
    if damaged:
        log.warning("%d lines of %s are truncated or damaged; their answers are generated again", damaged, path.name)
    return cached


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
