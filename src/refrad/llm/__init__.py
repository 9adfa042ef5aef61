"""Requests to language models: tasks as data, any OpenAI-compatible endpoint, replies kept. Knows no radiology.

A list of requests takes three lines (docs/llm.md):

    task = load_task("qa", folder, QaAnswer, role="qa", tokens=800)
    with open_models(llm) as models:
        replies = list(models.ask(task, [Request("en", {"report": text}) for text in texts]))

Each reply holds an answer that passed all checks, or None and the reason why.
"""

from refrad.llm.endpoint import ModelError, RejectionError
from refrad.llm.free_text import TextAnswer, TextTask
from refrad.llm.models import Models, open_models
from refrad.llm.replies import Reply
from refrad.llm.tasks import Answer, Request, Task, load_task

__all__ = [
    "Answer",
    "ModelError",
    "Models",
    "RejectionError",
    "Reply",
    "Request",
    "Task",
    "TextAnswer",
    "TextTask",
    "load_task",
    "open_models",
]
