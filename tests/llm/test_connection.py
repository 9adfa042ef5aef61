"""The connection to a server that is busy, silent, or limited by the caller."""

import socket

import pytest
from tests.llm.talking import Hang, completion

from refrad.llm import ModelError, Request, TextAnswer, TextTask

TASK = TextTask("look", "judge", {"en": "{{question}}", "de": "{{question}}"}, TextAnswer, tokens=20)


def about(count, start=0):
    return [Request("en", {"question": f"Herr Müller {number}"}) for number in range(start, start + count)]


def honest(_):
    return completion("yes")


@pytest.fixture
def silent():
    """The address of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def test_silent_server_that_is_expected_is_an_error_at_the_first_look(client, silent, monkeypatch):
    monkeypatch.setattr("refrad.llm.connection.LOOK_SECONDS", 0.05)
    asking = client(silent)
    asking.connection.expect_server(4.0)
    with pytest.raises(ModelError, match="accepts connections, but does not answer"):
        list(asking.ask(TASK, about(3)))


def test_silent_server_is_logged_and_given_time(client, silent, caplog, monkeypatch):
    monkeypatch.setattr("refrad.llm.connection.LOOK_SECONDS", 0.05)
    with pytest.raises(ModelError, match="no answer from"):
        list(client(silent, timeout=0.3, patience=0.5).ask(TASK, about(1)))
    assert "accepts connections, but does not answer; waits up to" in caplog.text and "Müller" not in caplog.text


def test_server_that_lists_models_but_never_answers_is_logged(serve, client, caplog, monkeypatch):
    monkeypatch.setattr("refrad.llm.connection.SILENT_SECONDS", 0.1)

    def hang(_):
        raise Hang

    with pytest.raises(ModelError, match="no answer from"):
        list(client(serve(hang).endpoint, timeout=0.6, patience=1.0).ask(TASK, about(1)))
    assert caplog.text.count("to the first requests") == 1


def test_server_that_answers_is_not_logged(serve, client, caplog, monkeypatch):
    monkeypatch.setattr("refrad.llm.connection.SILENT_SECONDS", 600.0)
    asking = client(serve(honest, latency=0.05).endpoint, concurrency=2)
    replies = asking.ask(TASK, about(40))
    assert next(replies).answer
    monkeypatch.setattr("refrad.llm.connection.SILENT_SECONDS", 0.0)  # any silence is too long from now on
    assert all(reply.answer for reply in replies) and "no answer" not in caplog.text


def test_busy_server_gets_fewer_requests_at_once(serve, client):
    server = serve(lambda body: (429, {"Retry-After": "0"}, b"") if server.under_way > 8 else honest(body), 0.01)
    asking = client(server.endpoint, concurrency=64)
    assert all(reply.answer for reply in asking.ask(TASK, about(400)))
    assert asking.accounts["look"].again["busy"] < 400
    assert asking.connection.request_limit < 32


def test_limit_of_requests_replaces_concurrency(serve, client):
    server = serve(honest, latency=0.01)
    asking = client(server.endpoint, concurrency=64)
    for most in (3, 9):
        server.most_under_way = 0
        asking.connection.limit_requests(most)
        list(asking.ask(TASK, about(60, start=100 * most)))
        assert server.most_under_way <= most and asking.connection.request_limit == most
