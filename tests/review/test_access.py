import anyio
import pytest
from starlette.responses import PlainTextResponse

from refrad.review.access import HEADERS, AccessGuard, make_token

TOKEN = "secret-token"
PORT = 8321
OWN = "http://127.0.0.1:8321"
COOKIE = f"refrad-review-{PORT}={TOKEN}"
POST = {"origin": OWN, "content-type": "application/json", "content-length": "2", "cookie": COOKIE}


def ask(path="/", headers=None, method="GET", query="", app=None, **changes):
    """Status, headers and body of the guard's answer; the application behind it says "in"."""
    sent = []
    headers = {"host": f"127.0.0.1:{PORT}", "cookie": COOKIE} | (headers or {}) | changes
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value is not None],
        "scheme": "http",
        "server": ("127.0.0.1", PORT),
    }

    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        sent.append(message)

    anyio.run(AccessGuard(app or PlainTextResponse("in"), TOKEN, PORT), scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]} if sent else {}
    return (sent[0]["status"] if sent else None), found, b"".join(part.get("body", b"") for part in sent[1:]).decode()


def test_cookie_lets_in_and_every_answer_has_the_headers():
    for status, headers, _ in (ask(), ask(cookie=None), ask(host="evil.example")):
        assert status in (200, 403, 421)
        assert HEADERS.items() <= headers.items()
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "cookie",
    [None, "", "a=b", f"refrad-review-{PORT}=", f"refrad-review-{PORT}=secret-tokem", f"refrad-review-1={TOKEN}"],
)
def test_request_without_the_cookie_is_refused(cookie):
    status, _, body = ask(cookie=cookie)
    assert status == 403 and "in the terminal" in body
    assert ask(path="/assets/review.css", cookie=cookie)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost:8321", "LOCALHOST:8321", "[::1]:8321"])
def test_names_of_the_loopback_are_its_hosts(host):
    assert ask(host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8321",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1.evil.example:8321",
        "10.0.0.5:8321",
        "0.0.0.0:8321",
    ],
)
def test_rebound_name_is_refused(host):
    assert ask(host=host)[0] == 421
    assert ask(path="/start", query=f"token={TOKEN}", host=host)[0] == 421


def test_token_becomes_a_strict_cookie_that_scripts_cannot_read():
    status, headers, body = ask(path="/start", query=f"token={TOKEN}", cookie=None)
    assert status == 200 and headers["set-cookie"].startswith(COOKIE)
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=strict" in headers["set-cookie"]
    assert TOKEN not in body and "url=/" in body


@pytest.mark.parametrize(
    "query", ["", "token=", "token=x", f"token={TOKEN}x", f"TOKEN={TOKEN}", "token=%ff", f"token=x&token={TOKEN}"]
)
def test_wrong_token_is_refused(query):
    status, headers, _ = ask(path="/start", query=query, cookie=None)
    assert status == 403 and "set-cookie" not in headers


def test_own_page_may_post():
    assert ask(headers=POST, method="POST")[0] == 200


@pytest.mark.parametrize(
    "change",
    [
        {"origin": None},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8321"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": None},
        {"content-length": "20001"},
        {"content-length": None},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_post_of_another_site_is_refused(change):
    assert ask(headers=POST | change, method="POST")[0] == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused(method):
    assert ask(headers=POST, method=method)[0] == 405


def test_error_is_logged_by_its_kind_alone(caplog):
    async def failing(*_):
        raise ValueError("liver of Mr. Example")

    ask(app=failing)
    assert "ValueError" in caplog.text and "Example" not in caplog.text


def test_tokens_differ_and_are_long():
    assert len({make_token() for _ in range(50)}) == 50 and len(make_token()) >= 43
