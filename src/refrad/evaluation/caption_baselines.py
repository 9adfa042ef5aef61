"""Baselines for the recall of grounded captions: a report sentence names some of the visible structures, and the image does not say which."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypedDict

from refrad.dataset.examples import ImageExample
from refrad.evaluation.metrics.grounding import NamedRegion
from refrad.evaluation.questions import EvalQuestion

__all__ = ["CaptionBaselines", "caption_baselines", "mention_counts"]


class CaptionBaselines(TypedDict):
    """Recall of the caption's classes that needs no knowledge of the sentence; each answer has as many classes as the model's.

    Attributes:
        named: classes that the true sentences name, in all.
        visible: classes that are in their images, in all.
        answered: different classes in the answers of the model, in all.
        chance: expected recall of classes drawn from those in the image.
        most_named: recall of the classes in the image that training sentences name most often.
    """

    named: int
    visible: int
    answered: int
    chance: float
    most_named: float


def mention_counts(images: Iterable[ImageExample]) -> Counter[int]:
    """The number of sentences about `images` that name each class."""
    return Counter(
        class_id
        for image in images
        for caption in image.captions
        for class_id in {class_id for mention in caption.mentions for class_id, _ in mention.targets}
    )


def caption_baselines(
    captions: Sequence[tuple[EvalQuestion, Sequence[NamedRegion]]],
    classes: Mapping[str, Collection[int]],
    mentions: Mapping[int, int],
) -> CaptionBaselines | None:
    """The baselines for the answers to `captions`; None if no true sentence names a class.

    Args:
        captions: questions of task detect with classes, and the regions of the model's answers.
        classes: image id to the classes in the image.
        mentions: of each class in training sentences. Ties are in the order of the ids.
    """
    named = visible_count = answered = frequent_hits = 0
    chance_hits = 0.0
    for question, regions in captions:
        true = {target.key for target in question.targets}
        visible = set(classes[question.image_id])
        count = len({region.key for region in regions})
        first = sorted(visible, key=lambda class_id: (-mentions.get(class_id, 0), class_id))[:count]
        named, visible_count, answered = named + len(true), visible_count + len(visible), answered + count
        frequent_hits += len(true & set(first))
        if visible:
            chance_hits += len(true & visible) * min(count, len(visible)) / len(visible)
    if not named:
        return None
    chance, most_named = chance_hits / named, frequent_hits / named
    return {"named": named, "visible": visible_count, "answered": answered, "chance": chance, "most_named": most_named}
