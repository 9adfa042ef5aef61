"""How each variant marks places, as evaluation reads it: boxes within the words, or masks beside them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.core.types import Box
from refrad.dataset.examples import ImageExample
from refrad.dataset.image_codec import decode_mask, encode_mask
from refrad.evaluation.answer_cache import GeneratedAnswer
from refrad.evaluation.metrics.grounding import Region
from refrad.evaluation.questions import Entities, EvalQuestion, Key, mask_region, mean_boxes
from refrad.model.box_tokens import parse_detection, parse_segmentation
from refrad.model.preprocess import WHOLE, View, box_in_image, mask_in_image

__all__ = ["BoxCodec", "DecodedAnswer", "MaskCodec", "RegionCodec", "mean_masks", "phrases_of_pictures"]

MEAN_SIDE = 128  # px of mean masks


class DecodedAnswer(NamedTuple):
    """An answer, read: the words without tags, and each place with its phrase, its key, and its box or mask."""

    plain: str
    places: tuple[tuple[str, Key, Region], ...]

    @property
    def entities(self) -> Entities:
        """Key and region of each place."""
        return [(key, region) for _, key, region in self.places]


class RegionCodec(Protocol):
    """What evaluation must know of a variant."""

    @property
    def name(self) -> str:
        """What they are: boxes or masks."""

    def decode(self, one: EvalQuestion, answer: GeneratedAnswer) -> DecodedAnswer:
        """What an answer says."""

    def visible(self, picture: ImageExample, keys: Iterable[Key]) -> dict[Any, Region]:
        """Those of some keys that name something in the image, with its region."""

    def classes(self, picture: ImageExample) -> dict[int, Region]:
        """The region of each class in the image."""

    def baselines(self, training: Sequence[ImageExample], located: Sequence[EvalQuestion]) -> dict[str, list[Entities]]:
        """Answers without a model, from what is known of the training images alone."""


@dataclass(frozen=True)
class BoxCodec:
    """The detection variant. `order` is that of the coordinates in the text, yxyx or xyxy."""

    order: str
    name: str = "boxes"

    def decode(self, one: EvalQuestion, answer: GeneratedAnswer) -> DecodedAnswer:
        """See `RegionCodec`."""
        if one.task == "vqa":
            return DecodedAnswer(answer.text, ())
        parsed = parse_detection(answer.text, self.order)
        places = ((entity.text, entity.class_id, box_in_image(entity.box, one.view)) for entity in parsed.entities)
        return DecodedAnswer(parsed.plain, tuple(places))

    def visible(self, picture: ImageExample, keys: Iterable[Key]) -> dict[Any, Region]:
        """See `RegionCodec`."""
        return {key: picture.boxes[key] for key in set(keys) & picture.boxes.keys()}  # type: ignore[index]

    def classes(self, picture: ImageExample) -> dict[int, Region]:
        """See `RegionCodec`."""
        return dict(picture.boxes)

    def baselines(self, training: Sequence[ImageExample], located: Sequence[EvalQuestion]) -> dict[str, list[Entities]]:
        """The mean box of each class."""
        means: Mapping[Any, Box] = mean_boxes(training)
        return {"mean_box": [[(key, means[key]) for key, _ in one.targets if key in means] for one in located]}


@dataclass(frozen=True)
class MaskCodec:
    """The segmentation variant.

    side: of the model's masks, px. sizes: width and height of each DICOM image. phrases: the classes that a phrase (in small
    letters) is known to name.
    """

    side: int
    sizes: Mapping[str, tuple[int, int]]
    phrases: Mapping[str, frozenset[int]]
    name: str = "masks"

    def decode(self, one: EvalQuestion, answer: GeneratedAnswer) -> DecodedAnswer:
        """See `RegionCodec`. A mask is brought to the size of the DICOM image, to its nearest pixels."""
        if one.task == "vqa":
            return DecodedAnswer(answer.text, ())
        parsed = parse_segmentation(answer.text)
        size = self.sizes[one.image_id]
        places = []
        for phrase in parsed.phrases:
            if phrase.text.strip() and phrase.tag < len(answer.masks):  # tags around nothing name nothing
                mask = decode_mask(answer.masks[phrase.tag], self.side, self.side)
                places.append((phrase.text, phrase.text.casefold(), _region(mask, size, one.view)))
        return DecodedAnswer(parsed.plain, tuple(places))

    def visible(self, picture: ImageExample, keys: Iterable[Key]) -> dict[Any, Region]:
        """See `RegionCodec`. A phrase that a caption of the image uses means what it means there."""
        here: dict[Key, list[int]] = {
            mention.text.casefold(): [one for one, _ in mention.targets]
            for caption in picture.captions
            for mention in caption.mentions
        }
        found: dict[Any, Region] = {}
        for key in set(keys):
            classes = here.get(key) or self.phrases.get(str(key), frozenset()) & picture.mask_rles.keys()
            if classes:
                found[key] = mask_region(picture, classes)
        return found

    def classes(self, picture: ImageExample) -> dict[int, Region]:
        """See `RegionCodec`."""
        return {one: mask_region(picture, [one]) for one in picture.mask_rles}

    def baselines(self, training: Sequence[ImageExample], located: Sequence[EvalQuestion]) -> dict[str, list[Entities]]:
        """The mean mask of each class, and its mean box as a mask; several classes together for a phrase of several."""
        boxes = {class_id: _filled(box) for class_id, box in mean_boxes(training).items()}
        known = {"mean_mask": mean_masks(training), "mean_box": boxes}
        return {
            name: [
                [
                    (key, _region(np.logical_or.reduce([means[c] for c in classes]), self.sizes[one.image_id]))
                    for (key, _), classes in zip(one.targets, one.classes, strict=True)
                    if all(c in means for c in classes)
                ]
                for one in located
            ]
            for name, means in known.items()
        }


def mean_masks(pictures: Iterable[ImageExample]) -> dict[int, NDArray[np.bool_]]:
    """For each class the places that it covers most often, as many as it covers on average, bool [MEAN_SIDE, MEAN_SIDE].

    Images are squashed to the same square.
    """
    sums: dict[int, NDArray[np.float64]] = {}
    counts: dict[int, int] = {}
    for picture in pictures:
        for one in picture.mask_rles:
            whole = Image.fromarray(picture.mask([one])).convert("L")
            small = whole.resize((MEAN_SIDE, MEAN_SIDE), Image.Resampling.BOX)
            sums[one] = sums.get(one, 0) + np.asarray(small, np.float64) / 255
            counts[one] = counts.get(one, 0) + 1
    found = {}
    for one, total in sums.items():
        pixels = max(1, round(total.sum() / counts[one]))
        chosen = np.zeros(total.size, bool)
        chosen[np.argsort(-total, axis=None, kind="stable")[:pixels]] = True
        found[one] = chosen.reshape(total.shape)
    return found


def phrases_of_pictures(pictures: Iterable[ImageExample], schema: Schema) -> dict[str, frozenset[int]]:
    """The classes that each phrase (in small letters) names: those of the schema's own names, and of all mentions."""
    found: dict[str, set[int]] = {}
    for one in schema.classes:
        for name in (one.english, one.german):
            found.setdefault(name.casefold(), set()).add(one.id)
    for picture in pictures:
        for caption in picture.captions:
            for mention in caption.mentions:
                found.setdefault(mention.text.casefold(), set()).update(one for one, _ in mention.targets)
    return {phrase: frozenset(classes) for phrase, classes in found.items()}


def _filled(box: Box) -> NDArray[np.bool_]:
    x_min, y_min, x_max, y_max = (round(side * MEAN_SIDE) for side in box)
    mask = np.zeros((MEAN_SIDE, MEAN_SIDE), bool)
    mask[y_min:y_max, x_min:x_max] = True
    return mask


def _region(mask: NDArray[np.bool_], size: tuple[int, int], view: View = WHOLE) -> Region:
    """A mask of a view (the squashed image) as run lengths in px (width, height) of the image itself."""
    return {"size": [size[1], size[0]], "counts": encode_mask(mask_in_image(mask, view, size))}
