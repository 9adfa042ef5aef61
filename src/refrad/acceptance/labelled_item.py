"""A labelled request, and the file that it comes from."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from refrad.anatomy.lexicon import Lexicon
from refrad.anatomy.schema import Schema
from refrad.evaluation.metrics.judge import Scale
from refrad.llm import Answer, Request

__all__ = ["Anatomy", "LabelVerdict", "LabelledItem", "judged", "load_labels", "numbers_in", "sides_in"]

FOLDER = Path(__file__).parent / "sentences"

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


class LabelVerdict(NamedTuple):
    """The outcome of one unit of a request, a sentence or a question: "refused" by a check of the project, or accepted and "right"
    or "wrong" by its label; with the reason if it is not right.
    """

    outcome: Literal["right", "wrong", "refused"]
    reason: str = ""


@dataclass(frozen=True)
class Anatomy:
    """The site's own files that tasks and checks need, and the number of questions that task qa writes for an image."""

    schema: Schema
    lexicon: Lexicon
    scale: Scale
    pairs: int


@dataclass(frozen=True)
class LabelledItem:
    """A request with its labels.

    Attributes:
        name: task, language and number in the file.
        request: as the stage sends it.
        right: a right answer.
        wrong: an answer that must be refused, if the label has one.
        judge: the verdicts on an answer that the task accepted, one a unit.
        units: number of verdicts.
    """

    name: str
    request: Request
    right: Answer
    wrong: Answer | None
    judge: Callable[[Any], Sequence[LabelVerdict]]
    units: int = 1


def load_labels(task: str) -> dict[str, Any]:
    """The labels of a task, as its file has them."""
    labels: dict[str, Any] = yaml.safe_load((FOLDER / f"{task}.yaml").read_text(encoding="utf-8"))
    return labels


def judged(reason: str | None) -> list[LabelVerdict]:
    """One verdict: wrong for a reason, or right."""
    return [LabelVerdict("right") if reason is None else LabelVerdict("wrong", reason)]


def numbers_in(text: str) -> list[str]:
    """The numbers of a text, sorted, with a decimal point."""
    return sorted(number.replace(",", ".") for number in _NUMBER.findall(text))


def sides_in(text: str, language: str, lexicon: Lexicon) -> set[str]:
    """The sides that a text names: left, right; a word for both sides names both."""
    words: Mapping[str, re.Pattern[str]] = lexicon.words[language].sides
    spaced = text.replace("-", " ")  # "left-sided"
    names = {name for name in ("left", "right", "both") if words[name].search(spaced)}
    return names - {"both"} | ({"left", "right"} if "both" in names else set())
