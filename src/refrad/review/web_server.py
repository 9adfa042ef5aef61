"""The review server: the pages of `refrad review`, on the loopback address of this machine alone."""

import errno
import logging
import socket
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from refrad.review.access import START, AccessGuard
from refrad.review.desk import UnknownPairError
from refrad.review.image_answers import ImageAnswers
from refrad.review.pair_pages import PairPages
from refrad.review.review_pages import render_page
from refrad.review.verdict_posts import VerdictPosts

__all__ = ["ADDRESSES", "build_application", "open_port", "serve_until_stopped", "start_address"]

ADDRESSES = ("127.0.0.1", "::1")
FIRST_PORT, PORTS = 8321, 20
PATIENCE = 3  # seconds for answers that are under way when the server stops

log = logging.getLogger(__name__)


def open_port(address: str, port: int | None) -> socket.socket:
    """A socket that listens on a port of the loopback address: the named one, or else the first free one from `FIRST_PORT`.

    Raises:
        ValueError: if the port is taken, or the machine has no such address.
    """
    ports = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + PORTS)
    for number in ports:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, number))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                continue
            reason = "its numbers below 1024 are the administrator's" if error.errno == errno.EACCES else error.strerror
            raise ValueError(f"port {number} of {address} cannot be opened: {reason}") from None
        except OverflowError:
            listener.close()
            raise ValueError(f"--port {number}: a port is a number from 0 to 65535") from None
        return listener
    if port is not None:
        raise ValueError(f"port {port} is taken: name another with --port, or none for the next free one")
    raise ValueError(f"ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are taken: name a free one with --port")


def start_address(listener: socket.socket, token: str) -> str:
    """The address that opens the first page: whoever has it can use the server."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{START}?token={token}"


def build_application(
    pages: PairPages, images: ImageAnswers, posts: VerdictPosts, token: str, port: int
) -> AccessGuard:
    """The ASGI application of the server, for a port of the loopback address."""
    routes = [
        Route("/", pages.list_pairs),
        Route("/pair", pages.show_pair),
        Route("/queue", pages.next_of_queue),
        Route("/left-out", pages.list_left_out),
        Route("/summary", pages.show_summary),
        Route("/slice.png", images.slice_picture),
        Route("/picture.png", images.stored_picture),
        Route("/outlines", images.outlines),
        Route("/others", images.other_outlines),
        Route("/reviewer", pages.ask_reviewer),
        Route("/reviewer", posts.name_reviewer, methods=["POST"]),
        Route("/verdict", posts.add_verdict, methods=["POST"]),
        Route("/undo", posts.undo_verdict, methods=["POST"]),
        Route("/favicon.ico", lambda _: Response(status_code=204)),
        Mount("/assets", StaticFiles(packages=[("refrad.review", "assets")])),
    ]
    handlers: dict[Any, Any] = {HTTPException: _refuse, UnknownPairError: _refuse, Exception: _fail}
    return AccessGuard(Starlette(routes=routes, exception_handlers=handlers), token, port)


def serve_until_stopped(application: AccessGuard, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM. No request is logged: an address holds what a reviewer searches for."""
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=PATIENCE,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn passes it on after it has stopped
        pass
    finally:
        listener.close()


def _refuse(request: Request, error: Exception) -> Response:
    """The answer to an address that has nothing, or whose values are wrong."""
    status, text = (error.status_code, error.detail) if isinstance(error, HTTPException) else (404, str(error))
    return _message(request, status, "Nothing here", f"{text}.")


def _fail(request: Request, error: Exception) -> Response:
    """The answer where a page fails; the reason may hold report text, so the page shows it and the log does not."""
    return _message(request, 500, "This page failed", f"{type(error).__name__}: {error}")


def _message(request: Request, status: int, title: str, text: str) -> Response:
    if request.method == "POST" or request.url.path in {"/outlines", "/others", "/slice.png", "/picture.png"}:
        return JSONResponse({"error": text or title}, status)
    reviewer = unquote(request.cookies.get("refrad-reviewer", ""))
    return HTMLResponse(render_page("message", title, reviewer, message=text), status)
