"""The display of a run: a line for every running job and a bar on a terminal, sparse plain lines in a pipe.

Snakemake finds this logger by its package name: `snakemake --logger refrad`. Job logs are written by the stages, which
never put report text, names or paths of the archive there, so their last line may be shown. Of a failed job, the line with
the error and the path of the log are shown; Snakemake's own log has the command.
"""

import json
import threading
import time
from dataclasses import dataclass, field
from logging import WARNING, LogRecord
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from refrad.workflow.job_records import error_line, is_record, tail

__all__ = ["LogHandler", "LogHandlerSettings"]

# Snakemake's words about a failed job, which has its own lines here, and about the end of a run, which its Snakefile describes.
REPEATED = ("CalledProcessError in file", "Exiting because a job execution failed", "At least one job did not complete")
LOCKED = (
    "\nIf another run is active here, wait for it; after a kill or a power loss, `refrad recover` unlocks the folder."
)
# Of a job of a cluster.
POINTER = "For further error details see the cluster/cloud log"
QUIET_SECONDS = 30  # a plain line about a long job at most this often


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Snakemake makes flags of these: --logger-refrad-json."""

    json: bool = field(default=False, metadata={"help": "Of a dry run, a JSON object a job.", "env_var": False})


@dataclass
class Job:
    """A running job."""

    message: str
    log: Path | None
    start: float
    logged: float

    def last_line(self) -> str:
        """The last line of the job's log, without its clock time, or nothing yet."""
        lines = tail(self.log) if self.log else []
        line = lines[-1] if lines else ""
        if is_record(line):
            return ""
        return line[9:] if line[2:3] == ":" and line[5:6] == ":" else line

    def error(self) -> str:
        """The line of the job's log that names the error, in words if there is none."""
        lines = tail(self.log) if self.log else []
        last = f"; the last line of its log: {line}" if (line := self.last_line()) else ""
        return error_line(lines) or f"killed, out of memory or time: its log has no error{last}"

    def seconds(self) -> str:
        """How long it has been running."""
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        return f"{minutes}:{seconds:02d}"


class LogHandler(LogHandlerBase):
    """Shows the progress of a run on stderr."""

    def __post_init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.running: dict[int, Job] = {}
        self.done = 0
        self.total = 0
        self.live: Live | None = None
        self.guard = threading.Lock()
        self.ticking = False

    def emit(self, record: LogRecord) -> None:
        """Take one event of the run."""
        event = getattr(record, "event", None)
        if self.common_settings.dryrun and record.levelno < WARNING:
            self._plan(event, record)
            return
        with self.guard:
            if event == LogEvent.JOB_INFO:
                self._begin(record)
            elif event == LogEvent.JOB_FINISHED:
                self._end(getattr(record, "job_id", None))
            elif event == LogEvent.PROGRESS:
                self.done, self.total = record.done, record.total  # type: ignore[attr-defined]
            elif event == LogEvent.JOB_ERROR:
                self._fail(record)
            elif event == LogEvent.ERROR or (event is None and record.levelno >= WARNING):
                text = self.format(record)
                if "LockException" in text:
                    text += LOCKED
                if not any(words in text for words in REPEATED):
                    self.console.print(Text(text, style="red"))
            elif event is None and str(record.msg).startswith("Nothing to be done"):
                self.console.print("nothing to be done: all is up to date")
            elif event == LogEvent.RUN_INFO and "total" in str(record.msg):
                self.total = int(str(record.msg).split()[-1])

    def close(self) -> None:
        """End the display."""
        self.ticking = False
        if self.live:
            self.live.stop()
            self.live = None
        super().close()

    def _plan(self, event: str | None, record: LogRecord) -> None:
        """Of a dry run, a line a job on stdout: rule, message and reason."""
        if event == LogEvent.JOB_INFO and getattr(record, "rule_msg", None) and self._in_json():
            about = {"rule": record.rule_name, "wildcards": dict(record.wildcards or {}), "reason": record.reason}  # type: ignore[attr-defined]
            print(json.dumps(about))
        elif event == LogEvent.JOB_INFO and getattr(record, "rule_msg", None):
            why = "; ".join(reason.split(":")[0].strip().lower() for reason in record.reason.split(";"))  # type: ignore[attr-defined]
            print(f"{record.rule_name:<18} {record.rule_msg:<42} {why}".rstrip())  # type: ignore[attr-defined]
        elif event is None and str(record.msg).startswith("Nothing to be done"):
            print("nothing to be done")

    def _in_json(self) -> bool:
        return bool(getattr(self.settings, "json", False))

    def _begin(self, record: LogRecord) -> None:
        message = getattr(record, "rule_msg", None)
        if not message:  # a roll-up, which has nothing to run
            return
        logs = getattr(record, "log", None) or [None]
        now = time.monotonic()
        self.running[record.jobid] = Job(message, Path(str(logs[0])) if logs[0] else None, now, now)  # type: ignore[attr-defined]
        if not self.ticking:
            self.ticking = True
            if self.console.is_terminal:
                self.live = Live(
                    console=self.console, refresh_per_second=4, get_renderable=self._picture, transient=True
                )
                self.live.start()
            else:
                threading.Thread(target=self._log_long_jobs, daemon=True).start()

    def _end(self, number: int | None) -> None:
        job = self.running.pop(number, None) if number is not None else None
        if job:
            self.console.print(f"{job.seconds():>6}  {job.message}")

    def _fail(self, record: LogRecord) -> None:
        job = self.running.pop(getattr(record, "jobid", -1), None)
        if job is None:
            self.console.print(Text(self.format(record), style="red"))
            return
        reason = str(record.msg or "").partition(POINTER)[0].strip()  # of a cluster's scheduler, such as OUT_OF_MEMORY
        reasons = [] if reason.startswith("Error in rule ") else reason.splitlines()
        lines = [f"{job.seconds():>6}  failed: {job.message}", *reasons, job.error()]
        lines += [f"log: {job.log}"] if job.log else []
        self.console.print(Text("\n        ".join(lines), style="red"))

    def _picture(self) -> Group:
        """The running jobs, each with its last words, above one bar."""
        rows = Table.grid(padding=(0, 2))
        for job in list(self.running.values()):
            rows.add_row(f"{job.seconds():>6}", job.message, Text(job.last_line()[:80], style="dim"))
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            " " * 4,
            ProgressBar(total=max(self.total, 1), completed=self.done, width=40),
            f"{self.done} of {self.total} jobs",
        )
        return Group(rows, bar)

    def _log_long_jobs(self) -> None:
        while self.ticking:
            time.sleep(1)
            with self.guard:
                for job in self.running.values():
                    if time.monotonic() - job.logged >= QUIET_SECONDS:
                        job.logged = time.monotonic()
                        self.console.print(f"{job.seconds():>6}  {job.message} ... {job.last_line()[:100]}".rstrip())

    @property
    def writes_to_stream(self) -> bool:
        """It replaces Snakemake's own lines on stderr."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake's log file is left to Snakemake."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's filter serves."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's formatter serves for errors."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """No picture of the graph is drawn."""
        return False
