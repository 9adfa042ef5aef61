"""The questions that each image could be asked, with its true answers: offers from which groups of images are made.

No offer contradicts a caption of its image: a class that a caption affirms, its parts and its wholes are never asked with the answer
no, and a class that a caption calls absent is never asked as visible.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from refrad.anatomy.schema import Schema
from refrad.core.types import TASK_OF
from refrad.grounding.balanced_groups import Offer
from refrad.grounding.vqa_checks import ImageFacts
from refrad.language.rule_classes import CYSTS

__all__ = ["QuestionOffers", "differ"]

PLANES = ("axial", "coronal", "sagittal")
REGIONS = ("head", "neck", "chest", "abdomen", "pelvis")  # spine and limbs are in images of all of them
MAIN_REGION = 0.7  # share of the labelled area that makes a region the main one
MIN_WIDTH = 10.0  # mm, of a structure in a question about widths
CLEAR_WIDTHS = 1.2  # ratio of two widths that can be told apart
CLEAR_AREAS = 2.0  # ratio of two areas whose difference can be seen
MOST_OFFERS = 12  # classes of an image that look for partners for one kind of question


def differ(first: Offer, second: Offer) -> bool:
    """Whether two images have different answers."""
    return bool(first.answer != second.answer)


class QuestionOffers:
    """The offers of each image in one language, by kind of question; images are numbers of the given sequence.

    `visible` classes may be asked as visible, `hidden` ones as not visible; `named` are the visible ones that captions name.
    """

    def __init__(self, images: Sequence[ImageFacts], schema: Schema, language: str, rng: np.random.Generator) -> None:
        self.images = images
        self.schema = schema
        self.rng = rng
        self._visible = [frozenset(image.areas) - image.denied for image in images]
        self._hidden = [_hidden(image, schema) for image in images]
        self._named = [
            [class_id for class_id in dict.fromkeys(image.named[language]) if class_id in visible]
            for image, visible in zip(images, self._visible, strict=True)
        ]

    def visible(self, image: int) -> Iterable[Offer]:
        """Whether a class is visible: first those that the captions name, then all others by chance."""
        named = self._shuffled(self._named[image])
        unnamed = self._shuffled((self._visible[image] | self._hidden[image]).difference(named))
        for class_id in [*named, *unnamed][:MOST_OFFERS]:
            yield Offer(image, class_id, class_id in self._visible[image], class_id)

    def which(self, image: int) -> Iterable[Offer]:
        """A visible class, to be asked together with classes of its region that are not in the image."""
        named = self._shuffled(self._named[image])
        unnamed = self._shuffled(self._visible[image].difference(named))
        for class_id in [*named, *unnamed][:MOST_OFFERS]:
            yield Offer(image, self.schema.by_id[class_id].region, class_id)

    def exclude_each_other(self, first: Offer, second: Offer) -> bool:
        """Whether neither image shows the visible class of the other one."""
        return first.answer in self._hidden[second.image] and second.answer in self._hidden[first.image]

    def larger(self, image: int) -> Iterable[Offer]:
        """The larger of two visible classes, of which a caption names one or both."""
        areas = self.images[image].areas
        for class_id in self._shuffled(self._named[image]):
            for second in self._shuffled(self._visible[image] - {class_id}):
                small, large = sorted((class_id, second), key=lambda key: areas[key])
                if areas[large] >= CLEAR_AREAS * areas[small]:
                    yield Offer(image, frozenset((small, large)), large)

    def widths(self, image: int) -> Iterable[Offer]:
        """The width of a class in mm, to be asked together with its widths in other images of the same plane."""
        facts = self.images[image]
        named = self._shuffled(self._named[image])
        for class_id in [*named, *self._shuffled(self._visible[image].difference(named))]:
            width = facts.widths.get(class_id, 0.0)
            if width >= MIN_WIDTH:
                yield Offer(image, (class_id, facts.plane), width, class_id)

    def clearly_differ(self, first: Offer, second: Offer) -> bool:
        """Whether two widths can be told apart."""
        small, large = sorted((first.answer, second.answer))
        return bool(large >= CLEAR_WIDTHS * small)

    def sides(self, image: int) -> Iterable[Offer]:
        """The side of a class that captions name, where nothing of the other side is visible or affirmed."""
        facts = self.images[image]
        stated = facts.affirmed | facts.areas.keys()
        for class_id in self._shuffled(self._named[image]):
            structure, twin = self.schema.by_id[class_id], self.schema.twin(class_id)
            if twin and not stated & {twin, *self.schema.related[twin]}:
                yield Offer(image, self.schema.organ(structure.name), structure.side, class_id)

    def planes(self, image: int) -> Iterable[Offer]:
        """The plane of the image, against each other plane."""
        return _against(image, self.images[image].plane, PLANES)

    def modalities(self, image: int) -> Iterable[Offer]:
        """The modality of the image."""
        return _against(image, self.images[image].modality, tuple(TASK_OF))

    def regions(self, image: int) -> Iterable[Offer]:
        """The region with most of the labelled area, if it clearly has it, against each other region."""
        areas: dict[str, int] = {}
        for class_id, area in self.images[image].areas.items():
            region = self.schema.by_id[class_id].region
            if region in REGIONS:
                areas[region] = areas.get(region, 0) + area
        main = max(areas, key=lambda region: areas[region], default="")
        return _against(image, main, REGIONS) if main and areas[main] >= MAIN_REGION * sum(areas.values()) else ()

    def contrast(self, image: int) -> Iterable[Offer]:
        """Whether the image was taken with contrast agent, where that is known."""
        contrast = self.images[image].contrast
        return () if contrast is None else (Offer(image, "contrast", contrast),)

    def _shuffled(self, classes: Iterable[int]) -> list[int]:
        ordered = sorted(classes)
        return [ordered[i] for i in self.rng.permutation(len(ordered))]


def _against(image: int, value: str, values: Sequence[str]) -> Iterator[Offer]:
    if value in values:
        yield from (Offer(image, frozenset((value, wrong)), value) for wrong in values if wrong != value)


def _hidden(image: ImageFacts, schema: Schema) -> frozenset[int]:
    """Classes that are not in the image, of the regions that it shows and known to the segmentation task of its modality.

    No class that a caption affirms, and no part or whole of such a class or of a visible one. A kidney cyst only where no caption
    has a word for cysts, since captions may say "cyst" without a mention of the class.
    """
    stated = image.affirmed | image.areas.keys()
    excluded = stated | {relative for class_id in stated for relative in schema.related[class_id]}
    if any("zyst" in text or "cyst" in text for texts in image.texts.values() for text in map(str.lower, texts)):
        excluded |= {schema.by_name[name].id for name in CYSTS if name in schema.by_name}
    regions = {schema.by_id[class_id].region for class_id in image.areas}
    task = TASK_OF[image.modality]
    return frozenset(
        structure.id
        for structure in schema.classes
        if structure.region in regions and structure.native.get(task) and structure.id not in excluded
    )
