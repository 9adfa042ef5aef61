"""What a trained RadGrounder is asked about a test image, and how its answers are scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np

from refrad.core.files import digest_bytes
from refrad.core.types import Box
from refrad.dataset.examples import ExampleMention, ImageExample
from refrad.dataset.image_codec import encode_mask
from refrad.evaluation.metrics.grounding import Region, g_iou, overlap
from refrad.evaluation.metrics.intervals import RESAMPLES, bootstrap_interval
from refrad.model.preprocess import WHOLE, View, whole_view
from refrad.model.prompts import MAX_NAMES, detect_prompt, locate_prompt, prefix, prompt_text, vqa_text

__all__ = [
    "DEFINITIONS",
    "MAX_ANSWER_TOKENS",
    "Entities",
    "EvalQuestion",
    "Key",
    "Score",
    "build_questions",
    "mask_region",
    "mean_boxes",
    "score",
    "score_places",
    "summary",
]

# What a place is known by: the class of a box, the phrase (in small letters) of a mask, as the two variants write them.
Key = int | str
# Each with its box as shares of width and height, or its mask in px of the DICOM image.
Entities = Sequence[tuple[Key, Region]]

# Tokens that an answer may take: a place is 8 tokens and its name, and at most four are asked for at once.
MAX_ANSWER_TOKENS = {"locate": 96, "detect": 160, "vqa": 24}
DEFINITIONS = {
    "mean_iou": "asked for the places of a sentence's mentions by their verbatim names: IoU of the box with the right class (of the"
    " mask with the right phrase, in the segmentation variant), 0 where none was given, mean over all that was asked for",
    "mean_dice": "the same with Dice, of masks",
    "class_recall": "share of the asked places for which the answer holds a box of the right class (a mask of the right phrase)",
    "iou50": "share of the asked places met with an IoU of at least 0.5",
    "mean_iou_interval": "95 % bootstrap interval of mean_iou, drawing patients; likewise the others",
    "free": "asked for a caption with places of its own choice; g_iou: sum of the IoU of entities matched by class (phrase) / max(given,"
    " true); class_recall: share of the caption's classes (phrases) given; visible: share of the given classes that are in the"
    " image (phrases that name something in it); iou, dice: of the given places with what their class (phrase) names in the"
    " image, 0 where it is not there",
    "vqa": "share of the answers that equal the true one but for case and white space",
    "baselines.untrained": "the same questions put to the same architecture with random weights",
    "baselines.mean_box": "each asked place answered with the mean box of its class over the training images, as shares of width and height",
    "baselines.mean_mask": "each asked mask answered with the places that its class covers most often in training images, as many as it"
    " covers on average",
    "blanked": "the same questions put to the trained model with black images",
}


@dataclass(frozen=True)
class EvalQuestion:
    """One question put to a model.

    `targets` are the key and region of each entity sought, `names` the verbatim mention and `classes` the classes of each;
    `answer` is what is true, the caption or the answer to a question. `view` is what the model sees of the image.
    """

    image_id: str
    patient: str
    task: str
    language: str
    text: str
    targets: tuple[tuple[Key, Region], ...] = ()
    answer: str = ""
    names: tuple[str, ...] = ()
    classes: tuple[tuple[int, ...], ...] = ()
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
    """Sums over the asked places of one question or of many."""

    asked: int = 0
    iou: float = 0.0
    dice: float = 0.0
    classes: int = 0
    met: int = 0
    by_key: dict[Key, list[float]] = field(default_factory=dict)


def build_questions(
    picture: ImageExample,
    dataset: str = "internal",
    resize: Literal["stretch", "pad"] = "stretch",
    masks: bool = False,
) -> list[EvalQuestion]:
    """All questions about an image: its mentions by name, one caption in each language, and its question-answer pairs.

    `resize` is how the model was trained to see images, see `whole_view`. With `masks` they are those of the segmentation
    variant.
    """
    view = whole_view(picture.size, resize)
    put = partial(
        EvalQuestion, picture.image_id, picture.patient, modality=picture.modality, dataset=dataset, view=view
    )
    asked = []
    for caption in picture.captions:
        for first in range(0, len(caption.mentions), MAX_NAMES):
            mentions = caption.mentions[first : first + MAX_NAMES]
            text = prompt_text(locate_prompt([one.text for one in mentions], caption.language, masks))
            asked.append(put("locate", caption.language, text, **_targets(mentions, picture, masks)))
    for language in sorted({caption.language for caption in picture.captions}):
        caption = next(one for one in picture.captions if one.language == language)
        text = prompt_text(detect_prompt(language, masks), prefix(language, caption.indication, caption.question))
        targets = _targets(caption.mentions, picture, masks)
        asked.append(put("detect", language, text, answer=caption.text, **targets))
    for one in picture.questions:
        text = vqa_text(one.question, one.choices, one.language)
        asked.append(put("vqa", one.language, text, answer=one.answer, kind=one.kind, topic=one.topic))
    return list({one.id: one for one in asked}.values())


def _targets(mentions: Iterable[ExampleMention], picture: ImageExample, masks: bool) -> dict[str, Any]:
    """Targets, names and classes: a box for each class of each mention, or a mask for each mention, of all of its classes."""
    found: dict[Any, tuple[Key, Region, str, tuple[int, ...]]] = {}
    for mention in mentions:
        if masks:
            classes = tuple(dict.fromkeys(one for one, _ in mention.targets))
            key = mention.text.casefold()
            if (key, classes) not in found:
                found[key, classes] = key, mask_region(picture, classes), mention.text, classes
        else:
            for target in mention.targets:
                found.setdefault(target, (*target, mention.text, target[:1]))
    return {
        "targets": tuple((key, region) for key, region, _, _ in found.values()),
        "names": tuple(name for _, _, name, _ in found.values()),
        "classes": tuple(classes for *_, classes in found.values()),
    }


def mask_region(picture: ImageExample, classes: Iterable[int]) -> Region:
    """The union of the masks of classes in an image, as COCO run lengths in px of the DICOM image."""
    width, height = picture.size
    return {"size": [height, width], "counts": encode_mask(picture.mask(classes))}


def score(one: EvalQuestion, predicted: Entities) -> Score:
    """Compare the entities of an answer with those asked for; of several of one key the first counts."""
    given: dict[Key, Region] = {}
    for key, region in predicted:
        given.setdefault(key, region)
    total = Score()
    for key, region in one.targets:
        value = overlap(given[key], region) if key in given else 0.0
        total.asked += 1
        total.iou += value
        total.dice += _dice(value)
        total.classes += key in given
        total.met += value >= 0.5
        total.by_key.setdefault(key, []).append(value)
    return total


def _dice(iou: float) -> float:
    """Dice of two regions from their IoU."""
    return 2 * iou / (1 + iou)


def score_places(
    asked: Sequence[EvalQuestion], predicted: Sequence[Entities], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """mean_iou, mean_dice, class_recall and iou50 of many questions (see DEFINITIONS), and the mean IoU of each key.

    Raises:
        ValueError: if nothing was asked for.
    """
    scores = [score(one, entities) for one, entities in zip(asked, predicted, strict=True)]
    by_key: dict[Key, list[float]] = {}
    for found in scores:
        for key, values in found.by_key.items():
            by_key.setdefault(key, []).extend(values)
    total = sum(one.asked for one in scores)

    def mean(name: str, sums: Sequence[float]) -> dict[str, Any]:
        groups = [one.patient for one in asked]
        interval = _interval(groups, sums, [one.asked for one in scores], resamples)
        return {name: sum(sums) / total, f"{name}_interval": interval}

    return {
        **mean("mean_iou", [one.iou for one in scores]),
        **mean("mean_dice", [one.dice for one in scores]),
        "class_recall": sum(one.classes for one in scores) / total,
        "iou50": sum(one.met for one in scores) / total,
        "asked": total,
        "patients": len({one.patient for one in asked}),
        "by_class": {
            key: float(np.mean(values)) for key, values in sorted(by_key.items(), key=lambda one: str(one[0]))
        },
    }


def _interval(groups: Sequence[str], sums: Sequence[float], counts: Sequence[int], resamples: int) -> list[float]:
    """95 % bootstrap interval of sum / count, drawing groups."""
    totals: dict[str, list[float]] = {}
    for group, value, count in zip(groups, sums, counts, strict=True):
        kept = totals.setdefault(group, [0.0, 0.0])
        kept[0] += value
        kept[1] += count
    left, right = zip(*totals.values(), strict=True) if totals else ((), ())
    return list(bootstrap_interval(left, right, resamples))


def mean_boxes(pictures: Iterable[ImageExample]) -> dict[int, Box]:
    """The mean box of each class over training images, as shares of width and height."""
    boxes: dict[int, list[Box]] = {}
    for picture in pictures:
        for class_id, box in picture.boxes.items():
            boxes.setdefault(class_id, []).append(box)
    return {class_id: tuple(np.mean(values, axis=0).tolist()) for class_id, values in boxes.items()}  # type: ignore[misc]


def summary(
    asked: Sequence[EvalQuestion],
    answers: Sequence[str],
    found: Sequence[Entities],
    visible: Mapping[str, Mapping[Any, Region]],
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The scores of a model's answers: those of `score_places`, and under "free" and "vqa" those of the other tasks.

    Args:
        asked: the questions.
        answers: what the model wrote to each.
        found: the entities in each answer.
        visible: what is in each image, by key.
        resamples: of the intervals.
    """
    told = list(zip(asked, answers, found, strict=True))
    located = [(one, entities) for one, _, entities in told if one.task == "locate"]
    described = [(one, entities) for one, _, entities in told if one.task == "detect"]
    scored = score_places([one for one, _ in located], [entities for _, entities in located], resamples)
    return scored | {
        "free": _free(described, visible, resamples),
        "vqa": _vqa([(one, answer) for one, answer, _ in told if one.task == "vqa"]),
    }


def _free(
    described: Sequence[tuple[EvalQuestion, Entities]], visible: Mapping[str, Mapping[Any, Region]], resamples: int
) -> dict[str, Any]:
    if not described:
        return {}
    recalled = sum(len({key for key, _ in one.targets} & {key for key, _ in found}) for one, found in described)
    patients, overlaps, seen = [], [], 0
    for one, found in described:
        for key, region in found:
            there = visible[one.image_id].get(key)
            seen += there is not None
            patients.append(one.patient)
            overlaps.append(0.0 if there is None else overlap(region, there))
    scores: dict[str, Any] = {}
    if overlaps:
        for name, values in (("iou", overlaps), ("dice", [_dice(value) for value in overlaps])):
            interval = _interval(patients, values, [1] * len(values), resamples)
            scores |= {name: float(np.mean(values)), f"{name}_interval": interval}
    return {
        "captions": len(described),
        "places": len(overlaps),
        "g_iou": float(np.mean([g_iou(found, one.targets) for one, found in described])),
        "class_recall": recalled / sum(len({key for key, _ in one.targets}) for one, _ in described),
        "visible": seen / len(overlaps) if overlaps else 0.0,
        **scores,
    }


def _vqa(answered: Sequence[tuple[EvalQuestion, str]]) -> dict[str, Any]:
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
