"""A server that several processes share, without Slurm: tests/cluster has it with. A small stand-in is served, not vLLM."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from refrad.config import ModelOptions
from refrad.llm import ModelError, Request, open_models
from refrad.llm.endpoint import try_completion
from refrad.llm.server_leases import Lease
from refrad.llm.sharing import ServerFolder, SharedServer, release

STANDIN = Path(__file__).parent / "standin"


@pytest.fixture
def options(tmp_path, root, monkeypatch):
    """What stands in the config for a shared model; its server ends two seconds after its last user."""
    monkeypatch.setenv("PYTHONPATH", str(root / "src"))
    monkeypatch.setenv("STANDIN_SECONDS", "0")
    monkeypatch.setenv("STANDIN_HEARD", str(tmp_path / "heard"))
    environment = {"PYTHONPATH": f"{STANDIN}:{root / 'src'}"}
    server = {"python": sys.executable, "environment": environment, "startup": 600.0, "idle": 2.0}
    return {"endpoint": "shared", "model": "/models/wise-1b", "server": server}


@pytest.fixture
def line(options, tmp_path):
    """The function that makes the --llm of a job."""

    def make(**changed):
        places = {
            "prompts": "",
            "store": str(tmp_path / "llm"),
            "log": str(tmp_path / "0"),
            "servers": str(tmp_path / "logs"),
        }
        return json.dumps(places | {"roles": {"judge": options | changed}})

    return make


@pytest.fixture
def folder(options, tmp_path):
    """The folder of the server and its users. No server runs there after a test."""
    shared = ServerFolder.of(ModelOptions.model_validate(options), tmp_path / "llm" / "servers")
    yield shared
    until(lambda: shared.endpoint.read() is None and shared.starting.read() is None)


def until(what, seconds=300.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def ask(models, echo, *sentences):
    return [reply.answer.said for reply in models.ask(echo, [Request("de", {"sentence": one}) for one in sentences])]


def test_server_of_two_jobs_ends_with_the_last_without_a_key(line, folder, echo, tmp_path):
    with open_models(line()) as first, open_models(line(temperature=0.5)) as second:
        assert ask(first, echo, "Niere.", "Milz.") == ["Niere.", "Milz."]
        key = folder.endpoint.read()["key"]
        assert ask(second, echo, "Leber.") == ["Leber."], "how it is asked makes no other server"
        assert folder.endpoint.read()["key"] == key
        assert folder.endpoint.path.stat().st_mode & 0o777 == 0o600
        time.sleep(3)
        assert folder.endpoint.holds(), "idle is counted from the last user on, not from the last question"
    until(lambda: folder.endpoint.read() is None)
    logs = list((tmp_path / "logs").iterdir())
    assert len(logs) == 2, "what `refrad serve` says, and what vLLM says"
    assert not any(key in log.read_text() or "Niere" in log.read_text() for log in logs)


def test_server_ends_after_a_run_unless_in_use(line, options, echo, tmp_path):
    patient = options["server"] | {"idle": 3600.0}
    folder = ServerFolder.of(ModelOptions.model_validate(options | {"server": patient}), tmp_path / "llm" / "servers")
    with open_models(line(server=patient)) as models:
        ask(models, echo, "Niere.")
        served = folder.endpoint.read()
        release(folder.path.parent)
        assert folder.endpoint.read() == served
    release(folder.path.parent)
    until(lambda: try_completion(served["address"], served["key"], "wise-1b") == 0)
    assert folder.endpoint.read() is None


def test_server_of_a_role_can_be_started_by_command(options, root, tmp_path):
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    config |= {"stores": str(tmp_path), "llm": config["llm"] | {"rewrite": options}}
    config["captions"]["rewrite"] = "llm"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "refrad", "serve", "rewrite", "--config", str(tmp_path / "config.yaml")]
    serving = subprocess.Popen([*command, "--logs", str(tmp_path / "logs")], cwd=root)
    shared = SharedServer(ModelOptions.model_validate(options), tmp_path / "llm" / "servers", tmp_path / "logs", "")
    until(lambda: serving.poll() is None and shared.folder.endpoint.holds())
    shared.connect()
    assert f"process {serving.pid} " in shared.folder.endpoint.read()["by"]
    shared.leave()
    assert serving.wait(timeout=300) == 0 and shared.folder.endpoint.read() is None


def test_killed_server_is_replaced(line, folder, echo, tmp_path, monkeypatch):
    monkeypatch.setattr("refrad.llm.server_leases.LEASE", 12.0)
    with open_models(line()) as models:
        assert ask(models, echo, "Niere.") == ["Niere."]
        before = folder.endpoint.read()
        serving = int(before["by"].split()[1])
        os.kill(serving, signal.SIGKILL)
        until(lambda: try_completion(before["address"], before["key"], "wise-1b") == 0)
        assert ask(models, echo, "Niere.", "Leber.") == ["Niere.", "Leber."]
        assert folder.endpoint.read()["key"] != before["key"]
        assert models.accounts["echo"].again["server lost"] == 1
    asked = [one.split(" ", 1)[1] for one in (tmp_path / "heard").read_text().splitlines()]
    assert len(asked) == len(set(asked)) == 2, "what was answered is not asked again"


def test_failed_server_gives_the_waiting_job_its_reason(line, options, tmp_path, echo):
    broken = options["server"] | {"environment": {}}
    with (
        open_models(line(server=broken)) as models,
        pytest.raises(ModelError, match=r"the server stopped.*No module|vllm"),
    ):
        ask(models, echo, "Niere.")
    folder = ServerFolder.of(ModelOptions.model_validate(options | {"server": broken}), tmp_path / "llm" / "servers")
    assert folder.starting.read() is None and not folder.used()


def test_ready_or_starting_server_is_not_started_again(options, tmp_path, monkeypatch):
    shared = SharedServer(ModelOptions.model_validate(options), tmp_path, tmp_path, "")
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # to start a server is an error here
    folder = shared.folder
    folder.endpoint.write({"key": "that was not there at the last look"})
    assert not shared.start_server() and folder.starting.read() is None and folder.endpoint.holds()
    folder.endpoint.drop()
    assert folder.starting.take({}), "another job was faster"
    assert not shared.start_server() and folder.starting.holds()
    folder.starting.drop()
    with pytest.raises(ModelError, match="llm_server in the profile"):
        shared.start_server()


def test_cluster_profile_must_have_the_server_resources(options, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with pytest.raises(ModelError, match="llm_server in the profile"):
        SharedServer(ModelOptions.model_validate(options), tmp_path, tmp_path, "").connect()


def test_sbatch_gets_site_options_gpus_and_nothing_of_the_job(options, tmp_path, monkeypatch):
    sbatch, said = tmp_path / "sbatch", tmp_path / "said"
    sbatch.write_text(f'#!/bin/sh\nenv > {said}; printf "%s\\n" "$@" >> {said}; echo "Invalid account" >&2; exit 1\n')
    sbatch.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    chosen = ModelOptions.model_validate(options | {"server": options["server"] | {"gpus": 2}})
    shared = SharedServer(chosen, tmp_path, tmp_path, "--partition=gpu --gpus=a100:{gpus}")
    with pytest.raises(ModelError, match="Slurm refuses a job for the shared server: Invalid account"):
        shared.connect()
    shared.leave()
    lines = said.read_text().splitlines()
    assert {"--partition=gpu", "--gpus=a100:2", "--comment=rule_serve"} <= set(lines)
    assert not [one for one in lines if one.startswith("SLURM_JOB_ID")]
    assert shared.folder.starting.read() is None and not shared.folder.used()
    assert not Lease(shared.folder.users / "none").holds()
