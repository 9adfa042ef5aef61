"""Question-answer pairs of an image from what its row knows, written by templates in German and English.

Findings are asked for by the classes that the image's captions name, metadata by modality, plane and visible structures.
Half of the yes-no questions are answered with no, and ask for what is easily confused: the twin on the other side, else a
neighbour of the same body region that is not in the image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refrad.anatomy.schema import AnatomyClass, Schema
from refrad.files import digest_bytes

__all__ = ["BACKEND", "ImageFacts", "Question", "problem_of", "write_questions"]

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "yes": "yes",
        "no": "no",
        "visible": "Is this structure visible in the image: {name}?",
        "described": "Which structures does the report describe in this image?",
        "which": "Which of these structures is visible in the image?",
        "larger": "Which of these structures covers the larger area of the image?",
        "side": "On which side of the body does the described structure lie: {name}?",
        "left": "left",
        "right": "right",
        "modality": "Which imaging modality is this?",
        "is_modality": "Is this a {name} image?",
        "plane": "In which plane was this image taken?",
        "contrast": "Was a contrast agent given?",
        "regions": "Which body region does the image show?",
    },
    "de": {
        "yes": "ja",
        "no": "nein",
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
        "contrast": "Wurde Kontrastmittel gegeben?",
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
PLANES = ("axial", "coronal", "sagittal")
BACKEND = "templates"


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image: classes with their areas in px, and the classes that its captions name, by language."""

    instance: str
    modality: str
    plane: str
    contrast: bool | None
    areas: Mapping[int, int]
    named: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Question:
    """A question and its answer; `choices` is empty unless `kind` is multiple."""

    language: str
    topic: str
    kind: str
    question: str
    choices: tuple[str, ...]
    answer: str


def write_questions(image: ImageFacts, schema: Schema, findings: int, metadata: int) -> list[Question]:
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


def problem_of(one: Question) -> str | None:
    """Why a pair must be kept out, as a reason code, or None."""
    words = WORDS[one.language]
    if one.kind == "yesno" and one.answer not in (words["yes"], words["no"]):
        return "answer_not_yes_or_no"
    if one.kind == "multiple" and (len(set(one.choices)) < len(one.choices) or len(one.choices) < 2):
        return "choices_not_distinct"
    if one.kind == "multiple" and one.choices.count(one.answer) != 1:
        return "not_one_right_choice"
    if one.kind != "multiple" and one.choices:
        return "choices_without_need"
    if not one.question.strip() or not one.answer.strip():
        return "empty"
    return None


class _Writer:
    """Writes the questions of one image in one language; each maker may find nothing to ask."""

    def __init__(self, image: ImageFacts, schema: Schema, language: str) -> None:
        self.image = image
        self.schema = schema
        self.language = language
        self.words = WORDS[language]
        self.r = np.random.default_rng(int(digest_bytes(image.instance.encode(), language.encode()), 16))
        self.named = [schema.by_id[one] for one in dict.fromkeys(image.named[language])]

    def findings(self) -> Sequence[Callable[[str], Question | None]]:
        """Five kinds, beginning with a different one for each image."""
        makers = [self._visible, self._described, self._which, self._larger, self._side, self._visible]
        start = int(self.r.integers(len(makers)))
        return makers[start:] + makers[:start]

    def metadata(self) -> Sequence[Callable[[str], Question | None]]:
        """Likewise of the slice."""
        makers = [self._modality, self._plane, self._region, self._is_modality, self._contrast]
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
        visible = set(self.image.areas)
        related = visible | {
            part for class_id in visible for part in self.schema.parts(class_id) | self.schema.wholes(class_id)
        }
        twin = self.schema.twin(one.id)
        if twin and twin not in related:
            return [self.schema.by_id[twin]]
        task = {"CT": "total", "MR": "total_mr"}[self.image.modality]
        return [c for c in self.schema.classes if c.region == one.region and c.id not in related and c.native.get(task)]

    def _yesno(self, topic: str, question: str, yes: bool) -> Question:
        return Question(self.language, topic, "yesno", question, (), self.words["yes" if yes else "no"])

    def _multiple(self, topic: str, question: str, right: str, wrong: Sequence[str]) -> Question:
        choices = [right, *wrong]
        order = self.r.permutation(len(choices))
        return Question(self.language, topic, "multiple", question, tuple(choices[i] for i in order), right)

    def _visible(self, topic: str) -> Question | None:
        one = self._pick(self.named)
        if one is None:
            return None
        yes = bool(self.r.random() < 0.5)
        asked = one if yes else self._pick(self._missing(one))
        return self._yesno(topic, self.words["visible"].format(name=self._name(asked)), yes) if asked else None

    def _described(self, topic: str) -> Question | None:
        names = ", ".join(self._name(one) for one in sorted(self.named, key=lambda one: one.id))
        return Question(self.language, topic, "open", self.words["described"], (), names) if names else None

    def _which(self, topic: str) -> Question | None:
        one = self._pick(self.named)
        missing = self._missing(one) if one else []
        if one is None or not missing:
            return None
        wrong = [missing[int(i)] for i in self.r.permutation(len(missing))[:3]]
        return self._multiple(topic, self.words["which"], self._name(one), [self._name(w) for w in wrong])

    def _larger(self, topic: str) -> Question | None:
        one = self._pick(self.named)
        others = [
            self.schema.by_id[c] for c, area in self.image.areas.items() if one and area * 2 < self.image.areas[one.id]
        ]
        other = self._pick(others)
        if one is None or other is None:
            return None
        return self._multiple(topic, self.words["larger"], self._name(one), [self._name(other)])

    def _side(self, topic: str) -> Question | None:
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

    def _modality(self, topic: str) -> Question:
        return Question(self.language, topic, "open", self.words["modality"], (), self._called(self.image.modality))

    def _is_modality(self, topic: str) -> Question:
        asked = str(self.r.choice(["CT", "MR"]))
        return self._yesno(
            topic, self.words["is_modality"].format(name=self._called(asked)), asked == self.image.modality
        )

    def _plane(self, topic: str) -> Question | None:
        if self.image.plane not in PLANES:
            return None
        wrong = [self._called(plane) for plane in PLANES if plane != self.image.plane]
        return self._multiple(topic, self.words["plane"], self._called(self.image.plane), wrong)

    def _region(self, topic: str) -> Question | None:
        """By the region that covers most of the labelled area, if it clearly does; the spine is everywhere."""
        area: dict[str, int] = {}
        for class_id, px in self.image.areas.items():
            region = self.schema.by_id[class_id].region
            if region not in ("spine", "limb"):
                area[region] = area.get(region, 0) + px
        if not area or max(area.values()) < 0.7 * sum(area.values()):
            return None
        return Question(
            self.language, topic, "open", self.words["regions"], (), self._called(max(area, key=lambda key: area[key]))
        )

    def _contrast(self, topic: str) -> Question | None:
        if self.image.contrast is None:
            return None
        return self._yesno(topic, self.words["contrast"], self.image.contrast)
