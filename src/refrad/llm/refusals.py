"""Whether a server that refuses a request refuses all requests of its task, and the reason that it gives.

The reason of a refusal may quote the request, and so report text. The one that is shown is therefore that for a request without any: the
prompt of the task with a filler instead of the data, and black images.
"""

import asyncio
import io
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from refrad.llm.endpoint import RejectionError
from refrad.llm.tasks import Request, Task

__all__ = ["RefusalCheck", "blank_request", "masked_request", "reason_of"]

FEW = 4  # refused requests, with none answered, after which a task is given up
FILLER = "qwertz"  # of about two tokens, as a word of its length
LONGEST_REASON = 300  # characters

Probe = Callable[[Task[Any], Request, int], Awaitable[tuple[int, bytes]]]
"""The status and body of the reply to a request of a task with this limit of tokens; status 0 without a reply."""


class RefusalCheck:
    """The refusals of a server that has answered no request of a task yet.

    Attributes:
        reasons: task to the sentence on why all of its requests are refused.
    """

    def __init__(self, server: str, probe: Probe) -> None:
        self.reasons: dict[str, str] = {}
        self._server, self._probe = server, probe
        self._count = Counter[str]()
        self._lock = asyncio.Lock()

    async def note(self, task: Task[Any], request: Request, limit: int, is_unanswered: Callable[[], bool]) -> None:
        """Note a refused request; the first one is tried again without its data, the last of FEW with data that are as long.

        Args:
            task: of the request.
            request: that was refused.
            limit: its limit of tokens.
            is_unanswered: whether the server has still answered no request of the task.

        Raises:
            RejectionError: with the reason, at the last of FEW, if the server refuses the request without report text too.
        """
        async with self._lock:
            self._count[task.name] += 1
            count = self._count[task.name]
            if task.name not in self.reasons and count in (1, FEW) and is_unanswered():
                harmless = blank_request(request) if count == 1 else masked_request(request)
                status, content = await self._probe(task, harmless, limit)
                if status >= 400:
                    self.reasons[task.name] = f"{self._server} rejects each request ({status}): {reason_of(content)}"
            if count >= FEW and task.name in self.reasons and is_unanswered():
                raise RejectionError(self.reasons[task.name])


def blank_request(request: Request) -> Request:
    """The request with a filler instead of each value, and black images of the same size."""
    return replace(
        request, data=dict.fromkeys(request.data, FILLER), images=tuple(_black(image) for image in request.images)
    )


def masked_request(request: Request) -> Request:
    """The request with a filler instead of the letters and digits of each value, and black images of the same size."""
    return replace(blank_request(request), data={key: _masked(value) for key, value in request.data.items()})


def reason_of(content: bytes) -> str:
    """The reason in the body of a refusal, one line: the message of an error in JSON, else the text without tags."""
    text = content.decode("utf-8", "replace")
    try:
        text = _message(json.loads(text)) or text
    except (ValueError, RecursionError):
        text = re.sub(r"(?s)<(head|style|script)\b.*?</\1>|<[^>]*>", " ", text)
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    if len(line) > LONGEST_REASON:
        line = line[:LONGEST_REASON].rstrip() + " ..."
    return line or "without a reason"


def _message(value: Any) -> str:
    """The words under the keys that servers use for the message of an error, at any depth."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return next((words for key in ("error", "message", "detail", "msg") if (words := _message(value.get(key)))), "")
    if isinstance(value, list):
        return "; ".join(words for inner in value if (words := _message(inner)))
    return ""


def _masked(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return re.sub(r"\w", lambda match: FILLER[match.start() % len(FILLER)], text)


def _black(image: bytes) -> bytes:
    try:
        size = Image.open(io.BytesIO(image)).size
    except OSError:  # no image
        size = (64, 64)
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, format="PNG")
    return buffer.getvalue()
