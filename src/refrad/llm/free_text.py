"""Questions about images that a model answers in free text."""

import base64
import re
from dataclasses import dataclass
from typing import Any

from refrad.llm.tasks import Answer, BadAnswer, Request, Task

__all__ = ["TextAnswer", "TextTask"]

_THOUGHT = re.compile(r"</think(?:ing)?>|<\|channel\|>final<\|message\|>", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


class TextAnswer(Answer):
    """The words of a model, without its thoughts; `cut_off` if they ran into the limit of tokens."""

    text: str
    cut_off: bool = False


@dataclass(frozen=True)
class TextTask(Task[TextAnswer]):
    """A task whose answers are free text, as models that were not trained on JSON give them; empty ones are answers too.

    The images and the prompt, with the data of the request in its {{placeholders}}, are one message of the user, since the chat
    templates of many vision-language models know no other role.
    """

    @property
    def response_format(self) -> dict[str, Any]:
        """Nothing: the answer has no form."""
        return {}

    def fill(self, request: Request) -> str:
        """The prompt with the data of the request. The data are filled in once, so that they cannot hold a placeholder.

        Raises:
            ValueError: if the prompt has a placeholder that the request has no text for.
        """

        def text_of(match: re.Match[str]) -> str:
            if match[1] not in request.data:
                raise ValueError(f"prompt of task {self.name}: nothing is known of {match[0]}")
            return str(request.data[match[1]])

        return _PLACEHOLDER.sub(text_of, self.prompts[request.language]).strip()

    def messages(self, request: Request) -> list[dict[str, Any]]:
        """The images as data URLs of PNG files, then the filled prompt."""
        images = [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(png).decode()}}
            for png in request.images
        ]
        return [{"role": "user", "content": [*images, {"type": "text", "text": self.fill(request)}]}]

    def read(self, text: str | None, request: Request) -> TextAnswer:  # noqa: ARG002
        """The words after the thoughts of the model.

        Raises:
            BadAnswer: "unfinished", if the reply ends within the thoughts.
        """
        words = (
            _THOUGHT.split(text or "")[-1].encode("utf-8", "replace").decode()
        )  # no file takes half a surrogate pair
        if "<think" in words:
            raise BadAnswer("unfinished", "The answer is missing after the thoughts.")
        return TextAnswer(text=words.strip())

    def restore(self, text: str, request: Request) -> TextAnswer:  # noqa: ARG002
        """A stored answer, as it was."""
        return TextAnswer.model_validate_json(text)

    def mark_cut(self, answer: TextAnswer) -> TextAnswer:
        """The answer with the note that it was cut off."""
        return answer.model_copy(update={"cut_off": True})
