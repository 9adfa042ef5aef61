"""The jobs of a run, and their states by the files that they leave."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from refrad.workflow.job_records import error_line, is_alive, read_records, tail
from refrad.workflow.site import Site
from refrad.workflow.stages import STAGES, Stage

__all__ = ["STATES", "Job", "jobs_of", "page_jobs"]

STATES = ("done", "due", "running", "failed", "stopped", "waiting")
LINE_LIMIT = 500  # characters of a line of a log, at most


@dataclass(frozen=True)
class Job:
    """One job of a run. It writes `metrics` last: where that file exists, the job is done, or is due to run again."""

    stage: str
    name: str
    metrics: Path
    log: Path
    due: bool = False

    @cached_property
    def state(self) -> str:
        """One of STATES, when first read.

        A job that has neither a result nor a running process has failed if its log ends with an error, else it was stopped:
        by a signal, by Slurm or with its machine.
        """
        if self.metrics.exists():
            return "due" if self.due else "done"
        if not self.log.exists():
            return "waiting"
        records = read_records(self.log)
        lines = tail(self.log)
        error = error_line(lines)
        if error.startswith(f"refrad {self.stage}: "):
            return "failed"
        if is_alive(records, self.log) and not (error and not records):
            return "running"
        if error:
            return "stopped" if error.startswith("KeyboardInterrupt") else "failed"
        return "stopped" if records or not lines else "failed"

    @property
    def last_line(self) -> str:
        """The line of the log that names the error, else its last line. Stages put no report text, names or paths of the archive
        there.
        """
        lines = tail(self.log)
        return (error_line(lines) or (lines[-1] if lines else ""))[:LINE_LIMIT]


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


def page_jobs(site: Site) -> list[Job]:
    """The jobs that write the pages of a run: those of the dataset, and those of the model where one is trained."""
    pages, logs = Path(site.folder("results")) / "report", Path(site.folder("logs"))
    jobs = [Job("report", "dataset", pages / "index.html", logs / "report.log")]
    last = pages / "stages" / f"{site.pages[-1]}.html"
    return jobs + [Job("report", "model", last, logs / "model_report.log")] * site.trains


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
