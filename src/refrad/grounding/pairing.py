"""Pairs of caption and image: the images of a caption, and those of its mentions that an image shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from refrad.anatomy.schema import Schema

__all__ = [
    "REASONS",
    "UNGROUNDED",
    "Entity",
    "GroundableMention",
    "Matcher",
    "PairingError",
    "Slice",
    "StudyImages",
    "class_matcher",
    "ground_mentions",
]

REASONS: Mapping[str, str] = {
    "no_mention": "The caption names no anatomy of the schema.",
    "only_absent_mentions": "All anatomy that the caption names is absent in the patient.",
    "no_image_in_study": "No series of the study has labels.",
    "copied_study": "All volumes of the study are copies of those of another study or of an earlier delivery, whose reports are used.",
    "reference_not_found": "The caption names an image that the study does not have.",
    "reference_ambiguous": "The caption names an image number that several series have.",
    "no_common_class": "No class that the caption mentions is in the images it may belong to.",
    "mention_not_verbatim": "The caption has another text at the offsets of a mention: the tables of mentions and captions do not belong together.",
    "not_labelled": "The volume of the image has no labels, or is quarantined for them.",
}
UNGROUNDED = ("no_mention", "only_absent_mentions", "no_common_class")
"""Reasons of pairs that the report makes itself, by a reference, and that have no box: they are in the dataset with `shards.pairs: all`."""
MIN_GAP = 3  # slices between two images of one volume for the same caption
VIA = ("exact", "part", "whole")  # the closest match first

Areas = Mapping[int, int]
"""Class to its area in px in one image; the classes are those that are visible."""
Matcher = Callable[[int, Areas], tuple[tuple[int, str], ...]]
"""(named class, visible classes) -> ((visible class, via), ...)."""


class PairingError(ValueError):
    """The caption has no image; the message is the reason code."""


@dataclass(frozen=True)
class GroundableMention:
    """A span of a caption (code points, half-open) and the ids of the classes it names.

    `finer`: those, and those of their parts, of which it names a part or a finding only (`refrad.grounding.phrase_extent`).
    """

    start: int
    end: int
    text: str
    classes: tuple[int, ...]
    finer: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Entity:
    """A mention in an image: the visible class whose box it gets, and how it was matched ("exact", "part" or "whole").

    `one_sided`: the mention names both sides, and the image shows this one only.
    """

    start: int
    end: int
    text: str
    class_id: int
    via: str
    one_sided: bool = False


@dataclass(frozen=True)
class Slice:
    """One image of a study, and the areas in px of the classes in it."""

    instance: str
    volume: str
    index: int
    series_number: int | None
    instance_number: int | None
    areas: Areas
    plane: str | None = None


def class_matcher(schema: Schema, mode: str) -> Matcher:
    """A function (named class, visible classes) -> ((visible class, via), ...).

    "strict" accepts the class itself only. "expand" also accepts its visible parts ("lungs" on CT are their lobes), or
    else a visible whole ("L4" on an MR where all vertebrae are one class), which is coarser and marked by `via`.
    """
    parts = cache(schema.parts)
    wholes = cache(schema.wholes)

    def match(class_id: int, visible: Areas) -> tuple[tuple[int, str], ...]:
        if class_id in visible:
            return ((class_id, "exact"),)
        if mode == "strict":
            return ()
        if visible_parts := sorted(parts(class_id) & visible.keys()):
            return tuple((part, "part") for part in visible_parts)
        return tuple((whole, "whole") for whole in sorted(wholes(class_id) & visible.keys()))

    return match


def ground_mentions(
    mentions: Iterable[GroundableMention],
    visible: Areas,
    match: Matcher,
    twin: Callable[[int], int | None] = lambda _: None,
) -> list[Entity]:
    """The entities of a caption in an image, in the order of their spans; empty if they have no class in common.

    Every mention keeps all of its classes that are visible, and each occurrence of a repeated word is a separate mention. Where
    several classes of a mention lead to one visible class, its `via` is the closest of them. The box of a class is coarser
    ("whole") than a mention that names a part of it. `twin` gives the class of the same organ on the other side.
    """
    mentions = sorted(mentions, key=lambda mention: (mention.start, -mention.end))
    named = {class_id for mention in mentions for class_id in mention.classes}
    entities: dict[tuple[int, int, int], Entity] = {}
    for mention in mentions:
        for class_id in mention.classes:
            opposite = twin(class_id)
            one_sided = opposite in mention.classes and opposite is not None and not match(opposite, visible)
            for target, relation in _narrow(match(class_id, visible), named):
                via = "whole" if target in mention.finer else relation
                key = (mention.start, mention.end, target)
                if key not in entities or VIA.index(via) < VIA.index(entities[key].via):
                    entities[key] = Entity(mention.start, mention.end, mention.text, target, via, one_sided)
    return list(entities.values())


def _narrow(targets: tuple[tuple[int, str], ...], named: set[int]) -> tuple[tuple[int, str], ...]:
    """Only those parts that the caption names itself, if any: "endplate impression of T12" is about T12 alone."""
    return tuple((target, via) for target, via in targets if via != "part" or target in named) or targets


class StudyImages:
    """The images of one study, from which those of a caption are chosen."""

    def __init__(self, slices: Sequence[Slice], copies: Sequence[tuple[Slice, str]] = ()) -> None:
        """`copies`: slices of copies of volumes, with the volume of the original; a report that names them is given the original."""
        self.slices = slices
        self._copies = [copy for copy, _ in copies]
        by_position = {(image.volume, image.index): image for image in slices}
        self._by_instance = {copy.instance: by_position[volume, copy.index] for copy, volume in copies}
        self._by_instance |= {image.instance: image for image in slices}
        self._largest: dict[int, int] = {}
        self._labelled = {image.volume for image in slices if image.areas}
        for image in slices:
            for class_id, area in image.areas.items():
                self._largest[class_id] = max(area, self._largest.get(class_id, 0))

    @property
    def labelled(self) -> bool:
        """Whether any class is in any of the images."""
        return bool(self._largest)

    def has_labels(self, volume: str) -> bool:
        """Whether any class is in any image of a volume."""
        return volume in self._labelled

    def with_instance(self, instance: str) -> list[Slice]:
        """The image of this pseudonym.

        Raises:
            PairingError: if the study does not have it.
        """
        if instance not in self._by_instance:
            raise PairingError("reference_not_found")
        return [self._by_instance[instance]]

    def with_numbers(
        self, series_number: int | None, first: int | None, last: int | None, plane: str | None = None
    ) -> list[Slice]:
        """The images with these numbers in volumes of this plane, as a report gives them; None is any number or plane.

        Raises:
            PairingError: if there are none, or several series have them.
        """
        images = [
            image
            for image in (*self.slices, *self._copies)
            if series_number in (None, image.series_number)
            and plane in (None, image.plane)
            and (
                first is None
                or (image.instance_number is not None and first <= image.instance_number <= (last or first))
            )
        ]
        if not images:
            raise PairingError("reference_not_found")
        of_volume: dict[str, list[Slice]] = {}
        for image in images:
            of_volume.setdefault(image.volume, []).append(self._by_instance[image.instance])
        originals = next(iter(of_volume.values()))
        if any(named != originals for named in of_volume.values()):
            raise PairingError("reference_ambiguous")
        return originals

    def with_largest(self, mentions: Iterable[GroundableMention], match: Matcher, count: int) -> list[Slice]:
        """Up to `count` slices in which the mentioned classes are largest, relative to their largest area in the study.

        Different volumes come first, then slices of one volume that are at least MIN_GAP apart.

        Raises:
            PairingError: if no slice shows any of them.
        """
        classes = {class_id for mention in mentions for class_id in mention.classes}
        scores = []
        for position, image in enumerate(self.slices):
            targets = {target for class_id in classes for target, _ in _narrow(match(class_id, image.areas), classes)}
            score = sum(image.areas[target] / self._largest[target] for target in targets)
            if score > 0:
                scores.append((-score, position))
        if not scores:
            raise PairingError("no_common_class")
        ranked = [self.slices[position] for _, position in sorted(scores)]
        chosen: list[Slice] = []
        for distinct in (True, False):
            for image in ranked:
                is_near = any(
                    earlier.volume == image.volume and (distinct or abs(earlier.index - image.index) < MIN_GAP)
                    for earlier in chosen
                )
                if len(chosen) < count and not is_near and image not in chosen:
                    chosen.append(image)
        return chosen
