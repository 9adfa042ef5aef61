"""The questions of an evaluation as other vision-language models get them: a prompt from a file, and the picture as PNG."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from PIL import Image

from refrad.config import BoxOptions, OtherModelOptions
from refrad.core.types import LANGUAGES
from refrad.dataset.examples import ImageExample
from refrad.evaluation.questions import EvalQuestion
from refrad.llm import Request

__all__ = [
    "OtherPrompts",
    "SentPicture",
    "asked_names",
    "encode_picture",
    "load_prompts",
    "picture_for",
    "question_lines",
    "request_for",
]

TASK_KEYS = ("vqa", "caption", "detect", "locate")
UNITS = ("px", "share", "1000", "loc")
FIELDS = {"question", "context", "names", "box", "order", "width", "height"}
ORDERS = {
    "xyxy": "[x_min, y_min, x_max, y_max]",
    "yxyx": "[y_min, x_min, y_max, x_max]",
    "xywh": "[x_min, y_min, width, height]",
}
MOST_STRETCH = 4.0  # ratio of the sides of a picture, at most
OTHER_LANGUAGE = "en"  # of prompts for questions in a third language


class SentPicture(NamedTuple):
    """A picture as it is sent, a PNG file, with its width and height, px."""

    png: bytes
    size: tuple[int, int]


@dataclass(frozen=True)
class OtherPrompts:
    """The prompts of a file: language to those of the tasks, to the sentence about boxes, and to the words of each unit."""

    tasks: Mapping[str, Mapping[str, str]]
    boxes: Mapping[str, str]
    units: Mapping[str, Mapping[str, str]]

    def of_task(self, task: str) -> dict[str, str]:
        """Language to the prompt of a task."""
        return {language: prompts[task] for language, prompts in self.tasks.items()}

    def box_sentence(self, language: str, boxes: BoxOptions | None, size: tuple[int, int]) -> str:
        """The sentence that states the unit of the coordinates, for an image of this width and height, px."""
        if boxes is None:
            return ""
        unit = self.units[language][str(boxes.unit)]
        filled = unit.replace("{{width}}", str(size[0])).replace("{{height}}", str(size[1]))
        return self.boxes[language].replace("{{unit}}", filled).strip()


def load_prompts(path: Path) -> OtherPrompts:
    """Read a file of prompts.

    Raises:
        ValueError: in one line, if a language, task or unit is missing, or a {{placeholder}} is unknown.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"{path}: cannot be read as YAML: check the indentation and the quotes") from None
    for language in LANGUAGES:
        keys = content.get(language) if isinstance(content, dict) else None
        if not isinstance(keys, dict):
            raise ValueError(f"{path}: {language}: the prompts of this language are missing")
        texts = {key: keys.get(key) for key in (*TASK_KEYS, "box")}
        units = keys.get("unit")
        texts |= {f"unit.{unit}": units.get(unit) if isinstance(units, dict) else None for unit in UNITS}
        for key, text in texts.items():
            if not isinstance(text, str):
                raise ValueError(f"{path}: {language}.{key}: a text is missing (keys of numbers need quotes)")
            allowed = {"unit"} if key == "box" else {"width", "height"} if key.startswith("unit") else FIELDS
            if unknown := set(re.findall(r"\{\{(\w+)\}\}", text)) - allowed:
                raise ValueError(f"{path}: {language}.{key}: nothing is known of {{{{{min(unknown)}}}}}")
    return OtherPrompts(
        {language: {task: content[language][task] for task in TASK_KEYS} for language in LANGUAGES},
        {language: content[language]["box"] for language in LANGUAGES},
        {language: content[language]["unit"] for language in LANGUAGES},
    )


def question_lines(question: EvalQuestion) -> str:
    """What a question's text has between the image and its last line: a vqa question with its choices, of other tasks the prior
    knowledge of the radiologist (see `refrad.model.prompts`).
    """
    return "\n".join(question.text.split("\n")[1:-1]).strip()


def asked_names(question: EvalQuestion) -> list[str]:
    """The verbatim structures that a question of task locate names, each once."""
    return list(dict.fromkeys(target.text for target in question.targets))


def picture_for(image: ImageExample, window: int | str, is_internal: bool) -> Image.Image:
    """The picture of an image for another model, RGB, in the proportions of the DICOM image; its shorter side is that of the shards.

    Args:
        image: of the shards or of a benchmark.
        window: the channel of a CT image of the shards that is shown in grey, or "all".
        is_internal: whether the image is of the site's shards; pictures of benchmarks have their window already.
    """
    picture = image.load_image()
    if is_internal and image.modality == "CT" and isinstance(window, int):
        grey = np.asarray(picture)[:, :, window]
        picture = Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2))
    width, height = image.size
    if width > 0 and height > 0 and width != height:
        side, shorter = picture.width, min(width, height)
        sides = [round(side * min(length / shorter, MOST_STRETCH)) for length in (width, height)]
        picture = picture.resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
    return picture


def encode_picture(picture: Image.Image) -> SentPicture:
    """The picture as a PNG file, without loss."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return SentPicture(buffer.getvalue(), picture.size)


def request_for(
    question: EvalQuestion, picture: SentPicture, prompts: OtherPrompts, options: OtherModelOptions
) -> Request:
    """The request of a question: the picture, and the data that fill the prompt of its task.

    Args:
        question: about the picture.
        picture: of `picture_for`, encoded.
        prompts: of the model.
        options: of the model.
    """
    language = question.language if question.language in prompts.tasks else OTHER_LANGUAGE
    lines, names = question_lines(question), ", ".join(asked_names(question)) if question.task == "locate" else ""
    data = {
        "question": lines if question.task == "vqa" else "",
        "context": "" if question.task == "vqa" else lines,
        "names": names,
        "box": prompts.box_sentence(language, options.boxes, picture.size),
        "order": ORDERS[options.boxes.order] if options.boxes else "",
        "width": str(picture.size[0]),
        "height": str(picture.size[1]),
    }
    return Request(language, data, question.patient, (picture.png,))
