"""Questions to a trained RadGrounder about a test image."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from refrad.core.files import digest_bytes
from refrad.dataset.examples import ExampleCaption, ExampleMention, ImageExample
from refrad.dataset.image_codec import encode_mask
from refrad.dataset.prompt_targets import detect, locate
from refrad.evaluation.metrics.grounding import NamedRegion, Region
from refrad.model.preprocess import WHOLE, View, box_in_view, whole_view
from refrad.model.prompts import MAX_NAMES, caption_prompt, prefix, prompt_text, vqa_text

__all__ = ["EvalQuestion", "Target", "build_questions", "mask_region"]


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

    `task` is locate, detect, caption or vqa; `answer` the true caption, or the true answer of a vqa question; `kind` and `topic` those of
    the vqa question; `view` the part of the image that the model receives; `tagged` the true answer with its tags, as a model is
    trained to write it.
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
    tagged: str = ""

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
    order: str = "yxyx",
) -> list[EvalQuestion]:
    """All questions about an image: its mentions by name, a caption with and without regions in each language, and its question-answer pairs.

    An image without a grounded caption has no question for regions.

    Args:
        image: with its captions and questions.
        dataset: name of the dataset, a part of each question's id.
        resize: the resizing of images in the training of the model, see `whole_view`.
        masks: build the questions of the segmentation variant.
        order: of the coordinates in true answers with boxes, "yxyx" or "xyxy".
    """
    view = whole_view(image.size, resize)
    question_about = partial(
        EvalQuestion, image.image_id, image.patient, modality=image.modality, dataset=dataset, view=view
    )
    questions = []
    for caption in image.captions:
        for first in range(0, len(caption.mentions), MAX_NAMES):
            mentions = caption.mentions[first : first + MAX_NAMES]
            text, tagged, _ = locate(_in_view(mentions, view), caption.language, None if masks else order)
            targets = _targets(mentions, image, masks)
            questions.append(question_about("locate", caption.language, text, targets, tagged=tagged))
    for language in sorted({caption.language for caption in image.captions}):
        captions = [caption for caption in image.captions if caption.language == language]
        for caption in [caption for caption in captions if caption.mentions][:1]:
            before = _prior_knowledge(caption)
            text, tagged, _ = detect(caption, _in_view(caption.mentions, view), before, None if masks else order)
            targets = _targets(caption.mentions, image, masks)
            questions.append(question_about("detect", language, text, targets, caption.text, tagged=tagged))
        text, answer = prompt_text(caption_prompt(language), _prior_knowledge(captions[0])), captions[0].text
        questions.append(question_about("caption", language, text, answer=answer, tagged=answer))
    for pair in image.questions:
        text = vqa_text(pair.question, pair.choices, pair.language)
        question = question_about("vqa", pair.language, text, answer=pair.answer, kind=pair.kind, topic=pair.topic)
        questions.append(replace(question, tagged=pair.answer))
    return list({question.id: question for question in questions}.values())


def _in_view(mentions: Iterable[ExampleMention], view: View) -> list[ExampleMention]:
    """The mentions with their boxes as shares of the view, which is of the whole image."""
    return [
        replace(
            mention,
            targets=tuple((class_id, box_in_view(box, view) or box) for class_id, box in mention.targets),
        )
        for mention in mentions
    ]


def _prior_knowledge(caption: ExampleCaption) -> str:
    return prefix(caption.language, caption.indication, caption.question)


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
