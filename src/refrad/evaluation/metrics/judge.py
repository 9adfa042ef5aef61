"""LLMScore: a language model judges an answer against the true one, as in the paper."""

import itertools
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ConfigDict

from refrad.evaluation.metrics.judge_replies import parse_score
from refrad.evaluation.metrics.judged_answer import JudgedAnswer
from refrad.llm import Answer, ModelError, Models, Request, Task, load_task
from refrad.llm.tasks import BadAnswer

__all__ = [
    "JudgeVerdict",
    "JudgedAnswer",
    "Scale",
    "ScaleExample",
    "ScoreTask",
    "llm_scores",
    "load_scale",
    "score_task",
]

log = logging.getLogger(__name__)

FIELDS = ("question", "candidate", "reference")


class JudgeVerdict(Answer):
    """A judge's score on the scale of its prompt."""

    # Title and docstring are part of the request, and so of the key of every stored reply.
    model_config = ConfigDict(title="Verdict")

    score: int
    reason: str = ""


class ScaleExample(TypedDict):
    """An answer to a question, its reference, and the judge's score with its reason."""

    question: str
    candidate: str
    reference: str
    score: int
    reason: str


@dataclass(frozen=True)
class Scale:
    """The scale of a judge, and worked examples of each language."""

    low: int
    high: int
    examples: Mapping[str, Sequence[ScaleExample]]

    def fill(self, language: str) -> dict[str, str]:
        """The values of the prompt of a language: the examples as pairs of JSON lines, and the ends of the scale."""
        lines = []
        for example in self.examples[language]:
            texts = example["question"], example["candidate"], example["reference"]
            lines.append(json.dumps(dict(zip(FIELDS, texts, strict=True)), ensure_ascii=False))
            verdict = {"score": example["score"], "reason": example["reason"]}
            lines.append("-> " + json.dumps(verdict, ensure_ascii=False))
        return {"examples": "\n".join(lines), "low": str(self.low), "high": str(self.high)}

    def share(self, score: int) -> float:
        """(score - low) / (high - low)."""
        return (score - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class ScoreTask(Task[JudgeVerdict]):
    """The task of judging, which reads the score from any common form of reply, not only from JSON."""

    low: int = 1
    high: int = 5

    def read(self, text: str | None, request: Request) -> JudgeVerdict:  # noqa: ARG002
        """The verdict in a reply.

        Raises:
            BadAnswer: "no_score", if no score can be read for certain.
        """
        score = parse_score(text, self.low, self.high)
        if score is None:
            raise BadAnswer("no_score", f"Answer with one whole score from {self.low} to {self.high}.")
        return JudgeVerdict(score=score)


def load_scale(path: Path) -> Scale:
    """Read a scale.

    Raises:
        ValueError: in one line, if a key is missing or unknown, or an example's score is off the scale.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or set(content) != {"low", "high", "examples"}:
        raise ValueError(f"{path}: a scale has exactly the keys low, high and examples")
    scale = Scale(**content)
    for example in itertools.chain.from_iterable(scale.examples.values()):
        if set(example) != {*FIELDS, "score", "reason"}:
            raise ValueError(f"{path}: an example has question, candidate, reference, score and reason")
        if not scale.low <= example["score"] <= scale.high:
            raise ValueError(
                f"{path}: an example's score {example['score']} is not between {scale.low} and {scale.high}"
            )
    return scale


def score_task(prompts: Path, scale: Scale) -> ScoreTask:
    """The task with its prompts, `score.de.md` and `score.en.md`, filled with the scale and its examples."""
    fill = {language: scale.fill(language) for language in scale.examples}
    task = load_task("score", prompts, JudgeVerdict, role="score", tokens=200, fill=fill)
    return ScoreTask(task.name, task.role, task.prompts, JudgeVerdict, task.tokens, low=scale.low, high=scale.high)


def llm_scores(
    answers: Sequence[JudgedAnswer], models: Models, scale: Scale, *, keep_partial: bool = False
) -> NDArray[np.float64]:
    """LLMScore of each answer, (score - low) / (high - low), float [answers].

    NaN if the judge fails twice: a failure is counted and left out of means. Texts in a third language are judged with the
    English prompt. With `keep_partial`, the answers that are left when the server is lost have failed.

    Raises:
        ModelError: if the model cannot be used at all; with `keep_partial`, if it has judged nothing before.
    """
    task = score_task(models.prompts, scale)
    requests = (
        Request(
            answer.language if answer.language in task.prompts else "en", dict(zip(FIELDS, answer[:3], strict=True))
        )
        for answer in answers
    )
    scores, failures = np.full(len(answers), np.nan), Counter[str]()
    try:
        for number, reply in enumerate(models.ask(task, requests)):
            if reply.answer is not None:
                scores[number] = scale.share(reply.answer.score)
            else:
                failures[reply.failure or "no_score"] += 1
    except ModelError as error:
        if not keep_partial or np.isnan(scores).all():
            raise
        log.warning("%s", error)
    if failures:
        reasons = ", ".join(f"{count} {reason}" for reason, count in failures.most_common())
        log.warning("the judge failed on %d of %d answers: %s", failures.total(), len(answers), reasons)
    return scores
