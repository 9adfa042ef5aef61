"""Replies to requests, and their cost."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from refrad.llm.tasks import Answer, Request
from refrad.workflow.tally import Tally

__all__ = ["Account", "Reply"]

A = TypeVar("A", bound=Answer)


@dataclass(frozen=True)
class Reply(Generic[A]):
    """The answer to a request, or the short code of why there is none; and the name of the model."""

    request: Request
    answer: A | None
    failure: str | None
    model: str


@dataclass
class Account:
    """Cost of one task. `requests` counts the requests by result; `again` the repeated ones by reason."""

    requests: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    seconds: float = 0.0

    def write(self, task: str, price: Sequence[float] | None, tally: Tally) -> None:
        """Add the account to the metrics of a stage. `price` is that of a million prompt and of a million answer tokens."""
        for how, number in self.requests.items():
            tally.add(f"asked: {task}", how, number)
        for why, number in self.again.items():
            tally.add(f"sent again: {task}", why, number)
        tally.add("tokens", f"{task}, prompt", self.prompt_tokens)
        tally.add("tokens", f"{task}, answer", self.answer_tokens)
        if price is not None:
            tally.add("cost", task, (price[0] * self.prompt_tokens + price[1] * self.answer_tokens) / 1e6)
        tally.make(f"model calls for {task}", self.calls)
        part = f"model at work on {task}, calls added"
        tally.seconds[part] = tally.seconds.get(part, 0.0) + self.seconds
