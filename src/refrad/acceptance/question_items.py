"""Labelled captions of task qa, and labelled answers of task score."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

from refrad.acceptance.labelled_item import (
    Anatomy,
    LabelledItem,
    LabelVerdict,
    judged,
    load_labels,
    sides_in,
)
from refrad.core.types import LANGUAGES
from refrad.evaluation.metrics.judge import FIELDS, JudgeVerdict
from refrad.grounding.vqa_checks import NO, YES, ImageFacts, VqaChecks, VqaPair
from refrad.grounding.vqa_llm import GeneratedPairs, Pair, qa_request, read_pairs
from refrad.language.mention_finder import find_mentions
from refrad.llm import Request

__all__ = ["qa_items", "score_items"]

PIXELS = 400  # of each visible class; captions and checks need no more

_MEASURE = re.compile(r"(\d+(?:[.,]\d+)?)\s?(mm|cm)\b")
_DENIAL = re.compile(r"\b(?:kein\w*|nicht|ohne|frei|no|not|without|free|absen\w+)\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Fact:
    """A caption of an image, and its finding as a pattern; `side` is that of the finding, `denied` whether it is absent."""

    caption: str
    finding: re.Pattern[str]
    side: str | None
    denied: bool


def qa_items(anatomy: Anatomy) -> Iterator[LabelledItem]:
    """An image with two captions, of a finding and of one that is denied. Images with a class that the site's schema lacks are left out."""
    checks = VqaChecks(anatomy.schema, anatomy.lexicon)
    for region, labels in load_labels("qa").items():
        for number, (present, denied) in enumerate(zip(labels["present"], cycle(labels["denied"])), 1):
            names = f"{present['visible']} {denied['visible']}".split()
            if not set(names) <= anatomy.schema.by_name.keys():
                continue
            for language in LANGUAGES:
                caption, finding, question, answer = present[language].split(" / ")
                denial, absent, other_question = denied[language].split(" / ")
                facts = [
                    _Fact(caption, re.compile(finding, re.IGNORECASE), present.get("side"), denied=False),
                    _Fact(denial, re.compile(absent, re.IGNORECASE), None, denied=True),
                ]
                pairs = [_pair("open", question, answer, caption), _pair("yesno", other_question, NO[language], denial)]
                lies = [_pair("open", question, answer, caption), _pair("yesno", other_question, YES[language], denial)]
                image = _image(f"{region}-{number}", names, {language: [caption, denial]}, anatomy)
                yield LabelledItem(
                    f"qa-{language}-{region}-{number}",
                    qa_request(image, language, anatomy.schema),
                    GeneratedPairs(pairs=list(islice(cycle(pairs), anatomy.pairs))),
                    GeneratedPairs(pairs=list(islice(cycle(lies), anatomy.pairs))),
                    partial(_judge_pairs, image, language, facts, checks, anatomy),
                    anatomy.pairs,
                )


def score_items(_anatomy: Anatomy) -> Iterator[LabelledItem]:
    """An answer, its reference, and the scores that are right."""
    for language, lines in load_labels("score").items():
        for number, line in enumerate(lines, 1):
            question, candidate, reference, scores = line.split(" / ")
            low, _, high = scores.partition("-")
            texts = dict(zip(FIELDS, (question, candidate.strip('"'), reference), strict=True))
            accepted = range(int(low), int(high or low) + 1)
            yield LabelledItem(
                f"score-{language}-{number}",
                Request(language, texts),
                JudgeVerdict(score=accepted[0]),
                None,
                partial(_judge_score, accepted),
            )


def _pair(kind: str, question: str, answer: str, evidence: str) -> Pair:
    return Pair.model_validate(
        {"kind": kind, "question": question, "choices": [], "answer": answer, "evidence": evidence.rstrip(".")}
    )


def _image(name: str, visible: list[str], texts: dict[str, list[str]], anatomy: Anatomy) -> ImageFacts:
    ids = {class_name: entry.id for class_name, entry in anatomy.schema.by_name.items()}
    named = {
        language: [
            ids[class_name]
            for text in captions
            for mention in find_mentions(text, language, anatomy.lexicon)
            for class_name in mention.classes
            if class_name in ids
        ]
        for language, captions in texts.items()
    }
    areas = dict.fromkeys((ids[class_name] for class_name in visible), PIXELS)
    return ImageFacts(name, "CT", "axial", None, areas, named, texts=texts)


def _judge_pairs(
    image: ImageFacts,
    language: str,
    facts: list[_Fact],
    checks: VqaChecks,
    anatomy: Anatomy,
    answer: GeneratedPairs,
) -> list[LabelVerdict]:
    verdicts = []
    for pair in read_pairs(answer, language, ""):
        if (reason := checks.check_pair(pair, image)) is not None:
            verdicts.append(LabelVerdict("refused", reason))
        else:
            verdicts += judged(_wrong_pair(pair, facts, anatomy))
    return verdicts


def _wrong_pair(pair: VqaPair, facts: list[_Fact], anatomy: Anatomy) -> str | None:
    """The fact that a pair contradicts; in doubt none."""
    claim = pair.question if pair.kind == "yesno" else pair.answer
    if pair.answer == NO[pair.language]:
        return None
    if not _millimetres(claim) <= set().union(*(_millimetres(fact.caption) for fact in facts)):
        return "size of no caption"
    sides = sides_in(claim, pair.language, anatomy.lexicon)
    for fact in facts:
        if not fact.finding.search(f"{pair.question} {pair.answer}"):
            continue
        if fact.denied and not _DENIAL.search(f"{pair.question} {pair.answer}"):
            return "denied finding affirmed"
        if fact.side and sides and fact.side not in sides:
            return "other side"
    return None


def _millimetres(text: str) -> set[float]:
    """The measures of a text."""
    return {
        round(float(number.replace(",", ".")) * (10 if unit == "cm" else 1), 3)
        for number, unit in _MEASURE.findall(text)
    }


def _judge_score(accepted: range, answer: JudgeVerdict) -> list[LabelVerdict]:
    if answer.score in accepted:
        return judged(None)
    return judged("score too high" if answer.score > accepted[-1] else "score too low")
