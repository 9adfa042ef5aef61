"""Question-answer pairs of an image, written from its facts by templates in German and English.

Questions on findings use the classes that the image's captions name, questions on metadata use modality, plane and visible
structures. Half of the yes-no questions are answered with no; they name a structure that is easily confused: the twin on
the other side, or else a structure of the same body region that is not in the image.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from refrad.anatomy.schema import OTHER_SIDE, AnatomyClass, Schema
from refrad.core.files import digest_bytes
from refrad.core.types import MODALITIES, TASK_OF
from refrad.grounding.vqa_checks import NO, YES, ImageFacts, VqaPair

__all__ = ["write_questions"]

TEMPLATES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "visible": "Is this structure visible in the image: {name}?",
        "described": "Which structures does the report describe in this image?",
        "which": "Which of these structures is visible in the image?",
        "larger": "Which of these structures covers the larger area of the image?",
        "side": "On which side of the body does the described structure lie: {name}?",
        "left": "left",
        "right": "right",
        "modality": "Which imaging modality is this?",
        "is_modality": "Was this image made by {name}?",
        "plane": "In which plane was this image taken?",
        "contrast": "Was the image taken with or without contrast agent?",
        "with": "with contrast agent",
        "without": "without contrast agent",
        "largest": "Which of these structures covers the largest area of the image?",
        "width": "How wide is this structure in the image, from its left to its right edge: {name}?",
        "regions": "Which body region does the image show?",
    },
    "de": {
        "visible": "Ist diese Struktur im Bild zu sehen: {name}?",
        "described": "Welche Strukturen beschreibt der Befund in diesem Bild?",
        "which": "Welche dieser Strukturen ist im Bild zu sehen?",
        "larger": "Welche dieser Strukturen nimmt im Bild die größere Fläche ein?",
        "side": "Auf welcher Körperseite liegt die beschriebene Struktur: {name}?",
        "left": "links",
        "right": "rechts",
        "modality": "Mit welchem Verfahren wurde dieses Bild aufgenommen?",
        "is_modality": "Ist dies ein {name}-Bild?",
        "plane": "In welcher Ebene wurde dieses Bild aufgenommen?",
        "contrast": "Wurde das Bild mit oder ohne Kontrastmittel aufgenommen?",
        "with": "mit Kontrastmittel",
        "without": "ohne Kontrastmittel",
        "largest": "Welche dieser Strukturen nimmt die größte Fläche im Bild ein?",
        "width": "Wie breit ist diese Struktur im Bild, vom linken bis zum rechten Rand: {name}?",
        "regions": "Welche Körperregion zeigt das Bild?",
    },
}
NAMES: Mapping[str, Mapping[str, str]] = {
    "en": {"CT": "CT", "MR": "MRI"}
    | {region: region for region in ("head", "neck", "chest", "abdomen", "pelvis", "spine", "limb")},
    "de": {"CT": "CT", "MR": "MRT", "axial": "axial", "coronal": "koronar", "sagittal": "sagittal", "oblique": "schräg"}
    | {"head": "Kopf", "neck": "Hals", "chest": "Thorax", "abdomen": "Abdomen", "pelvis": "Becken"}
    | {"spine": "Wirbelsäule", "limb": "Extremität"},
}
MIN_WIDTH = 10.0  # mm, of a structure in a question about widths
CLEAR_RATIO = 1.5  # of two areas whose difference can be seen
PLANES = ("axial", "coronal", "sagittal")


Maker = Callable[[str], VqaPair | None]
"""Topic to a pair, or None where there is no such question."""


def write_questions(image: ImageFacts, schema: Schema, findings: int, metadata: int) -> list[VqaPair]:
    """Up to `findings` and `metadata` pairs in each language in which a caption of the image is written.

    A pure function of the image: the choice of questions is drawn from its pseudonym.
    """
    pairs = []
    for language in sorted(image.named):
        writer = _Writer(image, schema, language)
        for topic, count, makers in (("findings", findings, writer.findings), ("metadata", metadata, writer.metadata)):
            unique = {pair.question: pair for maker in makers() if (pair := maker(topic)) is not None}
            pairs += list(unique.values())[:count]
    return pairs


class _Writer:
    """Writes the questions of one image in one language; a maker returns None where it has no question."""

    def __init__(self, image: ImageFacts, schema: Schema, language: str) -> None:
        self.image = image
        self.schema = schema
        self.language = language
        self.templates = TEMPLATES[language]
        self.rng = np.random.default_rng(int(digest_bytes(image.instance.encode(), language.encode()), 16))
        self.related = {*image.areas, *(ref for class_id in image.areas for ref in schema.related[class_id])}
        self.named = [schema.by_id[class_id] for class_id in dict.fromkeys(image.named[language])]

    def findings(self) -> list[Maker]:
        """The makers of seven kinds of questions, in an order that starts at a random one."""
        makers = [
            self._visible,
            self._described,
            self._which,
            self._absent,
            self._larger,
            self._width,
            self._side,
        ]
        return self._rotated(makers)

    def metadata(self) -> list[Maker]:
        """The makers of six kinds of questions about the slice, in an order that starts at a random one."""
        makers = [self._modality, self._plane, self._region, self._is_modality, self._contrast, self._largest]
        return self._rotated(makers)

    def _rotated(self, makers: Sequence[Maker]) -> list[Maker]:
        start = int(self.rng.integers(len(makers)))
        return [*makers[start:], *makers[:start]]

    def _name(self, structure: AnatomyClass) -> str:
        return structure.english if self.language == "en" else structure.german

    def _term(self, value: str) -> str:
        return NAMES[self.language].get(value, value)

    def _pick(self, structures: Sequence[AnatomyClass]) -> AnatomyClass | None:
        return structures[int(self.rng.integers(len(structures)))] if structures else None

    def _confusable(self, structure: AnatomyClass) -> list[AnatomyClass]:
        """Structures that are not in the image and easily confused with this one.

        Its twin, or else classes of its region that the segmentation task of the modality has; no part or whole of a
        visible class.
        """
        twin = self.schema.twin(structure.id)
        if twin and twin not in self.related:
            return [self.schema.by_id[twin]]
        task = TASK_OF[self.image.modality]
        return [
            candidate
            for candidate in self.schema.classes
            if candidate.region == structure.region and candidate.id not in self.related and candidate.native.get(task)
        ]

    def _yesno(self, topic: str, question: str, yes: bool) -> VqaPair:
        return VqaPair(self.language, topic, "yesno", question, (), (YES if yes else NO)[self.language])

    def _multiple(self, topic: str, question: str, right: str, wrong: Sequence[str]) -> VqaPair:
        choices = [right, *wrong]
        order = self.rng.permutation(len(choices))
        return VqaPair(self.language, topic, "multiple", question, tuple(choices[i] for i in order), right)

    def _visible(self, topic: str) -> VqaPair | None:
        """A question with the answer yes, only where `_absent` has a question too, to keep yes and no balanced."""
        structure = self._pick(self.named)
        if structure is None or not any(self._confusable(named) for named in self.named):
            return None
        return self._yesno(topic, self.templates["visible"].format(name=self._name(structure)), True)

    def _absent(self, topic: str) -> VqaPair | None:
        structure = self._pick([named for named in self.named if self._confusable(named)])
        absent = self._pick(self._confusable(structure)) if structure else None
        return self._yesno(topic, self.templates["visible"].format(name=self._name(absent)), False) if absent else None

    def _width(self, topic: str) -> VqaPair | None:
        """The width in cm, with twice and half of it as wrong choices."""
        structure = self._pick([named for named in self.named if self.image.widths.get(named.id, 0) >= MIN_WIDTH])
        if structure is None:
            return None
        widths = [self.image.widths[structure.id] / 10 * factor for factor in (1, 2, 0.5)]
        choices = [f"{width:.1f} cm".replace(".", "," if self.language == "de" else ".") for width in widths]
        question = self.templates["width"].format(name=self._name(structure))
        return self._multiple(topic, question, choices[0], choices[1:])

    def _described(self, topic: str) -> VqaPair | None:
        structures = sorted(self.named, key=lambda structure: structure.id)
        names = ", ".join(self._name(structure) for structure in structures)
        return VqaPair(self.language, topic, "open", self.templates["described"], (), names) if names else None

    def _which(self, topic: str) -> VqaPair | None:
        structure = self._pick(self.named)
        absent = self._confusable(structure) if structure else []
        if structure is None or not absent:
            return None
        wrong = [self._name(absent[int(i)]) for i in self.rng.permutation(len(absent))[:3]]
        return self._multiple(topic, self.templates["which"], self._name(structure), wrong)

    def _larger(self, topic: str) -> VqaPair | None:
        structure = self._pick(self.named)
        smaller = self._pick(
            [
                self.schema.by_id[class_id]
                for class_id, area in self.image.areas.items()
                if structure and area * 2 < self.image.areas[structure.id]
            ]
        )
        if structure is None or smaller is None:
            return None
        return self._multiple(topic, self.templates["larger"], self._name(structure), [self._name(smaller)])

    def _side(self, topic: str) -> VqaPair | None:
        structure = self._pick([named for named in self.named if named.side])
        if structure is None or structure.side is None:
            return None
        name = self._unsided(structure)
        sides = {named.side for named in self.named if named.side and self._unsided(named) == name}
        if name is None or len(sides) > 1:
            return None
        wrong = self.templates[OTHER_SIDE[structure.side]]
        return self._multiple(topic, self.templates["side"].format(name=name), self.templates[structure.side], [wrong])

    def _unsided(self, structure: AnatomyClass) -> str | None:
        """The name without its side, if the side is the first word of it."""
        first, _, name = self._name(structure).partition(" ")
        return name if first.lower() in OTHER_SIDE or first.startswith(("link", "recht")) else None

    def _modality(self, topic: str) -> VqaPair:
        return VqaPair(self.language, topic, "open", self.templates["modality"], (), self._term(self.image.modality))

    def _is_modality(self, topic: str) -> VqaPair:
        modality = str(self.rng.choice(MODALITIES))
        question = self.templates["is_modality"].format(name=self._term(modality))
        return self._yesno(topic, question, modality == self.image.modality)

    def _plane(self, topic: str) -> VqaPair | None:
        if self.image.plane not in PLANES:
            return None
        wrong = [self._term(plane) for plane in PLANES if plane != self.image.plane]
        return self._multiple(topic, self.templates["plane"], self._term(self.image.plane), wrong)

    def _region(self, topic: str) -> VqaPair | None:
        """The region that covers most of the labelled area, if it clearly does; spine and limbs do not count."""
        areas: dict[str, int] = {}
        for class_id, area in self.image.areas.items():
            region = self.schema.by_id[class_id].region
            if region not in ("spine", "limb"):
                areas[region] = areas.get(region, 0) + area
        if not areas or max(areas.values()) < 0.7 * sum(areas.values()):
            return None
        region = max(areas, key=lambda region: areas[region])
        return VqaPair(self.language, topic, "open", self.templates["regions"], (), self._term(region))

    def _contrast(self, topic: str) -> VqaPair | None:
        if self.image.contrast is None:
            return None
        choices = [self.templates["with"], self.templates["without"]]
        right, wrong = choices if self.image.contrast else choices[::-1]
        return self._multiple(topic, self.templates["contrast"], right, [wrong])

    def _largest(self, topic: str) -> VqaPair | None:
        """Among the three largest structures, if the first clearly is the largest."""
        areas = self.image.areas
        first, *smaller = [*sorted(areas, key=lambda class_id: -areas[class_id])[:3], 0]
        smaller = [class_id for class_id in smaller if class_id]
        if not smaller or areas[first] < CLEAR_RATIO * areas[smaller[0]]:
            return None
        wrong = [self._name(self.schema.by_id[class_id]) for class_id in smaller]
        return self._multiple(topic, self.templates["largest"], self._name(self.schema.by_id[first]), wrong)
