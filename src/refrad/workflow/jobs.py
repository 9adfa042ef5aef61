"""The jobs of a run, and their states by the files that they leave."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from refrad.workflow.job_records import is_alive, read_records
from refrad.workflow.site import Site
from refrad.workflow.stages import STAGES, Stage

__all__ = ["STATES", "Job", "jobs_of"]

STATES = ("done", "running", "failed", "stopped", "waiting")
LINE_LIMIT = 500  # characters of a log's last line, at most
TAIL = 2**16  # bytes of a log in which its last line and an error are found


@dataclass(frozen=True)
class Job:
    """One job of a run. It writes `metrics` last: where that file exists, the job is done."""

    stage: str
    name: str
    metrics: Path
    log: Path

    @cached_property
    def state(self) -> str:
        """One of STATES, when first read.

        A job that has neither a result nor a running process has failed if its log ends with an error, else it was stopped:
        by a signal, by Slurm or with its machine.
        """
        if self.metrics.exists():
            return "done"
        if not self.log.exists():
            return "waiting"
        records = read_records(self.log)
        lines = self._lines()
        if any(line.startswith(f"refrad {self.stage}: ") for line in lines):
            return "failed"
        if is_alive(records, self.log):
            return "running"
        if any(line.startswith("Traceback ") for line in lines):
            return "stopped" if lines[-1].startswith("KeyboardInterrupt") else "failed"
        return "stopped" if records or not lines else "failed"

    @property
    def last_line(self) -> str:
        """The last line of the log. Stages put no report text, names or paths of the archive there."""
        lines = self._lines()
        return lines[-1][:LINE_LIMIT] if lines else ""

    def _lines(self) -> list[str]:
        """The last lines of the log."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL))
            return file.read().decode("utf-8", errors="replace").strip().splitlines()


def jobs_of(site: Site) -> list[Job]:
    """All jobs of a run before its report, in the order of the stages."""
    results, logs = Path(site.folder("results")), Path(site.folder("logs"))
    return [
        Job(
            stage.name,
            " ".join(wildcards.values()) or "dataset",
            results / stage.metrics_pattern.format(**wildcards),
            logs / stage.log_pattern.format(**wildcards),
        )
        for stage in map(STAGES.__getitem__, site.pages)
        for wildcards in _wildcards(stage, site)
    ]


def _wildcards(stage: Stage, site: Site) -> Iterator[dict[str, str]]:
    """The wildcards of each job of a stage."""
    if stage.per == "run":
        yield {"name": getattr(site.config, stage.named).name} if stage.named else {}
        return
    for delivery in site.config.deliveries:
        if stage.per == "delivery":
            yield {"delivery": delivery.name}
        else:
            yield from ({"delivery": delivery.name, "shard": str(shard)} for shard in range(delivery.shards))
