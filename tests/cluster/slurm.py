"""A real Slurm of three nodes on this machine, from Debian packages, with GPUs that are character devices.

    python tests/cluster/slurm.py up      installs what is missing, starts what is not running
    python tests/cluster/slurm.py down    ends it all

Needs root on Debian or Ubuntu. There is at most one such cluster on a machine, since the inner `srun` of Snakemake's jobs
finds Slurm by its default path /etc/slurm/slurm.conf only.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HOME = Path("/var/tmp/refrad-slurm")
CONF = Path("/etc/slurm/slurm.conf")
PROGRAMS = {"slurmctld": "slurmctld", "slurmd": "slurmd", "squeue": "slurm-client", "munged": "munge"}
NODES = ("n1", "n2", "n3")
GPU_NODES = ("n2", "n3")
DAEMONS = ("slurmctld", *(f"slurmd.{node}" for node in NODES), "munged")  # in the order in which they end
FIRST_PORT = 26817

# No cgroups: they are not to be had in containers. proctrack/linuxproc follows the process tree instead, and memory is watched
# by the accounting plugin, which ends a job that takes more than it asked for.
SLURM_CONF = """\
ClusterName=refrad
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthInfo=socket={home}/munge.socket,cred_expire=10
SlurmctldPidFile={home}/slurmctld.pid
SlurmctldLogFile={home}/slurmctld.log
StateSaveLocation={home}/state
SlurmdPidFile={home}/slurmd.%n.pid
SlurmdLogFile={home}/slurmd.%n.log
SlurmdSpoolDir={home}/spool.%n
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=2
ReturnToService=2
MinJobAge=7200
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
NodeName=n[1-3] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 RealMemory=1000000 Gres=gpu:fake:2
PartitionName=cpu Nodes=n[1-3] Default=YES MaxTime=INFINITE
PartitionName=gpu Nodes={gpu_nodes} MaxTime=INFINITE
"""


class NoClusterError(RuntimeError):
    """Why there can be no cluster on this machine."""


def up() -> None:
    """Start what is not running.

    Raises:
        NoClusterError: if this machine cannot have one.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoClusterError("a Slurm of one's own needs Linux and root")
    if CONF.exists() and CONF.resolve() != HOME / "slurm.conf":
        raise NoClusterError(f"{CONF} belongs to another Slurm")
    _install()
    HOME.mkdir(mode=0o755, exist_ok=True)
    if HOME.is_symlink() or HOME.stat().st_uid != 0:
        raise NoClusterError(f"{HOME} belongs to somebody else")
    (HOME / "state").mkdir(exist_ok=True)
    _configure()
    if not alive("munged"):
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        _run("munged", *(f"--{flag}={HOME / name}" for flag, name in files.items()))
    if not alive("slurmctld"):
        _run("slurmctld")
    for node in NODES:
        start_node(node)
    _wait("three nodes", lambda: len(ready()) == len(NODES))


def down() -> None:
    """End the jobs and the daemons, and remove every trace. Does nothing where nothing runs."""
    if alive("slurmctld"):
        subprocess.run(["scancel", "--user=root"], timeout=30, check=False, capture_output=True)
        with contextlib.suppress(TimeoutError):
            _wait("jobs to end", lambda: not _run("squeue", "--noheader"), seconds=20)
    for daemon in DAEMONS:
        end(daemon)
    if CONF.is_symlink() and CONF.readlink() == HOME / "slurm.conf":
        CONF.unlink()
    if HOME.exists():
        shutil.rmtree(HOME)


def start_node(node: str) -> None:
    """Start the daemon of a node, unless it runs."""
    if not alive(f"slurmd.{node}"):
        (HOME / f"spool.{node}").mkdir(exist_ok=True)
        _run("slurmd", "-N", node)


def crash(node: str) -> None:
    """Kill the daemon of a node and all that it runs, as when the power goes."""
    os.kill(pid_of(f"slurmd.{node}"), signal.SIGKILL)
    (HOME / f"slurmd.{node}.pid").unlink()
    running = [job["JobId"] for job in jobs() if job["JobState"] == "RUNNING" and job["NodeList"] == node]
    steps = _steps(*running)
    _kill(steps | _below(steps))


def kill(job: str) -> None:
    """Kill all that a job runs: nothing of it can say goodbye."""
    _kill(_below(_steps(job)))


def ready() -> set[str]:
    """Nodes that take jobs."""
    return set(_run("sinfo", "--noheader", "--Node", "--states=idle,mixed,allocated", "--format=%N").split())


def jobs() -> list[dict[str, str]]:
    """All jobs that the cluster has seen, as `scontrol show job` tells them, and the rule of each."""
    lines = _run("scontrol", "--oneliner", "--details", "show", "job").splitlines()
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if line.startswith("JobId=")]
    for job in found:
        job["Rule"] = re.sub(r"^rule_|_wildcards_.*$", "", job.get("Comment", ""))
    return found


def pid_of(daemon: str) -> int:
    """Process number of a daemon; 0 if it left none."""
    path = HOME / f"{daemon}.pid"
    return int(path.read_text() or 0) if path.exists() else 0


def alive(daemon: str) -> bool:
    """Does it run?"""
    return _lives(pid_of(daemon), daemon)


def end(daemon: str, how: signal.Signals = signal.SIGTERM) -> None:
    """End a daemon, by force after ten seconds."""
    number = pid_of(daemon)
    if _lives(number, daemon):
        os.kill(number, how)
        try:
            _wait(f"{daemon} to end", lambda: not _lives(number, daemon), seconds=10)
        except TimeoutError:
            os.kill(number, signal.SIGKILL)
    (HOME / f"{daemon}.pid").unlink(missing_ok=True)


def _lives(number: int, daemon: str) -> bool:
    """A process of that number and of the daemon's name: numbers are used again."""
    with contextlib.suppress(OSError):
        return number > 0 and Path(f"/proc/{number}/comm").read_text().strip() == daemon.split(".")[0]
    return False


def _steps(*running: str) -> set[int]:
    """The processes of Slurm that watch over the steps of jobs."""
    titles = tuple(f"slurmstepd: [{job}." for job in running)
    return {number for number, command in _commands().items() if command.startswith(titles)}


def _commands() -> dict[int, str]:
    """The command of each process."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def _below(above: set[int]) -> set[int]:
    """The processes that others have started, and what these have."""
    parents, found = {}, set(above)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    while more := {number for number, parent in parents.items() if parent in found} - found:
        found |= more
    return found - above


def _kill(numbers: set[int]) -> None:
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def _install() -> None:
    packages = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise NoClusterError(f"needs the programs {', '.join(PROGRAMS)}; there is no apt-get to install them with")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    install = ["apt-get", "install", "-yqq", "--no-install-recommends", *packages]
    subprocess.run(install, check=True, env=quiet, stdout=subprocess.DEVNULL)


def _configure() -> None:
    key = HOME / "munge.key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
    for number in range(2):  # plain files and a bare count register as no GPU
        if not (device := HOME / f"nvidia{number}").exists():
            os.mknod(device, 0o20666, os.makedev(1, 3))
    (HOME / "gres.conf").write_text(f"NodeName=n[1-3] Name=gpu Type=fake File={HOME}/nvidia[0-1]\n")
    values = {"host": socket.gethostname().split(".")[0], "home": HOME, "port": FIRST_PORT}
    values |= {"first": FIRST_PORT + 1, "last": FIRST_PORT + len(NODES), "gpu_nodes": ",".join(GPU_NODES)}
    (HOME / "slurm.conf").write_text(SLURM_CONF.format(**values))
    CONF.parent.mkdir(exist_ok=True)
    CONF.unlink(missing_ok=True)
    CONF.symlink_to(HOME / "slurm.conf")


def _run(*command: str) -> str:
    # Daemons look for gres.conf beside the file that SLURM_CONF names, not beside what a link leads to.
    environment = os.environ | {"SLURM_CONF": str(HOME / "slurm.conf")}
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout.strip()


def _wait(what: str, is_so, seconds: float = 60) -> None:
    for _ in _until(seconds):
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            if is_so():
                return
    raise TimeoutError(f"waited {seconds:.0f} s for {what}; see {HOME}/*.log")


def _until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.2)


if __name__ == "__main__":
    {"up": up, "down": down}[sys.argv[1]]()
