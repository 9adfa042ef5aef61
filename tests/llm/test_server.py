"""Managed servers that do not come up. One that does is in test_vllm.py."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refrad.config import ModelOptions
from refrad.llm import ModelError, Request, open_models
from refrad.llm.server import Server


def options(python, **server):
    return ModelOptions.model_validate(
        {"endpoint": "managed", "model": "/models/wise-1b", "server": {"python": python, **server}}
    )


def test_server_that_stops_has_a_reason_and_a_log(tmp_path):
    log = tmp_path / "captions" / "0.rewrite.vllm.log"
    with pytest.raises(ModelError, match=r"wise-1b: the server stopped \(exit status 1\).*vllm.*0\.rewrite\.vllm\.log"):
        Server(options(sys.executable), log).start()
    assert "vllm" in log.read_text()


def test_log_warnings_are_no_reason_of_a_stop(tmp_path):
    server = Server(options(sys.executable), tmp_path / "log")
    warning = (
        "WARNING 11-25 [utils.py:255] too few files can cause errors like `OSError: [Errno 24] Too many open files`"
    )
    server.log.write_text(f"(EngineCore pid=1) ValueError: no room for the cache\n{warning}\n")
    assert server.failure().startswith("ValueError: no room for the cache; ")


def test_missing_python_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"No such file or directory: /no/python"):
        Server(options("/no/python"), tmp_path / "log").start()


def test_command_has_gpus_context_and_arguments(tmp_path):
    command = Server(options("python", gpus=2, context=4096, arguments=["--async-scheduling"]), tmp_path).command(8123)
    for flag, value in {
        "--tensor-parallel-size": "2",
        "--max-model-len": "4096",
        "--port": "8123",
        "--served-model-name": "wise-1b",
        "--host": "127.0.0.1",
    }.items():
        assert command[command.index(flag) + 1] == value
    assert command[-1] == "--async-scheduling" and "--enable-log-requests" not in command


def test_server_has_its_guard_whatever_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("VLLM_API_KEY", "of the shell")
    monkeypatch.setenv("HF_TOKEN", "of the shell")
    server = Server(options("python", environment={"PYTHONPATH": "/theirs"}), tmp_path)
    command, environment = server.command(1), server.environment()
    module, name = command[command.index("--middleware") + 1].split(".")
    guard, *others = environment["PYTHONPATH"].split(":")
    assert f"class {name}" in (Path(guard) / f"{module}.py").read_text() and others == ["/theirs"]
    assert environment["VLLM_API_KEY"] == server.key and server.key not in " ".join(command)
    assert environment["HF_TOKEN"] == "of the shell"
    assert Server(options("python"), tmp_path).environment()["PYTHONPATH"] == guard


def test_server_does_not_start_if_the_store_has_all_answers(serve, client, tmp_path, echo):
    """Another run on the same store: the python of the server does not even exist."""
    from tests.llm.talking import completion

    server = serve(lambda _: completion('{"said": "Satz"}'))
    request = Request("de", {"sentence": "Satz"})
    list(client(server.endpoint, model="wise-1b").ask(echo, [request]))
    managed = options("/no/python").model_dump_json()
    places = f'"prompts": "", "store": "{tmp_path / "store"}", "log": "{tmp_path / "log"}"'
    with open_models(f'{{{places}, "roles": {{"judge": {managed}}}}}') as models:
        (reply,) = models.ask(echo, [request])
        assert reply.answer.said == "Satz"
        with pytest.raises(ModelError, match="/no/python"):
            list(models.ask(echo, [Request("de", {"sentence": "another"})]))


STARTING = """
import sys
from pathlib import Path
from refrad.config import ModelOptions
from refrad.llm.server import Server

model = {"endpoint": "managed", "model": "/models/wise-1b", "server": {"python": sys.argv[1]}}
Server(ModelOptions.model_validate(model), Path(sys.argv[2])).start()
"""


def test_server_ends_with_a_killed_job(tmp_path):
    python, place = tmp_path / "python", tmp_path / "pid"
    python.write_text(f"#!/bin/sh\necho $$ > {place}\nexec sleep 60\n")
    python.chmod(0o700)
    job = subprocess.Popen([sys.executable, "-c", STARTING, str(python), str(tmp_path / "log")])
    while not (place.exists() and place.read_text().strip()):
        time.sleep(0.05)
    server = int(place.read_text())
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    for _ in range(100):
        try:
            os.kill(server, 0)
            status = Path(f"/proc/{server}/status").read_text()
        except (ProcessLookupError, FileNotFoundError):
            return
        if "State:\tZ" in status:
            return
        time.sleep(0.05)
    os.kill(server, signal.SIGKILL)
    pytest.fail("the server still runs")
