"""Requests to one model over HTTP: any OpenAI-compatible endpoint, many concurrent requests, answers checked and kept."""

import asyncio
import json
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import aiohttp

from refrad.config import ModelOptions
from refrad.core.files import digest_bytes
from refrad.llm.concurrency import Gate
from refrad.llm.endpoint import (
    LONGEST_WAIT,
    Completion,
    HalfReply,
    ModelError,
    RejectionError,
    ServerLostError,
    classify_status,
    read_completion,
    refuse_all,
    retry_after,
)
from refrad.llm.refusals import RefusalCheck
from refrad.llm.replies import Account, Reply
from refrad.llm.store import ReplyStore, Usage
from refrad.llm.tasks import Answer, BadAnswer, Request, Task

__all__ = ["Client"]

WINDOW = 8  # requests in hand for each that is under way, so that a slow one holds up no other
HARDEST_TRIES = 4  # of a request that the server fails on, or does not answer in time
LOST_TRIES = 3  # servers lost one after the other
FIRST_WAIT = 0.25  # seconds before a request is sent again; each time twice as long, up to LONGEST_WAIT
CONNECT_SECONDS = 8.0  # until a connection counts as refused
LOOK_SECONDS = 5.0  # until a server counts as silent that does not list its models
SILENT_SECONDS = 8.0  # without a first answer, after which that is logged
PROBE_SECONDS = 10.0  # until a server counts as accepting a request, since it refuses one at once
KEPT_OPEN = 1.0  # seconds that an idle connection is used again; a vLLM of others closes it after 5, or sooner if busy
SEND_FIRST = 0.002  # seconds until a reply is looked at: the next requests go out before
LOG_SECONDS = 60.0  # seconds between lines in the log
POLL = 0.25  # seconds between looks for the reply to a request of another job

log = logging.getLogger(__name__)

A = TypeVar("A", bound=Answer)


class _Failed(Exception):
    """One request has no answer. `reason` is a short code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class _OpenRequest(Generic[A]):
    """A request under way: its JSON body, the key of its reply in the store, and the account of its task."""

    task: Task[A]
    request: Request
    body: dict[str, Any]
    key: str
    account: Account


class Client:
    """Sends requests to one model. `connect` returns the endpoint when it is first needed; `check` raises ModelError if it is gone, and
    ServerLostError if `connect` may find another.
    """

    def __init__(
        self,
        options: ModelOptions,
        store: ReplyStore,
        connect: Callable[[], tuple[str, str | None]],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.options, self.store = options, store
        self.accounts: dict[str, Account] = {}
        self._connect, self._check = connect, check
        self._loop = asyncio.new_event_loop()
        self._gate = Gate(options.concurrency)
        self._first_contact = options.patience  # seconds
        self._http: aiohttp.ClientSession | None = None
        self._endpoint = self._models = ""
        self._flying: dict[str, asyncio.Future[Reply[Any]]] = {}
        self._last_success = 0.0
        self._lost = 0  # servers since the last success
        self._warned = self._contacted = 0.0
        self._is_silent = True  # no answer so far, and not logged
        self._refusals = RefusalCheck(f"{options.name}: {options.endpoint}", self._probe)

    @property
    def request_limit(self) -> int:
        """Largest number of requests at once now; it is lower than `concurrency` while the server is busy."""
        return int(self._gate.limit)

    def limit_requests(self, most: int) -> None:
        """Send at most so many requests at once from now on, whatever `concurrency` says; not while replies are awaited."""
        self._gate = Gate(most)

    def expect_server(self, seconds: float) -> None:
        """Stop if no server can be reached for so many seconds before the first answer, instead of after `patience`."""
        self._first_contact = min(seconds, self.options.patience)

    def ask(self, task: Task[A], requests: Iterable[Request]) -> Iterator[Reply[A]]:
        """The replies, in the order of the requests, which are read as they are needed.

        Raises:
            ModelError: if the endpoint refuses all requests, or has not answered any for `patience` seconds. The message has the
                reason that the server gives for a request without report text.
        """
        requests = iter(requests)
        window: deque[asyncio.Task[Reply[A]]] = deque()
        self.accounts.setdefault(task.name, Account())
        self._last_success = logged = time.monotonic()
        has_answer = False
        try:
            while True:
                if time.monotonic() - logged > LOG_SECONDS:
                    logged = time.monotonic()
                    self._log_progress(task.name)
                while len(window) < WINDOW * self.options.concurrency:
                    if (request := next(requests, None)) is None:
                        break
                    window.append(self._loop.create_task(self._reply(task, request)))
                if not window:
                    break
                self._log_silence(window[0])
                reply = self._loop.run_until_complete(window[0])
                has_answer = has_answer or reply.answer is not None
                yield reply
                window.popleft()
            if not has_answer and (reason := self._refusals.reasons.get(task.name)):
                raise RejectionError(reason)
        finally:
            for pending in window:
                pending.cancel()
            if window:
                self._loop.run_until_complete(asyncio.wait(window))

    def _log_silence(self, reply: asyncio.Task[Reply[Any]]) -> None:
        """Wait for a reply until the first answer of the server, or until it has been silent for so long that it is logged."""
        while self._is_silent and not reply.done():
            self._loop.run_until_complete(asyncio.wait({reply}, timeout=POLL))
            if self._contacted and time.monotonic() - self._contacted > SILENT_SECONDS and not self._warned:
                self._is_silent = False
                log.warning(
                    "%s: no answer from %s to the first requests for %.0f s; waits up to %.0f s for each",
                    *(self.options.name, self.options.endpoint, SILENT_SECONDS, self.options.timeout),
                )

    def _log_progress(self, task: str) -> None:
        """Log the numbers of replies and failures."""
        account = self.accounts[task]
        failed = sum(number for how, number in account.requests.items() if how.startswith("failed"))
        log.info(
            "%s: %d replies, %d of them failed; at most %d at once now",
            *(task, account.requests.total(), failed, self.request_limit),
        )

    def forget(self) -> None:
        """Connect anew at the next request: the server was stopped to make room for another."""
        self._http = None

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._loop.run_until_complete(self._http.close())
        self._loop.close()

    def body(self, task: Task[Any], request: Request) -> dict[str, Any]:
        """The JSON body of a request, without its `max_tokens`; its digest is the key of the reply in the store."""
        return {
            "model": self.options.name,
            "messages": task.messages(request),
            "temperature": self.options.temperature,
            **task.response_format,
            **self.options.extra,
        }

    async def _reply(self, task: Task[A], request: Request) -> Reply[A]:
        """From an equal open request, the store, another job with the same request, or the server."""
        body = self.body(task, request)
        key = digest_bytes(json.dumps(body, sort_keys=True, ensure_ascii=False).encode())
        account = self.accounts[task.name]
        self.store.note(key, request.subject)
        if (flying := self._flying.get(key)) is not None:
            account.requests["same as another"] += 1
            same: Reply[A] = await asyncio.shield(flying)
            return Reply(request, same.answer, same.failure, same.model)
        mine = self._flying[key] = self._loop.create_future()
        try:
            reply = await self._stored_or_sent(_OpenRequest(task, request, body, key, account))
            mine.set_result(reply)
            return reply
        except BaseException as error:
            mine.set_exception(error if isinstance(error, ModelError) else ModelError("stopped"))
            mine.exception()  # marks it as retrieved: no other request may wait for it
            raise
        finally:
            del self._flying[key]

    async def _stored_or_sent(self, open_request: _OpenRequest[A]) -> Reply[A]:
        request, key = open_request.request, open_request.key
        while True:
            with self.store.claim(key) as claimed:
                if (answer := self._stored(open_request.task, request, key)) is not None:
                    open_request.account.requests["found in the store"] += 1
                    return Reply(request, answer, None, self.options.name)
                if claimed:
                    return await self._send(open_request)
            await asyncio.sleep(POLL)  # another job has sent the same request

    def _stored(self, task: Task[A], request: Request, key: str) -> A | None:
        """A stored answer, if it passes the checks of today."""
        text = self.store.answer(key)
        try:
            return None if text is None else task.restore(text, request)
        except BadAnswer:
            return None

    async def _send(self, open_request: _OpenRequest[A]) -> Reply[A]:
        """Send the request, and once more with the error of the answer; keep the answer or the failure."""
        task, request, account = open_request.task, open_request.request, open_request.account
        body, used = open_request.body, [0, 0, 0.0]
        limit = task.tokens + self.options.thinking
        answer: A | None = None
        failure: str | None = None
        for repair in (False, True):
            try:
                content = json.dumps(body | {"max_tokens": limit}, ensure_ascii=False).encode()
                completion = await self._post(content, account, used)
            except _Failed as failed:
                failure = failed.reason
                # A server of a model without images may answer 500 to one.
                if account.calls == 0 and (failure == "refused" or (failure == "server_error" and request.images)):
                    await self._refusals.note(task, request, limit, lambda: account.calls == 0)
                break
            await asyncio.sleep(SEND_FIRST)
            try:
                answer = task.read(completion.text, request)
                answer = task.mark_cut(answer) if completion.cut_off else answer
                if not repair and (advice := task.advise(request, answer)) is not None:
                    raise BadAnswer("advised", advice)
                failure = None
                account.requests["repaired" if repair else "answered"] += 1
                break
            except BadAnswer as bad:
                failure = "cut_off" if completion.cut_off else bad.reason
                if not repair:
                    account.again[failure] += 1
                if completion.cut_off:
                    limit *= 2
                else:
                    correction = (
                        f"This answer is not accepted: {bad} Give the whole answer again, corrected, as JSON only."
                    )
                    bad_turn = [
                        {"role": "assistant", "content": completion.text or "{}"},
                        {"role": "user", "content": correction},
                    ]
                    body = body | {"messages": body["messages"] + bad_turn}
        if answer is not None and failure is not None:
            failure = None  # the first answer stands, though the second is worse
            account.requests["answered"] += 1
        if failure is not None:
            account.requests[f"failed: {failure}"] += 1
        answer_text = None if answer is None else answer.model_dump_json()
        cost = Usage(int(used[0]), int(used[1]), used[2])
        self.store.put(open_request.key, task.name, self.options.name, answer_text, failure, cost)
        return Reply(request, answer, failure, self.options.name)

    async def _post(self, content: bytes, account: Account, used: list[float]) -> Completion:
        """One reply of the model to a body; the request is sent again until the server answers it.

        Raises:
            _Failed: if this one request cannot be answered.
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
                    self._count(completion, account, used, time.monotonic() - entered)
                    return completion
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
                account.again["server lost"] += 1
                continue
            if problem == "refused":
                refuse_all(status, self.options)
                raise _Failed("refused")
            hard += problem not in ("busy", "unreachable")
            if hard >= HARDEST_TRIES:
                raise _Failed(problem)
            patience = self._first_contact if problem == "unreachable" else self.options.patience
            if time.monotonic() - max(self._last_success, begun) > patience:
                raise ModelError(
                    f"{self.options.name}: no answer from {self.options.endpoint} for {patience:.0f} s"
                    f" ({problem}): check that it runs, then start again; earlier answers are kept"
                )
            account.again[problem] += 1
            if problem == "unreachable" and time.monotonic() - self._warned > LOG_SECONDS:
                self._warned = time.monotonic()
                log.info("no server answers at %s: tries again for %.0f s", self.options.endpoint, patience)
            await asyncio.sleep(max(asked_wait, random.uniform(wait / 2, wait)))
            wait = min(2 * wait, LONGEST_WAIT)

    async def _probe(self, task: Task[Any], request: Request, limit: int) -> tuple[int, bytes]:
        """The status and body of the reply to a request that is neither stored nor repeated; status 0 without a reply in time."""
        content = json.dumps(self.body(task, request) | {"max_tokens": limit}, ensure_ascii=False).encode()
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

    def _count(self, completion: Completion, account: Account, used: list[float], seconds: float) -> None:
        """Tokens and time of a reply are added to the account of the task and to those of the request."""
        self._last_success, self._lost, self._first_contact = time.monotonic(), 0, self.options.patience
        self._is_silent = False
        account.calls += 1
        account.prompt_tokens += completion.prompt_tokens
        account.answer_tokens += completion.answer_tokens
        account.seconds += seconds
        for position, amount in enumerate((completion.prompt_tokens, completion.answer_tokens, seconds)):
            used[position] += amount
