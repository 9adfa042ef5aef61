"""Regions in the answers of each variant: boxes in the text of the detection variant, masks of the segmentation variant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema
from refrad.core.types import Box
from refrad.dataset.examples import ImageExample
from refrad.dataset.image_codec import decode_mask, encode_mask
from refrad.evaluation.answer_cache import GeneratedAnswer
from refrad.evaluation.baselines import MEAN_MASK_SIDE, mean_boxes, mean_masks
from refrad.evaluation.metrics.grounding import NamedRegion, Region, phrase_key
from refrad.evaluation.questions import EvalQuestion, mask_region
from refrad.model.box_formats import read_boxes
from refrad.model.box_tokens import parse_segmentation
from refrad.model.preprocess import WHOLE, View, box_in_image, mask_in_image

__all__ = ["BoxCodec", "DecodedAnswer", "MaskCodec", "RegionCodec", "phrase_classes"]


class DecodedAnswer(NamedTuple):
    """An answer: its text without tags, and its named regions (boxes as shares of width and height, masks in px of the image)."""

    plain: str
    regions: tuple[NamedRegion, ...]


class RegionCodec(Protocol):
    """The regions of one variant.

    Boxes are x_min, y_min, x_max, y_max, half-open, as shares of width and height of the DICOM image. Masks are COCO run lengths of
    size [height, width], px of the DICOM image.
    """

    @property
    def name(self) -> str:
        """Plural name of the regions: boxes or masks."""

    def decode(self, question: EvalQuestion, answer: GeneratedAnswer) -> DecodedAnswer:
        """The text and the regions of an answer."""

    def visible(self, image: ImageExample, keys: Iterable[int | str]) -> dict[int | str, Region]:
        """The true region of each key that names something in the image; a key is a class, or a phrase in small letters."""

    def classes(self, image: ImageExample) -> dict[int, Region]:
        """The true region of each class in the image."""

    def baselines(
        self, training: Sequence[ImageExample], questions: Sequence[EvalQuestion]
    ) -> dict[str, list[list[NamedRegion]]]:
        """Name of each baseline to its answers, which are based on the training images alone."""


@dataclass(frozen=True)
class BoxCodec:
    """The detection variant. `order` is the format of boxes in the text: yxyx, xyxy or json."""

    order: str
    name: str = "boxes"

    def decode(self, question: EvalQuestion, answer: GeneratedAnswer) -> DecodedAnswer:
        """The text and the boxes of an answer; boxes of the view are mapped to the whole image."""
        if question.task == "vqa":
            return DecodedAnswer(answer.text, ())
        parsed = read_boxes(answer.text, self.order)
        regions = (
            NamedRegion(box_in_image(entity.box, question.view), entity.text, entity.class_id)
            for entity in parsed.entities
        )
        return DecodedAnswer(parsed.plain, tuple(regions))

    def visible(self, image: ImageExample, keys: Iterable[int | str]) -> dict[int | str, Region]:
        """The true box of each class of `keys` that is in the image."""
        return {key: image.boxes[key] for key in set(keys) & image.boxes.keys()}  # type: ignore[index]

    def classes(self, image: ImageExample) -> dict[int, Region]:
        """The true box of each class in the image."""
        return dict(image.boxes)

    def baselines(
        self, training: Sequence[ImageExample], questions: Sequence[EvalQuestion]
    ) -> dict[str, list[list[NamedRegion]]]:
        """`mean_box`: the mean training box of each class."""
        means: Mapping[int | None, Box] = mean_boxes(training)  # type: ignore[assignment]  # keys of a Mapping are invariant
        return {
            "mean_box": [
                [
                    NamedRegion(means[target.class_id], class_id=target.class_id)
                    for target in question.targets
                    if target.class_id in means
                ]
                for question in questions
            ]
        }


@dataclass(frozen=True)
class MaskCodec:
    """The segmentation variant.

    Attributes:
        side: width and height of the model's masks, px.
        sizes: image id to width and height of the DICOM image, px.
        phrases: phrase in small letters to the classes that it names.
    """

    side: int
    sizes: Mapping[str, tuple[int, int]]
    phrases: Mapping[str, frozenset[int]]
    name: str = "masks"

    def decode(self, question: EvalQuestion, answer: GeneratedAnswer) -> DecodedAnswer:
        """The text and the masks of an answer; masks are resized to the DICOM image by nearest neighbour."""
        if question.task == "vqa":
            return DecodedAnswer(answer.text, ())
        parsed = parse_segmentation(answer.text)
        size = self.sizes[question.image_id]
        regions = []
        for phrase in parsed.phrases:
            if phrase.text.strip() and phrase.tag < len(answer.masks):  # tags around white space name nothing
                mask = decode_mask(answer.masks[phrase.tag], self.side, self.side)
                regions.append(NamedRegion(_encode_mask(mask, size, question.view), phrase.text))
        return DecodedAnswer(parsed.plain, tuple(regions))

    def visible(self, image: ImageExample, keys: Iterable[int | str]) -> dict[int | str, Region]:
        """The true mask of each phrase that names something in the image; the image's own captions take precedence."""
        mentioned: dict[int | str, list[int]] = {
            phrase_key(mention.text): [class_id for class_id, _ in mention.targets]
            for caption in image.captions
            for mention in caption.mentions
        }
        regions: dict[int | str, Region] = {}
        for key in set(keys):
            classes = mentioned.get(key) or self.phrases.get(str(key), frozenset()) & image.mask_rles.keys()
            if classes:
                regions[key] = mask_region(image, classes)
        return regions

    def classes(self, image: ImageExample) -> dict[int, Region]:
        """The true mask of each class in the image."""
        return {class_id: mask_region(image, [class_id]) for class_id in image.mask_rles}

    def baselines(
        self, training: Sequence[ImageExample], questions: Sequence[EvalQuestion]
    ) -> dict[str, list[list[NamedRegion]]]:
        """`mean_mask` and `mean_box` (as a mask) of each class; a phrase of several classes has the union of their masks."""
        boxes = {class_id: _fill_box(box) for class_id, box in mean_boxes(training).items()}
        means_of = {"mean_mask": mean_masks(training), "mean_box": boxes}
        return {
            name: [
                [
                    NamedRegion(
                        _encode_mask(
                            np.logical_or.reduce([means[class_id] for class_id in target.classes]),
                            self.sizes[question.image_id],
                        ),
                        target.text,
                    )
                    for target in question.targets
                    if all(class_id in means for class_id in target.classes)
                ]
                for question in questions
            ]
            for name, means in means_of.items()
        }


def phrase_classes(images: Iterable[ImageExample], schema: Schema) -> dict[str, frozenset[int]]:
    """Phrase in small letters to the classes that it names: the names of the schema, and the mentions of the images."""
    classes_of: dict[str, set[int]] = {}
    for structure in schema.classes:
        for name in (structure.english, structure.german):
            classes_of.setdefault(phrase_key(name), set()).add(structure.id)
    for image in images:
        for caption in image.captions:
            for mention in caption.mentions:
                classes = {class_id for class_id, _ in mention.targets}
                classes_of.setdefault(phrase_key(mention.text), set()).update(classes)
    return {phrase: frozenset(classes) for phrase, classes in classes_of.items()}


def _fill_box(box: Box) -> NDArray[np.bool_]:
    """A box (shares of width and height) as a mask, bool [MEAN_MASK_SIDE, MEAN_MASK_SIDE]."""
    x_min, y_min, x_max, y_max = (round(share * MEAN_MASK_SIDE) for share in box)
    mask = np.zeros((MEAN_MASK_SIDE, MEAN_MASK_SIDE), bool)
    mask[y_min:y_max, x_min:x_max] = True
    return mask


def _encode_mask(mask: NDArray[np.bool_], size: tuple[int, int], view: View = WHOLE) -> Region:
    """A mask of a view, bool [side, side], as run lengths in px of the image; `size` is the image's width and height."""
    return {"size": [size[1], size[0]], "counts": encode_mask(mask_in_image(mask, view, size))}
