"""Labelled requests sent to a model: its answers judged, and its server measured at rising numbers of requests at once."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from statistics import median
from typing import Any

import numpy as np

from refrad.acceptance.labelled_item import Anatomy, LabelledItem, LabelVerdict
from refrad.acceptance.mention_items import mention_items
from refrad.acceptance.question_items import qa_items, score_items
from refrad.acceptance.recording import Refusals, recorded
from refrad.acceptance.sentence_items import judge_items, rewrite_items, translate_items
from refrad.evaluation.metrics.judge import score_task
from refrad.grounding.vqa_checks import VqaChecks
from refrad.grounding.vqa_llm import qa_task
from refrad.language.llm_mentions import mentions_task
from refrad.language.llm_rewriting import judge_task, rewrite_task, translate_task
from refrad.llm import ModelError, Models, Request, Task
from refrad.llm.store import UnkeptReplies, Usage

__all__ = ["Level", "Quality", "best_level", "judge_answers", "labelled_task", "measure_levels"]

FIRST_CONCURRENCY = 8  # requests at once while answers are judged
ROUNDS, FEWEST = 3, 6  # requests of a level: so many times its concurrency, and at least so many
RISE = 1.1  # throughput that the next level must reach, as a share of the best so far
ENOUGH = 0.95  # share of the best throughput that the concurrency to set reaches
# Failures of a request that has no text of the model.
NO_TEXT = frozenset({"time_out", "half_reply", "server_error", "refused"})


@dataclass
class Quality:
    """Outcomes of the labelled requests of one task.

    Attributes:
        verdicts: language to the counts of its verdicts; there is one a sentence, or one a question.
        completions: texts of the model.
        in_form: those that are JSON of the form, with nothing around it.
        sent_again: requests that were sent again, by reason: a text that was not accepted, or a busy or broken server.
        usage: cost of each request.
    """

    verdicts: dict[str, Counter[LabelVerdict]] = field(default_factory=dict)
    completions: int = 0
    in_form: int = 0
    sent_again: Counter[str] = field(default_factory=Counter)
    usage: list[Usage] = field(default_factory=list)


@dataclass(frozen=True)
class Level:
    """Throughput with so many requests at once.

    Attributes:
        concurrency: requests at once.
        requests: number of requests that the model answered.
        throughput: these requests a second.
        latency: median seconds of a request.
        latency_95: 95th percentile of these seconds.
        busy: times that the server was too busy for a request.
    """

    concurrency: int
    requests: int
    throughput: float
    latency: float
    latency_95: float
    busy: int


def labelled_task(role: str, models: Models, anatomy: Anatomy) -> tuple[Task[Any], list[LabelledItem]]:
    """The task of a role as the stages use it, and its labelled requests.

    Raises:
        FileNotFoundError: naming the prompt file that is missing.
        ValueError: if the role has no labelled requests.
    """
    task: Task[Any]
    match role:
        case "rewrite":
            task, items = rewrite_task(models, anatomy.lexicon), rewrite_items(anatomy)
        case "translate":
            task, items = translate_task(models, anatomy.lexicon), translate_items(anatomy)
        case "judge":
            task, items = judge_task(models), judge_items(anatomy)
        case "mentions":
            task = mentions_task(models, anatomy.lexicon, anatomy.schema)
            items = mention_items(anatomy, task.answer)
        case "qa":
            checks = VqaChecks(anatomy.schema, anatomy.lexicon)
            task, items = qa_task(models, anatomy.pairs, checks), qa_items(anatomy)
        case "score":
            task, items = score_task(models.prompts, anatomy.scale), score_items(anatomy)
        case _:
            raise ValueError(f"no labelled sentences for a role {role}")
    return task, list(items)


def judge_answers(
    task: Task[Any], items: Sequence[LabelledItem], models: Models, replies: UnkeptReplies, most: int
) -> Quality:
    """The outcomes of all items, each asked once, with at most `most` requests at once.

    Raises:
        ModelError: if the model cannot be used at all, or its server rejects every request.
    """
    noted = recorded(task)
    models.limit_requests(task.role, min(FIRST_CONCURRENCY, most))
    quality, sent = Quality(), len(replies.used)
    answers = list(models.ask(noted, [item.request for item in items]))
    if all(reply.failure == "refused" for reply in answers):
        raise ModelError(
            f"{models.name(task.role)}: {models.roles[task.role].endpoint} rejects each request: check the name of the model, its"
            " context length, and `extra`"
        )
    refusals = Refusals.of(noted.readings)
    for item, reply in zip(items, answers, strict=True):
        if reply.answer is not None:
            verdicts = list(item.judge(reply.answer))
        else:
            reason = refusals.last[id(reply.request)] if reply.failure == "check_failed" else str(reply.failure)
            verdicts = [LabelVerdict("refused", reason)] * item.units
        quality.verdicts.setdefault(item.request.language, Counter()).update(verdicts)
    quality.completions = len(noted.readings)
    quality.in_form = sum(reading.in_form for reading in noted.readings)
    again = models.accounts[task.name].again
    quality.sent_again = refusals.first + Counter(
        {why: number for why, number in again.items() if why != "check_failed"}
    )
    quality.usage = replies.used[sent:]
    return quality


def measure_levels(
    task: Task[Any], items: Sequence[LabelledItem], models: Models, replies: UnkeptReplies, most: int
) -> list[Level]:
    """Throughput at 1, 2, 4, ... requests at once, until it rises no more, the server is too busy, or `most` is reached."""
    levels: list[Level] = []
    concurrency, stream = 1, _padded(items)
    while concurrency <= most:
        models.limit_requests(task.role, concurrency)
        account = models.accounts.get(task.name)
        busy, sent = (account.again["busy"] if account else 0), len(replies.used)
        requests = list(islice(stream, max(ROUNDS * concurrency, FEWEST)))
        started = time.monotonic()
        try:
            answered = sum(reply.failure not in NO_TEXT for reply in models.ask(task, requests))
        except ModelError:
            break
        throughput = answered / max(time.monotonic() - started, 1e-9)
        seconds = [used.seconds for used in replies.used[sent:]] or [0.0]
        busy = models.accounts[task.name].again["busy"] - busy
        tail = float(np.percentile(seconds, 95))
        levels.append(Level(concurrency, answered, throughput, median(seconds), tail, busy))
        best = max((level.throughput for level in levels[:-1]), default=0.0)
        if busy or throughput < RISE * best:
            break
        concurrency *= 2
    return levels


def best_level(levels: Sequence[Level]) -> Level | None:
    """The level with the fewest requests at once whose throughput is near the best, or None if nothing was answered."""
    best = max((level.throughput for level in levels), default=0.0)
    return next((level for level in levels if best > 0 and level.throughput >= ENOUGH * best), None)


def _padded(items: Sequence[LabelledItem]) -> Iterator[Request]:
    """The requests of the items, again and again; each has as many blanks at its end as no equal one has, so that no cache answers."""
    for blanks in count(1):
        for item in items:
            data = dict(item.request.data)
            name = [key for key, value in data.items() if isinstance(value, str)][-1]
            yield replace(item.request, data=data | {name: data[name] + " " * blanks})
