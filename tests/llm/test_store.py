"""The store under jobs that run at once, and jobs that are killed."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time

import pytest
from tests.llm.talking import completion

from refrad.llm.store import Store

JOB = """
import sys
from pathlib import Path
from refrad.config import ModelOptions
from refrad.llm import Answer, Request, Task
from refrad.llm.client import Client
from refrad.llm.store import Store

class Echo(Answer):
    said: str

endpoint, folder, count, concurrency = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
options = ModelOptions(endpoint=endpoint, model="test", concurrency=concurrency)
client = Client(options, Store(folder), lambda: (endpoint, None))
task = Task("echo", "judge", {"de": "Wiederhole.", "en": "Repeat."}, Echo, tokens=50)
replies = list(client.ask(task, (Request("de", {"sentence": f"Satz {n}"}) for n in range(count))))
assert all(reply.answer.said == reply.request.data["sentence"] for reply in replies)
print(len(replies))
"""


def echo(body):
    return completion(json.dumps({"said": json.loads(body["messages"][1]["content"])["sentence"]}))


@pytest.fixture
def job(tmp_path):
    """The function that starts a job in a process of its own; all use one store."""

    def start(server, count, concurrency=8):
        arguments = [server.endpoint, str(tmp_path / "store"), str(count), str(concurrency)]
        return subprocess.Popen([sys.executable, "-c", JOB, *arguments], stdout=subprocess.PIPE, text=True)

    return start


def test_killed_job_repeats_only_unfinished_requests(serve, job, tmp_path):
    server = serve(echo, latency=0.05)
    first = job(server, 400)
    while len(server.bodies) < 120:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    (path,) = (tmp_path / "store").glob("*.sqlite")
    kept = sqlite3.connect(path).execute("select count(*) from replies where answer is not null").fetchone()[0]
    asked_before = len(server.bodies)
    assert asked_before - kept <= 8 + 8  # what was under way, and what had arrived just then
    assert job(server, 400).communicate()[0] == "400\n"
    assert len(server.bodies) == asked_before + 400 - kept
    assert sum(count > 1 for count in server.asked.values()) == asked_before - kept


def test_concurrent_jobs_send_each_request_once(serve, job):
    server = serve(echo, latency=0.02)
    jobs = [job(server, 150) for _ in range(3)]
    assert [one.communicate()[0] for one in jobs] == ["150\n"] * 3
    assert set(server.asked.values()) == {1} and len(server.asked) == 150


def test_failure_is_stored_and_replaces_no_answer(tmp_path):
    store = Store(tmp_path)
    store.put("a1", "echo", "test", None, "wrong_form", (1, 1, 0.1))
    assert store.answer("a1") is None
    store.put("a1", "echo", "test", "{}", None, (1, 1, 0.1))
    store.put("a1", "echo", "test", None, "no_json", (1, 1, 0.1))
    assert store.answer("a1") == "{}"
    store.close()


def test_replies_are_readable_by_the_owner_only(tmp_path):
    store = Store(tmp_path)
    store.put("a1", "echo", "test", "{}", None, (1, 1, 0.1))
    store.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 2 and all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


@pytest.fixture
def at(tmp_path, monkeypatch):
    """The function that opens the store as another machine does."""

    def open_at(machine):
        monkeypatch.setattr("platform.node", lambda: machine)
        return Store(tmp_path)

    return open_at


def test_answers_are_shared_between_machines(at):
    first = at("n1")
    first.put("a1", "echo", "test", '{"said": "Zyste"}', None, (1, 1, 0.1))
    first.put("a2", "echo", "test", None, "no_json", (1, 1, 0.1))
    first.close()
    second = at("n2")
    assert second.answer("a1") == '{"said": "Zyste"}' and second.answer("a2") is None
    second.put("a2", "echo", "test", "{}", None, (1, 1, 0.1))
    second.close()
    assert at("n1").answer("a2") == "{}", "an answer takes the place of a failure"


def test_answers_of_a_killed_job_are_shared_by_the_next_one(at, tmp_path):
    killed = at("n1")
    killed.put("a1", "echo", "test", "{}", None, (1, 1, 0.1))
    other = at("n2")
    assert other.answer("a1") is None
    at("n1").close()
    assert at("n2").answer("a1") == "{}"
    assert len(list((tmp_path / "answers").iterdir())) == 1, "what came from others is not handed out again"


def test_long_job_shares_answers_while_it_works(at, monkeypatch):
    monkeypatch.setattr("refrad.llm.store.HAND_OUT", 0.0)
    working = at("n1")
    working.put("a1", "echo", "test", "{}", None, (1, 1, 0.1))
    assert at("n2").answer("a1") == "{}"
    working.close()
