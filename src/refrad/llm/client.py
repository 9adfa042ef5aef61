"""Requests to one model: many at once, answers checked, repaired and kept."""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from refrad.config import ModelOptions
from refrad.core.files import digest_bytes
from refrad.llm.connection import Connection, UnansweredError
from refrad.llm.endpoint import Completion, ModelError, RejectionError
from refrad.llm.refusals import RefusalCheck
from refrad.llm.replies import Account, Reply
from refrad.llm.store import ReplyStore, Usage
from refrad.llm.tasks import Answer, BadAnswer, Request, Task

__all__ = ["Client"]

WINDOW = 8  # requests in hand for each that is under way, so that a slow one holds up no other
SEND_FIRST = 0.002  # seconds until a reply is looked at: the next requests go out before
LOG_SECONDS = 60.0  # seconds between lines in the log
POLL = 0.25  # seconds between looks for the reply to a request of another job

log = logging.getLogger(__name__)

A = TypeVar("A", bound=Answer)


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
        self.connection = Connection(options, connect, check)
        self.accounts: dict[str, Account] = {}
        self._loop = asyncio.new_event_loop()
        self._flying: dict[str, asyncio.Future[Reply[Any]]] = {}
        self._refusals = RefusalCheck(f"{options.name}: {options.endpoint}", self._probe)

    def ask(self, task: Task[A], requests: Iterable[Request]) -> Iterator[Reply[A]]:
        """The replies, in the order of the requests, which are read as they are needed.

        Raises:
            ModelError: if the endpoint refuses all requests, or has not answered any for `patience` seconds. The message has the
                reason that the server gives for a request without report text.
        """
        requests = iter(requests)
        window: deque[asyncio.Task[Reply[A]]] = deque()
        self.accounts.setdefault(task.name, Account())
        logged = time.monotonic()
        self.connection.start_patience()
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
        while self.connection.is_silent and not reply.done():
            self._loop.run_until_complete(asyncio.wait({reply}, timeout=POLL))
            self.connection.log_silence()

    def _log_progress(self, task: str) -> None:
        """Log the numbers of replies and failures."""
        account = self.accounts[task]
        failed = sum(number for how, number in account.requests.items() if how.startswith("failed"))
        log.info(
            "%s: %d replies, %d of them failed; at most %d at once now",
            *(task, account.requests.total(), failed, self.connection.request_limit),
        )

    def close(self) -> None:
        """Close the connections."""
        self._loop.run_until_complete(self.connection.close())
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
                completion, seconds = await self.connection.post(content, account.again)
                self._count(completion, account, used, seconds)
            except UnansweredError as failed:
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

    async def _probe(self, task: Task[Any], request: Request, limit: int) -> tuple[int, bytes]:
        """The status and body of the reply to a request that is neither stored nor repeated; status 0 without a reply in time."""
        body = self.body(task, request) | {"max_tokens": limit}
        return await self.connection.probe(json.dumps(body, ensure_ascii=False).encode())

    @staticmethod
    def _count(completion: Completion, account: Account, used: list[float], seconds: float) -> None:
        """Tokens and time of a reply are added to the account of the task and to those of the request."""
        account.calls += 1
        account.prompt_tokens += completion.prompt_tokens
        account.answer_tokens += completion.answer_tokens
        account.seconds += seconds
        for position, amount in enumerate((completion.prompt_tokens, completion.answer_tokens, seconds)):
            used[position] += amount
