"""The largest number of tokens of an answer, and how many answers reach it."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from refrad.config import AnswerTokens
from refrad.evaluation.questions import EvalQuestion

if TYPE_CHECKING:  # it imports torch, which the report does without
    from refrad.evaluation.answer_cache import GeneratedAnswer

__all__ = ["AnswerLengthRow", "AnswerLimit", "answer_limits", "count_lengths"]

log = logging.getLogger(__name__)

Group = tuple[str, str]  # dataset and task


class AnswerLimit(TypedDict):
    """Numbers of tokens of an answer, eos included: `configured`, of the longest true answer, and `limit`, the larger of the two."""

    configured: int
    longest_true: int
    limit: int


class AnswerLengthRow(AnswerLimit):
    """The answers to the questions of a task: `answers` in number, the tokens of the `longest`, and how many were `cut`."""

    dataset: str
    task: str
    answers: int
    longest: int
    cut: int


def answer_limits(
    questions: Sequence[EvalQuestion], processor: Any, configured: AnswerTokens
) -> dict[Group, AnswerLimit]:
    """Dataset and task to the limit of their answers: the configured one, or the longest true answer if that is longer.

    It is one number for all questions of a dataset and task, so the limit of a question does not give away its own answer; and no
    dataset changes the answers to another.

    Args:
        questions: with their true answers.
        processor: of the model, whose tokens are counted.
        configured: limits of the config by task.
    """
    groups: dict[Group, list[str]] = {}
    for question in questions:
        groups.setdefault((question.dataset, question.task), []).append(question.tagged)
    limits: dict[Group, AnswerLimit] = {}
    for (dataset, task), true_answers in groups.items():
        ids = processor.tokenizer(list(dict.fromkeys(true_answers)), add_special_tokens=False)["input_ids"]
        longest = max(map(len, ids)) + 1  # eos
        chosen: int = getattr(configured, task)
        limits[dataset, task] = {"configured": chosen, "longest_true": longest, "limit": max(chosen, longest)}
        if longest > chosen:
            log.info("answers of %s, task %s: %d tokens, as many as the longest true answer", dataset, task, longest)
    return limits


def count_lengths(
    questions: Sequence[EvalQuestion], answers: Sequence["GeneratedAnswer"], limits: Mapping[Group, AnswerLimit]
) -> list[AnswerLengthRow]:
    """A row for each dataset and task."""
    of_group: dict[Group, list[GeneratedAnswer]] = {}
    for question, answer in zip(questions, answers, strict=True):
        of_group.setdefault((question.dataset, question.task), []).append(answer)
    rows: list[AnswerLengthRow] = []
    for (dataset, task), group in of_group.items():
        rows.append(
            {
                "dataset": dataset,
                "task": task,
                **limits[dataset, task],
                "answers": len(group),
                "longest": max(answer.tokens for answer in group),
                "cut": sum(answer.cut for answer in group),
            }
        )
        if cut := rows[-1]["cut"]:
            log.warning(
                "%d of %d answers of %s, task %s, were cut at %d tokens: see evaluate.answer_tokens",
                cut,
                len(group),
                dataset,
                task,
                limits[dataset, task]["limit"],
            )
    return rows
