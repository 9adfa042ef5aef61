"""Question-answer pairs, what is known of the image they are about, and what keeps a pair out of the dataset."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from refrad.anatomy.lexicon import Lexicon
from refrad.anatomy.schema import Schema
from refrad.language.faithfulness import names_other_examination
from refrad.language.lexicon_matcher import is_anatomy
from refrad.language.mention_finder import find_mentions
from refrad.language.sections import detect_language
from refrad.privacy.scrubbing import PLACEHOLDER, Identifiers, scrub

__all__ = ["NO", "REASONS", "YES", "ImageFacts", "VqaChecks", "VqaPair"]

YES: Mapping[str, str] = {"en": "yes", "de": "ja"}
NO: Mapping[str, str] = {"en": "no", "de": "nein"}
REMEMBERED = 2**15  # texts
LONGEST = 400  # letters of a question or an answer
REASONS: Mapping[str, str] = {
    "empty": "Question or answer is empty.",
    "too_long": "Question or answer is longer than a question about one image needs.",
    "answer_not_yes_or_no": "A yes-no question is answered with something else.",
    "choices_not_distinct": "Fewer than two choices, or the same one twice.",
    "not_one_right_choice": "The answer is not exactly one of the choices.",
    "choices_without_need": "Choices where none belong.",
    "given_away": "The question holds its own answer.",
    "wrong_language": "Question or answer is not in the language of the captions.",
    "identifier": "A name, date, number or placeholder of a person, place or examination.",
    "other_examination": "It asks about a comparison with another examination, which the image cannot show.",
    "no_evidence": "The words that are given as evidence stand in no caption of the image.",
    "number_not_in_row": "A number that neither the captions nor the measurements of the image have.",
    "anatomy_not_in_row": "Anatomy that neither the captions name nor the image shows.",
    "model_failed": "The language model gave no acceptable answer, twice; the next run of the stage asks again.",
}

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image.

    `areas`: class to area in px; `widths`: class to the width of its box in mm; by language, `named`: the classes that its
    captions name, and `texts`: the captions.
    """

    instance: str
    modality: str
    plane: str
    contrast: bool | None
    areas: Mapping[int, int]
    named: Mapping[str, Sequence[int]]
    widths: Mapping[int, float] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class VqaPair:
    """A question and its answer; `choices` is empty unless `kind` is multiple.

    `evidence` holds the words of a caption that answer it, where a model says so; it is checked and not kept.
    """

    language: str
    topic: str
    kind: str
    question: str
    choices: tuple[str, ...]
    answer: str
    backend: str = "templates"
    evidence: str | None = None


class VqaChecks:
    """The checks of pairs. Texts come again and again, so what was found in one is remembered for a while."""

    def __init__(self, schema: Schema, lexicon: Lexicon) -> None:
        self.schema = schema
        anatomy, exactly = (partial(is_anatomy, lexicon=lexicon, exactly=exactly) for exactly in (False, True))
        self._identifies = lru_cache(REMEMBERED)(lambda text: bool(scrub(text, Identifiers(), anatomy, exactly)[1]))
        self._mentions = lru_cache(REMEMBERED)(lambda text, language: find_mentions(text, language, lexicon))

    def problem_of(self, one: VqaPair, image: ImageFacts) -> str | None:
        """Why a pair must be kept out of the dataset, as a reason code of REASONS, or None. In doubt it is kept out."""
        return _form(one) or self._text(one) or self._not_in_row(one, image)

    def _text(self, one: VqaPair) -> str | None:
        parts = [one.question, *one.choices, one.answer]
        if any(PLACEHOLDER.search(part) or self._identifies(part) for part in parts):
            return "identifier"
        said = "\n".join(parts)
        if names_other_examination(said):
            return "other_examination"
        # An English small word more, since a text without any small word counts as German.
        heard = detect_language(f"{said} the" if one.language == "en" else said)
        return "wrong_language" if heard != one.language else None

    def _not_in_row(self, one: VqaPair, image: ImageFacts) -> str | None:
        """Whether evidence, numbers and anatomy are borne out by captions and image."""
        texts = image.texts.get(one.language, ())
        if one.evidence is not None and not any(
            one.evidence.strip() and one.evidence.strip() in text for text in texts
        ):
            return "no_evidence"
        if one.topic == "metadata":
            return None
        numbers = {number.replace(",", ".") for text in texts for number in _NUMBER.findall(text)}
        numbers |= {f"{width / 10:.1f}" for width in image.widths.values()}
        spoken = [one.question] if one.kind == "yesno" else [one.question, one.answer]
        asked = {number.replace(",", ".") for text in spoken for number in self._numbers(text, one.language)}
        if asked - numbers:
            return "number_not_in_row"
        if one.kind == "yesno" and one.answer == NO[one.language]:
            return None  # it may ask for anything
        there = set(image.areas) | {class_id for named in image.named.values() for class_id in named}
        for text in texts:
            there.update(*self._classes(text, one.language))
        there |= {other for class_id in there for other in self.schema.related[class_id]}
        # A phrase may mean several classes ("which kidney"): one of them is enough.
        if any(not classes & there for text in spoken for classes in self._classes(text, one.language)):
            return "anatomy_not_in_row"
        return None

    def _numbers(self, text: str, language: str) -> list[str]:
        """The numbers outside of mentions: those of ribs and vertebrae are no measurements."""
        for mention in reversed(self._mentions(text, language)):
            text = text[: mention.start] + text[mention.end :]
        return _NUMBER.findall(text)

    def _classes(self, text: str, language: str) -> list[set[int]]:
        """The classes of each mention."""
        names = self.schema.by_name
        return [{names[name].id for name in one.classes if name in names} for one in self._mentions(text, language)]


def _form(one: VqaPair) -> str | None:
    if not one.question.strip() or not one.answer.strip():
        return "empty"
    if max(len(one.question), len(one.answer)) > LONGEST:
        return "too_long"
    if one.kind == "yesno" and one.answer not in (YES[one.language], NO[one.language]):
        return "answer_not_yes_or_no"
    if one.kind == "multiple":
        told = {choice.strip().casefold() for choice in one.choices}
        if len(told) < len(one.choices) or len(one.choices) < 2 or "" in told:
            return "choices_not_distinct"
        if one.choices.count(one.answer) != 1:
            return "not_one_right_choice"
    elif one.choices:
        return "choices_without_need"
    if one.kind == "open" and one.answer.casefold() in one.question.casefold():
        return "given_away"
    return None
