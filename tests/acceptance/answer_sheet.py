"""A made-up model that knows the labels: it gives the right answer to each labelled request, or what a test makes of it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.llm.talking import completion

from refrad.acceptance.labelled_item import Anatomy, LabelledItem
from refrad.acceptance.trial import labelled_task

TASKS = ("rewrite", "translate", "judge", "mentions", "qa", "score")


def labelled_items(role: str, prompts: Path, anatomy: Anatomy) -> list[LabelledItem]:
    """The labelled requests of a role."""
    return labelled_task(role, SimpleNamespace(prompts=prompts), anatomy)[1]


class AnswerSheet:
    """The behaviour of a `TalkingServer` that answers by the labels; `change` gets the item and returns the text of the answer."""

    def __init__(
        self, role: str, prompts: Path, anatomy: Anatomy, change: Callable[[LabelledItem], str] | None = None
    ) -> None:
        self.task, self.items = labelled_task(role, SimpleNamespace(prompts=prompts), anatomy)
        self.change = change or right_text
        self.by_request = {self.key(item.request.language, item.request.data): item for item in self.items}

    def key(self, language: str, data: dict[str, Any]) -> tuple[str, str]:
        """Blanks at the ends of texts are those of repeated requests."""
        texts = {name: value.rstrip() if isinstance(value, str) else value for name, value in data.items()}
        return self.task.prompts[language], json.dumps(texts, sort_keys=True)

    def item_of(self, body: dict[str, Any]) -> LabelledItem:
        """The labelled request that a body asks."""
        system, user = (message["content"] for message in body["messages"][:2])
        language = next(language for language, prompt in self.task.prompts.items() if prompt == system)
        return self.by_request[self.key(language, json.loads(user))]

    def __call__(self, body: dict[str, Any]) -> tuple[int, dict, bytes]:
        return completion(self.change(self.item_of(body)))


def right_text(item: LabelledItem) -> str:
    """The right answer as a model writes it."""
    return item.right.model_dump_json()


def accepted_items(task: Any, items: Sequence[LabelledItem]) -> list[LabelledItem]:
    """The items whose right answer the check of the task accepts."""
    return [item for item in items if task.check(item.request, item.right) is None]
