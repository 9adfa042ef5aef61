"""Prompts about an image, and the answers to them that a model is trained to give."""

from collections.abc import Sequence

from refrad.dataset.examples import ExampleCaption, ExampleMention
from refrad.model.box_formats import write_boxes
from refrad.model.box_tokens import TaggedEntity, phrases_of, segmentation_text
from refrad.model.prompts import detect_prompt, locate_prompt, prompt_text

__all__ = ["Prompted", "detect", "locate"]

Prompted = tuple[str, str, list[tuple[int, ...]]]


def locate(names: Sequence[ExampleMention], language: str, order: str | None) -> Prompted:
    """Text and target of the question where the named structures are. The spans of `names` are ignored.

    With `order`, a box format such as yxyx, the target has boxes; without, segmentation tags, and the classes of each mask come along.
    """
    joined, mentions = "", []
    for name in names:
        start = len(joined) + (2 if joined else 0)
        joined = f"{joined}, {name.text}" if joined else name.text
        mentions.append(ExampleMention(start, len(joined), name.text, name.targets))
    text = prompt_text(locate_prompt([name.text for name in names], language, masks=order is None))
    return text, *_tagged(joined, mentions, order)


def detect(caption: ExampleCaption, mentions: Sequence[ExampleMention], before: str, order: str | None) -> Prompted:
    """Text and target of the question for a caption with boxes or segmentation tags, with the classes of each mask."""
    text = prompt_text(detect_prompt(caption.language, masks=order is None), before)
    return text, *_tagged(caption.text, mentions, order)


def _tagged(text: str, mentions: Sequence[ExampleMention], order: str | None) -> tuple[str, list[tuple[int, ...]]]:
    entities = [
        TaggedEntity(mention.start, mention.end, class_id, box)
        for mention in mentions
        for class_id, box in mention.targets
    ]
    if order is None:
        return segmentation_text(text, entities), [phrase.classes for phrase in phrases_of(entities)]
    return write_boxes(text, entities, order), []
