"""Servers, clients and a task whose lies can be told."""

import pytest
from tests.llm.talking import TalkingServer

from refrad.config import ModelOptions
from refrad.llm import Answer, Task
from refrad.llm.client import Client
from refrad.llm.store import Store


@pytest.fixture
def serve():
    """The function that starts a server; all are stopped after the test."""
    started: list[TalkingServer] = []

    def start(behave, latency: float = 0.0) -> TalkingServer:
        started.append(TalkingServer(behave, latency))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def client(tmp_path):
    """The function that makes a client of a server; the store is the same for all of a test."""
    opened = []

    def make(endpoint: str, **options) -> Client:
        chosen = ModelOptions.model_validate({"endpoint": endpoint, "model": "test", **options})
        store = Store(tmp_path / "store")
        opened.append((Client(chosen, store, lambda: (endpoint, None)), store))
        return opened[-1][0]

    yield make
    for one, store in opened:
        one.close()
        store.close()


class Echo(Answer):
    """The sentence that was asked about."""

    said: str


def _same(request, answer):
    return None if answer.said == request.data["sentence"] else "said must be the sentence, letter by letter"


@pytest.fixture(scope="session")
def echo() -> Task[Echo]:
    """A task whose answers can be told from lies."""
    prompts = {"de": "Wiederhole den Satz.", "en": "Repeat the sentence."}
    return Task("echo", "judge", prompts, Echo, tokens=50, check=_same)
