"""What of a run is done, what failed and what waits, from the files that the jobs leave behind."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refrad.config import load_config
from refrad.core.files import write_json
from refrad.stages import report
from refrad.workflow.fingerprint import SHARD_STAGES, Fingerprint
from refrad.workflow.site import Site

__all__ = ["Job", "jobs_of", "main", "write_pages"]

LAST_WORDS = 500  # characters of a log's last line, at most
Found = tuple[str, Path]


@dataclass(frozen=True)
class Job:
    """One job of the run. `metrics` is written last, so where it stands the job is done."""

    stage: str
    name: str
    metrics: Path
    log: Path

    @property
    def state(self) -> str:
        """One of "done", "failed" (or stopped, or still running: there is a log but no result) or "waiting"."""
        return "done" if self.metrics.exists() else "failed" if self.log.exists() else "waiting"

    @property
    def last_words(self) -> str:
        """The last line of the log. Stages put no report text, names or paths of the archive there."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1][:LAST_WORDS] if lines else ""


def jobs_of(site: Site) -> list[Job]:
    """All jobs of a run, in the order of the stages."""
    results, logs, name = Path(site.place("results")), Path(site.place("logs")), site.config.train.name
    shards = [(one.name, str(shard)) for one in site.config.deliveries for shard in range(one.shards)]
    jobs = [
        Job("index", one, results / "index" / one / "metrics.json", logs / "index" / f"{one}.log")
        for one in site.deliveries
    ]
    jobs += [
        Job(
            stage, f"{one} {shard}", results / stage / one / shard / "metrics.json", logs / stage / one / f"{shard}.log"
        )
        for stage in SHARD_STAGES
        for one, shard in shards
    ]
    jobs.append(Job("card", "dataset", results / "card" / "metrics.json", logs / "card.log"))
    if site.config.adapt.steps:
        tower = site.config.adapt.name
        jobs.append(Job("adapt", tower, results / "adapt" / f"{tower}.metrics.json", logs / "adapt" / f"{tower}.log"))
    jobs.append(Job("train", name, results / "train" / f"{name}.metrics.json", logs / "train" / f"{name}.log"))
    jobs.append(Job("evaluate", name, results / "evaluate" / name / "metrics.json", logs / "evaluate" / f"{name}.log"))
    return jobs


def write_pages(site: Site) -> Path:
    """Write the pages of what there is, beside the report of a complete run and never in its place.

    Returns:
        The page to open.
    """
    jobs = jobs_of(site)
    results, name = Path(site.place("results")), site.config.train.name
    folder = results / "status"
    state = [
        {
            "job": f"{job.stage} {job.name}",
            "stage": job.stage,
            "name": job.name.replace(" ", "/"),
            "state": job.state,
            "words": job.last_words,
            "log": str(job.log),
            "result": str(job.metrics),
        }
        for job in jobs
        if job.state != "done"
    ]
    write_json(folder / "state.json", state)
    done = [job for job in jobs if job.state == "done"]
    evaluated = any(job.stage == "evaluate" for job in done)
    report.run(
        metrics=[job.metrics for job in done if job.stage != "evaluate"],
        images=_tables(done, "shards", "images"),
        volumes=_tables(done, "volumes", "volumes"),
        masks=_tables(done, "masks", "masks"),
        triplets=_tables(done, "grounded", "triplets"),
        captions=_tables(done, "captions", "captions"),
        mentions=_tables(done, "mentions", "mentions"),
        flags=_tables(done, "structures", "flags"),
        adaptation=next((job.metrics.parent / job.name for job in done if job.stage == "adapt"), None),
        training=results / "train" / name / "training.json" if any(job.stage == "train" for job in done) else None,
        evaluation=results / "evaluate" / name / "metrics.json" if evaluated else None,
        predictions=results / "evaluate" / name / "predictions.jsonl" if evaluated else None,
        schema=Path(site.schema),
        volume_store=Path(site.store("volumes")),
        mask_store=Path(site.store("masks")),
        state=folder / "state.json",
        pages=folder,
        fingerprint=Fingerprint.parse(site.fingerprint("report")),
    )
    return folder / "index.html"


def _tables(done: Sequence[Job], stage: str, table: str) -> list[Path]:
    return [job.metrics.with_name(f"{table}.parquet") for job in done if job.stage == stage]


def summary(jobs: Sequence[Job]) -> str:
    """A line a stage, then the last words of each job that failed."""
    counts: dict[str, Counter[str]] = {}
    for job in jobs:
        counts.setdefault(job.stage, Counter())[job.state] += 1
    lines = [f"{'stage':<12}{'done':>8}{'failed':>8}{'waiting':>9}"]
    lines += [f"{stage:<12}{n['done']:>8}{n['failed']:>8}{n['waiting']:>9}" for stage, n in counts.items()]
    failed = [job for job in jobs if job.state == "failed"]
    lines += [f"\n{job.stage} {job.name}: {job.last_words}\n  {job.log}" for job in failed]
    return "\n".join(lines)


def main(*, config: list[Path]) -> None:
    """Say which jobs of a run are done, failed or waiting, and write the pages of what there is to results/status.

    Raises:
        ValueError: if the config is wrong.
    """
    site = Site(load_config(config))
    print(summary(jobs_of(site)))
    print(f"\nworth opening: {write_pages(site)}")
