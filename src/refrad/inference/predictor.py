"""Predictions of a trained model: the answer in words, and the regions of its phrases in px of the image.

from refrad.inference.predictor import Predictor
prediction = Predictor(Path("results/train/demo")).predict(Path("image.dcm"), question="Is the liver visible?")
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
from refrad.core.manifests import verify_folder
from refrad.core.types import LANGUAGES, Box
from refrad.dicom.hanging import Turn
from refrad.inference.generate import GeneratedText, generate, generate_masks
from refrad.inference.load_image import LoadedImage, load_image
from refrad.model.base_model import base_model_of
from refrad.model.box_formats import read_boxes
from refrad.model.box_tokens import parse_segmentation
from refrad.model.canary import check_image_input
from refrad.model.inference_weights import check_compute_dtype, load_for_inference
from refrad.model.preprocess import View, box_in_image, mask_in_image, render_view, whole_view
from refrad.model.processor import load_processor
from refrad.model.prompts import caption_prompt, detect_prompt, locate_prompt, prefix, prompt_text, vqa_prompt
from refrad.model.radgrounder import head_of
from refrad.model.training_account import TRAINING
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["ANSWER_TOKENS", "Prediction", "Predictor", "Region"]

ANSWER_TOKENS = 256  # of an answer, at most
OLDER = "made by another version of stage train; train it again"


@dataclass(frozen=True)
class Region:
    """A phrase of an answer and where it is.

    phrase: as in the answer. class_name: the class that the model named; None in the segmentation variant, which names none.
    box: x_min, y_min, x_max, y_max in px of the image, half-open; None with a mask. mask: bool [height, width], or None.
    """

    phrase: str
    class_name: str | None
    box: Box | None
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Prediction:
    """A model's answer for one image.

    text: without tags. regions: of its phrases. damaged: tags that could not be read. answer: as generated, with tags.
    cut: the answer reached the largest number of tokens before its end.
    """

    text: str
    regions: tuple[Region, ...]
    damaged: tuple[str, ...]
    answer: str
    image: LoadedImage
    cut: bool = False


class Predictor:
    """A checkpoint, loaded once.

    Args:
        checkpoint: the folder that stage train made.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        answer_tokens: largest number of tokens of an answer.
        compute_dtype: of weights and products: "float32", "bfloat16" (half the memory, and faster on a GPU), or "int8" (a third).

    Raises:
        ValueError: if the folder is no such checkpoint, or damaged, the number of tokens is below 1, the type is another or lacks
            its package, or the installed transformers ignores images.
    """

    def __init__(
        self,
        checkpoint: Path,
        device: str = "auto",
        answer_tokens: int = ANSWER_TOKENS,
        compute_dtype: str = "float32",
    ) -> None:
        if answer_tokens < 1:
            raise ValueError(f"answer tokens are {answer_tokens}: they must be 1 or more")
        check_compute_dtype(compute_dtype)
        self.answer_tokens = answer_tokens
        account = _account(checkpoint)
        try:
            self.options = TrainOptions.from_stored(Fingerprint.parse(account["fingerprint"]).options)
        except ValidationError:
            raise ValueError(f"{checkpoint}: {OLDER}") from None
        shards = Fingerprint.parse(account["shards"]).options
        self.windows, self.shard_side = shards["windows"], int(shards["image_size"])
        self.turned = shards.get("orientation", "stored") == "radiological"
        self.classes: Mapping[int, str] = {int(class_id): name for class_id, name in account["classes"].items()}
        self.processor = load_processor(checkpoint)
        self.model = load_for_inference(checkpoint, self.processor, compute_dtype)
        self.model.to("cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu"))  # type: ignore[arg-type]
        self.base = base_model_of(self.model)
        self.side = self.base.image_side(self.processor)
        check_image_input(self.model)

    def predict(
        self,
        image: Path,
        *,
        index: int | None = None,
        modality: str | None = None,
        question: str | None = None,
        locate: str | None = None,
        indication: str | None = None,
        language: str = "en",
        regions: bool = True,
    ) -> Prediction:
        """The answer to a `question`, the regions of the structure `locate`, or, with neither, a caption with or without `regions`.

        Args:
            image: a file that `load_image` reads.
            index: of the image in a file with several, see `load_image`.
            modality: CT or MR for files that do not state it, see `load_image`.
            question: answered in text.
            locate: name of a structure.
            indication: clinical information, for a caption.
            language: of question, structure and caption: en or de.
            regions: whether a caption comes with its regions.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is no image, or the arguments do not fit together.
        """
        prompt = self.prompt(question, locate, indication, language, regions)
        return self.predict_batch([self.load(image, index, modality)], prompt)[0]

    def load(self, image: Path, index: int | None = None, modality: str | None = None) -> LoadedImage:
        """An image as `load_image` reads it, with the windows of the checkpoint."""
        return load_image(image, self.windows, index, modality)

    def prompt(
        self,
        question: str | None,
        locate: str | None,
        indication: str | None = None,
        language: str = "en",
        regions: bool = True,
    ) -> str:
        """The text for the processor that the arguments of `predict` make.

        Raises:
            ValueError: if they do not fit together.
        """
        if language not in LANGUAGES:
            raise ValueError(f"language is {language}: it must be en or de")
        if question and locate:
            raise ValueError("question and locate exclude each other: give one of them")
        if locate and not regions:
            raise ValueError("locate asks for regions: leave --no-regions out")
        if question:
            return prompt_text(vqa_prompt(question, (), language))
        if locate:
            return prompt_text(locate_prompt([locate], language, self.masks))
        wording = detect_prompt(language, self.masks) if regions else caption_prompt(language)
        return prompt_text(wording, prefix(language, indication, None))

    @property
    def masks(self) -> bool:
        """Whether the model answers with masks instead of boxes."""
        return head_of(self.model) is not None

    def predict_batch(self, images: Sequence[LoadedImage], prompt: str) -> list[Prediction]:
        """The predictions for several images and one prompt."""
        if not images:
            return []
        pixels, prompts = [self.model_input(image) for image in images], [prompt] * len(images)
        answers = generate(self.model, self.processor, pixels, prompts, self.answer_tokens)
        if not self.masks:
            return [self._with_boxes(image, answer) for image, answer in zip(images, answers, strict=True)]
        masks = generate_masks(self.model, self.processor, pixels, prompts, [answer.text for answer in answers])
        return [self._with_masks(*result) for result in zip(images, answers, masks, strict=True)]

    def model_input(self, image: LoadedImage) -> NDArray[np.uint8]:
        """The image as in training, uint8 [side, side, 3]: resized to the square of the shards, then to that of the model."""
        channels = self._turn(image).image(image.channels.transpose(1, 2, 0))
        square = Image.fromarray(np.ascontiguousarray(channels)).resize(
            (self.shard_side,) * 2, Image.Resampling.BILINEAR
        )
        return render_view(square, self._view(image), self.side)

    def _turn(self, image: LoadedImage) -> Turn:
        """The turn from the image to what the model was trained on."""
        return image.turn if self.turned and image.turn else Turn()

    def _view(self, image: LoadedImage) -> View:
        """The view of the turned image."""
        height, width = image.channels.shape[1:]
        return whole_view(self._turn(image).size(width, height), self.options.resize)

    def _with_boxes(self, image: LoadedImage, answer: GeneratedText) -> Prediction:
        parsed = read_boxes(answer.text, self.base.box_format(self.options.coordinates))
        height, width = image.channels.shape[1:]
        view, turn = self._view(image), self._turn(image)
        turned_width, turned_height = turn.size(width, height)
        regions = []
        for entity in parsed.entities:
            x_min, y_min, x_max, y_max = box_in_image(entity.box, view)
            turned = x_min * turned_width, y_min * turned_height, x_max * turned_width, y_max * turned_height
            box = turn.inverse.box(turned, turned_width, turned_height)
            regions.append(Region(entity.text, self.classes.get(entity.class_id), box))
        return Prediction(parsed.plain, tuple(regions), parsed.damaged, answer.text, image, answer.cut)

    def _with_masks(self, image: LoadedImage, answer: GeneratedText, masks: NDArray[np.bool_]) -> Prediction:
        parsed = parse_segmentation(answer.text)
        height, width = image.channels.shape[1:]
        view, turn = self._view(image), self._turn(image)
        size = turn.size(width, height)
        regions = tuple(
            Region(phrase.text, None, None, turn.inverse.image(mask_in_image(masks[phrase.tag], view, size)))
            for phrase in parsed.phrases
        )
        return Prediction(parsed.plain, regions, parsed.damaged, answer.text, image, answer.cut)


def _account(checkpoint: Path) -> Any:
    file = checkpoint / TRAINING
    if not file.is_file():
        raise ValueError(
            f"{checkpoint}: no {TRAINING} there; name a folder that stage train made: results/train/<name>"
        )
    verify_folder(checkpoint)
    account = json.loads(file.read_text(encoding="utf-8"))
    if not {"fingerprint", "shards", "classes"} <= account.keys():
        raise ValueError(f"{checkpoint}: {OLDER}")
    return account
