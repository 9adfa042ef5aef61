"""Answers of a vision-language model in a local folder, by transformers, without any network."""

import gc
import io
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from refrad.core.files import digest_bytes, digest_file
from refrad.evaluation.other_models import Answerer
from refrad.llm import ModelError, Request, TextAnswer, TextTask
from refrad.llm.store import ReplyStore, Usage

__all__ = ["ask_folder"]

DECODING = 1  # raise it when answers to the same request change


def ask_folder(folder: Path, store: ReplyStore, device: torch.device, batch: int) -> Answerer:
    """The answerer of a model in a folder, which is loaded at the first request without a stored answer.

    Args:
        folder: of a model that AutoModelForImageTextToText and AutoProcessor load.
        store: of replies; the key of one is the digest of the folder's files and of the request.
        device: that runs the model; a GPU in bfloat16, the CPU in float32.
        batch: requests answered together.
    """
    loaded: list[_LocalModel] = []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    weights = digest_bytes(*(f"{path.name} {digest_file(path)}".encode() for path in files))

    def answer(task: TextTask, requests: Iterable[Request]) -> Iterator[TextAnswer | None]:
        remaining = iter(requests)
        while chunk := list(itertools.islice(remaining, batch)):
            keys = [_key(weights, task, request) for request in chunk]
            stored = {key: store.answer(key) for key in keys}
            missing = {key: request for key, request in zip(keys, chunk, strict=True) if stored[key] is None}
            if missing and not loaded:
                loaded.append(_LocalModel(folder, device))
            if missing:
                began = time.monotonic()
                answers = loaded[0].answer(task, list(missing.values()))
                cost = Usage(0, 0, (time.monotonic() - began) / len(missing))
                for (key, request), new in zip(missing.items(), answers, strict=True):
                    store.note(key, request.subject)
                    store.put(key, task.name, folder.name, new.model_dump_json(), None, cost)
                    stored[key] = new.model_dump_json()
            for key in keys:
                yield TextAnswer.model_validate_json(stored[key] or "")

    return answer


def _key(weights: str, task: TextTask, request: Request) -> str:
    parts = weights, str(DECODING), str(task.tokens), task.fill(request)
    return digest_bytes(*(part.encode() for part in parts), *request.images)


class _LocalModel:
    """A loaded model with its processor.

    Raises:
        ModelError: if the folder cannot be loaded, naming the reason in one line.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        gc.collect()  # the models that answered before
        torch.cuda.empty_cache()
        try:
            self.processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True, dtype=dtype)
            self.model = model.to(device).eval()
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelError(f"{folder}: no model that transformers loads: {reason}") from None
        self.processor.tokenizer.padding_side = "left"

    @torch.no_grad()
    def answer(self, task: TextTask, requests: Sequence[Request]) -> list[TextAnswer]:
        """The answers, decoded greedily, of at most `task.tokens` tokens."""
        texts = [self._prompt(task.fill(request)) for request in requests]
        images = [[Image.open(io.BytesIO(png)).convert("RGB") for png in request.images] for request in requests]
        try:
            inputs = self.processor(text=texts, images=images, padding=True, return_tensors="pt")
            inputs = inputs.to(self.model.device, self.model.dtype)
            inputs.pop("labels", None)
            sequences = self.model.generate(**inputs, max_new_tokens=task.tokens, do_sample=False)
        except (ValueError, RuntimeError, KeyError, TypeError) as error:  # among them a full GPU
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelError(f"{self.model.config.model_type}: cannot answer: {reason}") from None
        new = sequences[:, inputs["input_ids"].shape[1] :]
        words = self.processor.batch_decode(new, skip_special_tokens=True)
        cut = [row.shape[0] == task.tokens and not self._is_ended(row) for row in new]
        return [TextAnswer(text=text.strip(), cut_off=is_cut) for text, is_cut in zip(words, cut, strict=True)]

    def _prompt(self, text: str) -> str:
        """The prompt in the model's chat template, or else behind its image token."""
        template = getattr(self.processor, "chat_template", None)
        if template is None and "image" in (of_tokenizer := str(self.processor.tokenizer.chat_template)):
            template = of_tokenizer  # as older folders have it; without images it is that of the language model
        if template:
            messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
            return str(
                self.processor.apply_chat_template(
                    messages, chat_template=template, add_generation_prompt=True, tokenize=False
                )
            )
        return f"{getattr(self.processor, 'image_token', '<image>')}{text}"

    def _is_ended(self, row: torch.Tensor) -> bool:
        """Whether a row of new tokens, int64 [tokens], has an end-of-sequence token."""
        ends = self.model.generation_config.eos_token_id
        return bool(torch.isin(row.cpu(), torch.tensor(ends if isinstance(ends, list) else [ends])).any())
