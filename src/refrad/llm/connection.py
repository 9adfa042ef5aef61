"""The connection to one model: any OpenAI-compatible server over HTTP, many requests at once, each sent until the server answers it."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable

import aiohttp

from refrad.config import ModelOptions
from refrad.llm.concurrency import Gate
from refrad.llm.endpoint import (
    LONGEST_WAIT,
    Completion,
    HalfReply,
    ModelError,
    ServerLostError,
    classify_status,
    read_completion,
    refuse_all,
    retry_after,
)

__all__ = ["Connection", "UnansweredError"]

HARDEST_TRIES = 4  # of a request that the server fails on, or does not answer in time
LOST_TRIES = 3  # servers lost one after the other
FIRST_WAIT = 0.25  # seconds before a request is sent again; each time twice as long, up to LONGEST_WAIT
CONNECT_SECONDS = 8.0  # until a connection counts as refused
LOOK_SECONDS = 5.0  # until a server counts as silent that does not list its models
SILENT_SECONDS = 8.0  # without a first answer, after which that is logged
PROBE_SECONDS = 10.0  # until a server counts as accepting a request, since it refuses one at once
KEPT_OPEN = 1.0  # seconds that an idle connection is used again; a vLLM of others closes it after 5, or sooner if busy
LOG_SECONDS = 60.0  # seconds between lines in the log

log = logging.getLogger(__name__)


class UnansweredError(Exception):
    """The server has no answer to one request. `reason` is a short code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connection:
    """Sends requests to one model. `connect` returns the endpoint when it is first needed; `check` raises ModelError if it is gone, and
    ServerLostError if `connect` may find another.
    """

    def __init__(
        self,
        options: ModelOptions,
        connect: Callable[[], tuple[str, str | None]],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.options = options
        self._connect, self._check = connect, check
        self._gate = Gate(options.concurrency)
        self._first_contact = options.patience  # seconds
        self._http: aiohttp.ClientSession | None = None
        self._endpoint = self._models = ""
        self._last_success = 0.0
        self._lost = 0  # servers since the last success
        self._warned = self._contacted = 0.0
        self._is_silent = True  # no answer so far, and not logged

    @property
    def request_limit(self) -> int:
        """Largest number of requests at once now; it is lower than `concurrency` while the server is busy."""
        return int(self._gate.limit)

    @property
    def is_silent(self) -> bool:
        """True until the server's first answer, or until `log_silence` has logged that there is none."""
        return self._is_silent

    def limit_requests(self, most: int) -> None:
        """Send at most so many requests at once from now on, whatever `concurrency` says; not while replies are awaited."""
        self._gate = Gate(most)

    def expect_server(self, seconds: float) -> None:
        """Stop if no server can be reached for so many seconds before the first answer, instead of after `patience`."""
        self._first_contact = min(seconds, self.options.patience)

    def start_patience(self) -> None:
        """Count `patience` from now: the time before was not spent on requests."""
        self._last_success = time.monotonic()

    def log_silence(self) -> None:
        """Log once that the server has been silent to its first requests for some seconds, if it has."""
        if self._contacted and time.monotonic() - self._contacted > SILENT_SECONDS and not self._warned:
            self._is_silent = False
            log.warning(
                "%s: no answer from %s to the first requests for %.0f s; waits up to %.0f s for each",
                *(self.options.name, self.options.endpoint, SILENT_SECONDS, self.options.timeout),
            )

    def forget(self) -> None:
        """Connect anew at the next request: the server was stopped to make room for another."""
        self._http = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()

    async def post(self, content: bytes, again: Counter[str]) -> tuple[Completion, float]:
        """One reply of the model to a body, and its seconds; the request is sent again until the server answers it.

        Args:
            content: the body, JSON.
            again: counts why the request was sent again.

        Raises:
            UnansweredError: if this one request cannot be answered.
            ModelError: if none can.
        """
        wait, hard, begun = FIRST_WAIT, 0, 0.0
        while True:
            entered = await self._gate.enter()
            begun = begun or entered
            problem, asked_wait, status = "busy", 0.0, 0
            try:
                http = self._http or await self._open_and_look()
                async with http.post(self._endpoint, data=content, allow_redirects=False) as response:
                    status, asked_wait = response.status, retry_after(response.headers)
                    text = await response.read()
                if (problem := classify_status(status)) == "":
                    completion = read_completion(text)
                    self._last_success, self._lost, self._first_contact = time.monotonic(), 0, self.options.patience
                    self._is_silent = False
                    return completion, self._last_success - entered
            except aiohttp.ConnectionTimeoutError:
                problem = "unreachable"
            except TimeoutError:
                problem = "time_out"
            except (aiohttp.ClientError, OSError):
                problem = "unreachable"
            except HalfReply:
                problem = "half_reply"
            finally:
                self._gate.leave(entered, busy=problem in ("busy", "unreachable", "time_out"))
            try:
                self._check()
            except ServerLostError as lost:
                await self._connect_anew(lost)
                again["server lost"] += 1
                continue
            if problem == "refused":
                refuse_all(status, self.options)
                raise UnansweredError("refused")
            hard += problem not in ("busy", "unreachable")
            if hard >= HARDEST_TRIES:
                raise UnansweredError(problem)
            patience = self._first_contact if problem == "unreachable" else self.options.patience
            if time.monotonic() - max(self._last_success, begun) > patience:
                raise ModelError(
                    f"{self.options.name}: no answer from {self.options.endpoint} for {patience:.0f} s"
                    f" ({problem}): check that it runs, then start again; earlier answers are kept"
                )
            again[problem] += 1
            if problem == "unreachable" and time.monotonic() - self._warned > LOG_SECONDS:
                self._warned = time.monotonic()
                log.info("no server answers at %s: tries again for %.0f s", self.options.endpoint, patience)
            await asyncio.sleep(max(asked_wait, random.uniform(wait / 2, wait)))
            wait = min(2 * wait, LONGEST_WAIT)

    async def probe(self, content: bytes) -> tuple[int, bytes]:
        """The status and body of the reply to a request that is not repeated; status 0 without a reply in time."""
        http, seconds = self._http or self._open(), aiohttp.ClientTimeout(total=PROBE_SECONDS)
        try:
            async with http.post(self._endpoint, data=content, allow_redirects=False, timeout=seconds) as response:
                return response.status, await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError):
            return 0, b""

    async def _open_and_look(self) -> aiohttp.ClientSession:
        """Connect, and see whether the server says anything, at best the list of its models.

        Raises:
            ModelError: if it says nothing, and a server was expected.
            aiohttp.ConnectionTimeoutError: if no connection is made.
        """
        http, seconds = self._open(), aiohttp.ClientTimeout(connect=LOOK_SECONDS, sock_read=LOOK_SECONDS)
        try:
            async with http.get(self._models, timeout=seconds) as response:
                await response.read()
        except aiohttp.SocketTimeoutError:
            silence = f"{self.options.name}: {self.options.endpoint} accepts connections, but does not answer"
            if self._first_contact < self.options.patience:
                raise ModelError(f"{silence}: check that it runs") from None
            log.warning("%s; waits up to %.0f s for each request", silence, self.options.timeout)
            self._is_silent = False
        except aiohttp.ConnectionTimeoutError:
            raise
        except (aiohttp.ClientError, OSError):
            pass  # the request itself meets the same
        return http

    def _open(self) -> aiohttp.ClientSession:
        """Connect at the first request: a managed server starts only if there is a request."""
        endpoint, key = self._connect()
        self._endpoint, self._models = (f"{endpoint.rstrip('/')}/{route}" for route in ("chat/completions", "models"))
        self._last_success = self._contacted = time.monotonic()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        # No proxy of the environment gets to see report text. The gate limits the connections.
        self._http = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_OPEN),
            timeout=aiohttp.ClientTimeout(total=self.options.timeout, connect=CONNECT_SECONDS),
            trust_env=False,
        )
        return self._http

    async def _connect_anew(self, lost: ServerLostError) -> None:
        """Connect to another server. Raise the error if LOST_TRIES servers were lost before any answer."""
        self._lost += 1
        if self._lost == LOST_TRIES:
            raise lost
        log.info("%s; connects anew and repeats the open requests", lost)
        before = self._http
        self._open()
        if before is not None:
            await before.close()
