"""A real vLLM on the real Slurm, shared by the jobs of two stages, and lost once on the way: `make cluster-test`.

The model is a tiny Gemma 3 of random weights: what it says is nonsense in perfect form, which the checks of the stages refuse.
"""

import contextlib
import json
import os
import subprocess

import pytest
import slurm
from tests.llm.tiny import write_tiny_gemma
from workplace import PATIENCE, Workplace, until

from projects import PROJECT

PYTHON = os.environ.get("REFRAD_VLLM_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="needs an environment with vLLM: make cluster-test")

STAGES = ("captions", "mentions")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """What stands in the config for the tiny model, shared. The most likely words of random weights never come to an end; drawn
    ones do. One at a time, so that the captions take long enough for their server to be lost meanwhile.
    """
    texts = [path.read_text(encoding="utf-8") for path in (PROJECT / "workflow" / "prompts").glob("*.md")]
    folder = write_tiny_gemma(tmp_path_factory.mktemp("models") / "tiny-gemma", texts)
    arguments = ["--load-format", "dummy", "--enforce-eager", "--dtype", "float32", "--max-num-seqs", "64"]
    server = {"python": PYTHON, "context": 8192, "startup": 900.0, "arguments": arguments, "idle": 3600.0}
    server["environment"] = {"VLLM_CPU_KVCACHE_SPACE": "1"}
    return {
        "endpoint": "shared",
        "model": str(folder),
        "timeout": 120.0,
        "concurrency": 1,
        "temperature": 1.0,
        "server": server,
    }


@pytest.fixture(scope="module")
def served(cluster, tiny, tmp_path_factory) -> tuple[Workplace, list[str]]:  # noqa: ARG001 - the cluster only has to be there
    """Two deliveries through captions and mentions, where the server is cancelled while captions are written; the servers' keys."""
    site = Workplace(tmp_path_factory.mktemp("vllm") / "refrad").set_up()
    models = dict.fromkeys(("rewrite", "mentions"), tiny)
    site.configure(demo={"patients": 2}, llm=models, captions={"rewrite": "llm"}, mentions={"finder": "both"})
    site.run("snakemake", "--profile", "profiles/local", "--cores", "2", "index")
    head = site.start("snakemake", "--profile", "slurm", "mentions")
    try:
        until(lambda: len(site.answers(failures=True)) > 2)
        (serving,) = site.jobs("serve", "RUNNING")
        first = key_of(site)
        subprocess.run(["scancel", serving["JobId"]], check=True)
        second = until(lambda: (key := key_of(site)) != first and key)
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(timeout=PATIENCE)
        if head.returncode != 0:
            pytest.fail(f"{head.returncode}\n{site.said()[-3000:]}\n{how_it_stands(site)}", pytrace=False)
        until(lambda: site.jobs("serve", "COMPLETED"))
    finally:
        head.kill()
    return site, [first, second]


@pytest.fixture
def site(served):
    return served[0]


def how_it_stands(site: Workplace) -> str:
    """The jobs of the site, and the last lines of all logs, in few words."""
    jobs = [f"{job['JobId']} {job['Rule']} {job['JobState']} {job['NodeList']} {job['RunTime']}" for job in site.jobs()]
    logs = [
        f"{path.relative_to(site.folder)}: " + " | ".join(path.read_text(errors="replace").splitlines()[-4:])
        for path in sorted((site.folder / "logs").rglob("*.log"))
    ]
    return "\n".join([*jobs, *logs])


def key_of(site: Workplace) -> str:
    """The key of the server that is there, or ""."""
    for path in (site.folder / "stores/llm/servers").glob("*/endpoint.json"):
        with contextlib.suppress(FileNotFoundError):
            return str(json.loads(path.read_text())["key"])
    return ""


def test_stages_share_one_server_and_a_lost_one_is_replaced(site):
    lost, served = sorted(site.jobs("serve"), key=lambda job: int(job["JobId"]))
    assert lost["JobState"] != "COMPLETED" and served["JobState"] == "COMPLETED", (
        "one was cancelled, one ended with the run"
    )
    for job in (lost, served):
        assert job["Partition"] == "gpu" and job["NodeList"] in slurm.GPU_NODES and job["JOB_GRES"] == "gpu:fake:1"
    name = f"Slurm job {served['JobId']} on"
    for stage in STAGES:
        for delivery in ("first", "second"):
            assert name in (site.folder / f"logs/{stage}/{delivery}/0.log").read_text(), (
                "who was asked stands in the log"
            )
    for rule in ("captions_shard", "mentions_shard"):
        jobs = site.jobs(rule)
        assert [job["JobState"] for job in jobs] == ["COMPLETED"] * 2, "no job had to start again"
        assert {job["JOB_GRES"] for job in jobs} == {"(null)"}, "the server has the GPU, the jobs need none"


def test_model_answers_are_complete_and_checked(site):
    for stage, task in zip(STAGES, ("rewrite", "mentions"), strict=True):
        for path in (site.folder / "results" / stage).rglob("metrics.json"):
            tables = json.loads(path.read_text())["tables"]
            assert sum(tables[f"asked: {task}"].values()) > 0
            assert not {"failed: no_json", "failed: wrong_form", "failed: unreachable"} & set(tables[f"asked: {task}"])


def test_servers_end_and_leave_no_key(served):
    site, keys = served
    servers = site.folder / "stores/llm/servers"
    assert not list(servers.rglob("endpoint.json")) and not list(servers.rglob("starting.json"))
    assert not list(servers.rglob("users/*"))
    texts = [path.read_text(errors="replace") for path in (site.folder / "logs").rglob("*.log")]
    assert any("Application startup complete" in text for text in texts)
    assert all(keys) and not any(key in text for key in keys for text in texts)
