"""Question-answer pairs of an image from what its row knows, written by templates in German and English.

Findings are asked for by the classes that the image's captions name, metadata by modality, plane and visible structures.
Half of the yes-no questions are answered with no, and ask for what is easily confused: the twin on the other side, else a
neighbour of the same body region that is not in the image.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from refrad.anatomy.schema import AnatomyClass, Schema
from refrad.core.files import digest_bytes
from refrad.core.types import MODALITIES, TASK_OF
from refrad.grounding.vqa_checks import NO, YES, ImageFacts, VqaPair

__all__ = ["write_questions"]

WORDS: Mapping[str, Mapping[str, str]] = {
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
NARROW = 10.0  # mm; less is not asked for
CLEARLY = 1.5  # times the area of another: a difference that can be seen
PLANES = ("axial", "coronal", "sagittal")


def write_questions(image: ImageFacts, schema: Schema, findings: int, metadata: int) -> list[VqaPair]:
    """Pairs in each language in which a caption of the image is written: up to `findings` and `metadata` of them.

    A pure function of the image: the choice of questions is drawn from its identity.
    """
    found = []
    for language in sorted(image.named):
        writer = _Writer(image, schema, language)
        for topic, count, makers in (("findings", findings, writer.findings), ("metadata", metadata, writer.metadata)):
            unique = {one.question: one for maker in makers() if (one := maker(topic)) is not None}
            found += list(unique.values())[:count]
    return found


class _Writer:
    """Writes the questions of one image in one language; each maker may find nothing to ask."""

    def __init__(self, image: ImageFacts, schema: Schema, language: str) -> None:
        self.image = image
        self.schema = schema
        self.language = language
        self.words = WORDS[language]
        self.r = np.random.default_rng(int(digest_bytes(image.instance.encode(), language.encode()), 16))
        self.related = {*image.areas, *(one for class_id in image.areas for one in schema.related[class_id])}
        self.named = [schema.by_id[one] for one in dict.fromkeys(image.named[language])]

    def findings(self) -> Sequence[Callable[[str], VqaPair | None]]:
        """Seven kinds, beginning with a different one for each image."""
        makers = [self._there, self._described, self._which, self._absent, self._larger, self._width, self._side]
        start = int(self.r.integers(len(makers)))
        return makers[start:] + makers[:start]

    def metadata(self) -> Sequence[Callable[[str], VqaPair | None]]:
        """Likewise of the slice."""
        makers = [self._modality, self._plane, self._region, self._is_modality, self._contrast, self._largest]
        start = int(self.r.integers(len(makers)))
        return makers[start:] + makers[:start]

    def _name(self, one: AnatomyClass) -> str:
        return one.english if self.language == "en" else one.german

    def _called(self, value: str) -> str:
        return NAMES[self.language].get(value, value)

    def _pick(self, options: Sequence[AnatomyClass]) -> AnatomyClass | None:
        return options[int(self.r.integers(len(options)))] if options else None

    def _missing(self, one: AnatomyClass) -> list[AnatomyClass]:
        """Not in the image and easily confused with `one`: its twin, else classes of its region, none a part of what is there."""
        related = self.related
        twin = self.schema.twin(one.id)
        if twin and twin not in related:
            return [self.schema.by_id[twin]]
        task = TASK_OF[self.image.modality]
        return [c for c in self.schema.classes if c.region == one.region and c.id not in related and c.native.get(task)]

    def _yesno(self, topic: str, question: str, yes: bool) -> VqaPair:
        return VqaPair(self.language, topic, "yesno", question, (), (YES if yes else NO)[self.language])

    def _multiple(self, topic: str, question: str, right: str, wrong: Sequence[str]) -> VqaPair:
        choices = [right, *wrong]
        order = self.r.permutation(len(choices))
        return VqaPair(self.language, topic, "multiple", question, tuple(choices[i] for i in order), right)

    def _there(self, topic: str) -> VqaPair | None:
        """Only where `_absent` has something to ask as well: else there were more yes than no."""
        one = self._pick(self.named)
        if one is None or not any(self._missing(other) for other in self.named):
            return None
        return self._yesno(topic, self.words["visible"].format(name=self._name(one)), True)

    def _absent(self, topic: str) -> VqaPair | None:
        one = self._pick([one for one in self.named if self._missing(one)])
        missing = self._pick(self._missing(one)) if one else None
        return self._yesno(topic, self.words["visible"].format(name=self._name(missing)), False) if missing else None

    def _width(self, topic: str) -> VqaPair | None:
        """In cm, among twice and half of it."""
        one = self._pick([one for one in self.named if self.image.widths.get(one.id, 0) >= NARROW])
        if one is None:
            return None
        sizes = [self.image.widths[one.id] / 10 * factor for factor in (1, 2, 0.5)]
        told = [f"{size:.1f} cm".replace(".", "," if self.language == "de" else ".") for size in sizes]
        return self._multiple(topic, self.words["width"].format(name=self._name(one)), told[0], told[1:])

    def _described(self, topic: str) -> VqaPair | None:
        names = ", ".join(self._name(one) for one in sorted(self.named, key=lambda one: one.id))
        return VqaPair(self.language, topic, "open", self.words["described"], (), names) if names else None

    def _which(self, topic: str) -> VqaPair | None:
        one = self._pick(self.named)
        missing = self._missing(one) if one else []
        if one is None or not missing:
            return None
        wrong = [missing[int(i)] for i in self.r.permutation(len(missing))[:3]]
        return self._multiple(topic, self.words["which"], self._name(one), [self._name(w) for w in wrong])

    def _larger(self, topic: str) -> VqaPair | None:
        one = self._pick(self.named)
        others = [
            self.schema.by_id[c] for c, area in self.image.areas.items() if one and area * 2 < self.image.areas[one.id]
        ]
        other = self._pick(others)
        if one is None or other is None:
            return None
        return self._multiple(topic, self.words["larger"], self._name(one), [self._name(other)])

    def _side(self, topic: str) -> VqaPair | None:
        one = self._pick([c for c in self.named if c.side])
        if one is None or one.side is None:
            return None
        plain = self._unsided(one)
        both = {c.side for c in self.named if c.side and self._unsided(c) == plain}
        if plain is None or len(both) > 1:
            return None
        other = {"left": "right", "right": "left"}[one.side]
        question = self.words["side"].format(name=plain)
        return self._multiple(topic, question, self.words[one.side], [self.words[other]])

    def _unsided(self, one: AnatomyClass) -> str | None:
        """The name without its side, if that is just a word in front."""
        first, _, rest = self._name(one).partition(" ")
        return rest if first.lower() in {"left", "right"} or first.startswith(("link", "recht")) else None

    def _modality(self, topic: str) -> VqaPair:
        return VqaPair(self.language, topic, "open", self.words["modality"], (), self._called(self.image.modality))

    def _is_modality(self, topic: str) -> VqaPair:
        asked = str(self.r.choice(MODALITIES))
        return self._yesno(
            topic, self.words["is_modality"].format(name=self._called(asked)), asked == self.image.modality
        )

    def _plane(self, topic: str) -> VqaPair | None:
        if self.image.plane not in PLANES:
            return None
        wrong = [self._called(plane) for plane in PLANES if plane != self.image.plane]
        return self._multiple(topic, self.words["plane"], self._called(self.image.plane), wrong)

    def _region(self, topic: str) -> VqaPair | None:
        """By the region that covers most of the labelled area, if it clearly does; the spine is everywhere."""
        area: dict[str, int] = {}
        for class_id, px in self.image.areas.items():
            region = self.schema.by_id[class_id].region
            if region not in ("spine", "limb"):
                area[region] = area.get(region, 0) + px
        if not area or max(area.values()) < 0.7 * sum(area.values()):
            return None
        return VqaPair(
            self.language, topic, "open", self.words["regions"], (), self._called(max(area, key=lambda key: area[key]))
        )

    def _contrast(self, topic: str) -> VqaPair | None:
        if self.image.contrast is None:
            return None
        told = [self.words["with"], self.words["without"]]
        right, wrong = told if self.image.contrast else told[::-1]
        return self._multiple(topic, self.words["contrast"], right, [wrong])

    def _largest(self, topic: str) -> VqaPair | None:
        """Among the three largest, if the first clearly is."""
        first, second, *rest = [*sorted(self.image.areas, key=lambda one: -self.image.areas[one])[:3], 0, 0]
        if not second or self.image.areas[first] < CLEARLY * self.image.areas[second]:
            return None
        wrong = [self._name(self.schema.by_id[one]) for one in (second, *rest) if one]
        return self._multiple(topic, self.words["largest"], self._name(self.schema.by_id[first]), wrong)
