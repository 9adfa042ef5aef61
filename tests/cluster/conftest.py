"""A Slurm cluster for the tests of this folder, and copies of the project that run on it."""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import slurm
from workplace import PATIENCE, Workplace, until

RUN = ("snakemake", "--profile", "slurm", "all")
LOCK = Path("/var/lock/refrad-slurm.lock")


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Three nodes, taken down at the end whatever happens."""
    if "REFRAD_SLURM" not in os.environ:
        pytest.skip("sets up a Slurm of its own, as root: make slurm-test")
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.skip("another test run has the cluster of this machine")
        try:
            slurm.down()
            slurm.up()
            yield
        except slurm.NoClusterError as error:
            pytest.skip(str(error))
        finally:
            with contextlib.suppress(slurm.NoClusterError):
                slurm.down()


@pytest.fixture(scope="session")
def alone_running(tmp_path_factory) -> Iterator[tuple[Workplace, subprocess.Popen[str]]]:
    """The same two deliveries on one machine, which starts beside the run on the cluster."""
    workplace = Workplace(tmp_path_factory.mktemp("alone") / "refrad").set_up()
    with workplace.start("snakemake", "--profile", "profiles/local", "--cores", "1", "all") as head:
        yield workplace, head
        head.terminate()


@pytest.fixture(scope="session")
def alone(alone_running) -> Workplace:
    """The same two deliveries on one machine, undisturbed: what all other runs must come to."""
    workplace, head = alone_running
    assert head.wait(timeout=PATIENCE) == 0, workplace.said()[-12000:]
    return workplace


@dataclass(frozen=True)
class Disturbed:
    """A run with accidents: its workplace, the job that was cancelled, the label volumes that the store held when its head was
    killed, the orphans of that head, and what `refrad recover` said.
    """

    workplace: Workplace
    cancelled: str
    kept: dict[Path, int]
    orphans: list[str]
    recovered: str


@pytest.fixture(scope="session")
def disturbed(cluster, alone_running, tmp_path_factory) -> Disturbed:  # noqa: ARG001 - these only have to be there
    """`snakemake --profile slurm all` from the root of the project. A job is cancelled, the head is killed and started again while
    orphans run, and the first attempt at training gets too little memory.
    """
    workplace = Workplace(tmp_path_factory.mktemp("cluster") / "refrad").set_up()
    workplace.edit("profiles/slurm/config.yaml", r"(\n  train:.*\n)", r"\1    mem_mb: 300 + 63700 * (attempt - 1)\n")
    workplace.planned = workplace.plan()

    head = workplace.start(*RUN)
    cancelled = until(lambda: workplace.jobs("captions_shard", "RUNNING"))[0]["JobId"]
    subprocess.run(["scancel", cancelled], check=True)
    until(workplace.labels)
    head.kill()
    head.wait()
    orphans = [job["JobId"] for state in ("RUNNING", "PENDING") for job in workplace.jobs(state=state)]
    recovered = workplace.run("refrad", "recover")
    kept = workplace.labels()
    workplace.run(*RUN)
    return Disturbed(workplace, cancelled, kept, orphans, recovered)
