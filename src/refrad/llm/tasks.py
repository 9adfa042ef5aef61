"""A task as data: a prompt file per language, the form of the answer, the role of the model, limits and checks."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from refrad.config import prompt_files

__all__ = ["Answer", "BadAnswer", "Request", "Task", "load_task"]

# Where the thoughts of a model end and its answer begins.
_THOUGHT = re.compile(
    r"</think(?:ing)?>|<\|channel\|>final(?: ?(?:<\|constrain\|>)?json)?<\|message\|>|\b(?:assistant)?final:?\s*(?=\{|```)",
    re.IGNORECASE,
)
_INVISIBLE = re.compile(r"[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
MOST_OBJECTS = 50  # that are tried in the text of one reply


class Answer(BaseModel):
    """Base of all answers: exactly the fields of the form, of exactly their types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


A = TypeVar("A", bound=Answer)


class BadAnswer(ValueError):
    """An answer that is not accepted. `reason` is a short code to count; the message may quote text: for the model alone."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Request:
    """One request: the language of the prompt, the data that the prompt describes (JSON values), and PNG files that it shows.

    `subject` is the pseudonym of the patient whom the data describe: it is not sent, but kept with the reply, so that the reply
    can be removed when the patient withdraws.
    """

    language: str
    data: Mapping[str, Any]
    subject: str = ""
    images: tuple[bytes, ...] = ()


def _accept(_request: Request, _answer: Any) -> str | None:
    return None


@dataclass(frozen=True)
class Task(Generic[A]):
    """A kind of request: its prompts, the role of its model, and the form and check of its answers.

    `prompts` maps language to the static first message; servers cache it, since it comes first and never changes.
    `tokens` is the longest answer. `check` gets a request and its answer, and returns the error in one sentence,
    or None. So does `advise`, but an answer that it finds fault with is sent back once only, and taken afterwards.
    """

    name: str
    role: str
    prompts: Mapping[str, str]
    answer: type[A]
    tokens: int
    check: Callable[[Request, A], str | None] = _accept
    advise: Callable[[Request, A], str | None] = _accept

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the answer."""
        return self.answer.model_json_schema()

    @property
    def response_format(self) -> dict[str, Any]:
        """The fields of a request that constrain its answer to the schema."""
        form = {"name": self.name, "schema": self.schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": form}}

    def messages(self, request: Request) -> list[dict[str, Any]]:
        """The prompt, then the data as JSON: text inside of a string is data, never an instruction."""
        data = json.dumps(request.data, ensure_ascii=False, sort_keys=True)
        return [
            {"role": "system", "content": self.prompts[request.language]},
            {"role": "user", "content": data},
        ]

    def read(self, text: str | None, request: Request) -> A:
        """The answer in a reply's text, checked.

        Raises:
            BadAnswer: no JSON ("no_json"), not of the form ("wrong_form"), or refused by the check ("check_failed").
        """
        values = list(_objects(text or ""))
        if not values:
            raise BadAnswer("no_json", "The answer is not one JSON object.")
        answers, problem = [], ""
        for value in values:
            try:
                answer = self.answer.model_validate_json(_visible(json.dumps(value, ensure_ascii=False), request))
            except ValidationError as error:
                findings = (
                    f"{'.'.join(map(str, detail['loc'])) or 'answer'}: {detail['msg']}" for detail in error.errors()[:5]
                )
                problem = "; ".join(findings)
            else:
                answers += [] if answer in answers else [answer]
        if not answers:
            raise BadAnswer("wrong_form", problem)
        if len(answers) > 1:
            raise BadAnswer("wrong_form", "There are several answers: give one.")
        answer = answers[0]
        if (wrong := self.check(request, answer)) is not None:
            raise BadAnswer("check_failed", wrong)
        return answer

    def restore(self, text: str, request: Request) -> A:
        """A stored answer, checked as `read` checks a reply."""
        return self.read(text, request)

    def mark_cut(self, answer: A) -> A:
        """The answer of a reply that ran into the limit of tokens, which a task may note in it."""
        return answer


def _objects(text: str) -> Iterator[Any]:
    """The JSON values of a reply: its whole text, or the outermost objects in it after the thoughts of the model."""
    try:
        # Constrained decoding may leave raw control characters in strings.
        yield json.loads(text, strict=False)
        return
    except (ValueError, RecursionError):
        pass
    ends = [match.end() for match in _THOUGHT.finditer(text)]
    if not ends and "<think" in text:
        return  # thoughts that were cut off
    position = ends[-1] if ends else 0
    decoder = json.JSONDecoder(strict=False)
    for _ in range(MOST_OBJECTS):
        position = text.find("{", position)
        if position < 0:
            return
        try:
            value, position = decoder.raw_decode(text, position)
            yield value
        except (ValueError, RecursionError):
            position += 1


def _visible(text: str, request: Request) -> str:
    """A text without invisible characters, but for those of the request."""
    if not _INVISIBLE.search(text):
        return text
    request_text = json.dumps(request.data, ensure_ascii=False)
    return _INVISIBLE.sub(lambda match: match.group() if match.group() in request_text else "", text)


def load_task(
    name: str,
    folder: Path,
    answer: type[A],
    *,
    role: str,
    tokens: int,
    check: Callable[[Request, A], str | None] = _accept,
    advise: Callable[[Request, A], str | None] = _accept,
    fill: Mapping[str, Mapping[str, str]] | None = None,
) -> Task[A]:
    """Read the prompts of a task. `fill` maps a language to texts that replace {{name}} in its prompt.

    Raises:
        FileNotFoundError: naming the prompt file that is missing.
        ValueError: if a {{name}} is left without a text.
    """
    prompts = {}
    for language, path in prompt_files(folder, name).items():
        text = path.read_text(encoding="utf-8").strip()
        for key, value in (fill or {}).get(language, {}).items():
            text = text.replace(f"{{{{{key}}}}}", value)
        if left := re.search(r"\{\{(\w+)\}\}", text):
            raise ValueError(f"{path}: nothing is known of {{{{{left[1]}}}}}")
        prompts[language] = text
    return Task(name, role, prompts, answer, tokens, check, advise)
