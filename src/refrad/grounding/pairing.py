"""Where caption and image agree: which images a caption meets, and which of its mentions are in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from refrad.anatomy.schema import Schema

__all__ = [
    "REASONS",
    "Entity",
    "GroundableMention",
    "PairingError",
    "Slice",
    "StudyImages",
    "class_matcher",
    "ground_mentions",
]

REASONS: Mapping[str, str] = {
    "no_mention": "The caption names no anatomy of the schema.",
    "only_absent_mentions": "All anatomy that the caption names is said to be absent.",
    "no_image_in_study": "No series of the study has labels.",
    "reference_not_found": "The caption names an image that the study does not have.",
    "reference_ambiguous": "The caption names an image number that several series have.",
    "no_common_class": "No class that the caption mentions is in the images it may belong to.",
    "mention_not_verbatim": "A mention does not stand in the caption where its table says: mentions and captions do not belong together.",
}
APART = 3  # slices between two images of one volume for the same caption


class PairingError(ValueError):
    """The caption meets no image; the message is the reason code."""


@dataclass(frozen=True)
class GroundableMention:
    """A span of a caption and the classes it names."""

    start: int
    end: int
    text: str
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Entity:
    """A mention in an image: the class whose box it gets, and how it got there ("exact", "part" or "whole")."""

    start: int
    end: int
    text: str
    class_id: int
    via: str


@dataclass(frozen=True)
class Slice:
    """One image of a study and the areas in px of the classes in it."""

    instance: str
    volume: str
    index: int
    series_number: int | None
    instance_number: int | None
    areas: Mapping[int, int]


def class_matcher(schema: Schema, mode: str) -> Any:
    """A function (named class, visible classes) -> ((class, via), ...).

    "strict" accepts the class itself alone. "expand" goes on to its visible parts ("lungs" on CT are their lobes), else
    to a visible whole ("L4" on an MR where all vertebrae are one class): coarser, and marked so.
    """
    parts = cache(schema.parts)
    wholes = cache(schema.wholes)

    def match(class_id: int, visible: Mapping[int, Any]) -> tuple[tuple[int, str], ...]:
        if class_id in visible:
            return ((class_id, "exact"),)
        if mode == "strict":
            return ()
        if found := sorted(parts(class_id) & visible.keys()):
            return tuple((part, "part") for part in found)
        return tuple((whole, "whole") for whole in sorted(wholes(class_id) & visible.keys()))

    return match


def ground_mentions(mentions: Iterable[GroundableMention], visible: Mapping[int, Any], match: Any) -> list[Entity]:
    """The entities of a caption in an image, in the order of their spans; empty if caption and image have no class in common.

    Every mention keeps all of its classes that are visible, and every occurrence of a repeated word is its own mention.
    """
    mentions = sorted(mentions, key=lambda one: (one.start, -one.end))
    named = {class_id for mention in mentions for class_id in mention.classes}
    found: dict[tuple[int, int, int], Entity] = {}
    for mention in mentions:
        for class_id in mention.classes:
            for target, via in _narrowed(match(class_id, visible), named):
                key = (mention.start, mention.end, target)
                found.setdefault(key, Entity(mention.start, mention.end, mention.text, target, via))
    return list(found.values())


def _narrowed(targets: tuple[tuple[int, str], ...], named: set[int]) -> tuple[tuple[int, str], ...]:
    """Parts that the caption names itself stand for all parts: "endplate impression of T12" is about T12 alone."""
    return tuple(one for one in targets if one[1] != "part" or one[0] in named) or targets


class StudyImages:
    """The images of one study, to be met by its captions."""

    def __init__(self, slices: Sequence[Slice]) -> None:
        self.slices = slices
        self._by_instance = {one.instance: one for one in slices}
        self._largest: dict[int, int] = {}
        for one in slices:
            for class_id, area in one.areas.items():
                self._largest[class_id] = max(area, self._largest.get(class_id, 0))

    @property
    def labelled(self) -> bool:
        """Whether any class is in any of the images."""
        return bool(self._largest)

    def explicit(self, instance: str) -> list[Slice]:
        """The image with this identity.

        Raises:
            PairingError: if it is not there.
        """
        if instance not in self._by_instance:
            raise PairingError("reference_not_found")
        return [self._by_instance[instance]]

    def referenced(self, series_number: int | None, first: int | None, last: int | None) -> list[Slice]:
        """The images with these numbers, as a report gives them.

        Raises:
            PairingError: if there are none, or several series have them.
        """
        found = [
            one
            for one in self.slices
            if (series_number is None or one.series_number == series_number)
            and (first is None or (one.instance_number is not None and first <= one.instance_number <= (last or first)))
        ]
        if not found:
            raise PairingError("reference_not_found")
        if len({one.volume for one in found}) > 1:
            raise PairingError("reference_ambiguous")
        return found

    def largest(self, mentions: Iterable[GroundableMention], match: Any, count: int) -> list[Slice]:
        """The slices in which the mentioned classes are largest, relative to their largest cross-section in the study.

        Different volumes come first, then slices of one volume that lie apart.

        Raises:
            PairingError: if no slice shows any of them.
        """
        classes = {class_id for mention in mentions for class_id in mention.classes}
        scored = []
        for place, one in enumerate(self.slices):
            targets = {target for class_id in classes for target, _ in _narrowed(match(class_id, one.areas), classes)}
            score = sum(one.areas[target] / self._largest[target] for target in targets)
            if score > 0:
                scored.append((-score, place))
        if not scored:
            raise PairingError("no_common_class")
        ranked = [self.slices[place] for _, place in sorted(scored)]
        chosen: list[Slice] = []
        for distinct in (True, False):
            for one in ranked:
                near = [c for c in chosen if c.volume == one.volume and (distinct or abs(c.index - one.index) < APART)]
                if len(chosen) < count and not near and one not in chosen:
                    chosen.append(one)
        return chosen
