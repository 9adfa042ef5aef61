"""Putting questions to a model once: answers are kept as they come, so that nothing is ever asked twice."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
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

DECODING = 1  # raise it when answers to the same question come out otherwise
ROUNDS = 4  # batches between two writes

log = logging.getLogger(__name__)


class GeneratedAnswer(NamedTuple):
    """What a model wrote; with a mask head also the mask of each closing tag, as run lengths at the side of the model's images."""

    text: str
    masks: tuple[str, ...] = ()


class CachedGenerator:
    """Answers of models to questions about the same images; each answer is generated once and cached.

    Args:
        processor: of the models.
        seen: image to what the models see of it, uint8 [side, side, 3].
        store: folder of the answers.
        batch: questions decoded at once.
    """

    def __init__(self, processor: Any, seen: dict[str, NDArray[np.uint8]], store: Path, batch: int) -> None:
        self.processor, self.seen, self.store, self.batch = processor, seen, store, batch

    def generate(
        self, model: torch.nn.Module, name: str, asked: Sequence[EvalQuestion], blank: bool = False
    ) -> list[GeneratedAnswer]:
        """The answer to each question, in order. `name` stands for the model's weights; `blank` shows black images."""

        def shown(one: EvalQuestion) -> NDArray[np.uint8]:
            return self.seen[one.image_id] * (not blank)

        def answer(some: Sequence[EvalQuestion]) -> list[GeneratedAnswer]:
            images, texts = [shown(one) for one in some], [one.text for one in some]
            written = generate(model, self.processor, images, texts, MAX_ANSWER_TOKENS[some[0].task], self.batch)  # type: ignore[arg-type]
            if some[0].task == "vqa" or head_of(model) is None:  # type: ignore[arg-type]
                return [GeneratedAnswer(text) for text in written]
            drawn = generate_masks(model, self.processor, images, texts, written, self.batch)  # type: ignore[arg-type]
            return [
                GeneratedAnswer(text, tuple(encode_mask(mask) for mask in masks))
                for text, masks in zip(written, drawn, strict=True)
            ]

        keys = [digest_bytes(one.task.encode(), one.text.encode(), shown(one).tobytes()) for one in asked]
        path = self.store / f"{digest_bytes(name.encode(), str(DECODING).encode())}.jsonl"
        return cached_answers(path, keys, asked, answer, self.batch * ROUNDS)


def cached_answers(
    path: Path,
    keys: Sequence[str],
    asked: Sequence[EvalQuestion],
    answer: Callable[[Sequence[EvalQuestion]], list[GeneratedAnswer]],
    batch: int,
) -> list[GeneratedAnswer]:
    """Answers from `path` where it has them; the others are asked for, `batch` at a time, and added to it at once.

    A run that was killed loses the batch it was at: each batch is appended as whole lines and flushed to the disk, and a line
    that was cut off is asked for again.
    """
    known = dict(_lines(path))
    found = sum(key in known for key in keys)
    left = sorted({key: one for key, one in zip(keys, asked, strict=True) if key not in known}.items(), key=_like)
    log.info("%d questions: %d answers kept, %d to ask", len(keys), found, len(left))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # answers read like reports: for their owner alone
    for some in _batches(left, batch):
        new = dict(zip((key for key, _ in some), answer([one for _, one in some]), strict=True))
        lines = "".join(json.dumps([key, one.text, *one.masks], ensure_ascii=False) + "\n" for key, one in new.items())
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" + lines if _is_cut(path) else lines)
            file.flush()
            os.fsync(file.fileno())
        known |= new
        log.info("%d answers of task %s", len(new), some[0][1].task)
    return [known[key] for key in keys]


def _like(item: tuple[str, EvalQuestion]) -> tuple[str, int]:
    """Questions of one task and like length are decoded together, so that little is padded."""
    return item[1].task, len(item[1].text)


def _batches(items: Sequence[tuple[str, EvalQuestion]], size: int) -> Iterator[Sequence[tuple[str, EvalQuestion]]]:
    for task in dict.fromkeys(one.task for _, one in items):
        same = [item for item in items if item[1].task == task]
        yield from (same[first : first + size] for first in range(0, len(same), size))


def _lines(path: Path) -> Iterator[tuple[str, GeneratedAnswer]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                key, text, *masks = json.loads(line)
            except ValueError:
                continue  # cut off, or the empty line behind what was
            yield key, GeneratedAnswer(text, tuple(masks))


def _is_cut(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
