"""The store under jobs that run at once, and jobs that are killed."""

import contextlib
import gzip
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

from refrad.llm.store import Store, Usage

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
    while server.connections:  # what it had sent before its end is still to be read
        time.sleep(0.01)
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


USED = Usage(1, 1, 0.1)


def key_of(number):
    return f"{number:032x}"


def put(folder, numbers):
    store = Store(folder)
    for number in numbers:
        store.put(key_of(number), "rewrite", "test", json.dumps(f"Satz {number} " + "x" * 300), None, USED)
    store.close()


def answers(folder, count):
    """The stored answers, by their number."""
    store = Store(folder)
    stored = {number: answer for number in range(count) if (answer := store.answer(key_of(number)))}
    store.close()
    return stored


def is_right(stored):
    return all(json.loads(answer).startswith(f"Satz {number} ") for number, answer in stored.items())


def database_of(folder):
    return next(folder.glob("replies-*.sqlite"))


def test_sound_answers_of_a_damaged_database_are_kept(tmp_path, caplog):
    put(tmp_path, range(400))
    for file in (tmp_path / "answers").iterdir():
        file.unlink()
    path = database_of(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = bytes(8192)
    path.write_bytes(content)
    stored = answers(tmp_path, 400)
    assert 100 < len(stored) < 400 and is_right(stored)
    assert f"{path.name} is damaged and moved aside" in caplog.text and str(tmp_path) not in caplog.text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    put(tmp_path, range(400))
    assert len(answers(tmp_path, 400)) == 400


@pytest.mark.parametrize("content", [b"", b"no database " * 900, b"SQLite format 3\0" + bytes(4080)])
def test_answers_handed_out_come_back_after_the_database_is_lost(tmp_path, content):
    put(tmp_path, range(20))
    database_of(tmp_path).write_bytes(content)
    stored = answers(tmp_path, 20)
    assert len(stored) == 20 and is_right(stored)


def test_no_flipped_bit_gives_a_wrong_answer(tmp_path):
    put(tmp_path, range(12))
    whole = database_of(tmp_path).read_bytes()
    for at in range(0, len(whole), 97):
        folder = tmp_path / str(at)
        folder.mkdir()
        content = bytearray(whole)
        content[at] ^= 1 << at % 8
        (folder / database_of(tmp_path).name).write_bytes(content)
        assert is_right(answers(folder, 12)), at


def test_an_answer_changed_in_place_is_requested_again(tmp_path, caplog):
    put(tmp_path, range(3))
    with sqlite3.connect(database_of(tmp_path)) as database:
        database.execute("update replies set answer = replace(answer, 'Satz', 'Satx')")
        database.execute("insert or ignore into kept_back select key from replies")
    assert answers(tmp_path, 3) == {}
    assert "damaged and requested again" in caplog.text
    assert len(list((tmp_path / "answers").iterdir())) == 1  # no wrong answer is handed out
    put(tmp_path, [1])
    assert list(answers(tmp_path, 3)) == [1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b"no json", mtime=0),
        gzip.compress(b'{"answers": [1, 2]}', mtime=0),
        gzip.compress(b"[[1, 2]]", mtime=0),
        gzip.compress(b'[["k", "t", "m", null, 1, 1, 0.1, 1.0]]', mtime=0),
        gzip.compress(b"[]", mtime=0)[:-3],
    ],
)
def test_damaged_file_of_another_machine_is_moved_aside(tmp_path, caplog, content):
    put(tmp_path, range(5))
    (tmp_path / "answers" / "node9-1.json.gz").write_bytes(content)
    assert len(answers(tmp_path, 5)) == 5
    assert "node9-1.json.gz is damaged and moved aside" in caplog.text and str(tmp_path) not in caplog.text
    assert [file.name for file in (tmp_path / "answers").glob("node9*")] == ["node9-1.json.gz.damaged"]


def test_answers_of_an_earlier_release_get_checksums(tmp_path):
    put(tmp_path, range(5))
    with sqlite3.connect(database_of(tmp_path)) as database:
        database.execute("alter table replies drop column checksum")
    stored = answers(tmp_path, 5)
    assert len(stored) == 5 and is_right(stored)


def test_a_database_in_use_is_not_taken_for_damaged(tmp_path, monkeypatch):
    put(tmp_path, range(3))
    monkeypatch.setattr("refrad.llm.store.PATIENCE", 0.2)
    with contextlib.closing(sqlite3.connect(database_of(tmp_path), isolation_level=None)) as database:
        database.execute("begin exclusive")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            put(tmp_path, [7])
    assert not list(tmp_path.glob("*.damaged"))
    assert len(answers(tmp_path, 3)) == 3


def test_a_job_goes_on_when_another_has_replaced_the_database(tmp_path):
    first, second = Store(tmp_path), Store(tmp_path)
    first.put(key_of(1), "rewrite", "test", "1", None, USED)
    path = database_of(tmp_path)
    first.close()
    path.write_bytes(b"no database " * 900)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    put(tmp_path, [2])
    second.close()
    assert set(answers(tmp_path, 3)) >= {2}
