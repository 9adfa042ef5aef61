"""The command `refrad explain`: which stages would run if the workflow were started now, and why.

Snakemake lists the jobs that would run. The reasons come from comparing the fingerprint in a stage's last result with the
one composed now from the config, the schema files and the code.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from json import dumps, loads
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from refrad.config import load_config
from refrad.core.manifests import read_sealed
from refrad.review.site_review import SiteReview
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.jobs import jobs_of
from refrad.workflow.site import Site
from refrad.workflow.stages import STAGES

__all__ = ["PlannedJob", "Verdict", "changes", "explain", "format_lines", "main", "planned_jobs", "stage_of"]

LOCAL = Path("profiles/local")

MAKERS = {"review": "shards"}  # folder of results to the stage that makes it, where the names differ

# Snakemake's reasons that do not concern the fingerprint, in words.
OTHER_REASONS = {
    "Code has changed": "the command of its rule changed",
    "Set of input files has changed": "it takes in more or fewer files than before, as after a new delivery",
    "Software environment": "its environment file changed",
    "Forced execution": "it was forced on the command line",
    "Output files have incomplete": "its last run was cut off",
}


class PlannedJob(TypedDict):
    """A job that would run, as `snakemake_logger_plugin_refrad` writes it; `reason` is Snakemake's text."""

    rule: str
    wildcards: dict[str, str]
    reason: str


class Verdict(NamedTuple):
    """Jobs of a stage that would run, and why.

    Attributes:
        stage: its name.
        jobs: how many would run.
        total: how many there are.
        reasons: why they would run.
        overlooked: changes of the fingerprint that Snakemake does not see, where no job would run.
    """

    stage: str
    jobs: int
    total: int
    reasons: tuple[str, ...]
    overlooked: tuple[str, ...]


def main(config: list[Path] | None = None, *, json: bool = False) -> None:
    """List the stages that would run if the workflow were started now, with the reasons.

    Args:
        config: the files given to Snakemake's --configfile; config.yaml alone where there are none.
        json: print one JSON object instead of lines.
    """
    files = config or [Path("config.yaml")]
    site = Site(load_config(files), downloads=False)
    verdicts = list(explain(planned_jobs(files), site))
    if json:
        print(dumps([verdict._asdict() for verdict in verdicts], ensure_ascii=False, indent=2))
    else:
        print("\n".join(format_lines(verdicts)))


def planned_jobs(config: Sequence[Path]) -> list[PlannedJob]:
    """The jobs that `snakemake all` would run, without the rules that only collect files.

    Raises:
        ValueError: with Snakemake's message, if the dry run fails.
    """
    command = [sys.executable, "-m", "snakemake", "all", "--dry-run", "--profile", str(LOCAL), "--logger-refrad-json"]
    command += ["--configfile", *map(str, config)]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if run.returncode != 0:
        raise ValueError(f"snakemake cannot plan a run:\n{run.stderr.strip()}")
    return [loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def explain(jobs: Sequence[PlannedJob], site: Site) -> list[Verdict]:
    """The verdict on each stage: first the stages that would run, then the others."""
    planned: dict[str, list[PlannedJob]] = {}
    for job in jobs:
        planned.setdefault(stage_of(job["rule"]), []).append(job)
    stages = ["demo", *site.pages, "report"]
    totals = Counter(job.stage for job in jobs_of(site))
    verdicts = []
    review = SiteReview(site)
    for stage in sorted(planned, key=lambda stage: stages.index(stage) if stage in stages else len(stages)):
        reasons = dict.fromkeys(reason for job in planned[stage] for reason in _reasons(stage, job, review))
        verdicts.append(Verdict(stage, len(planned[stage]), totals[stage] or 1, tuple(reasons), ()))
    for stage in site.pages:
        if stage not in planned:
            overlooked = dict.fromkeys(
                change
                for metrics in _outputs(stage, site)
                for change in changes(_before(metrics), _now(metrics, stage, review), site)
            )
            verdicts.append(Verdict(stage, 0, totals[stage] or 1, (), tuple(overlooked)))
    return verdicts


def format_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """A line for each stage that would run, one that names the others, and a warning for each stage that should run."""
    for verdict in verdicts:
        if verdict.jobs:
            number = f"{verdict.jobs} of {verdict.total}" if verdict.total > 1 else "again"
            yield f"{verdict.stage:<12}runs ({number}): " + "; ".join(verdict.reasons)
    staying = [verdict for verdict in verdicts if not verdict.jobs]
    if staying:
        names = ", ".join(verdict.stage for verdict in staying)
        nothing_runs = len(staying) == len(verdicts)
        yield (
            "nothing would run: all results are up to date with the config" if nothing_runs else f"{'stay':<12}{names}"
        )
    for verdict in staying:
        if verdict.overlooked:
            yield (
                f"{verdict.stage:<12}is out of date, but Snakemake's records do not show it: {'; '.join(verdict.overlooked)};"
                f" run it with --forcerun {STAGES[verdict.stage].rule}"
            )


def changes(before: Fingerprint | None, now: Fingerprint, site: Site) -> Iterator[str]:
    """The differences between two fingerprints of a stage, in words; none if there is no earlier one."""
    if before is None:
        return
    if before.version != now.version:
        yield f"the meaning of its output changed (VERSION {before.version} -> {now.version})"
    for key, old, new in _differences(before.options, now.options):
        yield f"{now.stage}.{key}: {old} -> {new}"
    for role, old, new in _differences(before.files, now.files):
        path = f" ({getattr(site, role)})" if hasattr(site, role) else ""
        yield f"the {role}{path} has another content ({old} -> {new})"
    for key, old, new in _differences(before.models, now.models):
        yield f"llm.{key}: {old} -> {new}"


def stage_of(rule: str) -> str:
    """The stage of a rule: its name without the words for a shard, a delivery, or a second rule of the stage."""
    return rule.removesuffix("_shard").removesuffix("_delivery").removeprefix("model_")


def _reasons(stage: str, job: PlannedJob, review: SiteReview) -> Iterator[str]:
    """The reasons why Snakemake would run a job. It gives them in one line: separated by semicolons, files after a colon."""
    site = review.site
    for reason in job["reason"].split("; "):
        kind, _, files = reason.partition(": ")
        names = [name for name in files.split(", ") if name]
        if kind.startswith("Params have changed"):
            outputs = _outputs(stage, site, job["wildcards"])
            differences = [
                change for path in outputs for change in changes(_before(path), _now(path, stage, review), site)
            ]
            yield from differences or ["a path, key or number of shards of the delivery changed"]
        elif kind.startswith("Input files updated by another job"):
            yield f"follows from {', '.join(_makers(names))}"
        elif kind.startswith("Updated input files"):
            yield f"{', '.join(_named(names, site))} changed"
        elif kind.startswith("Missing output files"):
            yield "its results are missing"
        else:
            yield next((words for start, words in OTHER_REASONS.items() if kind.startswith(start)), kind)


def _makers(files: Iterable[str]) -> list[str]:
    """The stages that make the files: results/<stage>/..., or the private tables of index, or the demo."""
    paths = [Path(file).parts for file in files]
    return list(
        dict.fromkeys(
            MAKERS.get(parts[1], parts[1].split(".")[0])
            if parts[0] == "results"
            else "demo"
            if parts[0] == "demo"
            else "index"
            for parts in paths
        )
    )


def _named(files: Iterable[str], site: Site) -> list[str]:
    """Files of a delivery by their role, since their paths belong to the archive; other files by their paths."""
    roles = {
        path: f"the {key} of {delivery.name}"
        for delivery in site.config.deliveries
        for key in ("reports", "references", "masks")
        if (path := getattr(delivery, key))
    }
    roles |= {
        delivery.volumes.table: f"the table of volumes of {delivery.name}"
        for delivery in site.config.deliveries
        if delivery.volumes is not None and delivery.volumes.table is not None
    }
    return [roles.get(file, file) for file in files]


def _outputs(stage: str, site: Site, wildcards: Mapping[str, str] | None = None) -> list[Path]:
    """The metrics files of the last results of a stage, which hold its fingerprint: of one job or of all."""
    name = " ".join((wildcards or {}).get(key, "") for key in ("delivery", "shard")).strip()
    return [job.metrics for job in jobs_of(site) if job.stage == stage and (not name or job.name == name)]


def _before(metrics: Path) -> Fingerprint | None:
    try:
        return Fingerprint.parse(read_sealed(metrics)["fingerprint"])
    except (OSError, ValueError, KeyError):
        return None


def _now(metrics: Path, stage: str, review: SiteReview) -> Fingerprint:
    """The fingerprint of the job with these metrics, composed now."""
    delivery, shard = (metrics.parts[-3], metrics.parts[-2]) if STAGES[stage].per == "shard" else (None, None)
    return Fingerprint.parse(review.fingerprint_of(stage, delivery, shard))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Key, old and new value of each difference; keys of nested sections are joined by dots."""
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from ((f"{key}.{inner}", a, b) for inner, a, b in _differences(old, new))
        elif old != new:
            yield key, _text(old, key in before), _text(new, key in now)


def _text(value: Any, present: bool) -> str:
    return dumps(value, ensure_ascii=False).strip('"') if present else "missing"
