"""More accidents, each in a run of its own: it ends complete, with the bytes of a run that nobody disturbed."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slurm
from same import differing
from workplace import PATIENCE, Workplace, until

pytestmark = pytest.mark.more_faults

RUN = ("snakemake", "--profile", "slurm", "all")
FIRST = {"index", "volumes", "masks"}  # stages that the runs here find done


@pytest.fixture
def begun(disturbed, tmp_path) -> Workplace:
    """A finished run with all results after masks taken away."""
    shutil.copytree(disturbed.workplace.folder, tmp_path / "refrad", symlinks=True)
    for path in (tmp_path / "refrad" / "results").iterdir():
        if path.name not in FIRST:
            shutil.rmtree(path)
    return Workplace(tmp_path / "refrad")


def test_a_node_that_dies(begun, alone):
    head = begun.start(*RUN)
    node = until(lambda: begun.jobs("shards_shard", "RUNNING"))[0]["NodeList"]
    try:
        slurm.end(f"slurmd.{node}", signal.SIGKILL)
        failed = until(lambda: begun.jobs("shards_shard", "NODE_FAIL"))
        assert head.wait(timeout=PATIENCE) == 0, begun.said()[-6000:]
    finally:
        slurm.start_node(node)
    assert {job["NodeList"] for job in failed} == {node}
    assert begun.jobs("shards_shard", "COMPLETED")
    assert differing(begun.folder / "results", alone.folder / "results") == []


def test_a_full_disk(begun, alone):
    results = begun.folder / "results"
    kept = begun.folder / "kept"
    results.rename(kept)
    results.mkdir()
    used = sum(path.stat().st_size + 4096 for path in kept.rglob("*"))
    with small_disk(results, used + 300_000) as grow:
        shutil.copytree(kept, results, dirs_exist_ok=True)
        begun.run(*RUN, status=1)
        logs = [path.read_text() for path in (begun.folder / "logs").rglob("*.log")]
        assert any("the disk or the quota is full" in log for log in logs)
        grow()
        begun.run(*RUN)
        assert differing(results, alone.folder / "results") == []


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], object]]:
    """A file system of so many bytes at a folder; what comes back makes it large."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=2G", folder], check=True)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
