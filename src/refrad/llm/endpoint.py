"""Replies of an OpenAI-compatible endpoint, and their meaning."""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from refrad.config import ModelOptions

__all__ = [
    "LONGEST_WAIT",
    "Completion",
    "HalfReply",
    "ModelError",
    "RejectionError",
    "ServerLostError",
    "classify_status",
    "find_problem",
    "key_of",
    "read_completion",
    "refuse_all",
    "retry_after",
    "try_completion",
]

BUSY = {408, 429, 502, 503, 504, 529}
BROKEN_OFF = {"abort", "error"}  # vLLM ends open requests so when it is stopped, with status 200
LIST_SECONDS = 5.0  # until a server that does not list its models counts as silent
LONGEST_WAIT = 30.0  # seconds, also if a server requests more


class ModelError(ValueError):
    """The model cannot be used at all; the message names the remedy. Earlier replies are kept."""


class ServerLostError(ModelError):
    """The server is gone, and connecting again may find or start another."""


class RejectionError(ModelError):
    """The server rejects each request of a task; it may answer those of others."""


class HalfReply(ValueError):
    """A reply that is no completion."""


@dataclass(frozen=True)
class Completion:
    """The text of a model, whether it ran into the limit of tokens, and how many it took."""

    text: str | None
    cut_off: bool
    prompt_tokens: int
    answer_tokens: int


def read_completion(content: bytes) -> Completion:
    """The completion in the body of a good reply.

    Raises:
        HalfReply: if there is none.
    """
    try:
        value = json.loads(content)
        choice = value["choices"][0]
        if choice.get("finish_reason") in BROKEN_OFF:
            raise HalfReply
        text, usage = choice["message"].get("content"), value.get("usage") or {}
        return Completion(
            # Half a character of an escape sequence cannot be written or sent back.
            text.encode("utf-8", "replace").decode() if isinstance(text, str) else None,
            choice.get("finish_reason") == "length",
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
        )
    except (ValueError, OverflowError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        raise HalfReply from None


def classify_status(status: int) -> str:
    """The meaning of an HTTP status: nothing (""), "busy", "server_error", or "refused"."""
    if 200 <= status < 300:
        return ""
    if status in BUSY:
        return "busy"
    return "server_error" if status >= 500 else "refused"


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a server requests to wait."""
    try:
        return min(LONGEST_WAIT, float(headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0


def refuse_all(status: int, options: ModelOptions) -> None:
    """Raise ModelError if a status means that every request will be refused: wrong key, wrong address, unknown model."""
    if status in (401, 403):
        raise ModelError(
            f"{options.name}: {options.endpoint} refuses the key: the variable that `key` names in the config must hold a"
            " valid one"
        )
    if status in (301, 302, 307, 308, 404, 405):
        raise ModelError(
            f"{options.name}: {options.endpoint} answers {status}: the endpoint must be the address before"
            " /chat/completions, and it must serve a model of this name"
        )


def key_of(options: ModelOptions) -> str | None:
    """The API key, from the environment variable that the config names.

    Raises:
        ModelError: if the variable is not set.
    """
    if options.key is None:
        return None
    if not (key := os.environ.get(options.key)):
        raise ModelError(f"{options.name}: the environment variable {options.key}, named by the config, is not set")
    return key


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which would take the key along."""

    def redirect_request(self, *_: object) -> None:
        return None


def find_problem(options: ModelOptions) -> str | None:
    """Why a server that runs already would not answer now, in one line, or None; it is asked for the list of its models alone."""
    if options.endpoint in ("managed", "shared"):
        return None
    try:
        key = key_of(options)
    except ModelError as error:
        return str(error)
    url = f"{options.endpoint.rstrip('/')}/models"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())
        with opener.open(request, timeout=LIST_SECONDS) as reply:
            names = [model["id"] for model in json.load(reply)["data"]]
    except urllib.error.HTTPError as error:
        return f"{options.name}: {options.endpoint} refuses the key" if error.code in (401, 403) else None
    except (OSError, http.client.HTTPException):
        return f"{options.name}: no server answers at {options.endpoint}"
    except (ValueError, RecursionError, KeyError, TypeError):  # no list of models
        return None
    if options.name in names or not names:
        return None
    return f"{options.name}: {options.endpoint} lists no model of this name, but {', '.join(map(str, names[:5]))}"


def try_completion(endpoint: str, key: str, model: str) -> int:
    """The HTTP status of one real completion: /health alone answers before the model does. 0 without an answer."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    request = urllib.request.Request(
        f"{endpoint}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with without_proxy.open(request, timeout=60) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except OSError:
        return 0
