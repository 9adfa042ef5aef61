"""Texts of a model as its task reads them, and the reasons for which they are not accepted, so that these can be counted."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import ValidationError

from refrad.llm import Answer, Request, Task
from refrad.llm.tasks import BadAnswer

__all__ = ["Reading", "RecordedTask", "Refusals", "general_reasons", "recorded"]

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Reading:
    """A text of the model: the request that it answers, why it was not accepted (None if it was), and whether it is the form alone."""

    request: Request
    text: str
    fault: BadAnswer | None
    in_form: bool


@dataclass(frozen=True)
class RecordedTask(Task[Answer]):
    """A task that notes how each text of the model was read."""

    inner: Task[Any] = field(kw_only=True)
    readings: list[Reading] = field(kw_only=True)

    def read(self, text: str | None, request: Request) -> Answer:
        """The answer, as the task reads it.

        Raises:
            BadAnswer: as the task does.
        """
        fault = None
        try:
            answer: Answer = self.inner.read(text, request)
            return answer
        except BadAnswer as bad:
            fault = bad
            raise
        finally:
            self.readings.append(Reading(request, text or "", fault, _has_form(self.answer, text)))


@dataclass(frozen=True)
class Refusals:
    """The messages of checks that refused a text: of the first texts for a request, counted; of the last, by id of the request."""

    first: Counter[str]
    last: Mapping[int, str]

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> "Refusals":
        """The refusals by a check among the readings of a task."""
        checked = [(reading, reading.fault) for reading in readings if reading.fault is not None]
        checked = [(reading, fault) for reading, fault in checked if fault.reason == "check_failed"]
        general = general_reasons([(str(fault), _texts(reading)) for reading, fault in checked])
        reasons = {id(reading): reason for (reading, _), reason in zip(checked, general, strict=True)}
        firsts: dict[int, Reading] = {}
        for reading in readings:
            firsts.setdefault(id(reading.request), reading)
        return cls(
            Counter(reasons[id(reading)] for reading in firsts.values() if id(reading) in reasons),
            {id(reading.request): reasons[id(reading)] for reading, _ in checked},
        )


def recorded(task: Task[Any]) -> RecordedTask:
    """A task that does the same and notes it."""
    parts = {part.name: getattr(task, part.name) for part in fields(Task)}
    return RecordedTask(**parts, inner=task, readings=[])


def general_reasons(messages: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """The messages of checks without the words that they quote from their texts, so that equal reasons can be counted.

    A word of a message is its own if it is in any message whose texts lack it; names, numbers and quoted parts never are.
    """
    words = [{word for text in texts for word in _WORD.findall(text.casefold())} for _, texts in messages]
    own = {
        word
        for (message, _), known in zip(messages, words, strict=True)
        for word in _WORD.findall(message.casefold())
        if word not in known
    }
    return [_general(message, known - own) for (message, _), known in zip(messages, words, strict=True)]


def _general(message: str, quoted: set[str]) -> str:
    def generalize(word: re.Match[str]) -> str:
        text = word[0]
        is_name = "_" in text or any(letter.isdigit() for letter in text)
        return "…" if is_name or text.casefold() in quoted else text

    return re.sub(r"…(?:[\s.,/-]*…)+", "…", _WORD.sub(generalize, _QUOTED.sub("…", message)))


def _has_form(form: type[Answer], text: str | None) -> bool:
    try:
        form.model_validate_json(text or "")
    except ValidationError:
        return False
    return True


def _texts(reading: Reading) -> list[str]:
    """The texts that a message may quote."""
    try:
        answer = json.loads(reading.text, strict=False)
    except ValueError:
        answer = reading.text
    return [*_strings(reading.request.data), *_strings(answer)]


def _strings(value: Any) -> Iterator[str]:
    """The strings in JSON data, without the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _strings(list(value.values()))
    elif isinstance(value, list):
        for entry in value:
            yield from _strings(entry)
