"""Replies of an endpoint that hold no completion, and servers that would not answer."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from refrad.config import ModelOptions
from refrad.llm.endpoint import HalfReply, find_problem, read_completion


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"choices": []}', b"\xff", b"[" * 100_000, b'{"choices": [' + b"[" * 100_000, b"1" * 5000],
)
def test_body_without_a_completion_is_half_a_reply(body):
    with pytest.raises(HalfReply):
        read_completion(body)


@pytest.fixture
def listing():
    """The function that starts a server which answers a GET with a status, a body and headers; all are stopped after the test."""
    started = []

    def start(status, body=b"", **headers):
        class Lister(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.server.paths.append(self.path)
                self.send_response(status)
                for name, value in (headers | {"Content-Length": len(body)}).items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Lister)
        server.paths = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def problem_of(endpoint, **options):
    return find_problem(ModelOptions.model_validate({"endpoint": endpoint, "model": "seer", **options}))


def address_of(server):
    return f"http://127.0.0.1:{server.server_port}/v1"


def test_server_that_lists_the_model_has_no_problem(listing):
    server = listing(200, json.dumps({"data": [{"id": "other"}, {"id": "seer"}]}).encode())
    assert problem_of(address_of(server)) is None and server.paths == ["/v1/models"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b""), (500, b"no"), (200, b"no list"), (200, b"[]"), (200, b"[" * 100_000), (200, b'{"data": [{}]}')],
)
def test_server_without_a_list_has_no_problem(listing, status, body):
    assert problem_of(address_of(listing(status, body))) is None


def test_problem_of_a_server_is_one_line(listing):
    other = address_of(listing(200, b'{"data": [{"id": "other"}]}'))
    assert problem_of(other) == f"seer: {other} lists no model of this name, but other"
    assert problem_of(address_of(listing(401))).endswith("refuses the key")
    assert problem_of("http://127.0.0.1:9/v1") == "seer: no server answers at http://127.0.0.1:9/v1"
    assert "environment variable NO_SUCH_KEY" in problem_of(other, key="NO_SUCH_KEY")


def test_silent_server_is_a_problem(monkeypatch):
    monkeypatch.setattr("refrad.llm.endpoint.LIST_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no server answers at" in problem_of(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")


def test_redirection_is_not_followed_with_the_key(listing, monkeypatch):
    monkeypatch.setenv("SEER_KEY", "secret")
    elsewhere = listing(200, b'{"data": []}')
    server = listing(302, Location=f"{address_of(elsewhere)}/models")
    assert problem_of(address_of(server), key="SEER_KEY") is None and elsewhere.paths == []


@pytest.mark.parametrize("endpoint", ["managed", "shared"])
def test_server_that_is_started_later_has_no_problem(endpoint):
    assert problem_of(endpoint, server={"python": "python", "gpus": 1, "context": 1000}) is None
