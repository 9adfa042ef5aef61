"""ASGI middleware of a vLLM server that answers no request without its key, on any route.

vLLM itself looks at the key on some routes only, such as /v1, and answers others for anybody, such as /invocations. This module
runs in the environment of vLLM and so needs the standard library alone.
"""

import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

__all__ = ["KEY_VARIABLE", "KeyGuard"]

KEY_VARIABLE = "VLLM_API_KEY"
CLOSED_BY_POLICY = 1008  # of a WebSocket: RFC 6455, 7.4.1

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class KeyGuard:
    """Passes requests with `Authorization: Bearer <key>` to the application and refuses all others with 401.

    Raises:
        KeyError: if the environment has no key, so that no server is ever open.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app
        if not (key := os.environ.get(KEY_VARIABLE, "").strip()):
            raise KeyError(KEY_VARIABLE)
        self.expected = _digest(f"Bearer {key}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or the start and end of the server, which have no sender."""
        if scope["type"] == "lifespan" or self._has_key(scope.get("headers", ())):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": CLOSED_BY_POLICY})
        else:
            headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"error": "Unauthorized"}'})

    def _has_key(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Is there one header with the key? Digests are compared, so that the time tells nothing."""
        values = [value for name, value in headers if name.lower() == b"authorization"]
        return len(values) == 1 and hmac.compare_digest(_digest(values[0]), self.expected)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
