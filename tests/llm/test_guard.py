"""The guard of a server, over an application that answers everything."""

import asyncio

import pytest

from refrad.llm.guard.refrad_guard import KeyGuard

KEY = "made-up-4711"


@pytest.fixture
def ask(monkeypatch):
    """The function that sends one message to a guarded application: what comes back, and whether the application saw it."""
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    seen = []

    async def app(scope, _receive, send):
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guard = KeyGuard(app)

    def send_one(kind="http", headers=(), **scope):
        seen.clear()
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            raise AssertionError("the body of a request is not read")

        asyncio.run(guard({"type": kind, "headers": list(headers), **scope}, receive, send))
        return sent, bool(seen)

    return send_one


BEARER = f"Bearer {KEY}".encode()


@pytest.mark.parametrize("name", [b"authorization", b"Authorization"])
def test_request_with_the_key_is_passed_on(ask, name):
    sent, seen = ask(headers=[(b"host", b"x"), (name, BEARER)], path="/v1/models", method="GET")
    assert seen and sent[0]["status"] == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer wrong")],
        [(b"authorization", BEARER[:-1])],
        [(b"authorization", b"bearer " + KEY.encode())],
        [(b"authorization", b" " + BEARER)],
        [(b"authorization ", BEARER)],
        [(b"proxy-authorization", BEARER)],
        [(b"cookie", BEARER)],
        [(b"authorization", BEARER + b"1")],
        [(b"authorization", KEY.encode())],
        [(b"authorization", b"Basic " + KEY.encode())],
        [(b"authorization", b"\xff\xfe")],
        [(b"x-api-key", KEY.encode())],
        [(b"authorization", b"Bearer wrong"), (b"authorization", BEARER)],
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        *("/health", "/health?", "/metrics", "/invocations", "/docs", "/openapi.json", "/v1/models", "//v1/models"),
        *("/v1/../metrics", "/V1/models", "/v1%2fmodels", "", "/anything"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_request_without_the_key_is_refused_on_every_route(ask, headers, path, method):
    sent, seen = ask(headers=headers, path=path, method=method)
    assert not seen and [message.get("status") for message in sent] == [401, None]
    assert KEY.encode() not in sent[1]["body"]


def test_websocket_without_the_key_is_closed(ask):
    assert ask("websocket", path="/v1/realtime") == ([{"type": "websocket.close", "code": 1008}], False)
    assert ask("websocket", headers=[(b"authorization", BEARER)], path="/v1/realtime")[1]


def test_unknown_kind_of_message_is_refused(ask):
    assert not ask("webtransport", path="/v1/models")[1]


def test_start_and_end_of_the_server_are_passed_on(ask):
    assert ask("lifespan")[1]


@pytest.mark.parametrize("key", [None, "", " "])
def test_guard_without_a_key_does_not_start(monkeypatch, key):
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("VLLM_API_KEY", key)
    with pytest.raises(KeyError):
        KeyGuard(None)
