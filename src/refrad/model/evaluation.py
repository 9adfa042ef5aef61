"""What a trained RadGrounder is asked about a test image, and how its answers are scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np

from refrad.files import digest_bytes
from refrad.grounding.targets import parse_detection
from refrad.metrics.grounding import Box, g_iou, iou
from refrad.metrics.intervals import RESAMPLES, bootstrap_interval
from refrad.model.augment import WHOLE, View, box_in_image, whole_view
from refrad.model.prompts import asking, detect_prompt, locate_prompt, prefix
from refrad.model.rows import Mention, Picture
from refrad.model.samples import NAMES, vqa

__all__ = [
    "DEFINITIONS",
    "LIMITS",
    "Asked",
    "Entities",
    "Score",
    "ask",
    "entities_of",
    "mean_boxes",
    "score",
    "score_boxes",
    "summary",
]

Entities = Sequence[tuple[int, Box]]  # class and box, as shares of width and height

# Tokens that an answer may take: a place is 8 tokens and its name, and at most four are asked for at once.
LIMITS = {"locate": 96, "detect": 160, "vqa": 24}
DEFINITIONS = {
    "mean_iou": "asked for the boxes of a sentence's mentions by their verbatim names: IoU of the box with the right class, 0 where"
    " none was given, mean over all asked boxes",
    "class_recall": "share of the asked boxes for which the answer holds a box of the right class",
    "iou50": "share of the asked boxes met with an IoU of at least 0.5",
    "mean_iou_interval": "95 % bootstrap interval of mean_iou, drawing patients",
    "free": "asked for a caption with boxes of its own choice; g_iou: sum of the IoU of entities matched by class / max(given, true);"
    " class_recall: share of the caption's classes given; visible: share of the given classes that are in the image",
    "vqa": "share of the answers that equal the true one but for case and white space",
    "baselines.untrained": "the same questions put to the same architecture with random weights",
    "baselines.mean_box": "each asked box answered with the mean box of its class over the training images, as shares of width and height",
    "blanked": "the same questions put to the trained model with black images",
}


@dataclass(frozen=True)
class Asked:
    """One question put to a model.

    `targets` are the class and box (shares of width and height) of each entity sought, `names` the verbatim mention of each;
    `answer` is what is true, the caption or the answer to a question. `view` is what the model sees of the image.
    """

    image_id: str
    patient: str
    task: str
    language: str
    text: str
    targets: tuple[tuple[int, Box], ...] = ()
    answer: str = ""
    names: tuple[str, ...] = ()
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

    @property
    def group(self) -> str:
        """What the table of questions tells apart."""
        return f"{self.topic}, {self.kind}"


@dataclass
class Score:
    """Sums over the asked boxes of one question or of many."""

    boxes: int = 0
    iou: float = 0.0
    classes: int = 0
    met: int = 0
    by_class: dict[int, list[float]] = field(default_factory=dict)


def ask(picture: Picture, dataset: str = "internal", resize: Literal["stretch", "pad"] = "stretch") -> list[Asked]:
    """All questions about an image: its mentions by name, one caption in each language, and its question-answer pairs.

    `resize` is how the model was trained to see images, see `whole_view`.
    """
    view = whole_view(picture.size, resize)
    put = partial(Asked, picture.image_id, picture.patient, modality=picture.modality, dataset=dataset, view=view)
    asked = []
    for caption in picture.captions:
        for first in range(0, len(caption.mentions), NAMES):
            mentions = caption.mentions[first : first + NAMES]
            text = asking(locate_prompt([one.text for one in mentions], caption.language))
            targets, names = _targets(mentions)
            asked.append(put("locate", caption.language, text, targets, names=names))
    for language in sorted({caption.language for caption in picture.captions}):
        caption = next(one for one in picture.captions if one.language == language)
        text = asking(detect_prompt(language), prefix(language, caption.indication, caption.question))
        targets, names = _targets(caption.mentions)
        asked.append(put("detect", language, text, targets, caption.text, names=names))
    for one in picture.questions:
        text = vqa(one.question, one.choices, one.language)
        asked.append(put("vqa", one.language, text, answer=one.answer, kind=one.kind, topic=one.topic))
    return list({one.id: one for one in asked}.values())


def _targets(mentions: Iterable[Mention]) -> tuple[tuple[tuple[int, Box], ...], tuple[str, ...]]:
    names: dict[tuple[int, Box], str] = {}
    for mention in mentions:
        for target in mention.targets:
            names.setdefault(target, mention.text)
    return tuple(names), tuple(names.values())


def score(one: Asked, predicted: Entities) -> Score:
    """Compare the entities of an answer with those asked for; of several boxes of a class the first counts."""
    given: dict[int, Box] = {}
    for class_id, box in predicted:
        given.setdefault(class_id, box)
    total = Score()
    for class_id, box in one.targets:
        value = iou(given[class_id], box) if class_id in given else 0.0
        total.boxes += 1
        total.iou += value
        total.classes += class_id in given
        total.met += value >= 0.5
        total.by_class.setdefault(class_id, []).append(value)
    return total


def score_boxes(asked: Sequence[Asked], predicted: Sequence[Entities], resamples: int = RESAMPLES) -> dict[str, Any]:
    """mean_iou, its interval, class_recall and iou50 of many questions (see DEFINITIONS), and the mean IoU of each class.

    Raises:
        ValueError: if no box was asked for.
    """
    scores = [score(one, entities) for one, entities in zip(asked, predicted, strict=True)]
    boxes = sum(one.boxes for one in scores)
    patients: dict[str, list[float]] = {}
    by_class: dict[int, list[float]] = {}
    for one, found in zip(asked, scores, strict=True):
        sums = patients.setdefault(one.patient, [0.0, 0.0])
        sums[0] += found.iou
        sums[1] += found.boxes
        for class_id, values in found.by_class.items():
            by_class.setdefault(class_id, []).extend(values)
    totals, counts = zip(*patients.values(), strict=True) if patients else ((), ())
    interval = bootstrap_interval(totals, counts, resamples)
    return {
        "mean_iou": sum(one.iou for one in scores) / boxes,
        "mean_iou_interval": list(interval),
        "class_recall": sum(one.classes for one in scores) / boxes,
        "iou50": sum(one.met for one in scores) / boxes,
        "boxes": boxes,
        "patients": len(patients),
        "by_class": {class_id: float(np.mean(values)) for class_id, values in sorted(by_class.items())},
    }


def mean_boxes(pictures: Iterable[Picture]) -> dict[int, Box]:
    """The mean box of each class over training images, as shares of width and height."""
    boxes: dict[int, list[Box]] = {}
    for picture in pictures:
        for class_id, box in picture.structures.items():
            boxes.setdefault(class_id, []).append(box)
    return {class_id: tuple(np.mean(values, axis=0).tolist()) for class_id, values in boxes.items()}  # type: ignore[misc]


def summary(
    asked: Sequence[Asked],
    answers: Sequence[str],
    visible: Mapping[str, Iterable[int]],
    order: str,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The scores of a model's answers: those of `score_boxes`, and under "free" and "vqa" those of the other tasks.

    Args:
        asked: the questions.
        answers: what the model wrote to each.
        visible: classes in each image.
        order: of the coordinates in the text, yxyx or xyxy.
        resamples: of the interval.
    """
    pairs = list(zip(asked, answers, strict=True))
    located = [(one, entities_of(answer, order, one.view)) for one, answer in pairs if one.task == "locate"]
    described = [(one, entities_of(answer, order, one.view)) for one, answer in pairs if one.task == "detect"]
    boxes = score_boxes([one for one, _ in located], [found for _, found in located], resamples)
    return boxes | {
        "free": _free(described, visible),
        "vqa": _vqa([(one, answer) for one, answer in pairs if one.task == "vqa"]),
    }


def entities_of(answer: str, order: str, view: View = WHOLE) -> list[tuple[int, Box]]:
    """Class and box of each entity in what a model wrote of an image that it saw in `view`; boxes as shares of the image."""
    return [(one.class_id, box_in_image(one.box, view)) for one in parse_detection(answer, order).entities]


def _free(
    described: Sequence[tuple[Asked, list[tuple[int, Box]]]], visible: Mapping[str, Iterable[int]]
) -> dict[str, float]:
    if not described:
        return {}
    given = sum(len(found) for _, found in described)
    recalled = sum(len({c for c, _ in one.targets} & {c for c, _ in found}) for one, found in described)
    seen = sum(class_id in visible[one.image_id] for one, found in described for class_id, _ in found)
    return {
        "captions": len(described),
        "g_iou": float(np.mean([g_iou(found, one.targets) for one, found in described])),
        "class_recall": recalled / sum(len({c for c, _ in one.targets}) for one, _ in described),
        "visible": seen / given if given else 0.0,
    }


def _vqa(answered: Sequence[tuple[Asked, str]]) -> dict[str, Any]:
    if not answered:
        return {}
    right: dict[str, list[bool]] = {}
    for one, answer in answered:
        right.setdefault(one.group, []).append(_plain(answer) == _plain(one.answer))
    every = [value for values in right.values() for value in values]
    return {
        "questions": len(every),
        "accuracy": float(np.mean(every)),
        "by_kind": {
            kind: {"questions": len(values), "accuracy": float(np.mean(values))}
            for kind, values in sorted(right.items())
        },
    }


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
