"""Who may use the review pages: the person who has the address, from a page of this server, on this machine."""

import logging
import secrets
from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEADERS", "START", "AccessGuard", "make_token"]

START = "/start"  # the address that is printed, with the token
LARGEST_BODY = 20_000  # bytes of a verdict with its reason

# The pages show report text: nothing of them is stored by the browser, sent elsewhere, or shown inside of another page.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
}

log = logging.getLogger(__name__)


def make_token() -> str:
    """256 secret random bits, as text for an address."""
    return secrets.token_urlsafe(32)


class AccessGuard:
    """An ASGI application that lets a request through to `app` if it comes from whom it may, and adds `HEADERS` to each answer.

    The printed address has the token, which the first page exchanges for a cookie, so that it leaves the address bar and the history.
    A page of another site that resolves its own name to this machine (DNS rebinding) sends that name as Host and is refused.

    Attributes:
        hosts: values of the header Host that name this server.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self.hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
        self._cookie = f"refrad-review-{port}"  # browsers do not keep the cookies of two ports apart

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there are no web sockets

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name.decode() not in HEADERS]
                message["headers"] = [*headers, *((name.encode(), value.encode()) for name, value in HEADERS.items())]
            await send(message)

        request = HTTPConnection(scope)
        refusal = self._refusal(request, scope["method"])
        if refusal is None and scope["path"] == START:
            refusal = self._start(scope["query_string"])
        try:
            await (refusal or self._app)(scope, receive, send_with_headers)
        except Exception as error:
            # Starlette has answered. The message of the error may hold report text: the log gets its kind alone.
            log.error("a page failed: %s", type(error).__name__)

    def _refusal(self, request: HTTPConnection, method: str) -> Response | None:
        """The answer to a request that is refused."""
        headers = request.headers
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return PlainTextResponse("Another name of this machine: open the address that refrad review printed.", 421)
        if method not in {"GET", "HEAD", "POST"}:
            return PlainTextResponse("No such method.", 405)
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"} and method == "POST":
            return PlainTextResponse("Verdicts come from the pages of this server only.", 403)
        if method == "POST" and not _is_own_post(headers, host):
            return PlainTextResponse("Verdicts come from the pages of this server only.", 403)
        if request.url.path != START and not self._equals_token(request.cookies.get(self._cookie, "")):
            return PlainTextResponse("Open the address that refrad review printed in the terminal.", 403)
        return None

    def _start(self, query: bytes) -> Response:
        """The first page: the token becomes a cookie. A page that leads on, since a redirect from elsewhere would send no strict cookie."""
        token = parse_qs(query.decode("latin-1")).get("token", [""])[0]
        if not self._equals_token(token):
            return PlainTextResponse(
                "The address is not the one that refrad review printed, or it is of an earlier start.", 403
            )
        page = HTMLResponse(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={escape("/")}"><title>RefRad</title>'
        )
        page.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
        return page

    def _equals_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self._token.encode())


def _is_own_post(headers: Mapping[str, str], host: str) -> bool:
    """Whether a page of this server has sent a request that writes: browsers name the origin, and JSON needs consent across origins."""
    return (
        headers.get("origin", "").lower() == f"http://{host}"
        and headers.get("content-type", "").split(";")[0].strip() == "application/json"
        and headers.get("content-length", "x").isdigit()
        and int(headers["content-length"]) <= LARGEST_BODY
    )
