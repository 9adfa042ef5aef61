"""The command `refrad status`: which jobs of a run are done, due, running, failed, stopped or waiting; and the end of a run in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Any

from refrad.commands.explain import PlannedJob, planned_jobs, stage_of
from refrad.config import load_config
from refrad.core.files import write_json
from refrad.core.manifests import read_sealed
from refrad.core.types import SPLITS
from refrad.reporting.run_end import FILES, end_of_run, explain_empty_dataset
from refrad.stages import report
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.job_records import read_records
from refrad.workflow.jobs import STATES, Job, jobs_of, page_jobs
from refrad.workflow.site import Site
from refrad.workflow.stages import STAGES

__all__ = ["explain_failure", "explain_success", "main", "summary", "with_due", "write_pages"]

ENDED = ("failed", "stopped")
LONGEST = 300  # characters of an error in a line
SHOWN = 10  # jobs that are named after a run that failed
NEXT = "remove the cause and start the same command again; what is done is kept"


def main(config: list[Path] | None = None, *, json: bool = False) -> None:
    """List which jobs of a run are done, running, failed, stopped or waiting, and write the pages so far to results/status.

    A job is due if it was done, but would run again: its config or its inputs changed, or a job before it is missing.
    `refrad explain` gives the reasons.

    Args:
        config: config files, later ones over earlier ones; config.yaml alone where there are none.
        json: print one JSON object instead of lines.

    Raises:
        ValueError: if the config is wrong.
    """
    files = config or [Path("config.yaml")]
    site = Site(load_config(files), downloads=False)
    jobs = jobs_of(site)
    page, notes = write_pages(site, jobs)
    try:
        jobs = with_due([*jobs, *page_jobs(site)], planned_jobs(files))
    except ValueError as error:
        notes.append(f"jobs that are due are counted as done: {_in_words(error)}")
    if json:
        state: dict[str, object] = {"stages": _counts(jobs)}
        state |= {name: [_row(job) for job in jobs if job.state == name] for name in ("running", *ENDED)}
        print(dumps(state | {"page": str(page), "left_out": notes}, ensure_ascii=False, indent=2))
        return
    print(summary(jobs))
    print("\n".join(["", *notes, f"worth opening: {page}"]))


def explain_success(site: Site, since: float, coloured: bool) -> str:
    """The end of a run that succeeded: what it counted, and the files that it made at or after `since`, in seconds since the epoch.

    Stages after the last one that the run made are not of it: a run of one stage leaves their results as they are.
    """
    jobs = jobs_of(site)
    new = [job.stage for job in jobs if job.metrics.exists() and job.metrics.stat().st_mtime >= since]
    stages = site.pages[: site.pages.index(new[-1]) + 1] if new else site.pages
    counted, expected = _counted([job for job in jobs if job.stage in stages])
    results = Path(site.folder("results"))
    paths = {results / path.format(name=site.config.train.name): meaning for path, meaning in FILES.items()}
    files = [(str(path), words) for path, words in paths.items() if path.exists() and path.stat().st_mtime >= since]
    return end_of_run(counted, expected, files, str(results / "report"), coloured)


def explain_failure(site: Site, coloured: bool = False) -> str:
    """The end of a run that failed: jobs that failed or were stopped, and the page to open. It never raises.

    It follows the error of the run, which an error of its own must not hide.
    """
    try:
        jobs = jobs_of(site)
        lines = _endings([*jobs, *page_jobs(site)])
        page, notes = write_pages(site, jobs)
        lines += explain_empty_dataset(*_counted(jobs), str(page.parent), coloured)
        finished = Path(site.folder("results")) / "report" / "index.html"
        lines += [f"the pages of the dataset: {finished}"] if finished.exists() else []
        return "\n".join(["", *lines, *notes, f"what is done and what failed: {page}", NEXT])
    except Exception as error:
        return f"\nno status pages: {_in_words(error)}"


def _counted(jobs: Sequence[Job]) -> tuple[dict[str, list[tuple[str, Any]]], dict[str, int]]:
    """Stage to what its metrics files hold, each with the name of its job, and to its number of jobs; a damaged file holds None."""
    counted: dict[str, list[tuple[str, Any]]] = {}
    for job in jobs:
        if job.stage != "evaluate" and job.metrics.exists():
            try:
                counted.setdefault(job.stage, []).append((job.name, read_sealed(job.metrics)))
            except (OSError, ValueError):
                counted.setdefault(job.stage, []).append((job.name, None))
    return counted, Counter(job.stage for job in jobs)


def write_pages(site: Site, jobs: Sequence[Job]) -> tuple[Path, list[str]]:
    """Write the pages of the results so far, in a folder apart from the report of a complete run.

    Where a table is missing, damaged or of another schema, the pages are without pictures, or have the states of the jobs only.

    Returns:
        The page to open, and a line on each part that was left out, with the reason.
    """
    folder = Path(site.folder("results")) / "status"
    write_json(folder / "state.json", [_row(job) for job in jobs if job.state != "done"])
    files, notes = _files(site, jobs, folder / "state.json")
    without_tables = report.ReportFiles(
        metrics=files.metrics,
        images=[],
        volumes=[],
        masks=[],
        schema=files.schema,
        volume_store=files.volume_store,
        mask_store=files.mask_store,
        state=files.state,
    )
    fingerprint = Fingerprint.parse(site.fingerprint("report"))
    for part, choice in (("pictures", files), ("counts", without_tables)):
        try:
            report.run(files=choice, pages=folder, fingerprint=fingerprint)
            return folder / "index.html", notes
        except Exception as error:  # whatever the results of an interrupted run hold, its states can be shown
            notes.append(f"the status pages are without {part}: {_in_words(error)}")
    report.run(files=replace(without_tables, metrics=[]), pages=folder, fingerprint=fingerprint)
    return folder / "index.html", notes


def _in_words(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST]}"


def _files(site: Site, jobs: Sequence[Job], state: Path) -> tuple[report.ReportFiles, list[str]]:
    """The files of the finished jobs, and a line on each job whose metrics are damaged."""
    results, name = Path(site.folder("results")), site.config.train.name
    done, notes = [], []
    for job in jobs:
        if job.state == "done":
            try:
                read_sealed(job.metrics)
                done.append(job)
            except (OSError, ValueError) as error:
                notes.append(f"left out of the status pages: {_in_words(error)}")
    stages = {job.stage for job in done}
    mentions = _tables(done, "mentions", "mentions")
    files = report.ReportFiles(
        metrics=[job.metrics for job in done if job.stage != "evaluate"],
        images=[
            path
            for split in SPLITS
            for job in done
            if job.stage == "shards"
            and (path := results / "shards" / "data" / job.name.replace(" ", "/") / f"{split}.parquet").exists()
        ],
        volumes=_tables(done, "volumes", "volumes"),
        masks=_tables(done, "masks", "masks"),
        triplets=_tables(done, "grounded", "triplets") if mentions else [],
        captions=_tables(done, "captions", "captions") if mentions else [],
        mentions=mentions,
        flags=_tables(done, "structures", "flags"),
        adaptation=next((job.metrics.parent / job.name for job in done if job.stage == "adapt"), None),
        training=results / "train" / name / "training.json" if "train" in stages else None,
        evaluation=results / "evaluate" / name / "metrics.json" if "evaluate" in stages else None,
        predictions=results / "evaluate" / name / "predictions.jsonl" if "evaluate" in stages else None,
        schema=Path(site.schema),
        volume_store=Path(site.store("volumes")),
        mask_store=Path(site.store("masks")),
        state=state,
    )
    return files, notes


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
    paths = [job.metrics.with_name(f"{table}.parquet") for job in done if job.stage == stage]
    return [path for path in paths if path.exists()]


def summary(jobs: Sequence[Job]) -> str:
    """A line a stage, then the error and the log of each job that failed or was stopped."""
    lines = [f"{'stage':<12}" + "".join(f"{state:>9}" for state in STATES)]
    lines += [f"{stage:<12}" + "".join(f"{n[state]:>9}" for state in STATES) for stage, n in _counts(jobs).items()]
    ended = [job for job in jobs if job.state in ENDED]
    lines += [f"\n{job.stage} {job.name} ({job.state}): {_cause(job)}\n  {job.log}" for job in ended]
    return "\n".join(lines)


def _endings(jobs: Sequence[Job]) -> list[str]:
    """The error and the log of the jobs of a run that is over: of those that failed, then of those that were stopped.

    A job without a record was stopped before it wrote one, since no job begins any more.
    """
    ended = [job for job in jobs if job.state == "failed"]
    ended += [job for job in jobs if job.state == "stopped" or (job.state == "running" and not read_records(job.log))]
    lines = [
        f"{'failed' if job.state == 'failed' else 'stopped'}: {job.stage} {job.name}: {_cause(job)}\n  log: {job.log}"
        for job in ended[:SHOWN]
    ]
    more = len(ended) - SHOWN
    return [*lines, f"and {more:,} more jobs: `refrad status` lists all"] if more > 0 else lines


def _cause(job: Job) -> str:
    """The error of a job that failed; of one that was stopped, why it may have been."""
    if job.state == "failed":
        return job.last_line
    last = f"; last line: {job.last_line}" if job.last_line else ""
    return f"killed, out of memory or time, or its machine went down{last}"


def with_due(jobs: Sequence[Job], planned: Sequence[PlannedJob]) -> list[Job]:
    """The jobs, with `due` set for those that Snakemake would run."""
    keys = {
        (stage_of(job["rule"]), " ".join(job["wildcards"].get(key, "") for key in ("delivery", "shard")).strip())
        for job in planned
    }
    return [replace(job, due=(job.stage, "" if STAGES[job.stage].per == "run" else job.name) in keys) for job in jobs]


def _counts(jobs: Sequence[Job]) -> dict[str, dict[str, int]]:
    """Number of jobs in each state, by stage."""
    states: dict[str, Counter[str]] = {}
    for job in jobs:
        states.setdefault(job.stage, Counter())[job.state] += 1
    return {stage: {state: n[state] for state in STATES} for stage, n in states.items()}
