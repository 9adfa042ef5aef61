"""Questions to a trained RadGrounder about a test image."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from refrad.core.files import digest_bytes
from refrad.dataset.examples import ExampleMention, ImageExample
from refrad.dataset.image_codec import encode_mask
from refrad.evaluation.metrics.grounding import NamedRegion, Region
from refrad.model.preprocess import WHOLE, View, whole_view
from refrad.model.prompts import MAX_NAMES, detect_prompt, locate_prompt, prefix, prompt_text, vqa_text

__all__ = ["MAX_ANSWER_TOKENS", "EvalQuestion", "Target", "build_questions", "mask_region"]

MAX_ANSWER_TOKENS = {"locate": 96, "detect": 160, "vqa": 24}
"""Longest answer of each task: a region is 8 tokens and its name, and a question names at most MAX_NAMES regions."""


@dataclass(frozen=True)
class Target(NamedRegion):
    """A true region: a box as shares of width and height, or a mask in px of the DICOM image.

    `text` is the verbatim mention and `classes` the classes that it names. A box has the one class as its `class_id`; a mask has no
    `class_id`, since models name masks by their phrase.
    """

    classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class EvalQuestion:
    """One question to a model.

    `task` is locate, detect or vqa; `answer` the true caption, or the true answer of a vqa question; `kind` and `topic` those of
    the vqa question; `view` the part of the image that the model receives.
    """

    image_id: str
    patient: str
    task: str
    language: str
    text: str
    targets: tuple[Target, ...] = ()
    answer: str = ""
    kind: str = ""
    topic: str = ""
    modality: str = ""
    dataset: str = "internal"
    view: View = WHOLE

    @property
    def id(self) -> str:
        """The same for the same question about the same image, in every run."""
        parts = (self.dataset, self.image_id, self.task, self.language, self.text, self.answer)
        return digest_bytes(*(part.encode() for part in parts))[:16]


def build_questions(
    image: ImageExample,
    dataset: str = "internal",
    resize: Literal["stretch", "pad"] = "stretch",
    masks: bool = False,
) -> list[EvalQuestion]:
    """All questions about an image: its mentions by name, one caption in each language, and its question-answer pairs.

    Args:
        image: with its captions and questions.
        dataset: name of the dataset, a part of each question's id.
        resize: the resizing of images in the training of the model, see `whole_view`.
        masks: build the questions of the segmentation variant.
    """
    view = whole_view(image.size, resize)
    question_about = partial(
        EvalQuestion, image.image_id, image.patient, modality=image.modality, dataset=dataset, view=view
    )
    questions = []
    for caption in image.captions:
        for first in range(0, len(caption.mentions), MAX_NAMES):
            mentions = caption.mentions[first : first + MAX_NAMES]
            text = prompt_text(locate_prompt([mention.text for mention in mentions], caption.language, masks))
            questions.append(question_about("locate", caption.language, text, _targets(mentions, image, masks)))
    for language in sorted({caption.language for caption in image.captions}):
        caption = next(caption for caption in image.captions if caption.language == language)
        text = prompt_text(detect_prompt(language, masks), prefix(language, caption.indication, caption.question))
        targets = _targets(caption.mentions, image, masks)
        questions.append(question_about("detect", language, text, targets, caption.text))
    for pair in image.questions:
        text = vqa_text(pair.question, pair.choices, pair.language)
        questions.append(
            question_about("vqa", pair.language, text, answer=pair.answer, kind=pair.kind, topic=pair.topic)
        )
    return list({question.id: question for question in questions}.values())


def _targets(mentions: Iterable[ExampleMention], image: ImageExample, masks: bool) -> tuple[Target, ...]:
    """A box for each class of each mention, or a mask of all classes for each mention; each target once."""
    targets: dict[object, Target] = {}
    for mention in mentions:
        if masks:
            classes = tuple(dict.fromkeys(class_id for class_id, _ in mention.targets))
            name = mention.text.casefold(), classes
            if name not in targets:
                targets[name] = Target(mask_region(image, classes), mention.text, classes=classes)
        else:
            for class_id, box in mention.targets:
                targets.setdefault((class_id, box), Target(box, mention.text, class_id, (class_id,)))
    return tuple(targets.values())


def mask_region(image: ImageExample, classes: Iterable[int]) -> Region:
    """The union of the masks of classes in an image, as COCO run lengths of size [height, width], px of the DICOM image."""
    width, height = image.size
    return {"size": [height, width], "counts": encode_mask(image.mask(classes))}
