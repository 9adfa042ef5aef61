"""The jobs of a run, and their states by the files that they leave."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from refrad.workflow.site import Site
from refrad.workflow.stages import STAGES, Stage

__all__ = ["Job", "jobs_of"]

LINE_LIMIT = 500  # characters of a log's last line, at most


@dataclass(frozen=True)
class Job:
    """One job of a run. It writes `metrics` last: where that file exists, the job is done."""

    stage: str
    name: str
    metrics: Path
    log: Path

    @property
    def state(self) -> str:
        """One of "done", "failed" (or stopped, or still running: there is a log but no result) or "waiting"."""
        return "done" if self.metrics.exists() else "failed" if self.log.exists() else "waiting"

    @property
    def last_line(self) -> str:
        """The last line of the log. Stages put no report text, names or paths of the archive there."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1][:LINE_LIMIT] if lines else ""


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
