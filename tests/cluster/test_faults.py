"""More accidents, each in a run of its own stage: it ends complete, with the bytes of a run that nobody disturbed."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slurm
from same import differing
from workplace import PATIENCE, Workplace, until

STANDIN = Path(__file__).parents[1] / "llm" / "standin"
SHARDS = ("results/shards/data", "results/shards/metrics")
CAPTIONS = ("results/captions/first/0", "results/captions/second/0")


def same(one: Workplace, other: Workplace, folders: tuple[str, ...]) -> bool:
    return all(differing(one.folder / folder, other.folder / folder) == [] for folder in folders)


def test_dead_node_does_not_end_the_run(disturbed, alone, tmp_path):
    site = disturbed.workplace.without("shards", at=tmp_path / "refrad")
    head = site.start("snakemake", "--profile", "slurm", "shards")
    until(lambda: list((site.folder / "logs/shards").rglob("*.log")))
    node = site.jobs("shards_shard", "RUNNING")[0]["NodeList"]
    try:
        slurm.crash(node)
        failed = until(lambda: site.jobs("shards_shard", "NODE_FAIL"))
        assert head.wait(timeout=PATIENCE) == 0, site.said()[-6000:]
    finally:
        slurm.start_node(node)
    assert {job["NodeList"] for job in failed} == {node}
    assert len(site.jobs("shards_shard", "COMPLETED")) == 2
    assert same(site, alone, SHARDS)


def test_full_disk_stops_with_a_message_and_the_run_resumes(disturbed, alone, tmp_path):
    site = disturbed.workplace.without("shards", at=tmp_path / "refrad")
    results, kept = site.folder / "results", site.folder / "kept"
    results.rename(kept)
    results.mkdir()
    used = sum(path.stat().st_size // 4096 + 2 for path in kept.rglob("*")) * 4096
    with small_disk(results, used + 100_000) as grow:
        shutil.copytree(kept, results, dirs_exist_ok=True)
        site.run("snakemake", "--profile", "slurm", "shards", "--retries", "0", status=1)
        logs = [path.read_text() for path in (site.folder / "logs/shards").rglob("*.log")]
        assert any("the disk or the quota is full" in log for log in logs), logs
        assert not list((results / "shards").rglob("*.parquet")), "half a table is no table"
        grow()
        site.run("snakemake", "--profile", "slurm", "shards")
        assert same(site, alone, SHARDS)


def test_lost_model_server_is_replaced_mid_shard(disturbed, tmp_path, monkeypatch):
    quiet, site = (disturbed.workplace.without("captions", at=tmp_path / name) for name in ("quiet", "refrad"))
    for place in (quiet, site):
        place.configure(captions={"rewrite": "llm"}, llm={"rewrite": standin(place)})
    monkeypatch.setenv("STANDIN_HEARD", str(tmp_path / "heard"))
    monkeypatch.setenv("STANDIN_SECONDS", "0")
    quiet.run("snakemake", "--profile", "profiles/local", "--cores", "2", "captions")

    monkeypatch.setenv("STANDIN_SECONDS", "0.2")
    head = site.start("snakemake", "--profile", "slurm", "captions")
    until(lambda: len(site.answers()) > 10)
    (serving,) = site.jobs("serve", "RUNNING")
    slurm.kill(serving["JobId"])
    held = site.answers()
    assert head.wait(timeout=PATIENCE) == 0, site.said()[-6000:]

    assert len(site.jobs("captions_shard")) == len(site.jobs("captions_shard", "COMPLETED")) == 2, (
        "no job had to start again"
    )
    assert all(
        "connects anew" in (site.folder / f"logs/captions/{name}/0.log").read_text() for name in ("first", "second")
    )
    assert site.jobs("serve", "FAILED")
    servers = site.jobs("serve")
    assert len(servers) == 2 and {job["Partition"] for job in servers} == {"gpu"}
    assert all(job["JOB_GRES"] == "gpu:fake:1" for job in servers)
    now = site.answers()
    assert {key: now[key] for key in held} == held and len(now) > len(held), "what the store held is not asked again"
    assert same(site, quiet, CAPTIONS)
    until(lambda: site.jobs("serve", "COMPLETED"))
    assert not list((site.folder / "stores/llm/servers").rglob("endpoint.json")), (
        "it ended by itself and took its address back"
    )


def standin(site: Workplace) -> dict[str, object]:
    """What stands in the config for a shared model that the small server serves; it answers after STANDIN_SECONDS."""
    environment = {"PYTHONPATH": f"{STANDIN}:{site.folder / 'src'}"}
    server = {"python": sys.executable, "environment": environment, "startup": 600.0, "idle": 3.0}
    return {"endpoint": "shared", "model": "/models/wise-1b", "concurrency": 2, "server": server}


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], object]]:
    """A file system of so many bytes at a folder; what comes back makes it large."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=2G", folder], check=True)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
