"""Question-answer pairs, the facts of their image, and the checks that quarantine a pair."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from refrad.anatomy.lexicon import Lexicon
from refrad.anatomy.schema import Schema
from refrad.grounding.vqa_evidence import asks_about_report, check_evidence, locate_evidence
from refrad.grounding.vqa_findings import Finding
from refrad.language.lexicon_matcher import is_anatomy
from refrad.language.mention_finder import find_mentions
from refrad.language.sections import detect_language
from refrad.privacy.known_identifiers import Identifiers
from refrad.privacy.scrubbing import PLACEHOLDER, scrub
from refrad.statements.change_words import find_comparison, tells_change

__all__ = ["NO", "REASONS", "YES", "ImageFacts", "VqaChecks", "VqaPair"]

YES: Mapping[str, str] = {"en": "yes", "de": "ja"}
NO: Mapping[str, str] = {"en": "no", "de": "nein"}
CACHED_TEXTS = 2**15
MAX_LENGTH = 400  # letters of a question or an answer
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
    "other_examination": "The question is about a comparison with another examination, which the image cannot show.",
    "about_report": "The question is about the report, which is not in the image.",
    "no_evidence": "The words that are given as evidence are in no caption of the image, or fewer than two.",
    "not_borne_out": "The evidence says something else than the answer, or less.",
    "number_not_in_row": "A number that neither the captions nor the measurements of the image have.",
    "anatomy_not_in_row": "Anatomy that neither the captions name nor the image shows.",
    "model_failed": "The language model gave no acceptable answer, twice; the next run of the stage repeats the request.",
}

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image, for questions and their checks.

    `areas`: visible class to area in px. `named`: language to the visible classes that the captions name. `widths`: class to
    the width of its box in mm. `texts`: language to the captions. `split`: of its patient. `affirmed` and `denied`: the classes that a caption calls
    present, and those that it calls absent, visible or not. `findings`: language to what the captions find in visible classes.
    `patient`: pseudonym. `grounded`: whether any of its captions is.
    """

    instance: str
    modality: str
    plane: str
    contrast: bool | None
    areas: Mapping[int, int]
    named: Mapping[str, Sequence[int]]
    widths: Mapping[int, float] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    split: str = ""
    affirmed: frozenset[int] = frozenset()
    denied: frozenset[int] = frozenset()
    findings: Mapping[str, Sequence[Finding]] = field(default_factory=dict)
    patient: str = ""
    grounded: bool = True


@dataclass(frozen=True)
class VqaPair:
    """A question and its answer; `choices` is empty unless `kind` is multiple.

    `evidence`: the words of a caption that answer the question, if a model gave them; checked, and in no table.
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
    """The checks of pairs, with a cache of texts, since questions and answers repeat."""

    def __init__(self, schema: Schema, lexicon: Lexicon) -> None:
        self.schema, self.lexicon = schema, lexicon
        anatomy, exactly = (partial(is_anatomy, lexicon=lexicon, exactly=exactly) for exactly in (False, True))
        self._identifies = lru_cache(CACHED_TEXTS)(lambda text: bool(scrub(text, Identifiers(), anatomy, exactly)[1]))
        self._mentions = lru_cache(CACHED_TEXTS)(lambda text, language: find_mentions(text, language, lexicon))

    def check_pair(self, pair: VqaPair, image: ImageFacts) -> str | None:
        """The reason code (see REASONS) for which a pair is quarantined, or None. In doubt it is quarantined."""
        captions = image.texts.get(pair.language, ())
        return (
            _check_form(pair)
            or self._check_text(pair)
            or _check_source(pair, captions)
            or self._check_facts(pair, image)
            or self._check_evidence(pair, captions)
        )

    def _check_text(self, pair: VqaPair) -> str | None:
        parts = [pair.question, *pair.choices, pair.answer]
        if any(PLACEHOLDER.search(part) or self._identifies(part) for part in parts):
            return "identifier"
        text = "\n".join(parts)
        if find_comparison(text) is not None:
            return "other_examination"
        # An additional English small word, since a text without any small word counts as German.
        language = detect_language(f"{text} the" if pair.language == "en" else text)
        return "wrong_language" if language != pair.language else None

    def _check_facts(self, pair: VqaPair, image: ImageFacts) -> str | None:
        """Whether captions and image support numbers and anatomy of the pair."""
        captions = image.texts.get(pair.language, ())
        if pair.topic == "metadata":
            return None
        # Choices may be wrong, so that question and answer count; the answer of a yes-no question has no content.
        texts = [pair.question] if pair.kind == "yesno" else [pair.question, pair.answer]
        supported = {number.replace(",", ".") for caption in captions for number in _NUMBER.findall(caption)}
        supported |= {f"{width / 10:.1f}" for width in image.widths.values()}
        numbers = {number.replace(",", ".") for text in texts for number in self._numbers(text, pair.language)}
        if numbers - supported:
            return "number_not_in_row"
        if pair.kind == "yesno" and pair.answer == NO[pair.language]:
            return None  # it may name any anatomy
        classes = set(image.areas) | {class_id for named in image.named.values() for class_id in named}
        for caption in captions:
            classes.update(*self._classes(caption, pair.language))
        classes |= {related for class_id in classes for related in self.schema.related[class_id]}
        # A phrase may mean several classes ("which kidney"): one of them is enough.
        if any(not named & classes for text in texts for named in self._classes(text, pair.language)):
            return "anatomy_not_in_row"
        return None

    def _check_evidence(self, pair: VqaPair, captions: Sequence[str]) -> str | None:
        """Whether the words that a model gives as evidence bear out the pair."""
        if pair.evidence is None or (cited := locate_evidence(pair.evidence, captions)) is None:
            return None
        is_yes = {YES[pair.language]: True, NO[pair.language]: False}.get(pair.answer) if pair.kind == "yesno" else None
        right = check_evidence(pair.question, pair.answer, is_yes, cited, pair.language, self.lexicon)
        return None if right else "not_borne_out"

    def _numbers(self, text: str, language: str) -> list[str]:
        """The numbers outside mentions: those of ribs and vertebrae are no measurements."""
        for mention in reversed(self._mentions(text, language)):
            text = text[: mention.start] + text[mention.end :]
        return _NUMBER.findall(text)

    def _classes(self, text: str, language: str) -> list[set[int]]:
        """The class ids of each mention."""
        classes = self.schema.by_name
        return [
            {classes[name].id for name in mention.classes if name in classes}
            for mention in self._mentions(text, language)
        ]


def _check_source(pair: VqaPair, captions: Sequence[str]) -> str | None:
    """Whether a model asks about the image of today, and gives words of a caption as evidence."""
    if pair.evidence is None:
        return None
    if asks_about_report(pair.question):
        return "about_report"
    if tells_change("\n".join([pair.question, *pair.choices, pair.answer])):
        return "other_examination"
    return "no_evidence" if locate_evidence(pair.evidence, captions) is None else None


def _check_form(pair: VqaPair) -> str | None:
    if not pair.question.strip() or not pair.answer.strip():
        return "empty"
    if max(len(pair.question), len(pair.answer)) > MAX_LENGTH:
        return "too_long"
    if pair.kind == "yesno" and pair.answer not in (YES[pair.language], NO[pair.language]):
        return "answer_not_yes_or_no"
    if pair.kind == "multiple":
        distinct = {choice.strip().casefold() for choice in pair.choices}
        if len(distinct) < len(pair.choices) or len(pair.choices) < 2 or "" in distinct:
            return "choices_not_distinct"
        if pair.choices.count(pair.answer) != 1:
            return "not_one_right_choice"
    elif pair.choices:
        return "choices_without_need"
    if pair.kind == "open" and pair.answer.casefold() in pair.question.casefold():
        return "given_away"
    return None
