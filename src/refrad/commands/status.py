"""The command `refrad status`: which jobs of a run are done, failed or waiting, from the files that they leave."""

from collections import Counter
from collections.abc import Sequence
from json import dumps
from pathlib import Path

from refrad.config import load_config
from refrad.core.files import write_json
from refrad.core.types import SPLITS
from refrad.stages import report
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.jobs import Job, jobs_of
from refrad.workflow.site import Site

__all__ = ["main", "summary", "write_pages"]


def main(config: list[Path], *, json: bool = False) -> None:
    """List which jobs of a run are done, failed or waiting, and write the pages of its results so far to results/status.

    Args:
        config: config files, later ones over earlier ones.
        json: print one JSON object instead of lines.

    Raises:
        ValueError: if the config is wrong.
    """
    site = Site(load_config(config))
    jobs = jobs_of(site)
    page = write_pages(site)
    if json:
        state = {"stages": _counts(jobs), "failed": [_row(job) for job in jobs if job.state == "failed"]}
        print(dumps(state | {"page": str(page)}, ensure_ascii=False, indent=2))
        return
    print(summary(jobs))
    print(f"\nworth opening: {page}")


def write_pages(site: Site) -> Path:
    """Write the pages of the results so far, in a folder apart from the report of a complete run.

    Returns:
        The page to open.
    """
    jobs = jobs_of(site)
    results, name = Path(site.folder("results")), site.config.train.name
    folder = results / "status"
    write_json(folder / "state.json", [_row(job) for job in jobs if job.state != "done"])
    done = [job for job in jobs if job.state == "done"]
    stages = {job.stage for job in done}
    files = report.ReportFiles(
        metrics=[job.metrics for job in done if job.stage != "evaluate"],
        images=[
            results / "shards" / "data" / job.name.replace(" ", "/") / f"{split}.parquet"
            for split in SPLITS
            for job in done
            if job.stage == "shards"
        ],
        volumes=_tables(done, "volumes", "volumes"),
        masks=_tables(done, "masks", "masks"),
        triplets=_tables(done, "grounded", "triplets"),
        captions=_tables(done, "captions", "captions"),
        mentions=_tables(done, "mentions", "mentions"),
        flags=_tables(done, "structures", "flags"),
        adaptation=next((job.metrics.parent / job.name for job in done if job.stage == "adapt"), None),
        training=results / "train" / name / "training.json" if "train" in stages else None,
        evaluation=results / "evaluate" / name / "metrics.json" if "evaluate" in stages else None,
        predictions=results / "evaluate" / name / "predictions.jsonl" if "evaluate" in stages else None,
        schema=Path(site.schema),
        volume_store=Path(site.store("volumes")),
        mask_store=Path(site.store("masks")),
        state=folder / "state.json",
    )
    report.run(files=files, pages=folder, fingerprint=Fingerprint.parse(site.fingerprint("report")))
    return folder / "index.html"


def _row(job: Job) -> dict[str, str]:
    """A job as the pages read it."""
    return {
        "job": f"{job.stage} {job.name}",
        "stage": job.stage,
        "name": job.name.replace(" ", "/"),
        "state": job.state,
        "words": job.last_line,
        "log": str(job.log),
        "result": str(job.metrics),
    }


def _tables(done: Sequence[Job], stage: str, table: str) -> list[Path]:
    return [job.metrics.with_name(f"{table}.parquet") for job in done if job.stage == stage]


def summary(jobs: Sequence[Job]) -> str:
    """A line a stage, then the last line of the log of each failed job."""
    lines = [f"{'stage':<12}{'done':>8}{'failed':>8}{'waiting':>9}"]
    lines += [f"{stage:<12}{n['done']:>8}{n['failed']:>8}{n['waiting']:>9}" for stage, n in _counts(jobs).items()]
    failed = [job for job in jobs if job.state == "failed"]
    lines += [f"\n{job.stage} {job.name}: {job.last_line}\n  {job.log}" for job in failed]
    return "\n".join(lines)


def _counts(jobs: Sequence[Job]) -> dict[str, dict[str, int]]:
    """Number of jobs in each state, by stage."""
    states: dict[str, Counter[str]] = {}
    for job in jobs:
        states.setdefault(job.stage, Counter())[job.state] += 1
    return {stage: {state: n[state] for state in ("done", "failed", "waiting")} for stage, n in states.items()}
