"""Question-answer pairs of images, written from their facts by templates in German and English.

A question with choices is asked where other images have other answers to it, and of one image of such a group, so that each of its
answers is right equally often, and nothing can be learned from its words alone (see `balanced_groups`). Questions about the finding of a
caption are open, and asked wherever a caption states a finding plainly.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from refrad.anatomy.schema import Schema
from refrad.core.files import digest_bytes
from refrad.grounding.balanced_groups import Offer, match_groups
from refrad.grounding.question_offers import QuestionOffers, differ
from refrad.grounding.structure_nouns import noun_of
from refrad.grounding.vqa_checks import NO, YES, ImageFacts, VqaPair
from refrad.grounding.vqa_findings import FINDINGS

__all__ = ["write_questions"]

TEMPLATES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "visible": "{Verb} {subject} visible?",
        "which": "Which of these structures is visible in the image?",
        "larger": "Which of these structures covers the larger area of the image?",
        "side": "On which side of the body is {unsided} that the image shows?",
        "width": "How wide {verb} {subject} in the image, from the left to the right edge?",
        "seen": "What is seen {location}?",
        "size": "How large is {finding} {location}?",
        "modality": "Which imaging modality is this?",
        "plane": "In which plane was this image taken?",
        "contrast": "Was the image taken with or without contrast agent?",
        "region": "Which body region does the image mainly show?",
    },
    "de": {
        "visible": "{Verb} {subject} zu sehen?",
        "which": "Welche dieser Strukturen ist im Bild zu sehen?",
        "larger": "Welche dieser Strukturen nimmt im Bild die größere Fläche ein?",
        "side": "Auf welcher Körperseite liegt {unsided}, {article} im Bild zu sehen ist?",
        "width": "Wie breit {verb} {subject} im Bild, vom linken bis zum rechten Rand?",
        "seen": "Was ist {location} zu sehen?",
        "size": "Wie groß ist {finding} {location}?",
        "modality": "Mit welchem Verfahren wurde dieses Bild aufgenommen?",
        "plane": "In welcher Ebene wurde dieses Bild aufgenommen?",
        "contrast": "Wurde das Bild mit oder ohne Kontrastmittel aufgenommen?",
        "region": "Welche Körperregion zeigt das Bild vor allem?",
    },
}
VERBS: Mapping[str, tuple[str, str]] = {"en": ("is", "are"), "de": ("ist", "sind")}
NAMES: Mapping[str, Mapping[Any, str]] = {
    "en": {"CT": "CT", "MR": "MRI", "left": "left", "right": "right"}
    | {True: "with contrast agent", False: "without contrast agent"},
    "de": {"CT": "CT", "MR": "MRT", "left": "links", "right": "rechts"}
    | {True: "mit Kontrastmittel", False: "ohne Kontrastmittel"}
    | {"axial": "axial", "coronal": "koronar", "sagittal": "sagittal"}
    | {"head": "Kopf", "neck": "Hals", "chest": "Thorax", "abdomen": "Abdomen", "pelvis": "Becken"},
}
ROUNDS = 4  # in which an image looks for partners for each kind; it is asked in a half or a quarter of them
CHOICES = 4  # of questions about widths, and about the one of several structures that is visible


def write_questions(images: Sequence[ImageFacts], schema: Schema, findings: int, metadata: int) -> list[list[VqaPair]]:
    """The pairs of each image, in the order of the images: up to `findings` and `metadata` in each language of its captions.

    A function of the set of images. Each answer to a question is right as often as each other one, as are yes and no.
    """
    pairs: list[list[VqaPair]] = [[] for _ in images]
    order = sorted(range(len(images)), key=lambda index: digest_bytes(images[index].instance.encode()))
    # Images of one split look for partners among themselves: the answers of the test split are as balanced as the others. So do those
    # without a grounded caption, which `shards.pairs: grounded` leaves out.
    groups = {(language, image.split, image.grounded) for image in images for language in image.named}
    for language, split, is_grounded in sorted(groups):
        indices = [
            index
            for index in order
            if (images[index].split, images[index].grounded) == (split, is_grounded) and language in images[index].named
        ]
        writer = _Writer([images[index] for index in indices], schema, language)
        for index, written in zip(indices, writer.write(findings, metadata), strict=True):
            pairs[index] += written
    return pairs


class _Writer:
    """Writes the questions of images in one language. Images are numbers, in the order in which they look for partners."""

    def __init__(self, images: Sequence[ImageFacts], schema: Schema, language: str) -> None:
        self.images = images
        self.language = language
        self.templates = TEMPLATES[language]
        self.nouns = {structure.id: noun_of(structure, language) for structure in schema.classes}
        seed = digest_bytes(language.encode(), *(image.instance.encode() for image in images))
        self.rng = np.random.default_rng(int(seed, 16))
        self.offers = QuestionOffers(images, schema, language, self.rng)
        self.pairs: list[list[VqaPair]] = [[] for _ in images]
        self.posed: list[set[tuple[str, Hashable]]] = [set() for _ in images]
        self.owed: Counter[Hashable] = (
            Counter()
        )  # times that an answer was a choice, less the size of the group where it was right
        self.counts: list[Counter[str]] = [Counter() for _ in images]

    def write(self, findings: int, metadata: int) -> list[list[VqaPair]]:
        """The pairs of each image. Kinds that few images can have come first; common ones fill the room that is left."""
        offers = self.offers
        self._ask_findings(findings)
        for _ in range(ROUNDS):
            self._ask("findings", findings, "side", offers.sides)
            self._ask("findings", findings, "visible", offers.visible)
            self._ask("findings", findings, "which", offers.which, CHOICES, offers.exclude_each_other)
            self._ask("findings", findings, "width", offers.widths, CHOICES, offers.clearly_differ)
            self._ask("findings", findings, "larger", offers.larger)
            self._ask("metadata", metadata, "plane", offers.planes)
            self._ask("metadata", metadata, "modality", offers.modalities)
            self._ask("metadata", metadata, "region", offers.regions)
            self._ask("metadata", metadata, "contrast", offers.contrast)
        return self.pairs

    def _ask(
        self,
        topic: str,
        room: int,
        kind: str,
        offers_of: Callable[[int], Iterable[Offer]],
        size: int = 2,
        fits: Callable[[Offer, Offer], bool] = differ,
    ) -> None:
        """Ask a kind of question of one image of each group; no image is in two groups of the same question."""

        def new_offers(image: int) -> Iterable[Offer]:
            return (offer for offer in offers_of(image) if (kind, offer.key) not in self.posed[image])

        def is_free(image: int) -> bool:
            return self.counts[image][topic] < room

        for group in match_groups(self.rng.permutation(len(self.images)), new_offers, is_free, fits, size):
            answers = [self._answer(kind, offer) for offer in group]
            for offer in group:
                self.posed[offer.image].add((kind, offer.key))
            lot = self._lot(kind, group)
            choices = () if kind == "visible" else tuple(answers[i] for i in self.rng.permutation(size))
            form = "multiple" if choices else "yesno"
            question = self._question(kind, group[0])
            self._add(group[lot].image, VqaPair(self.language, topic, form, question, choices, answers[lot]))

    def _lot(self, kind: str, group: Sequence[Offer]) -> int:
        """The member to ask: one whose answer was the right one most seldom so far, for how often it was a choice."""
        keys = [(kind, offer.key, offer.answer) for offer in group]
        self.owed.update(keys)
        lot = max(self.rng.permutation(len(group)), key=lambda member: self.owed[keys[member]])
        self.owed[keys[lot]] -= len(group)
        return int(lot)

    def _add(self, image: int, pair: VqaPair) -> None:
        self.pairs[image].append(pair)
        self.counts[image][pair.topic] += 1

    def _ask_findings(self, room: int) -> None:
        """Ask how large the finding of each image is, and what is seen in its structure, in that order."""
        for image, facts in enumerate(self.images):
            for finding in facts.findings.get(self.language, ())[:1]:
                noun, location = FINDINGS[self.language][finding.kind], self.nouns[finding.class_id].location
                seen = self.templates["seen"].format(location=location)
                questions = [(seen, noun.indefinite)]
                if finding.size:
                    size = self.templates["size"].format(finding=noun.definite, location=location)
                    questions.insert(0, (size, finding.size))
                for question, answer in questions[:room]:
                    self._add(image, VqaPair(self.language, "findings", "open", question, (), answer))

    def _question(self, kind: str, offer: Offer) -> str:
        """The words of a question, which are the same for all offers of a key."""
        template = self.templates[kind]
        if offer.structure is None:
            return template
        noun = self.nouns[offer.structure]
        verb = VERBS[self.language][noun.plural]
        words = {"subject": noun.subject, "unsided": noun.unsided, "article": noun.article}
        return template.format(**words, verb=verb, Verb=verb.capitalize())

    def _answer(self, kind: str, offer: Offer) -> str:
        if kind == "visible":
            return (YES if offer.answer else NO)[self.language]
        if kind in ("which", "larger"):
            return self.nouns[offer.answer].label
        if kind == "width":
            return f"{offer.answer / 10:.1f} cm".replace(".", "," if self.language == "de" else ".")
        return NAMES[self.language].get(offer.answer, offer.answer)
