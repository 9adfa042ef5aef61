"""A trained model that reads images: the answer in words, and the places of its phrases in the image's own pixels.

from refrad.inference.predictor import Reader
finding = Reader(Path("results/train/demo")).read(Path("image.dcm"), question="Is the liver visible?")
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from refrad.config import TrainOptions
from refrad.core.types import LANGUAGES, Box
from refrad.inference.generate import answers, masks_of
from refrad.inference.load_image import Opened, open_image
from refrad.model.box_tokens import parse_detection, parse_segmentation
from refrad.model.model_card import TRAINING
from refrad.model.preprocess import View, box_in_image, mask_in_image, see, whole_view
from refrad.model.processor import load_processor
from refrad.model.prompts import asking, detect_prompt, locate_prompt, prefix, vqa_prompt
from refrad.model.radgrounder import head_of, load_model
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["Finding", "Place", "Reader"]

LIMIT = 256  # tokens of an answer
OLDER = "made by another version of stage train; train it again"


@dataclass(frozen=True)
class Place:
    """A phrase of an answer and where it is: a half-open box in px of the image, or a mask bool [height, width]; the class is
    what the model said it is, which a segmentation model does not say.
    """

    phrase: str
    class_name: str | None
    box: Box | None
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Finding:
    """What a model says of an image. `answer` is what it wrote, tags and all; `damaged` are tags that made no sense."""

    text: str
    places: tuple[Place, ...]
    damaged: tuple[str, ...]
    answer: str
    image: Opened


class Reader:
    """A checkpoint, loaded once.

    Args:
        checkpoint: the folder that stage train made.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.

    Raises:
        ValueError: if the folder is no such checkpoint.
    """

    def __init__(self, checkpoint: Path, device: str = "auto") -> None:
        account = _account(checkpoint)
        try:
            self.options = TrainOptions.from_stored(Fingerprint.parse(account["fingerprint"]).options)
        except ValidationError:
            raise ValueError(f"{checkpoint}: {OLDER}") from None
        shards = Fingerprint.parse(account["shards"]).options
        self.windows, self.square = shards["windows"], int(shards["image_size"])
        self.classes: Mapping[int, str] = {int(number): name for number, name in account["classes"].items()}
        self.processor = load_processor(checkpoint)
        self.model = load_model(checkpoint, self.processor)
        self.model.to("cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu"))  # type: ignore[arg-type]
        self.side = int(self.processor.image_processor.size["height"])

    def read(
        self,
        image: Path,
        *,
        index: int | None = None,
        modality: str | None = None,
        question: str | None = None,
        locate: str | None = None,
        indication: str | None = None,
        language: str = "en",
    ) -> Finding:
        """Ask about an image: a `question`; or where `locate` is ("liver"); or, with neither, for a caption with its places.

        Args:
            image: a file that `open_image` reads.
            index: which image of several, likewise.
            modality: where the file does not say, likewise.
            question: answered in words.
            locate: a structure, by name.
            indication: clinical information, for a caption.
            language: of all of these, en or de.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no image, or what is asked makes no sense.
        """
        text = self.prompt(question, locate, indication, language)
        return self.ask([self.open(image, index, modality)], text)[0]

    def open(self, image: Path, index: int | None = None, modality: str | None = None) -> Opened:
        """An image as `open_image` reads it, through the windows of the checkpoint."""
        return open_image(image, self.windows, index, modality)

    def prompt(
        self, question: str | None, locate: str | None, indication: str | None = None, language: str = "en"
    ) -> str:
        """What `read` is asked, as the model is.

        Raises:
            ValueError: if it makes no sense.
        """
        if language not in LANGUAGES:
            raise ValueError(f"language is {language}: it must be en or de")
        if question and locate:
            raise ValueError("ask either a question or where something is")
        if question:
            return asking(vqa_prompt(question, (), language))
        if locate:
            return asking(locate_prompt([locate], language, self.masks))
        return asking(detect_prompt(language, self.masks), prefix(language, indication, None))

    @property
    def masks(self) -> bool:
        """Whether the model answers with masks, not with boxes."""
        return head_of(self.model) is not None

    def ask(self, images: Sequence[Opened], text: str) -> list[Finding]:
        """The same prompt to several images at once."""
        if not images:
            return []
        seen, texts = [self._seen(one) for one in images], [text] * len(images)
        given = answers(self.model, self.processor, seen, texts, LIMIT)
        if not self.masks:
            return [self._with_boxes(*pair) for pair in zip(images, given, strict=True)]
        drawn = masks_of(self.model, self.processor, seen, texts, given)
        return [self._with_masks(*three) for three in zip(images, given, drawn, strict=True)]

    def _seen(self, opened: Opened) -> NDArray[np.uint8]:
        """The image as it would have come through the shards: squashed to their square, then as training saw it."""
        channels = opened.channels.transpose(1, 2, 0)
        square = Image.fromarray(np.ascontiguousarray(channels)).resize((self.square,) * 2, Image.Resampling.BILINEAR)
        return see(square, self._view(opened), self.side)

    def _view(self, opened: Opened) -> View:
        height, width = opened.channels.shape[1:]
        return whole_view((width, height), self.options.resize)

    def _with_boxes(self, opened: Opened, answer: str) -> Finding:
        parsed = parse_detection(answer, self.options.coordinates)
        height, width = opened.channels.shape[1:]
        view = self._view(opened)
        places = []
        for one in parsed.entities:
            x_min, y_min, x_max, y_max = box_in_image(one.box, view)
            box = x_min * width, y_min * height, x_max * width, y_max * height
            places.append(Place(one.text, self.classes.get(one.class_id), box))
        return Finding(parsed.plain, tuple(places), parsed.damaged, answer, opened)

    def _with_masks(self, opened: Opened, answer: str, masks: NDArray[np.bool_]) -> Finding:
        parsed = parse_segmentation(answer)
        height, width = opened.channels.shape[1:]
        view = self._view(opened)
        places = tuple(
            Place(one.text, None, None, mask_in_image(masks[one.tag], view, (width, height))) for one in parsed.phrases
        )
        return Finding(parsed.plain, places, parsed.damaged, answer, opened)


def _account(checkpoint: Path) -> Any:
    file = checkpoint / TRAINING
    if not file.is_file():
        raise ValueError(
            f"{checkpoint}: no {TRAINING} there; name a folder that stage train made: results/train/<name>"
        )
    account = json.loads(file.read_text(encoding="utf-8"))
    if not {"fingerprint", "shards", "classes"} <= account.keys():
        raise ValueError(f"{checkpoint}: {OLDER}")
    return account
