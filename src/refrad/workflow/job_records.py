"""The record of a process at the head of its job's log, and whether that process still runs.

The process is looked up on its own machine, else its Slurm job in the queue; elsewhere the log is touched every minute.
"""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "ProcessRecord",
    "error_line",
    "is_alive",
    "is_record",
    "own_record",
    "process_start",
    "read_records",
    "slurm_jobs",
    "start_heartbeat",
    "tail",
]

BEAT = 60.0  # seconds between two touches of the log
SILENCE = 5 * BEAT  # seconds without one after which a process counts as dead
HEAD = 2**16  # bytes of a log that hold the records of all its processes
TAIL = 2**16  # bytes of a log in which its last line and an error are found
QUEUE_TIME = 30  # seconds that squeue may take
_MESSAGE = re.compile(r"refrad [a-z-]+: ")
_RECORD = re.compile(r"process (\d+) since (\d+) in (\S+) on ([^\s,]+)(?:, Slurm job (\d+))?")


class ProcessRecord(NamedTuple):
    """A process: id, start in clock ticks since boot, namespace of the id with the boot, host, and Slurm job or None."""

    pid: int
    start: int
    namespace: str
    host: str
    slurm_job: str | None

    def __str__(self) -> str:
        job = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.pid} since {self.start} in {self.namespace} on {self.host}{job}"


def own_record() -> ProcessRecord:
    """The record of this process."""
    pid = os.getpid()
    return ProcessRecord(
        pid, process_start(pid) or 0, _namespace(), socket.gethostname(), os.environ.get("SLURM_JOB_ID")
    )


def is_record(line: str) -> bool:
    """Whether a line of a log is the record of a process, which says nothing of the job's progress."""
    return _RECORD.search(line) is not None


def read_records(log: Path) -> list[ProcessRecord]:
    """The records at the head of a log: one for each process of the job; none in logs of earlier releases."""
    with log.open("rb") as file:
        text = file.read(HEAD).decode("utf-8", errors="replace")
    return [
        ProcessRecord(int(match[1]), int(match[2]), match[3], match[4], match[5]) for match in _RECORD.finditer(text)
    ]


def tail(log: Path) -> list[str]:
    """The last lines of a log, without empty ones at its end; none if there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            return file.read().decode("utf-8", errors="replace").strip().splitlines()
    except OSError:
        return []


def error_line(lines: Sequence[str]) -> str:
    """The line of a log that names the error: a stage's own message, else the exception of the last traceback; "" without one.

    Later lines may be those of a library or of the launcher of several processes.
    """
    if message := next((line for line in reversed(lines) if _MESSAGE.match(line)), ""):
        return message
    traces = [number for number, line in enumerate(lines) if line.startswith("Traceback ")]
    return next((line for line in lines[traces[-1] + 1 :] if line[:1].strip()), "Traceback") if traces else ""


def is_alive(records: Iterable[ProcessRecord], log: Path) -> bool:
    """Whether one of the processes that wrote a log still runs; without a record, whether the log was touched just now."""
    states = [_runs(record) for record in records]
    if None in states or not states:
        return any(states) or time.time() - log.stat().st_mtime < (SILENCE if states else BEAT)
    return any(states)


def start_heartbeat() -> None:
    """Touch the log of this process, its standard error, every minute, if that is a file."""
    if not Path("/proc/self/fd/2").is_file():
        return

    def beat() -> None:
        while True:
            time.sleep(BEAT)
            os.utime(2)

    threading.Thread(target=beat, daemon=True).start()


def _runs(record: ProcessRecord) -> bool | None:
    """Whether a process runs; None if that cannot be seen from here."""
    if (record.host, record.namespace) == (socket.gethostname(), _namespace()):
        return process_start(record.pid) == record.start
    if record.slurm_job and (queue := slurm_jobs()) is not None:
        return record.slurm_job in queue
    return None


def _namespace() -> str:
    """Names the ids of processes that this one sees: of one boot of one machine, and one container of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot[:8]}-{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return "unknown"


def process_start(pid: int) -> int | None:
    """The start of a process in clock ticks since boot, field 22 of proc(5); None if there is none, or it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@cache
def slurm_jobs() -> frozenset[str] | None:
    """Ids of the Slurm jobs that run or wait; None without a Slurm that answers."""
    command = ["squeue", "--noheader", "--format=%A"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=QUEUE_TIME, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return frozenset(run.stdout.split())
