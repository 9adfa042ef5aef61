"""Asking one model over HTTP: any OpenAI-compatible endpoint, many requests at once, answers checked and kept."""

import asyncio
import json
import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import aiohttp

from refrad.config import ModelOptions
from refrad.files import digest_bytes
from refrad.llm.gate import Gate
from refrad.llm.replies import Account, Reply
from refrad.llm.store import Store
from refrad.llm.tasks import Answer, BadAnswer, Request, Task

__all__ = ["Client", "ModelError"]

WINDOW = 8  # requests in hand for each that is under way, so that a slow one holds up no other
BUSY = {408, 429, 502, 503, 504, 529}
HARDEST_TRIES = 4  # of a request that the server fails on, or does not answer in time
FIRST_WAIT, LONGEST_WAIT = 0.25, 30.0  # seconds before a request is sent again
KEPT_OPEN = 4.0  # seconds that an idle connection is used again; vLLM closes it after 5
SEND_FIRST = 0.002  # seconds until a reply is looked at: the next requests go out before
POLL = 0.25  # seconds between looks for the reply that another job asked for

log = logging.getLogger(__name__)

A = TypeVar("A", bound=Answer)


class ModelError(ValueError):
    """The model cannot be asked at all; the message says what to do. Replies that came before are kept."""


class _Failed(Exception):
    """One request has no answer. `reason` is a short code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Client:
    """Asks one model. `connect` gives the endpoint when it is first needed; `check` raises ModelError if it is gone."""

    def __init__(
        self,
        options: ModelOptions,
        store: Store,
        connect: Callable[[], tuple[str, str | None]],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.options, self.store = options, store
        self.accounts: dict[str, Account] = {}
        self._connect, self._check = connect, check
        self._loop = asyncio.new_event_loop()
        self._gate = Gate(options.concurrency)
        self._http: aiohttp.ClientSession | None = None
        self._endpoint = ""
        self._flying: dict[str, asyncio.Future[Reply[Any]]] = {}
        self._last_success = 0.0

    def ask(self, task: Task[A], requests: Iterable[Request]) -> Iterator[Reply[A]]:
        """The replies, in the order of the requests, which are read as they are needed.

        Raises:
            ModelError: if the endpoint refuses all requests, or has not answered any for `patience` seconds.
        """
        requests = iter(requests)
        window: deque[asyncio.Task[Reply[A]]] = deque()
        self._last_success = time.monotonic()
        try:
            while True:
                while len(window) < WINDOW * self.options.concurrency:
                    if (request := next(requests, None)) is None:
                        break
                    window.append(self._loop.create_task(self._reply(task, request)))
                if not window:
                    return
                yield self._loop.run_until_complete(window[0])
                window.popleft()
        finally:
            for one in window:
                one.cancel()
            if window:
                self._loop.run_until_complete(asyncio.wait(window))

    def forget(self) -> None:
        """Connect anew at the next request: the server was stopped to make room for another."""
        self._http = None

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._loop.run_until_complete(self._http.close())
        self._loop.close()

    def _body(self, task: Task[Any], request: Request) -> dict[str, Any]:
        form = {"name": task.name, "schema": task.schema, "strict": True}
        return {
            "model": self.options.name,
            "messages": task.messages(request),
            "temperature": self.options.temperature,
            "response_format": {"type": "json_schema", "json_schema": form},
            **self.options.extra,
        }

    async def _reply(self, task: Task[A], request: Request) -> Reply[A]:
        """From a request in hand, the store, another job that asks the same, or the server."""
        body = self._body(task, request)
        key = digest_bytes(json.dumps(body, sort_keys=True, ensure_ascii=False).encode())
        account = self.accounts.setdefault(task.name, Account())
        if (flying := self._flying.get(key)) is not None:
            account.requests["same as another"] += 1
            same: Reply[A] = await asyncio.shield(flying)
            return Reply(request, same.answer, same.failure, same.model)
        mine = self._flying[key] = self._loop.create_future()
        try:
            reply = await self._stored_or_asked(task, request, body, key, account)
            mine.set_result(reply)
            return reply
        except BaseException as error:
            mine.set_exception(error if isinstance(error, ModelError) else ModelError("stopped"))
            mine.exception()  # nobody need wait for it
            raise
        finally:
            del self._flying[key]

    async def _stored_or_asked(
        self, task: Task[A], request: Request, body: dict[str, Any], key: str, account: Account
    ) -> Reply[A]:
        while True:
            with self.store.claim(key) as claimed:
                if (found := self._stored(task, request, key)) is not None:
                    account.requests["found in the store"] += 1
                    return Reply(request, found, None, self.options.name)
                if claimed:
                    return await self._asked(task, request, body, key, account)
            await asyncio.sleep(POLL)  # another job asks the same just now

    def _stored(self, task: Task[A], request: Request, key: str) -> A | None:
        """A stored answer, if it passes the checks of today."""
        text = self.store.answer(key)
        try:
            return None if text is None else task.read(text, request)
        except BadAnswer:
            return None

    async def _asked(
        self, task: Task[A], request: Request, body: dict[str, Any], key: str, account: Account
    ) -> Reply[A]:
        """Ask, and once more with what was wrong; keep the answer or the failure."""
        used = [0, 0, 0.0]
        limit = task.tokens + self.options.thinking
        answer: A | None = None
        failure: str | None = None
        for repair in (False, True):
            try:
                reply = await self._post(body | {"max_tokens": limit}, account, used)
            except _Failed as failed:
                failure = failed.reason
                break
            text, cut_off = reply
            await asyncio.sleep(SEND_FIRST)
            try:
                answer = task.read(text, request)
                failure = None
                account.requests["repaired" if repair else "answered"] += 1
                break
            except BadAnswer as bad:
                failure = "cut_off" if cut_off else bad.reason
                if not repair:
                    account.again[failure] += 1
                if cut_off:
                    limit *= 2
                else:
                    told = f"This answer is not accepted: {bad} Give the whole answer again, corrected, as JSON only."
                    bad_turn = [{"role": "assistant", "content": text or "{}"}, {"role": "user", "content": told}]
                    body = body | {"messages": body["messages"] + bad_turn}
        if failure is not None:
            account.requests[f"failed: {failure}"] += 1
        kept = None if answer is None else answer.model_dump_json()
        self.store.put(key, task.name, self.options.name, kept, failure, (int(used[0]), int(used[1]), used[2]))
        return Reply(request, answer, failure, self.options.name)

    async def _post(self, body: Mapping[str, Any], account: Account, used: list[float]) -> tuple[str | None, bool]:
        """The text of one reply and whether it was cut off, sent again until the server gives one.

        Raises:
            _Failed: if this one request cannot be answered.
            ModelError: if none can.
        """
        content = json.dumps(body, ensure_ascii=False).encode()
        wait, hard, begun = FIRST_WAIT, 0, 0.0
        while True:
            http = self._http or self._open()
            entered = await self._gate.enter()
            begun = begun or entered
            problem, asked_wait, status = "busy", 0.0, 0
            try:
                async with http.post(self._endpoint, data=content, allow_redirects=False) as response:
                    status, asked_wait = response.status, _retry_after(response.headers)
                    text = await response.read()
                if (problem := _problem(status)) == "":
                    return self._take(text, account, used, time.monotonic() - entered)
            except TimeoutError:
                problem = "time_out"
            except (aiohttp.ClientError, OSError):
                problem = "unreachable"
            except _Failed as failed:
                problem = failed.reason
            finally:
                self._gate.leave(entered, busy=problem in ("busy", "unreachable", "time_out"))
            if problem == "refused":
                self._refuse(status)
                raise _Failed("refused")
            self._check()
            hard += problem not in ("busy", "unreachable")
            if hard >= HARDEST_TRIES:
                raise _Failed(problem)
            if time.monotonic() - max(self._last_success, begun) > self.options.patience:
                raise ModelError(
                    f"{self.options.name}: no answer from {self.options.endpoint} for {self.options.patience:.0f} s"
                    f" ({problem}): see whether it runs, then start again; what was answered is kept"
                )
            account.again[problem] += 1
            await asyncio.sleep(max(asked_wait, random.uniform(wait / 2, wait)))
            wait = min(2 * wait, LONGEST_WAIT)

    def _open(self) -> aiohttp.ClientSession:
        """Connect at the first request: a managed server starts only if something must be asked."""
        endpoint, key = self._connect()
        self._endpoint = f"{endpoint.rstrip('/')}/chat/completions"
        self._last_success = time.monotonic()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        # No proxy of the environment gets to see report text. The gate limits the connections.
        self._http = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_OPEN),
            timeout=aiohttp.ClientTimeout(total=self.options.timeout),
            trust_env=False,
        )
        return self._http

    def _take(self, content: bytes, account: Account, used: list[float], seconds: float) -> tuple[str | None, bool]:
        """Text of a good response; tokens and time go to the account."""
        try:
            value = json.loads(content)
            choice = value["choices"][0]
            text, cut_off = choice["message"].get("content"), choice.get("finish_reason") == "length"
            usage = value.get("usage") or {}
            tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise _Failed("half_reply") from None
        self._last_success = time.monotonic()
        account.calls += 1
        account.prompt_tokens += tokens[0]
        account.answer_tokens += tokens[1]
        account.seconds += seconds
        used[0] += tokens[0]
        used[1] += tokens[1]
        used[2] += seconds
        return (text if isinstance(text, str) else None), cut_off

    def _refuse(self, status: int) -> None:
        """Raise if the server will refuse every request: wrong key, wrong address, unknown model."""
        if status in (401, 403):
            raise ModelError(
                f"{self.options.name}: {self.options.endpoint} refuses the key: the variable that `key` names in the"
                " config must hold a valid one"
            )
        if status in (301, 302, 307, 308, 404, 405):
            raise ModelError(
                f"{self.options.name}: {self.options.endpoint} answers {status}: the endpoint must be the"
                " address before /chat/completions, and it must serve a model of this name"
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


def _problem(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if status in BUSY:
        return "busy"
    return "server_error" if status >= 500 else "refused"


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return min(LONGEST_WAIT, float(headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0
