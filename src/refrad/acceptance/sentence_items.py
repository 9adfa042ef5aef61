"""Labelled sentences of the tasks rewrite, translate and judge."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, get_args

from refrad.acceptance.labelled_item import (
    Anatomy,
    LabelledItem,
    LabelVerdict,
    judged,
    load_labels,
    numbers_in,
    sides_in,
)
from refrad.core.types import LANGUAGES
from refrad.language.llm_rewriting import OTHER, ErrorKind, Sentence, SentenceVerdict
from refrad.llm import Request
from refrad.statements.change_words import find_comparison

__all__ = ["judge_items", "rewrite_items", "translate_items"]

LONG = 5  # letters of a word of the label that the answer must have ...
ENDING = 3  # ... but for so many at its end, if it is longer
BEST, MISLEADING = 5, 3  # scores of judge: without error, and the best one of an error of content

_LONG_WORD = re.compile(rf"[^\W\d_]{{{LONG},}}")
_DENIAL = re.compile(r"\b(?:kein\w*|nicht|ohne|weder|no|not|without|neither|none)\b", re.IGNORECASE)
_MARK = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d_]+\.?")
_ORDERED = re.compile(r"[\d.]+|left|right")
_OPTIONAL_WORDS = re.compile(r"measure|messen|misst|nachweisbar", re.IGNORECASE)


def rewrite_items(anatomy: Anatomy) -> Iterator[LabelledItem]:
    """A sentence with comparisons, or without any."""
    for language, labels in load_labels("rewrite").items():
        for number, label in enumerate(labels, 1):
            yield LabelledItem(
                f"rewrite-{language}-{number}",
                Request(language, {"sentence": label["sentence"]}),
                Sentence(sentence=label["answer"]),
                Sentence(sentence=label["wrong"]),
                partial(_judge_rewriting, label, language, anatomy),
            )


def translate_items(anatomy: Anatomy) -> Iterator[LabelledItem]:
    """A sentence to translate, from each language into the other."""
    for language in LANGUAGES:
        target = OTHER[language]
        for number, label in enumerate(load_labels("translate")["pairs"], 1):
            yield LabelledItem(
                f"translate-{language}-{number}",
                Request(language, {"sentence": label[language]}),
                Sentence(sentence=label[target]),
                Sentence(sentence=label[f"wrong_{target}"]),
                partial(_judge_translation, label, target, anatomy),
            )


def judge_items(_anatomy: Anatomy) -> Iterator[LabelledItem]:
    """Right and wrong answers of the other two tasks, in turn, to be judged: half of each task's."""
    rewritten = [
        (language, label["sentence"], label["answer"], label["wrong"], label["error"])
        for language, labels in load_labels("rewrite").items()
        for label in labels
    ]
    translated = [
        (language, label[language], label[target], label[f"wrong_{target}"], label[f"error_{target}"])
        for language, target in OTHER.items()
        for label in load_labels("translate")["pairs"]
    ]
    for kind, rows in (("rewrite", rewritten[::2]), ("translate", translated[::2])):
        for number, (language, before, right, wrong, error) in enumerate(rows, 1):
            is_wrong = number % 2 == 0
            data = {"kind": kind, "before": before, "after": wrong if is_wrong else right}
            errors: list[ErrorKind] = [_error_kind(error)] if is_wrong else []
            yield LabelledItem(
                f"judge-{kind}-{language}-{number}",
                Request(language, data),
                SentenceVerdict(errors=errors, score=2 if is_wrong else 5),
                SentenceVerdict(errors=errors, score=5 if is_wrong else 3),
                partial(_judge_verdict, is_wrong),
            )


def _judge_rewriting(label: Mapping[str, Any], language: str, anatomy: Anatomy, answer: Sentence) -> list[LabelVerdict]:
    text, expected = " ".join(answer.sentence.split()), label["answer"]
    if not text:
        return judged(None if not expected or label.get("empty") else "finding lost")
    if not expected:
        return judged("text where nothing is left")
    gone = [word for word in label.get("gone", "").split() if re.search(rf"\b{word}|{word}\b", text, re.IGNORECASE)]
    if gone or find_comparison(text) is not None:
        return judged("comparison left")
    if (wrong := _wrong_claims(text, expected, language, anatomy)) is not None:
        return judged(wrong)
    if _swaps(text, expected, language, anatomy):
        return judged("sides or numbers swapped")
    stems = [word.casefold()[: max(LONG, len(word) - ENDING)] for word in _words_to_keep(expected, language, anatomy)]
    return judged("word lost" if any(stem not in text.casefold() for stem in stems) else None)


def _judge_translation(label: Mapping[str, Any], target: str, anatomy: Anatomy, answer: Sentence) -> list[LabelVerdict]:
    text = " ".join(answer.sentence.split())
    if (wrong := _wrong_claims(text, label[target], target, anatomy)) is not None:
        return judged(wrong)
    needed = label[f"need_{target}"].split()
    return judged("term missing" if any(not re.search(term, text, re.IGNORECASE) for term in needed) else None)


def _wrong_claims(text: str, expected: str, language: str, anatomy: Anatomy) -> str | None:
    """A number, a side or a denial that differs from those of a right answer."""
    if numbers_in(text) != numbers_in(expected):
        return "number changed"
    if sides_in(text, language, anatomy.lexicon) != sides_in(expected, language, anatomy.lexicon):
        return "side changed"
    denied, expected_denied = (_DENIAL.search(sentence) is not None for sentence in (text, expected))
    return "denial changed" if denied != expected_denied else None


def _words_to_keep(expected: str, language: str, anatomy: Anatomy) -> list[str]:
    """The longer words of a right answer, without sides, which are judged apart, and verbs that any other may replace."""
    words = _LONG_WORD.findall(expected)
    return [word for word in words if not _OPTIONAL_WORDS.match(word) and not sides_in(word, language, anatomy.lexicon)]


def _swaps(text: str, expected: str, language: str, anatomy: Anatomy) -> bool:
    """Whether the sides of a sentence with both, or its numbers, come in another order than in a right answer."""
    orders = []
    for sentence in (text, expected):
        marks = [mark[0].replace(",", ".") for mark in _MARK.finditer(sentence)]
        orders.append(["".join(sides_in(mark, language, anatomy.lexicon)) or mark for mark in marks])
    ordered, expected_order = ([mark for mark in order if _ORDERED.fullmatch(mark)] for order in orders)
    return {"left", "right"} <= set(expected_order) and ordered != expected_order


def _judge_verdict(is_wrong: bool, answer: SentenceVerdict) -> list[LabelVerdict]:
    if is_wrong:
        return judged("error overlooked" if answer.score > MISLEADING else None)
    return judged("right sentence faulted" if answer.score < BEST else None)


def _error_kind(name: str) -> ErrorKind:
    kinds: tuple[ErrorKind, ...] = get_args(ErrorKind)
    return kinds[kinds.index(name)]  # type: ignore[arg-type]
