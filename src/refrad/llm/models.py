"""The models of a job, by role."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from refrad.config import ModelOptions
from refrad.llm.client import Client
from refrad.llm.endpoint import ModelError, find_problem, key_of
from refrad.llm.replies import Account, Reply
from refrad.llm.server import Server
from refrad.llm.sharing import SharedServer
from refrad.llm.store import ReplyStore, Store, UnkeptReplies
from refrad.llm.tasks import Answer, Request, Task
from refrad.workflow.tally import Tally

__all__ = ["Models", "open_models"]

A = TypeVar("A", bound=Answer)


class _Settings(BaseModel):
    """The value of `--llm`, as `refrad.workflow.site.Site.llm` writes it."""

    model_config = ConfigDict(hide_input_in_errors=True)
    roles: dict[str, ModelOptions] = {}
    store: Path = Path()
    log: Path = Path()
    prompts: Path = Path()
    servers: Path = Path()
    submit: str = ""


@dataclass(frozen=True)
class _Opened:
    client: Client
    server: Server | None = None
    shared: SharedServer | None = None


class Models:
    """Sends requests to the model of each role. One managed server runs at a time: a GPU seldom holds two.

    Replies are kept in the folder `store`, or in `replies` if that is given.
    """

    def __init__(
        self,
        roles: dict[str, ModelOptions],
        store: Path,
        log: Path,
        prompts: Path,
        logs: Path = Path(),
        submit: str = "",
        replies: ReplyStore | None = None,
    ) -> None:
        self.roles, self.prompts = roles, prompts
        self._store_folder, self._log, self._logs, self._submit = store, log, logs, submit
        self._store = replies
        self._opened: list[_Opened] = []

    def name(self, role: str) -> str:
        """Name of the model, as in the rows of the tables.

        Raises:
            ModelError: if the config has no model for the role.
        """
        if role not in self.roles:
            raise ModelError(f"config: llm.{role} names no model")
        return self.roles[role].name

    def ask(self, task: Task[A], requests: Iterable[Request]) -> Iterator[Reply[A]]:
        """The replies, in the order of the requests, as they come; requests are read as they are needed.

        Raises:
            ModelError: if the model cannot be used at all.
        """
        self.name(task.role)
        return self._client(task.role).ask(task, requests)

    @property
    def store(self) -> ReplyStore:
        """The store of replies; without a folder for it, one that keeps nothing."""
        self._store = self._store or (Store(self._store_folder) if self._store_folder != Path() else UnkeptReplies())
        return self._store

    def limit_requests(self, role: str, most: int) -> None:
        """Send at most so many requests of a role at once from now on, whatever its `concurrency` says."""
        self._client(role).connection.limit_requests(most)

    def find_problem(self, role: str) -> str | None:
        """Why the server of a role, if it is one that runs already, would not answer now, or None; no request is sent to it."""
        return find_problem(self.roles[role]) if role in self.roles else f"config: llm.{role} names no model"

    def expect_server(self, role: str, seconds: float) -> None:
        """Stop if the server of a role cannot be reached for so many seconds before its first answer."""
        self._client(role).connection.expect_server(seconds)

    @property
    def accounts(self) -> dict[str, Account]:
        """Task to its account, for the tasks that were used."""
        return {task: account for opened in self._opened for task, account in opened.client.accounts.items()}

    def account(self, tally: Tally) -> None:
        """Write the requests, tokens and time of each task into the metrics of a stage."""
        for opened in self._opened:
            for task, account in opened.client.accounts.items():
                account.write(task, opened.client.options.price, tally)

    def close(self) -> None:
        """Close connections and store, stop the server."""
        for opened in self._opened:
            opened.client.close()
            if opened.server is not None:
                opened.server.stop()
            if opened.shared is not None:
                opened.shared.leave()
        if self._store is not None:
            self._store.close()

    def _client(self, role: str) -> Client:
        """Roles with the same model share a client, and so a server."""
        options = self.roles[role]
        for opened in self._opened:
            if opened.client.options == options:
                return opened.client
        if options.endpoint == "managed":
            server = Server(options, self._log.with_name(f"{self._log.name}.{role}.vllm.log"))
            opened = _Opened(Client(options, self.store, lambda: self._start(server), server.check), server)
        elif options.endpoint == "shared":
            shared = SharedServer(options, self._store_folder / "servers", self._logs, self._submit)
            opened = _Opened(Client(options, self.store, shared.connect, shared.check), shared=shared)
        else:
            opened = _Opened(Client(options, self.store, lambda: (options.endpoint, key_of(options))))
        self._opened.append(opened)
        return opened.client

    def _start(self, server: Server) -> tuple[str, str]:
        for opened in self._opened:
            if opened.server is not None and opened.server is not server:
                opened.server.stop()
                opened.client.connection.forget()
        server.start()
        return server.endpoint, server.key


@contextlib.contextmanager
def open_models(llm: str | None) -> Iterator[Models]:
    """The models of a stage from its `--llm`, a line of JSON that the workflow writes: roles, store, log, prompts, and for
    shared servers the folder of their logs and the site's words for sbatch.

    Without it there are none, and a request raises ModelError. Servers start at their first request, and stop at the end.
    """
    settings = _Settings.model_validate_json(llm) if llm else _Settings()
    models = Models(settings.roles, settings.store, settings.log, settings.prompts, settings.servers, settings.submit)
    try:
        yield models
    finally:
        models.close()
