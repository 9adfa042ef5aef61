"""Words and images to the tensors of Qwen3-VL, without torchvision, which transformers' own processor needs for videos."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerBase
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from refrad.model.prompts import message_of

__all__ = ["QwenProcessor", "load_qwen_processor"]

IMAGE, END = "<|image_pad|>", "<|im_end|>"
IGNORED = -100
PROBE = "Leber: 5 mm"
VIDEO_FILE = "video_preprocessor_config.json"  # for programs that load the checkpoint with transformers' own processor
CHAT_TEMPLATE = (  # of a folder whose tokenizer has none: ChatML, the image before the text
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}{% if part.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class QwenProcessor:
    """Called as PaliGemma's processor is: images, texts of `prompt_text`, and the answers as `suffix`.

    The sequence of a sample is the folder's chat template with the image and the prompt as the user's turn, then the answer, then
    `<|im_end|>`. Attention is causal, so there is no prefix.

    Args:
        image_processor: its `size` must give square images one grid, see `load_qwen_processor`.
        tokenizer: of the folder.
        folder: from which the files are copied that only other programs need; None for none.
    """

    def __init__(self, image_processor: Any, tokenizer: PreTrainedTokenizerBase, folder: Path | None = None) -> None:
        self.image_processor, self.tokenizer, self.folder = image_processor, tokenizer, folder
        self.image_token_id = int(tokenizer.convert_tokens_to_ids(IMAGE))  # type: ignore[arg-type]

    def __call__(
        self,
        images: Sequence[Any],
        text: Sequence[str],
        suffix: Sequence[str] | None = None,
        padding: str = "longest",
        padding_side: Literal["right", "left"] = "right",
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """The tensors of samples: input_ids, attention_mask and mm_token_type_ids (1 for the image), int64 [samples, length];
        pixel_values float32 [patches of all images, values] and image_grid_thw int64 [samples, 3]; with `suffix` also labels, which are
        the answer and its end (-100 elsewhere).

        Raises:
            ValueError: for a padding or a kind of tensors that is not the default.
        """
        if (padding, return_tensors) != ("longest", "pt"):
            raise ValueError("only padding longest and tensors of torch are supported")
        pictures = self.image_processor(images=list(images), return_tensors="pt")
        tokens = pictures["image_grid_thw"].prod(1) // self.image_processor.merge_size**2
        prompts = [self._prompt(words, int(count)) for words, count in zip(text, tokens, strict=True)]
        answers = [self._answer(words) for words in suffix] if suffix is not None else [[] for _ in prompts]
        longest = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))

        def padded(rows: Sequence[Sequence[int]], padding_value: int) -> Tensor:
            filled = [[padding_value] * (longest - len(row)) for row in rows]
            pairs = zip(rows, filled, strict=True)
            return torch.tensor([[*row, *fill] if padding_side == "right" else [*fill, *row] for row, fill in pairs])

        ids = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
        pad: Any = self.tokenizer.pad_token_id
        data = {
            "input_ids": padded(ids, pad),
            "attention_mask": padded([[1] * len(row) for row in ids], 0),
            "mm_token_type_ids": padded([[int(word == self.image_token_id) for word in row] for row in ids], 0),
            "pixel_values": pictures["pixel_values"],
            "image_grid_thw": pictures["image_grid_thw"],
        }
        if suffix is not None:
            labels = [[IGNORED] * len(prompt) + answer for prompt, answer in zip(prompts, answers, strict=True)]
            data["labels"] = padded(labels, IGNORED)
        return BatchFeature(data)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = True) -> list[str]:
        """The text of each row of token ids."""
        return [str(self.tokenizer.decode(row, skip_special_tokens=skip_special_tokens)) for row in sequences]

    def save_pretrained(self, folder: Path) -> None:
        """Write a folder that `load_qwen_processor`, AutoTokenizer and AutoImageProcessor read."""
        self.image_processor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.folder and (self.folder / VIDEO_FILE).is_file():
            shutil.copyfile(self.folder / VIDEO_FILE, Path(folder) / VIDEO_FILE)

    @property
    def image_side(self) -> int:
        """Width and height of the images, px."""
        return math.isqrt(self.image_processor.size["longest_edge"])

    def _prompt(self, text: str, image_tokens: int) -> list[int]:
        """Ids of the user's turn and of the beginning of the assistant's."""
        turn = _user_turn(self.tokenizer, _without_special_tokens(message_of(text)))
        return self._ids(turn.replace(IMAGE, IMAGE * image_tokens))

    def _answer(self, text: str) -> list[int]:
        return self._ids(_without_special_tokens(text) + END)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])  # type: ignore[arg-type]


def load_qwen_processor(folder: Path, image_size: int | None = None) -> QwenProcessor:
    """The processor of a folder with a Qwen3-VL.

    Args:
        folder: with tokenizer and image processor.
        image_size: side of the square images, px; None: that of a checkpoint, whose image processor has one size.

    Raises:
        ValueError: if files are missing, or the model takes no images of that size, or reasons before it answers.
    """
    try:
        pictures = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        words = tokenizer.decode(tokenizer(PROBE, add_special_tokens=False)["input_ids"])
    except (OSError, ValueError):
        words = None
    if (
        words != PROBE or IMAGE not in tokenizer.get_vocab()
    ):  # transformers makes an empty tokenizer where the file is missing
        raise ValueError(f"{folder}: no tokenizer or image processor of a Qwen3-VL; copy all files of the model")
    step = pictures.patch_size * pictures.merge_size
    if image_size is None and pictures.size["longest_edge"] != pictures.size["shortest_edge"]:
        raise ValueError(f"{folder}: its images may have any size; it is no checkpoint of stage train")
    if image_size is not None and image_size % step:
        raise ValueError(f"train.image_size is {image_size}: the model in {folder} takes multiples of {step} px")
    if image_size is not None:
        pictures.size = {"shortest_edge": image_size**2, "longest_edge": image_size**2}  # in px: one grid
    tokenizer.eos_token = END
    tokenizer.chat_template = tokenizer.chat_template or CHAT_TEMPLATE
    turn = _user_turn(tokenizer, "")
    if IMAGE not in turn or "<think>" in turn:
        raise ValueError(f"{folder}: its chat template has no image, or begins with reasoning; name an Instruct model")
    return QwenProcessor(pictures, tokenizer, folder)


def _user_turn(tokenizer: Any, text: str) -> str:
    """The user's turn of an image and a text in the chat template, and the beginning of the assistant's."""
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
    return str(tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True))


def _without_special_tokens(text: str) -> str:
    """A text of a report or a person must not end a turn or insert an image."""
    return text.replace("<|", "< |")
